// Matrix products of 16 or 32 weight rows with NC rows of activations.
//
// A panel is the transpose of the rows: 32-bit elements [k][rows], an element being a
// pair of words or one float. The activations' panel is [k][NC]. Accumulators are
// [NC][rows] in memory that stays in the first cache.
#pragma once
#include "x86.h"

// Eight rows of eight 32-bit elements, transposed.
INLINE void transpose8(uint8_t *dst, int64_t step, const uint8_t *src, int64_t ld) {
    __m256 r[8], t[8];
UNROLL for (int i = 0; i < 8; i += 2) {
        r[i] = _mm256_loadu_ps((const float *)(src)); src += ld;
        r[i + 1] = _mm256_loadu_ps((const float *)(src)); src += ld; PIN(src);
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]); t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
UNROLL for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44); r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xEE);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44); r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xEE);
    }
UNROLL for (int i = 0; i < 8; i++) {
        __m256 v = i < 4 ? _mm256_permute2f128_ps(r[i], r[i + 4], 0x20) : _mm256_permute2f128_ps(r[i - 4], r[i], 0x31);
        _mm256_storeu_ps((float *)dst, v);
        dst += step; PIN(dst);
    }
}

// The integer product: nb blocks of 32 values. w [nb][16 pairs][rows][2], wd
// [nb][rows] scales, wm [nb][MINS][rows] minima; x [nb][16 pairs][NC][2], xd [nb][4][NC]: scale,
// sum, sums of the halves.
#define GEMM_ARGS (float *acc, const int16_t *w, const float *wd, const float *wm, const int16_t *x, const float *xd, int64_t nb)
