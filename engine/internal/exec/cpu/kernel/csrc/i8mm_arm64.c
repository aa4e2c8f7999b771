// c2s:flags -march=armv8.2-a+dotprod+i8mm
// Matrix products with SMMLA, which multiplies two rows of eight bytes with two others: for
// processors with FEAT_I8MM. A single row of activations stays SDOT's: to pair rows of weights takes
// as many instructions as SMMLA would save.
#define STEP 8
#include "neonbytes.h"

// Sums lie as [pair of columns][pair of rows] registers of 2 columns by 2 rows.
INLINE void step(int32x4_t h[8], int32x4_t l[8], const int8_t *w, const int8_t *x) {
    int8x16_t a = vld1q_s8(x), b = vld1q_s8(x + 16), c = vld1q_s8(x + 8 * COLUMNS), d = vld1q_s8(x + 8 * COLUMNS + 16);
UNROLL for (int r = 0; r < 4; r++) {
        int8x16_t v = vld1q_s8(w + 16 * r);
        h[r] = vmmlaq_s32(h[r], a, v); h[4 + r] = vmmlaq_s32(h[4 + r], b, v);
        l[r] = vmmlaq_s32(l[r], c, v); l[4 + r] = vmmlaq_s32(l[4 + r], d, v);
    }
}
INLINE int32x4_t rows4(const int32x4_t h[8], const int32x4_t l[8], int c, int r) {
    int i = 4 * (c / 2) + 2 * r;
    int64x2_t a = vreinterpretq_s64_s32(vmlaq_n_s32(l[i], h[i], 128)), b = vreinterpretq_s64_s32(vmlaq_n_s32(l[i + 1], h[i + 1], 128));
    return vreinterpretq_s32_s64(c % 2 ? vzip2q_s64(a, b) : vzip1q_s64(a, b));
}

// transpose8NEON is transposeNEON of elements of 8 bytes.
KERNEL(transpose8NEON)(uint8_t *dst, int64_t step, const uint8_t *src, int64_t ld, int64_t n, int64_t rows) {
    do {
        uint8_t *to = dst; const uint8_t *p = src; int64_t left = rows;
        do {
            int64x2_t a = vld1q_s64((const int64_t *)p), b = vld1q_s64((const int64_t *)(p + ld));
            vst1q_s64((int64_t *)to, vzip1q_s64(a, b)); vst1q_s64((int64_t *)(to + step), vzip2q_s64(a, b));
            p += 2 * ld; to += 16;
        } while ((left -= 2) > 0);
        dst += 2 * step; src += 16;
    } while ((n -= 2) > 0);
}

// packI8MM: see packSDOT.
KERNEL(packI8MM)(int16_t *dst, const int16_t *q, int64_t ld, int64_t n) {
    int64_t columns = COLUMNS;
    do {
        int8_t *to = (int8_t *)dst; const int16_t *from = q; int64_t i = n;
        do {
            split16 a = split(from), b = split(from + ld);
#define PAIR(f, x, y) vreinterpretq_s8_s64(f(vreinterpretq_s64_s8(x), vreinterpretq_s64_s8(y)))
            vst1q_s8(to, PAIR(vzip1q_s64, a.h, b.h)); vst1q_s8(to + 8 * COLUMNS, PAIR(vzip1q_s64, a.l, b.l));
            to += 16 * COLUMNS;
            vst1q_s8(to, PAIR(vzip2q_s64, a.h, b.h)); vst1q_s8(to + 8 * COLUMNS, PAIR(vzip2q_s64, a.l, b.l));
            to += 16 * COLUMNS; from += 16;
        } while ((i -= 16) > 0);
        dst += 8; q += 2 * ld;
    } while ((columns -= 2) > 0);
}

GEMM(gemmI8MM, 1, 0)
GEMM(gemmMinI8MM, 1, 1)
GEMM(gemm16I8MM, 2, 0)
GEMM(gemm16Min2I8MM, 2, 2)
