// Products of weight rows with one row of activations, and the same weights
// written out as words for the panels of matrix products.
//
// dot_T: y[r] = row r · a, of rows ≥ 1 rows of nb ≥ 1 blocks, stride bytes apart.
// words_T: one row's words to q, its scales d and minima m, one for each 32 values
// (minima of Q2_K: for each 16).
#pragma once
#include "unpack.h"

INLINE __m256i mac(words32 w, const int16_t *x) {
#ifdef VNNI
    __m256i c = _mm256_setzero_si256();
    c = DPWSSD(c, w.lo, ld256(x));
    PINV(c); // clang would rather multiply apart and add
    return DPWSSD(c, w.hi, ld256(x + 16));
#else
    return _mm256_add_epi32(_mm256_madd_epi16(w.lo, ld256(x)), _mm256_madd_epi16(w.hi, ld256(x + 16)));
#endif
}

#define DOT_ARGS (float *y, const uint8_t *w, int64_t stride, int64_t rows, int64_t nb, const act_t *a)
#define WORDS_ARGS (int16_t *q, float *d, float *m, const uint8_t *w, int64_t nb)

// T: quants; D: scale; M: minimum or 0.
// One row after another, so that memory is read from end to end: see
// docs/RATIONALE.md.
#define DOT32(NAME, T, BYTES, D, M, HASMIN) \
KERNEL(NAME) DOT_ARGS { \
    do { \
        const uint8_t *p = w; const int16_t *x = a->q; const float *xd = a->d, *xs = a->s; \
        __m256 acc = _mm256_setzero_ps(); float accm = 0; \
        int64_t i = nb; \
        do { \
            __m256 c = _mm256_cvtepi32_ps(mac(T(p), x)); \
            acc = _mm256_fmadd_ps(c, _mm256_set1_ps(D * *xd), acc); \
            if (HASMIN) accm += M * *xs; \
            p += BYTES; x += 32; xd++; xs++; PIN(p); \
        } while (--i > 0); \
        *y++ = sum8(acc) + accm; w += stride; \
    } while (--rows > 0); \
}
#define WORDS32(NAME, T, BYTES, D, M, HASMIN) \
KERNEL(NAME) WORDS_ARGS { \
    do { \
        const uint8_t *p = w; \
        words32 v = T(p); \
        _mm256_storeu_si256((__m256i *)q, v.lo); _mm256_storeu_si256((__m256i *)(q + 16), v.hi); \
        *d++ = D; \
        if (HASMIN) *m++ = M; \
        w += BYTES; q += 32; \
    } while (--nb > 0); \
}

// MINS of a block: 0 none, 1 for each 32, 2 for each 16.
#define DOT256(NAME, T, BYTES, D, MINS) \
KERNEL(NAME) DOT_ARGS { \
    do { \
        const uint8_t *p = w; const int16_t *x = a->q; const float *xd = a->d, *xs = a->s, *xh = a->h; \
        __m256 acc = _mm256_setzero_ps(); \
        int64_t i = nb; \
        do { \
            __m256 f = _mm256_setzero_ps(); \
            scales_t s = T##_begin(p); \
UNROLL      for (int j = 0; j < 8; j++) { \
                f = _mm256_fmadd_ps(_mm256_cvtepi32_ps(mac(T(p, s, j), x + 32 * j)), _mm256_set1_ps(xd[j]), f); \
                PINV(f); PIN(p); \
            } \
            acc = _mm256_fmadd_ps(f, _mm256_set1_ps(half(p + D)), acc); \
            if (MINS == 1) acc = _mm256_fmadd_ps(k4_mins(p), _mm256_loadu_ps(xs), acc); \
            if (MINS == 2) { \
                acc = _mm256_fmadd_ps(q2_k_mins(p, 0), _mm256_loadu_ps(xh), acc); \
                acc = _mm256_fmadd_ps(q2_k_mins(p, 1), _mm256_loadu_ps(xh + 8), acc); \
            } \
            p += BYTES; x += 256; xd += 8; xs += 8; xh += 16; \
        } while (--i > 0); \
        *y++ = sum8(acc); w += stride; \
    } while (--rows > 0); \
}
#define WORDS256(NAME, T, BYTES, D, MINS) \
KERNEL(NAME) WORDS_ARGS { \
    do { \
        scales_t s = T##_begin(w); \
UNROLL  for (int j = 0; j < 8; j++) { \
            words32 v = T(w, s, j); \
            _mm256_storeu_si256((__m256i *)(q + 32 * j), v.lo); _mm256_storeu_si256((__m256i *)(q + 32 * j + 16), v.hi); \
            PIN(q); \
        } \
        _mm256_storeu_ps(d, _mm256_set1_ps(half(w + D))); \
        if (MINS == 1) { _mm256_storeu_ps(m, k4_mins(w)); m += 8; } \
        if (MINS == 2) { _mm256_storeu_ps(m, q2_k_mins(w, 0)); _mm256_storeu_ps(m + 8, q2_k_mins(w, 1)); m += 16; } \
        w += BYTES; q += 256; d += 8; \
    } while (--nb > 0); \
}
