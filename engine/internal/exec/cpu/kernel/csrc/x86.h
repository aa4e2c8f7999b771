#pragma once
#include "kernel.h"
#include <immintrin.h>

#define PINV(v) __asm__ volatile("" : "+v"(v))

INLINE __m256i ld256(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE __m128i ld128(const void *p) { return _mm_loadu_si128((const __m128i *)p); }
INLINE __m256i words(const uint8_t *p) { return _mm256_cvtepu8_epi16(ld128(p)); }
INLINE __m256i all16(int v) { return _mm256_set1_epi16((int16_t)v); }
INLINE float half(const uint8_t *p) { return _cvtsh_ss(*(const uint16_t *)p); }

INLINE float sum4(__m128 r) {
    r = _mm_add_ps(r, _mm_movehl_ps(r, r));
    return _mm_cvtss_f32(_mm_add_ss(r, _mm_movehdup_ps(r)));
}
INLINE float sum8(__m256 x) { return sum4(_mm_add_ps(_mm256_extractf128_ps(x, 1), _mm256_castps256_ps128(x))); }

// Bits 0 to 15 of a 16-bit mask as words of 16 or 0.
INLINE __m256i fifth(const uint8_t *p) {
    const __m256i bit = _mm256_setr_epi16(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, -32768);
    __m256i b = _mm256_and_si256(_mm256_set1_epi16(*(const int16_t *)p), bit);
    return _mm256_and_si256(_mm256_cmpeq_epi16(b, bit), all16(16));
}
