// c2s:flags -mavx2 -mfma -mf16c -mbmi -mbmi2
#include "gemm.h"
#include "pack.h"

// transposeAVX2 writes n columns of some rows, multiples of 8, of 32-bit elements; rows lie ld
// bytes apart. Column k goes to dst + k·step.
KERNEL(transposeAVX2)(uint8_t *dst, int64_t step, const uint8_t *src, int64_t ld, int64_t n, int64_t rows) {
    do {
        uint8_t *to = dst; const uint8_t *from = src; int64_t left = rows;
        do { transpose8(to, step, from, ld); to += 32; from += 8 * ld; } while ((left -= 8) > 0);
        dst += 8 * step; src += 32;
    } while ((n -= 8) > 0);
}

#define STEP(NC) { \
    __m256i p0 = ld256(w), p1 = ld256(w + 16); \
UNROLL for (int c = 0; c < NC; c++) { \
        __m256i v = _mm256_set1_epi32(*(const int32_t *)(x + 2 * c)), t; \
        t = _mm256_madd_epi16(p0, v); s[2 * c] = _mm256_add_epi32(s[2 * c], t); PINV(s[2 * c]); \
        v = _mm256_madd_epi16(p1, v); s[2 * c + 1] = _mm256_add_epi32(s[2 * c + 1], v); PINV(s[2 * c + 1]); \
    } \
    w += 32; x += 2 * NC; PIN(w); PIN(x); }

#define GEMM(NAME, NC, MINS) \
KERNEL(NAME) GEMM_ARGS { \
    do { \
        __m256i s[2 * NC]; \
UNROLL  for (int i = 0; i < 2 * NC; i++) { s[i] = _mm256_setzero_si256(); PINV(s[i]); } \
        int64_t t = 4; PIN(t); \
        do { STEP(NC) STEP(NC) STEP(NC) STEP(NC) } while (--t > 0); \
UNROLL  for (int c = 0; c < NC; c++) { \
UNROLL      for (int h = 0; h < 2; h++) { \
                PIN(xd); PIN(wd); PIN(wm); PIN(acc); \
                __m256 f = _mm256_loadu_ps(acc + 16 * c + 8 * h); \
                if (MINS == 1) f = _mm256_fmadd_ps(_mm256_set1_ps(xd[NC + c]), _mm256_loadu_ps(wm + 8 * h), f); \
                if (MINS == 2) { \
                    f = _mm256_fmadd_ps(_mm256_set1_ps(xd[2 * NC + c]), _mm256_loadu_ps(wm + 8 * h), f); \
                    f = _mm256_fmadd_ps(_mm256_set1_ps(xd[3 * NC + c]), _mm256_loadu_ps(wm + 16 + 8 * h), f); \
                } \
                __m256 k = _mm256_mul_ps(_mm256_set1_ps(xd[c]), _mm256_loadu_ps(wd + 8 * h)); \
                _mm256_storeu_ps(acc + 16 * c + 8 * h, _mm256_fmadd_ps(_mm256_cvtepi32_ps(s[2 * c + h]), k, f)); \
            } \
        } \
        wd += 16; wm += 16 * MINS; xd += 4 * NC; \
    } while (--nb > 0); \
}
GEMM(gemmAVX2, 6, 0)
GEMM(gemmMinAVX2, 6, 1)
GEMM(gemmMin2AVX2, 6, 2)

// gemmFloatAVX2 is the product of floats: w [n][16], x [n][6].
KERNEL(gemmFloatAVX2)(float *acc, const float *w, const float *x, int64_t n) {
    __m256 s[12];
UNROLL for (int i = 0; i < 12; i++) s[i] = _mm256_loadu_ps(acc + 8 * i);
    do {
        __m256 a = _mm256_loadu_ps(w), b = _mm256_loadu_ps(w + 8);
UNROLL  for (int c = 0; c < 6; c++) {
            __m256 v = _mm256_set1_ps(x[c]);
            s[2 * c] = _mm256_fmadd_ps(a, v, s[2 * c]); PINV(s[2 * c]);
            s[2 * c + 1] = _mm256_fmadd_ps(b, v, s[2 * c + 1]); PINV(s[2 * c + 1]);
        }
        w += 16; x += 6; PIN(w); PIN(x);
    } while (--n > 0);
UNROLL for (int i = 0; i < 12; i++) _mm256_storeu_ps(acc + 8 * i, s[i]);
}

PACK(packAVX2)

// unpackAVX2 writes n rows of width floats, ld apart in dst, from accumulators: step apart.
KERNEL(unpackAVX2)(float *dst, int64_t ld, const float *acc, int64_t step, int64_t n, int64_t width) {
    do {
        float *y = dst; const float *x = acc;
        int64_t i = width;
        for (; i >= 16; i -= 16) {
            __m256 a = _mm256_loadu_ps(x), b = _mm256_loadu_ps(x + 8);
            _mm256_storeu_ps(y, a); _mm256_storeu_ps(y + 8, b);
            x += 16; y += 16;
        }
        for (; i > 0; i--) { *y++ = *x++; PIN(y); }
        dst += ld; acc += step;
    } while (--n > 0);
}
