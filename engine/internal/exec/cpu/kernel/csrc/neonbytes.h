// The integer product with weights as bytes, and activations as two: x = 128·h + l.
//
// A panel of weights is [k/STEP][ROWS][STEP] bytes, with [nb][SCALES][ROWS] scales, as
// Set.Scales has them, and [nb][MINS][ROWS] minima; a panel of activations is
// [k/STEP][2][COLUMNS][STEP], first of all columns h and then l, with [nb][4][COLUMNS] as in
// gemm.h. They are multiplied by tiles of 8 rows and 4 columns, whose sums stay in
// registers: 8 as floats, 16 as integers, half of them of h and half of l. The pins keep clang
// from loading ahead of a step, for which there is no register left.
//
// Included with STEP, the values of a column that an instruction takes, and
//   step(h, l, w, x)    adds the products of STEP values of a tile
//   rows4(h, l, c, r)   the sums of column c and rows 4·r to 4·r+3
#pragma once
#include "neon.h"

#define GEMM(NAME, SCALES, MINS) \
KERNEL(NAME)(float *acc, const int16_t *w, const float *wd, const float *wm, const int16_t *x, const float *xd, int64_t nb) { \
    int64_t columns = COLUMNS; \
    do { \
        int64_t rows = ROWS; \
        do { \
            const int8_t *p = (const int8_t *)w, *q = (const int8_t *)x; \
            const float *pd = wd, *pm = wm, *qd = xd; \
            float32x4_t f[8]; \
UNROLL      for (int i = 0; i < 8; i++) { f[i] = vld1q_f32(acc + ROWS * (i / 2) + 4 * (i % 2)); PINV(f[i]); } \
            int64_t left = nb; \
            do { \
UNROLL          for (int part = 0; part < SCALES; part++) { \
                    int32x4_t h[8], l[8]; \
UNROLL              for (int i = 0; i < 8; i++) { h[i] = l[i] = vdupq_n_s32(0); } \
UNROLL              for (int i = 0; i < 32 / STEP / SCALES; i++) { \
                        step(h, l, p, q); \
UNROLL                  for (int k = 0; k < 8; k++) { PINV(h[k]); PINV(l[k]); } \
                        p += ROWS * STEP; q += 2 * COLUMNS * STEP; PIN(p); PIN(q); \
                    } \
                    PIN(qd); \
                    float32x4_t v = vld1q_f32(qd); \
UNROLL              for (int r = 0; r < 2; r++) { \
                        float32x4_t d = vld1q_f32(pd + 4 * r); \
UNROLL                  for (int c = 0; c < 4; c++) { \
                            float32x4_t s = vcvtq_f32_s32(rows4(h, l, c, r)); \
                            f[2 * c + r] = vfmaq_f32(f[2 * c + r], s, vmulq_n_f32(d, v[c])); \
                            PINV(f[2 * c + r]); \
                        } \
                    } \
                    pd += ROWS; \
                } \
UNROLL          for (int m = 0; m < MINS; m++) { \
                    float32x4_t s = vld1q_f32(qd + COLUMNS * (MINS == 1 ? 1 : 2 + m)); \
UNROLL              for (int i = 0; i < 8; i++) f[i] = vfmaq_n_f32(f[i], vld1q_f32(pm + 4 * (i % 2)), s[i / 2]); \
                    pm += ROWS; PIN(pm); \
                } \
                qd += 4 * COLUMNS; \
            } while (--left > 0); \
UNROLL      for (int i = 0; i < 8; i++) vst1q_f32(acc + ROWS * (i / 2) + 4 * (i % 2), f[i]); \
            w += 8 * STEP / 2; acc += 8; wd += 8; wm += 8; \
        } while ((rows -= 8) > 0); \
        w -= ROWS * STEP / 2; wd -= ROWS; wm -= ROWS; acc += 3 * ROWS; \
        x += 4 * STEP / 2; xd += 4; \
    } while ((columns -= 4) > 0); \
}

// 16 activations as their two bytes.
typedef struct { int8x16_t h, l; } split16;
INLINE split16 split(const int16_t *q) {
    int16x8_t a = vld1q_s16(q), b = vld1q_s16(q + 8);
    uint8x16_t low = vuzp1q_u8(vreinterpretq_u8_s16(a), vreinterpretq_u8_s16(b));
    return (split16){vshrn_high_n_s16(vshrn_n_s16(a, 7), b, 7), vreinterpretq_s8_u8(vandq_u8(low, vdupq_n_u8(127)))};
}
