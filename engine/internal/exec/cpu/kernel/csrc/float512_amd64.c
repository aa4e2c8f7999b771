// c2s:flags -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma -mf16c -mbmi -mbmi2 -mprefer-vector-width=512
// What attention of single tokens does with rows of the cache, halves, with 512-bit
// registers. n is any number of values.
#include "x86.h"

INLINE __m512 halves(const uint8_t *p, __mmask16 m) { return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(m, p)); }
INLINE __m512 all_halves(const uint8_t *p) { return _mm512_cvtph_ps(ld256(p)); }
INLINE __mmask16 first(int64_t n) { return (__mmask16)((1u << n) - 1); }

// The sums of four registers.
INLINE __m128 sums4(__m512 a, __m512 b, __m512 c, __m512 d) {
    __m512 s = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    __m512 t = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    s = _mm512_add_ps(_mm512_shuffle_ps(s, t, 0x44), _mm512_shuffle_ps(s, t, 0xEE));
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(s), _mm512_extractf32x8_ps(s, 1));
    return _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
}

// dot4F16AVX512 is dotF16 of a multiple of four rows.
KERNEL(dot4F16AVX512)(float *y, const uint8_t *w, int64_t stride, int64_t rows, int64_t n, const float *x) {
    do {
        __m512 s[4];
UNROLL  for (int r = 0; r < 4; r++) s[r] = _mm512_setzero_ps();
        const uint8_t *p = w; const float *v = x;
        int64_t i = n;
        for (; i >= 16; i -= 16) {
            const uint8_t *q = p; __m512 a = _mm512_loadu_ps(v);
UNROLL      for (int r = 0; r < 4; r++) { s[r] = _mm512_fmadd_ps(all_halves(q), a, s[r]); q += stride; PIN(q); }
            p += 32; v += 16;
        }
        if (i > 0) {
            const uint8_t *q = p; __mmask16 m = first(i); __m512 a = _mm512_maskz_loadu_ps(m, v);
UNROLL      for (int r = 0; r < 4; r++) { s[r] = _mm512_fmadd_ps(halves(q, m), a, s[r]); q += stride; PIN(q); }
        }
        _mm_storeu_ps(y, sums4(s[0], s[1], s[2], s[3]));
        y += 4; w += 4 * stride;
    } while ((rows -= 4) > 0);
}

// sumF16AVX512: y += Σ f[r]·row r.
KERNEL(sumF16AVX512)(float *y, const uint8_t *w, int64_t stride, int64_t rows, int64_t n, const float *f) {
    for (; n >= 64; n -= 64) {
        __m512 s[4];
UNROLL  for (int k = 0; k < 4; k++) s[k] = _mm512_loadu_ps(y + 16 * k);
        const uint8_t *p = w; const float *g = f;
        int64_t r = rows;
        do {
            __m512 v = _mm512_set1_ps(*g++);
UNROLL      for (int k = 0; k < 4; k++) s[k] = _mm512_fmadd_ps(all_halves(p + 32 * k), v, s[k]);
            p += stride;
        } while (--r > 0);
UNROLL  for (int k = 0; k < 4; k++) _mm512_storeu_ps(y + 16 * k, s[k]);
        y += 64; w += 128;
    }
    for (; n > 0; n -= 16) {
        __mmask16 m = n >= 16 ? 0xffff : first(n);
        __m512 s = _mm512_maskz_loadu_ps(m, y);
        const uint8_t *p = w; const float *g = f;
        int64_t r = rows;
        do { s = _mm512_fmadd_ps(halves(p, m), _mm512_set1_ps(*g++), s); p += stride; } while (--r > 0);
        _mm512_mask_storeu_ps(y, m, s);
        y += 16; w += 32;
    }
}
