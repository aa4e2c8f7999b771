// Panels of activations: the transpose of some rows of 32-bit elements, each a pair
// of words or a float.
#pragma once
#include "kernel.h"

typedef int32_t four __attribute__((ext_vector_type(4)));
typedef four four_u __attribute__((aligned(4)));

// dst[i·columns + c] = src[c·ld + i], of n ≥ 1 elements of an even number of rows, which are
// ld elements apart.
#define PACK(NAME) \
KERNEL(NAME)(int32_t *dst, const int32_t *src, int64_t ld, int64_t n, int64_t columns) { \
    int64_t left = columns, step = 4 * columns; \
    ld *= 4; \
    do { \
        uint8_t *to = (uint8_t *)dst; const uint8_t *a = (const uint8_t *)src; \
        int64_t i = n; \
        if (left >= 4) { \
            for (; i >= 4; i -= 4) { \
                const uint8_t *b = a; \
                four r0 = *(const four_u *)b; b += ld; PIN(b); \
                four r1 = *(const four_u *)b; b += ld; PIN(b); \
                four r2 = *(const four_u *)b; b += ld; PIN(b); \
                four r3 = *(const four_u *)b; \
                four s0 = __builtin_shufflevector(r0, r1, 0, 4, 1, 5), s1 = __builtin_shufflevector(r0, r1, 2, 6, 3, 7); \
                four s2 = __builtin_shufflevector(r2, r3, 0, 4, 1, 5), s3 = __builtin_shufflevector(r2, r3, 2, 6, 3, 7); \
                *(four_u *)to = __builtin_shufflevector(s0, s2, 0, 1, 4, 5); to += step; PIN(to); \
                *(four_u *)to = __builtin_shufflevector(s0, s2, 2, 3, 6, 7); to += step; PIN(to); \
                *(four_u *)to = __builtin_shufflevector(s1, s3, 0, 1, 4, 5); to += step; PIN(to); \
                *(four_u *)to = __builtin_shufflevector(s1, s3, 2, 3, 6, 7); to += step; PIN(to); \
                a += 16; \
            } \
        } \
        for (; i > 0; i--) { \
            const uint8_t *b = a + ld; \
            ((int32_t *)to)[0] = *(const int32_t *)a; ((int32_t *)to)[1] = *(const int32_t *)b; \
            if (left >= 4) { b += ld; PIN(b); ((int32_t *)to)[2] = *(const int32_t *)b; b += ld; ((int32_t *)to)[3] = *(const int32_t *)b; } \
            a += 4; to += step; PIN(to); \
        } \
        int64_t done = left >= 4 ? 4 : 2; \
        src = (const int32_t *)((const uint8_t *)src + ld * done); dst += done; left -= done; \
    } while (left > 0); \
}
