// c2s:flags -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mfma -mf16c -mprefer-vector-width=512
#include "gemm.h"

// The panels of gemm_amd64.c with 12 columns: a pair of words of 16 rows is one
// register, and the activations are broadcast by the multiplication itself.
#define STEP512 { \
    __m512i p = _mm512_loadu_si512(w); \
UNROLL for (int c = 0; c < 12; c++) { s[c] = _mm512_dpwssd_epi32(s[c], p, _mm512_set1_epi32(*(const int32_t *)(x + 2 * c))); PINV(s[c]); } \
    w += 32; x += 24; PIN(w); PIN(x); }

#define GEMM512(NAME, MINS) \
KERNEL(NAME) GEMM_ARGS { \
    do { \
        __m512i s[12]; \
UNROLL  for (int i = 0; i < 12; i++) { s[i] = _mm512_setzero_si512(); PINV(s[i]); } \
        int64_t t = 8; PIN(t); \
        do { STEP512 STEP512 } while (--t > 0); \
        __m512 d = _mm512_loadu_ps(wd); \
UNROLL  for (int c = 0; c < 12; c++) { \
            __m512 f = _mm512_loadu_ps(acc + 16 * c); \
            if (MINS == 1) f = _mm512_fmadd_ps(_mm512_set1_ps(xd[12 + c]), _mm512_loadu_ps(wm), f); \
            if (MINS == 2) { \
                f = _mm512_fmadd_ps(_mm512_set1_ps(xd[24 + c]), _mm512_loadu_ps(wm), f); \
                f = _mm512_fmadd_ps(_mm512_set1_ps(xd[36 + c]), _mm512_loadu_ps(wm + 16), f); \
            } \
            f = _mm512_fmadd_ps(_mm512_cvtepi32_ps(s[c]), _mm512_mul_ps(_mm512_set1_ps(xd[c]), d), f); \
            _mm512_storeu_ps(acc + 16 * c, f); \
        } \
        wd += 16; wm += 16 * MINS; xd += 48; \
    } while (--nb > 0); \
}
GEMM512(gemmVNNI512, 0)
GEMM512(gemmMinVNNI512, 1)
GEMM512(gemmMin2VNNI512, 2)

KERNEL(gemmFloatAVX512)(float *acc, const float *w, const float *x, int64_t n) {
    __m512 s[12];
UNROLL for (int i = 0; i < 12; i++) s[i] = _mm512_loadu_ps(acc + 16 * i);
    do {
        __m512 a = _mm512_loadu_ps(w);
UNROLL  for (int c = 0; c < 12; c++) { s[c] = _mm512_fmadd_ps(a, _mm512_set1_ps(x[c]), s[c]); PINV(s[c]); }
        w += 16; x += 12; PIN(w); PIN(x);
    } while (--n > 0);
UNROLL for (int i = 0; i < 12; i++) _mm512_storeu_ps(acc + 16 * i, s[i]);
}
