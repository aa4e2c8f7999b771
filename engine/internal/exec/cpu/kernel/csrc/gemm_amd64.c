// c2s:flags -mavx2 -mfma -mf16c -mbmi -mbmi2
#include "gemm.h"
#include "gemm256.h"
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

// fetchAVX2 brings rows of n bytes, stride apart, to the second cache.
KERNEL(fetchAVX2)(const uint8_t *w, int64_t stride, int64_t rows, int64_t n) {
    do {
        const uint8_t *p = w; int64_t i = n;
        do { _mm_prefetch((const char *)p, _MM_HINT_T1); p += 64; } while ((i -= 64) > 0);
        w += stride;
    } while (--rows > 0);
}
