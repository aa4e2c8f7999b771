// The integer product with 256-bit registers: panels of 16 rows.
#pragma once
#include "gemm.h"

#ifdef VNNI
#define MAC(s, a, b) _mm256_dpwssd_avx_epi32(s, a, b)
#else
#define MAC(s, a, b) _mm256_add_epi32(s, _mm256_madd_epi16(a, b))
#endif

#define STEP(NC) { \
    __m256i p0 = ld256(w), p1 = ld256(w + 16); \
UNROLL for (int c = 0; c < NC; c++) { \
        __m256i v = _mm256_set1_epi32(*(const int32_t *)(x + 2 * c)); \
        s[2 * c] = MAC(s[2 * c], p0, v); PINV(s[2 * c]); \
        s[2 * c + 1] = MAC(s[2 * c + 1], p1, v); PINV(s[2 * c + 1]); \
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
