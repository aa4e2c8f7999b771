// c2s:flags -march=armv8-a
#include "neon.h"
#include "pack.h"

// The kernels of matvec.h, for processors without SDOT: quants are widened to words, and sums
// of products of eight take two instructions.
INLINE int32x4_t mac(words32 w, const int16_t *x) {
    int32x4_t a, b;
    int16x8_t v = vld1q_s16(x);
    a = vmull_s16(vget_low_s16(w.v[0]), vget_low_s16(v));
    b = vmull_high_s16(w.v[0], v);
UNROLL for (int i = 1; i < 4; i++) {
        v = vld1q_s16(x + 8 * i);
        a = vmlal_s16(a, vget_low_s16(w.v[i]), vget_low_s16(v));
        b = vmlal_high_s16(b, w.v[i], v);
    }
    return vaddq_s32(a, b);
}

#define DOT32(NAME, T, BYTES, D, M, HASMIN) \
KERNEL(NAME) DOT_ARGS { \
    do { \
        const uint8_t *p = w; const int16_t *x = a->q; const float *xd = a->d, *xs = a->s; \
        float32x4_t acc = vdupq_n_f32(0); float accm = 0; \
        int64_t i = nb; \
        do { \
            acc = vfmaq_n_f32(acc, vcvtq_f32_s32(mac(widened(T(p)), x)), D * *xd); \
            if (HASMIN) accm += M * *xs; \
            p += BYTES; x += 32; xd++; xs++; \
        } while (--i > 0); \
        *y++ = vaddvq_f32(acc) + accm; w += stride; \
    } while (--rows > 0); \
}
#define WORDS32(NAME, T, BYTES, D, M, HASMIN) \
KERNEL(NAME) QUANTS_ARGS { \
    do { \
        const uint8_t *p = w; \
        words32 v = widened(T(p)); \
UNROLL  for (int i = 0; i < 4; i++) vst1q_s16(q + 8 * i, v.v[i]); \
        *d++ = D; \
        if (HASMIN) *m++ = M; \
        w += BYTES; q += 32; \
    } while (--nb > 0); \
}

// Blocks of 256. A quant times its sub-block's scale is a word still.
typedef struct { int16x8_t a, b; } scales_t;
INLINE scales_t spread(int8x16_t s) { return (scales_t){vmovl_s8(vget_low_s8(s)), vmovl_high_s8(s)}; }
INLINE words32 times(bytes32 b, int16x8_t s, int lo, int hi) {
#define LANE(i) (i == 0 ? vdupq_laneq_s16(s, 0) : i == 1 ? vdupq_laneq_s16(s, 1) : i == 2 ? vdupq_laneq_s16(s, 2) : i == 3 ? vdupq_laneq_s16(s, 3) : \
                 i == 4 ? vdupq_laneq_s16(s, 4) : i == 5 ? vdupq_laneq_s16(s, 5) : i == 6 ? vdupq_laneq_s16(s, 6) : vdupq_laneq_s16(s, 7))
    words32 w = widened(b);
    int16x8_t l = LANE(lo), h = LANE(hi);
    return (words32){{vmulq_s16(w.v[0], l), vmulq_s16(w.v[1], l), vmulq_s16(w.v[2], h), vmulq_s16(w.v[3], h)}};
}
INLINE words32 times16(bytes32 b, scales_t s, int j) { return times(b, j < 4 ? s.a : s.b, (2 * j) & 7, (2 * j + 1) & 7); }
INLINE words32 times32(bytes32 b, scales_t s, int j) { return times(b, s.a, j, j); }

// PER values have a scale. MINS of a block: 0 none, 1 for each 32, 2 for each 16.
#define DOT256(NAME, T, PER, BYTES, D, MINS) \
KERNEL(NAME) DOT_ARGS { \
    do { \
        const uint8_t *p = w; const int16_t *x = a->q; const float *xd = a->d, *xs = a->s, *xh = a->h; \
        float32x4_t acc = vdupq_n_f32(0), m[2]; \
        int64_t i = nb; \
        do { \
            float32x4_t f = vdupq_n_f32(0); \
            scales_t s = spread(T##_scales(p)); \
UNROLL      for (int j = 0; j < 8; j++) { \
                f = vfmaq_n_f32(f, vcvtq_f32_s32(mac(times##PER(T(p, j), s, j), x + 32 * j)), xd[j]); \
                PINV(f); PIN(p); \
            } \
            acc = vfmaq_n_f32(acc, f, half(p + D)); \
            if (MINS == 1) { \
                k4_mins(m, p); \
                acc = vfmaq_f32(vfmaq_f32(acc, m[0], vld1q_f32(xs)), m[1], vld1q_f32(xs + 4)); \
            } \
            if (MINS == 2) { \
UNROLL          for (int j = 0; j < 2; j++) { \
                    q2_k_mins(m, p, j); \
                    acc = vfmaq_f32(vfmaq_f32(acc, m[0], vld1q_f32(xh + 8 * j)), m[1], vld1q_f32(xh + 8 * j + 4)); \
                } \
            } \
            p += BYTES; x += 256; xd += 8; xs += 8; xh += 16; \
        } while (--i > 0); \
        *y++ = vaddvq_f32(acc); w += stride; \
    } while (--rows > 0); \
}
#define WORDS256(NAME, T, PER, BYTES, D, MINS) \
KERNEL(NAME) QUANTS_ARGS { \
    do { \
        float32x4_t t[2]; \
        scales_t s = spread(T##_scales(w)); \
UNROLL  for (int j = 0; j < 8; j++) { \
            words32 v = times##PER(T(w, j), s, j); \
UNROLL      for (int i = 0; i < 4; i++) vst1q_s16(q + 32 * j + 8 * i, v.v[i]); \
            PIN(q); \
        } \
        float32x4_t dd = vdupq_n_f32(half(w + D)); \
        vst1q_f32(d, dd); vst1q_f32(d + 4, dd); \
        if (MINS == 1) { k4_mins(t, w); vst1q_f32(m, t[0]); vst1q_f32(m + 4, t[1]); m += 8; } \
        if (MINS == 2) { \
UNROLL      for (int j = 0; j < 2; j++) { q2_k_mins(t, w, j); vst1q_f32(m + 8 * j, t[0]); vst1q_f32(m + 8 * j + 4, t[1]); } \
            m += 16; \
        } \
        w += BYTES; q += 256; d += 8; \
    } while (--nb > 0); \
}

DOT32(dotQ4_0NEON, q4_0, 18, half(p), 0, 0)
DOT32(dotQ4_1NEON, q4_1, 20, half(p), half(p + 2), 1)
DOT32(dotQ5_0NEON, q5_0, 22, half(p), 0, 0)
DOT32(dotQ5_1NEON, q5_1, 24, half(p), half(p + 2), 1)
DOT32(dotQ8_0NEON, q8_0, 34, half(p), 0, 0)
DOT32(dotIQ4NLNEON, iq4_nl, 18, half(p), 0, 0)
DOT32(dotMXFP4NEON, mxfp4, 17, e8m0(p), 0, 0)
DOT256(dotQ2KNEON, q2_k, 16, 84, 80, 2)
DOT256(dotQ3KNEON, q3_k, 16, 110, 108, 0)
DOT256(dotQ4KNEON, q4_k, 32, 144, 0, 1)
DOT256(dotQ5KNEON, q5_k, 32, 176, 0, 1)
DOT256(dotQ6KNEON, q6_k, 16, 210, 208, 0)
DOT256(dotIQ4XSNEON, iq4_xs, 32, 136, 0, 0)

WORDS32(wordsQ4_0NEON, q4_0, 18, half(p), 0, 0)
WORDS32(wordsQ4_1NEON, q4_1, 20, half(p), half(p + 2), 1)
WORDS32(wordsQ5_0NEON, q5_0, 22, half(p), 0, 0)
WORDS32(wordsQ5_1NEON, q5_1, 24, half(p), half(p + 2), 1)
WORDS32(wordsQ8_0NEON, q8_0, 34, half(p), 0, 0)
WORDS32(wordsIQ4NLNEON, iq4_nl, 18, half(p), 0, 0)
WORDS32(wordsMXFP4NEON, mxfp4, 17, e8m0(p), 0, 0)
WORDS256(wordsQ2KNEON, q2_k, 16, 84, 80, 2)
WORDS256(wordsQ3KNEON, q3_k, 16, 110, 108, 0)
WORDS256(wordsQ4KNEON, q4_k, 32, 144, 0, 1)
WORDS256(wordsQ5KNEON, q5_k, 32, 176, 0, 1)
WORDS256(wordsQ6KNEON, q6_k, 16, 210, 208, 0)
WORDS256(wordsIQ4XSNEON, iq4_xs, 32, 136, 0, 0)

// ---- matrix products: see gemm.h; 8 rows by 4 columns at a time

// A pair of products is added up when its sum is complete: vmull makes both, in
// lanes side by side.
#define GEMM(NAME, MINS) \
KERNEL(NAME)(float *acc, const int16_t *w, const float *wd, const float *wm, const int16_t *x, const float *xd, int64_t nb) { \
    int64_t columns = COLUMNS; \
    do { \
        int64_t rows = ROWS; \
        do { \
            const int16_t *p = w, *q = x; \
            const float *pd = wd, *pm = wm, *qd = xd; \
            int64_t left = nb; \
            do { \
                int32x4_t s[16]; \
UNROLL          for (int i = 0; i < 16; i++) s[i] = vdupq_n_s32(0); \
                int64_t t = 16; \
                do { \
                    int16x8_t a = vld1q_s16(p), b = vld1q_s16(p + 8); \
                    int32x4_t v = vld1q_s32((const int32_t *)q); \
                    int16x8_t c[4] = {vreinterpretq_s16_s32(vdupq_laneq_s32(v, 0)), vreinterpretq_s16_s32(vdupq_laneq_s32(v, 1)), \
                                      vreinterpretq_s16_s32(vdupq_laneq_s32(v, 2)), vreinterpretq_s16_s32(vdupq_laneq_s32(v, 3))}; \
UNROLL              for (int i = 0; i < 4; i++) { \
                        s[4 * i] = vmlal_s16(s[4 * i], vget_low_s16(a), vget_low_s16(c[i])); \
                        s[4 * i + 1] = vmlal_high_s16(s[4 * i + 1], a, c[i]); \
                        s[4 * i + 2] = vmlal_s16(s[4 * i + 2], vget_low_s16(b), vget_low_s16(c[i])); \
                        s[4 * i + 3] = vmlal_high_s16(s[4 * i + 3], b, c[i]); \
                    } \
                    p += 2 * ROWS; q += 2 * COLUMNS; PIN(p); PIN(q); \
                } while (--t > 0); \
UNROLL          for (int i = 0; i < 4; i++) { \
UNROLL              for (int k = 0; k < 2; k++) { \
                        PIN(qd); PIN(pd); PIN(pm); PIN(acc); \
                        float *to = acc + ROWS * i + 4 * k; \
                        float32x4_t f = vld1q_f32(to), c = vcvtq_f32_s32(vpaddq_s32(s[4 * i + 2 * k], s[4 * i + 2 * k + 1])); \
                        if (MINS == 1) f = vfmaq_n_f32(f, vld1q_f32(pm + 4 * k), qd[COLUMNS + i]); \
                        if (MINS == 2) { \
                            f = vfmaq_n_f32(f, vld1q_f32(pm + 4 * k), qd[2 * COLUMNS + i]); \
                            f = vfmaq_n_f32(f, vld1q_f32(pm + ROWS + 4 * k), qd[3 * COLUMNS + i]); \
                        } \
                        vst1q_f32(to, vfmaq_f32(f, c, vmulq_n_f32(vld1q_f32(pd + 4 * k), qd[i]))); \
                    } \
                } \
                pd += ROWS; pm += MINS * ROWS; qd += 4 * COLUMNS; \
            } while (--left > 0); \
            w += 16; wd += 8; wm += 8; acc += 8; \
        } while ((rows -= 8) > 0); \
        w -= 2 * ROWS; wd -= ROWS; wm -= ROWS; acc += 3 * ROWS; \
        x += 8; xd += 4; \
    } while ((columns -= 4) > 0); \
}
GEMM(gemmNEON, 0)
GEMM(gemmMinNEON, 1)
GEMM(gemmMin2NEON, 2)

KERNEL(gemmFloatNEON)(float *acc, const float *w, const float *x, int64_t n) {
    int64_t columns = COLUMNS;
    do {
        const float *p = w, *q = x; int64_t left = n;
        float32x4_t s[16];
UNROLL  for (int i = 0; i < 16; i++) s[i] = vld1q_f32(acc + 4 * i);
        do {
            float32x4_t v = vld1q_f32(q), a[4] = {vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)};
UNROLL      for (int k = 0; k < 4; k++) {
                s[k] = vfmaq_laneq_f32(s[k], a[k], v, 0);
                s[4 + k] = vfmaq_laneq_f32(s[4 + k], a[k], v, 1);
                s[8 + k] = vfmaq_laneq_f32(s[8 + k], a[k], v, 2);
                s[12 + k] = vfmaq_laneq_f32(s[12 + k], a[k], v, 3);
            }
            p += ROWS; q += COLUMNS;
        } while (--left > 0);
UNROLL  for (int i = 0; i < 16; i++) vst1q_f32(acc + 4 * i, s[i]);
        x += 4; acc += 4 * ROWS;
    } while ((columns -= 4) > 0);
}

// transposeNEON: see transposeAVX2.
KERNEL(transposeNEON)(uint8_t *dst, int64_t step, const uint8_t *src, int64_t ld, int64_t n, int64_t rows) {
    do {
        uint8_t *to = dst; const uint8_t *p = src; int64_t left = rows;
        do {
            int8x16_t r[4];
UNROLL      for (int i = 0; i < 4; i++) { r[i] = vld1q_s8((const int8_t *)p); p += ld; PIN(p); }
            transpose4(r);
            uint8_t *o = to;
UNROLL      for (int i = 0; i < 4; i++) { vst1q_s8((int8_t *)o, r[i]); o += step; PIN(o); }
            to += 16;
        } while ((left -= 4) > 0);
        dst += 4 * step; src += 16;
    } while ((n -= 4) > 0);
}

PACK(packNEON)

// unpackNEON: see unpackAVX2.
KERNEL(unpackNEON)(float *dst, int64_t ld, const float *acc, int64_t step, int64_t n, int64_t width) {
    do {
        float *y = dst; const float *x = acc;
        int64_t i = width;
        for (; i >= 4; i -= 4) { vst1q_f32(y, vld1q_f32(x)); x += 4; y += 4; }
        for (; i > 0; i--) { *y++ = *x++; PIN(y); }
        dst += ld; acc += step;
    } while (--n > 0);
}

// fetchNEON: see fetchAVX2.
KERNEL(fetchNEON)(const uint8_t *w, int64_t stride, int64_t rows, int64_t n) {
    do {
        const uint8_t *p = w; int64_t i = n;
        do { __builtin_prefetch(p, 0, 2); p += 64; } while ((i -= 64) > 0);
        w += stride;
    } while (--rows > 0);
}
