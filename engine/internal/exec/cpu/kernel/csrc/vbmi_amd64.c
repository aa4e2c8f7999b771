// c2s:flags -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mavx512vbmi -mfma -mf16c -mbmi -mbmi2 -mtune=znver4
// Products of weight rows with one row of activations, for processors with AVX-512
// VNNI and VBMI: 64 weights at a time, as bytes.
//
// VPDPBUSD multiplies unsigned bytes with signed ones. So the 15 bits of an activation
// are two bytes, x = 128·h + l, and weights are unsigned: quants that have a sign
// are scaled up to the whole byte and offset by 128, and what the offset adds is taken
// off where the sums begin, as -128 times the activations. Of the 16 sums of 64 weights,
// four products each, 8 belong to one block of 32 and 8 to the next.
#include "unpack.h"

// 64 activations: act_t.w.
typedef struct {
    int8_t h[64], l[64];
    float d[16];   // of each sum the scale
    int32_t n[16]; // and minus the four activations
} wide_t;

typedef char bytes64 __attribute__((vector_size(64)));
typedef int ints16 __attribute__((vector_size(64)));
typedef short words32x __attribute__((vector_size(64)));

#define X4(a) a, a, a, a
#define X8(a) X4(a), X4(a)
#define TO16(a) a, a + 1, a + 2, a + 3, a + 4, a + 5, a + 6, a + 7, a + 8, a + 9, a + 10, a + 11, a + 12, a + 13, a + 14, a + 15
#define TO8(a) a, a + 1, a + 2, a + 3, a + 4, a + 5, a + 6, a + 7

INLINE __m512i all8(int v) { return _mm512_set1_epi8((char)v); }
INLINE __m512i ld512(const void *p) { return _mm512_loadu_si512(p); }
INLINE __m512i twice(const uint8_t *p) { return _mm512_broadcast_i64x4(ld256(p)); }
// The bits of a where m has zeros, those of b where it has ones.
INLINE __m512i merge(__m512i a, __m512i b, __m512i m) { return _mm512_ternarylogic_epi32(a, b, m, 0xD8); }

// The 16 sums of 64 weights w.
INLINE __m512 sums(__m512i w, __m512i begin, const wide_t *x) {
    __m512i s = _mm512_slli_epi32(_mm512_dpbusd_epi32(begin, w, ld512(x->h)), 7);
    return _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(s, w, ld512(x->l)));
}

INLINE float sum16(__m512 v) { return sum8(_mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1))); }

// How far ahead weights are fetched: see docs/RATIONALE.md.
#define AHEAD 8192
INLINE void prefetch(const uint8_t *p) { _mm_prefetch((const char *)p + AHEAD, _MM_HINT_T0); }

// ---- blocks of 32, two at a time

typedef struct { __m512i q; __m256i d, m; } pair; // halves: 8 of each block

// What the types below read from raw: two blocks of BYTES from byte skip on, of which
// those that are not in the masks are 0. Q, I are bytes of the first block.
//
// Nibbles: low ones turned left by LO bits, high ones by HI.
#define NIBBLES(BYTES, Q, LO, HI, MASK) _mm512_and_si512(all8(MASK), _mm512_rolv_epi32( \
    _mm512_maskz_permutexvar_epi8(values, (__m512i)(bytes64){TO16(skip + Q), TO16(skip + Q), TO16(skip + BYTES + Q), TO16(skip + BYTES + Q)}, raw), \
    (__m512i)(ints16){X4(LO), X4(HI), X4(LO), X4(HI)}))
// Fifth bits, as bit TO.
#define FIFTH(BYTES, Q, TO) _mm512_multishift_epi64_epi8( \
    (__m512i)(bytes64){TO8(8 - TO), TO8(8 - TO), TO8(8 - TO), TO8(8 - TO), TO8(8 - TO), TO8(8 - TO), TO8(8 - TO), TO8(8 - TO)}, \
    _mm512_maskz_permutexvar_epi8(values, (__m512i)(bytes64){X8(skip + Q), X8(skip + Q + 1), X8(skip + Q + 2), X8(skip + Q + 3), \
        X8(skip + BYTES + Q), X8(skip + BYTES + Q + 1), X8(skip + BYTES + Q + 2), X8(skip + BYTES + Q + 3)}, raw))
// A half of each block.
#define HALVES(BYTES, I) _mm512_castsi512_si256(_mm512_maskz_permutexvar_epi16(halves, \
    (__m512i)(words32x){X8((skip + I) / 2), X8((skip + BYTES + I) / 2)}, raw))

// T(p, n, left) reads n blocks of two, left bytes before the end of the row. It loads 64
// bytes: those that end with the row where there are not as many; or, in a row that is
// shorter, for which left is 0, with a mask. Masked loads alone would do, but where memory
// is not in the cache they ran at a third of the speed.
#define NIBBLE_TYPE(T, BYTES, HASMIN, QUANTS) \
INLINE pair T(const uint8_t *p, int n, int left) { \
    const int skip = left == 0 || left >= 64 ? 0 : 64 - left; \
    const __mmask64 values = n == 2 ? ~0ull : 0xffffffff; \
    const __mmask32 halves = n == 2 ? 0xffff : 0xff; \
    __m512i raw = left == 0 ? _mm512_maskz_loadu_epi8(~0ull >> (64 - n * BYTES), p) : ld512(p - skip); \
    return (pair){QUANTS, HALVES(BYTES, 0), HASMIN ? HALVES(BYTES, 2) : _mm256_setzero_si256()}; \
}
NIBBLE_TYPE(q4_0_pair, 18, 0, NIBBLES(18, 2, 4, 0, 0xf0))
NIBBLE_TYPE(q4_1_pair, 20, 1, NIBBLES(20, 4, 0, 28, 0x0f))
NIBBLE_TYPE(q5_0_pair, 22, 0, merge(NIBBLES(22, 6, 3, 31, 0x78), FIFTH(22, 2, 7), all8(0x80)))
NIBBLE_TYPE(q5_1_pair, 24, 1, merge(NIBBLES(24, 8, 0, 28, 0x0f), FIFTH(24, 4, 4), all8(0x10)))
NIBBLE_TYPE(iq4_nl_pair, 18, 0, _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_xor_si128(IQ4_TABLE, _mm_set1_epi8(-128))), \
    NIBBLES(18, 2, 0, 28, 0x0f)))
INLINE pair q8_0_pair(const uint8_t *p, int n, int left) {
    (void)left;
    __m512i q = _mm512_zextsi256_si512(ld256(p + 2));
    __m256i d = _mm256_zextsi128_si256(_mm_set1_epi16(*(const int16_t *)p));
    if (n == 2) {
        q = _mm512_inserti64x4(q, ld256(p + 36), 1);
        d = _mm256_inserti128_si256(d, _mm_set1_epi16(*(const int16_t *)(p + 34)), 1);
    }
    return (pair){_mm512_xor_si512(q, all8(0x80)), d, d};
}

#define STEP32(ACC, T, BYTES, HASMIN, N, LEFT) { \
    pair b = T(p, N, LEFT); \
    __m512 d = _mm512_loadu_ps(x->d); \
    __m512 s = sums(b.q, HASMIN ? _mm512_setzero_si512() : ld512(x->n), x); \
    ACC = _mm512_fmadd_ps(s, _mm512_mul_ps(_mm512_cvtph_ps(b.d), d), ACC); \
    if (HASMIN) ACC = _mm512_fnmadd_ps(_mm512_cvtph_ps(b.m), _mm512_mul_ps(d, _mm512_cvtepi32_ps(ld512(x->n))), ACC); \
    prefetch(p); \
    p += N * BYTES; x++; i -= N; PIN(p); \
}
// FACTOR takes back what scaled the quants up.
#define DOT32(NAME, T, BYTES, HASMIN, FACTOR) \
KERNEL(NAME)(float *y, const uint8_t *w, int64_t stride, int64_t rows, int64_t nb, const act_t *a) { \
    do { \
        __m512 s0 = _mm512_setzero_ps(), s1 = s0; \
        const wide_t *x = (const wide_t *)a->w; const uint8_t *p = w; \
        int64_t i = nb; \
        while (i >= 6) { STEP32(s0, T, BYTES, HASMIN, 2, 64) STEP32(s1, T, BYTES, HASMIN, 2, 64) } \
        if (i >= 4) STEP32(s0, T, BYTES, HASMIN, 2, 64) \
        if (nb < 4) { \
            if (i >= 2) STEP32(s0, T, BYTES, HASMIN, 2, 0) \
            if (i == 1) STEP32(s1, T, BYTES, HASMIN, 1, 0) \
        } else if (i == 2) { \
            STEP32(s1, T, BYTES, HASMIN, 2, 2 * BYTES) \
        } else { \
            STEP32(s1, T, BYTES, HASMIN, 2, 3 * BYTES) STEP32(s0, T, BYTES, HASMIN, 1, BYTES) \
        } \
        *y++ = sum16(_mm512_add_ps(s0, s1)) * FACTOR; w += stride; \
    } while (--rows > 0); \
}
DOT32(dotQ4_0VBMI, q4_0_pair, 18, 0, 1 / 16.0f)
DOT32(dotQ4_1VBMI, q4_1_pair, 20, 1, 1)
DOT32(dotQ5_0VBMI, q5_0_pair, 22, 0, 1 / 8.0f)
DOT32(dotQ5_1VBMI, q5_1_pair, 24, 1, 1)
DOT32(dotQ8_0VBMI, q8_0_pair, 34, 0, 1)
DOT32(dotIQ4NLVBMI, iq4_nl_pair, 18, 0, 1)

// ---- blocks of 256, 64 values at a time

// The lanes of f that scale the sums of values 64·j on: each for 8 sums, or for 4.
#define LANES8(f, j) _mm512_permutexvar_ps((__m512i)(ints16){X8(2 * j), X8(2 * j + 1)}, f)
#define LANES4(f, j) _mm512_permutexvar_ps((__m512i)(ints16){X4(4 * j), X4(4 * j + 1), X4(4 * j + 2), X4(4 * j + 3)}, f)

INLINE __m512i q4_k_64(const uint8_t *p, int j) {
    return _mm512_and_si512(all8(15), _mm512_rolv_epi32(twice(p + 16 + 32 * j), (__m512i)(ints16){X8(0), X8(28)}));
}
INLINE __m512i q5_k_64(const uint8_t *p, int j) {
    __m512i q = _mm512_and_si512(all8(15), _mm512_rolv_epi32(twice(p + 48 + 32 * j), (__m512i)(ints16){X8(0), X8(28)}));
    __m512i h = _mm512_rolv_epi32(twice(p + 16), (__m512i)(ints16){X8((36 - 2 * j) & 31), X8((35 - 2 * j) & 31)});
    return merge(q, h, all8(16));
}
// Six bits on top of the byte.
INLINE __m512i q6_k_64(const uint8_t *p, int j) {
    __m512i l = ld512(p + 64 * (j / 2)), h = twice(p + 128 + 32 * (j / 2));
    l = j & 1 ? _mm512_srli_epi16(l, 2) : _mm512_slli_epi16(l, 2);
    h = j & 1 ? _mm512_rolv_epi32(h, (__m512i)(ints16){X8(2), X8(0)}) : _mm512_rolv_epi32(h, (__m512i)(ints16){X8(6), X8(4)});
    return merge(_mm512_and_si512(l, all8(0x3c)), h, all8(0xc0));
}

// Q4_K and Q5_K have 8 scales and 8 minima.
#define DOT_K4(NAME, T, BYTES) \
KERNEL(NAME)(float *y, const uint8_t *w, int64_t stride, int64_t rows, int64_t nb, const act_t *a) { \
    do { \
        __m512 s[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()}; __m256 low = _mm256_setzero_ps(); \
        const wide_t *x = (const wide_t *)a->w; const uint8_t *p = w; const float *xd = a->d, *xs = a->s; \
        int64_t i = nb; \
        do { \
            __m128i c = k4_scales(p + 4); \
            __m256 d = _mm256_mul_ps(_mm256_loadu_ps(xd), _mm256_set1_ps(half(p))); \
            __m256 m = _mm256_mul_ps(_mm256_loadu_ps(xs), _mm256_set1_ps(half(p + 2))); \
            __m512 f = _mm512_castps256_ps512(_mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(c)), d)); \
            low = _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(c, 8))), m, low); \
UNROLL      for (int j = 0; j < 4; j++) { \
                s[j & 1] = _mm512_fmadd_ps(sums(T(p, j), _mm512_setzero_si512(), x), LANES8(f, j), s[j & 1]); \
                x++; PIN(x); \
            } \
UNROLL      for (int j = 0; j < BYTES; j += 64) prefetch(p + j); \
            p += BYTES; xd += 8; xs += 8; \
        } while (--i > 0); \
        *y++ = sum16(_mm512_sub_ps(_mm512_add_ps(s[0], s[1]), _mm512_zextps256_ps512(low))); w += stride; \
    } while (--rows > 0); \
}
DOT_K4(dotQ4KVBMI, q4_k_64, 144)
DOT_K4(dotQ5KVBMI, q5_k_64, 176)

// Q6_K has 16 scales.
KERNEL(dotQ6KVBMI)(float *y, const uint8_t *w, int64_t stride, int64_t rows, int64_t nb, const act_t *a) {
    do {
        __m512 s[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
        const wide_t *x = (const wide_t *)a->w; const uint8_t *p = w; const float *xd = a->d;
        int64_t i = nb;
        do {
            __m512 d = _mm512_permutexvar_ps((__m512i)(ints16){0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7}, _mm512_castps256_ps512(_mm256_loadu_ps(xd)));
            __m512 f = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(ld128(p + 192))), _mm512_mul_ps(d, _mm512_set1_ps(half(p + 208))));
UNROLL      for (int j = 0; j < 4; j++) {
                s[j & 1] = _mm512_fmadd_ps(sums(q6_k_64(p, j), ld512(x->n), x), LANES4(f, j), s[j & 1]);
                x++; PIN(x);
            }
UNROLL      for (int j = 0; j < 210; j += 64) prefetch(p + j);
            p += 210; xd += 8;
        } while (--i > 0);
        *y++ = sum16(_mm512_add_ps(s[0], s[1])) * 0.25f; w += stride;
    } while (--rows > 0);
}

// ---- rows of floats

INLINE __m512 f32_16(const uint8_t *p) { return _mm512_loadu_ps(p); }
INLINE __m512 f16_16(const uint8_t *p) { return _mm512_cvtph_ps(ld256(p)); }
INLINE __m512 bf16_16(const uint8_t *p) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(ld256(p)), 16)); }
INLINE float f32_1(const uint8_t *p) { return *(const float *)p; }
INLINE float f16_1(const uint8_t *p) { return half(p); }
INLINE float bf16_1(const uint8_t *p) { union { uint32_t u; float f; } v = {(uint32_t)*(const uint16_t *)p << 16}; return v.f; }

#define DOT_FLOAT(NAME, T, SIZE) \
KERNEL(NAME)(float *y, const uint8_t *w, int64_t stride, int64_t rows, int64_t n, const float *x) { \
    do { \
        __m512 s[4]; \
UNROLL  for (int k = 0; k < 4; k++) s[k] = _mm512_setzero_ps(); \
        int64_t i = n; \
        const float *v = x; const uint8_t *p = w; \
        for (; i >= 64; i -= 64) { \
UNROLL      for (int k = 0; k < 4; k++) s[k] = _mm512_fmadd_ps(T##_16(p + 16 * k * SIZE), _mm512_loadu_ps(v + 16 * k), s[k]); \
UNROLL      for (int k = 0; k < 64 * SIZE; k += 64) prefetch(p + k); \
            v += 64; p += 64 * SIZE; \
        } \
        for (; i >= 16; i -= 16) { s[0] = _mm512_fmadd_ps(T##_16(p), _mm512_loadu_ps(v), s[0]); v += 16; p += 16 * SIZE; } \
        float t = sum16(_mm512_add_ps(_mm512_add_ps(s[0], s[1]), _mm512_add_ps(s[2], s[3]))); \
        for (; i > 0; i--) { t += T##_1(p) * *v++; p += SIZE; } \
        *y++ = t; w += stride; \
    } while (--rows > 0); \
}
DOT_FLOAT(dotF32VBMI, f32, 4)
DOT_FLOAT(dotF16VBMI, f16, 2)
DOT_FLOAT(dotBF16VBMI, bf16, 2)

// ---- activations

// wideVBMI writes nb ≥ 1 blocks of rounded activations as wide_t. What follows an odd
// number of blocks is 0.
KERNEL(wideVBMI)(uint8_t *out, const int16_t *q, const float *d, int64_t nb) {
    const __m512i low = _mm512_set1_epi16(127), one = all8(1);
    wide_t *x = (wide_t *)out;
    do {
        __m512i a = ld512(q), b = nb > 1 ? ld512(q + 32) : _mm512_setzero_si512();
        __m512i h = _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi16_epi8(_mm512_srai_epi16(a, 7))), _mm512_cvtepi16_epi8(_mm512_srai_epi16(b, 7)), 1);
        __m512i l = _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi16_epi8(_mm512_and_si512(a, low))), _mm512_cvtepi16_epi8(_mm512_and_si512(b, low)), 1);
        __m512i n = _mm512_dpbusd_epi32(_mm512_slli_epi32(_mm512_dpbusd_epi32(_mm512_setzero_si512(), one, h), 7), one, l);
        _mm512_storeu_si512(x->h, h); _mm512_storeu_si512(x->l, l);
        _mm512_storeu_si512(x->n, _mm512_sub_epi32(_mm512_setzero_si512(), n));
        __m256 s = _mm256_set1_ps(d[0]), t = nb > 1 ? _mm256_set1_ps(d[1]) : _mm256_setzero_ps();
        _mm512_storeu_ps(x->d, _mm512_insertf32x8(_mm512_castps256_ps512(s), t, 1));
        x++; q += 64; d += 2;
    } while ((nb -= 2) > 0);
}
