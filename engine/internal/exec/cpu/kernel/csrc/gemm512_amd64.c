// c2s:flags -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mfma -mf16c -mprefer-vector-width=512
#include "gemm.h"

// Panels of 32 rows and 12 columns: a pair of words of 32 rows is two registers, with
// which each broadcast of activations is multiplied. A tile of 16 rows would need a
// load for every product, more than the processor does.
#define STEP512 { \
    __m512i a = _mm512_loadu_si512(w), b = _mm512_loadu_si512(w + 32); \
UNROLL for (int c = 0; c < 12; c++) { \
        __m512i v = _mm512_set1_epi32(*(const int32_t *)(x + 2 * c)); PINV(v); \
        s[2 * c] = _mm512_dpwssd_epi32(s[2 * c], a, v); PINV(s[2 * c]); \
        s[2 * c + 1] = _mm512_dpwssd_epi32(s[2 * c + 1], b, v); PINV(s[2 * c + 1]); \
    } \
    w += 64; x += 24; PIN(w); PIN(x); }

#define GEMM512(NAME, MINS) \
KERNEL(NAME) GEMM_ARGS { \
    do { \
        __m512i s[24]; \
UNROLL  for (int i = 0; i < 24; i++) { s[i] = _mm512_setzero_si512(); PINV(s[i]); } \
        int64_t t = 8; PIN(t); \
        do { STEP512 STEP512 } while (--t > 0); \
        __m512 d[2] = {_mm512_loadu_ps(wd), _mm512_loadu_ps(wd + 16)}; \
UNROLL  for (int c = 0; c < 12; c++) { \
UNROLL      for (int h = 0; h < 2; h++) { \
                __m512 f = _mm512_loadu_ps(acc + 32 * c + 16 * h); \
                if (MINS == 1) f = _mm512_fmadd_ps(_mm512_set1_ps(xd[12 + c]), _mm512_loadu_ps(wm + 16 * h), f); \
                if (MINS == 2) { \
                    f = _mm512_fmadd_ps(_mm512_set1_ps(xd[24 + c]), _mm512_loadu_ps(wm + 16 * h), f); \
                    f = _mm512_fmadd_ps(_mm512_set1_ps(xd[36 + c]), _mm512_loadu_ps(wm + 32 + 16 * h), f); \
                } \
                f = _mm512_fmadd_ps(_mm512_cvtepi32_ps(s[2 * c + h]), _mm512_mul_ps(_mm512_set1_ps(xd[c]), d[h]), f); \
                _mm512_storeu_ps(acc + 32 * c + 16 * h, f); PIN(acc); \
            } \
        } \
        wd += 32; wm += 32 * MINS; xd += 48; \
    } while (--nb > 0); \
}
GEMM512(gemmVNNI512, 0)
GEMM512(gemmMinVNNI512, 1)
GEMM512(gemmMin2VNNI512, 2)

KERNEL(gemmFloatAVX512)(float *acc, const float *w, const float *x, int64_t n) {
    __m512 s[24];
UNROLL for (int i = 0; i < 24; i++) s[i] = _mm512_loadu_ps(acc + 16 * i);
    do {
        __m512 a = _mm512_loadu_ps(w), b = _mm512_loadu_ps(w + 16);
UNROLL  for (int c = 0; c < 12; c++) {
            __m512 v = _mm512_set1_ps(x[c]); PINV(v);
            s[2 * c] = _mm512_fmadd_ps(a, v, s[2 * c]); PINV(s[2 * c]);
            s[2 * c + 1] = _mm512_fmadd_ps(b, v, s[2 * c + 1]); PINV(s[2 * c + 1]);
        }
        w += 32; x += 12; PIN(w); PIN(x);
    } while (--n > 0);
UNROLL for (int i = 0; i < 24; i++) _mm512_storeu_ps(acc + 16 * i, s[i]);
}
