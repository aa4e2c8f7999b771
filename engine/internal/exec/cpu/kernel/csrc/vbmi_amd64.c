// c2s:flags -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mavx512vbmi -mfma -mf16c -mbmi -mbmi2 -mtune=znver4
// Products of weight rows with one row of activations, for processors with AVX-512
// VNNI and VBMI: 64 weights at a time, as bytes.
//
// VPDPBUSD multiplies unsigned bytes with signed ones. So the 15 bits of an activation
// are two bytes, x = 128·h + l, and weights are unsigned: quants that have a sign
// are scaled up to the whole byte and offset by 128, and what the offset adds is taken
// off where the sums begin, as -128 times the activations.
#include "unpack.h"

// 64 activations as they follow one another: act_t.w. Of the 16 sums of 64 weights, four
// products each, 8 belong to one block of 32 and 8 to the next.
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

// How far ahead weights are fetched, past the second cache: see docs/RATIONALE.md.
#define AHEAD 8192
INLINE void prefetch(const uint8_t *p) { _mm_prefetch((const char *)p + AHEAD, _MM_HINT_NTA); }

// ---- blocks of 32 with low nibbles, then high ones: four at a time

// 128 activations as the four blocks' bytes lie, value i of a block beside value i + 16: in [0]
// the first halves of the blocks, in [1] the second. Each of the 16 sums is eight
// products, of one block. Where a row's blocks are no fours, the last four are taken
// again, and those that were counted have activations and scales of 0. They follow
// the wide_t's in act_t.w.
typedef struct {
    int8_t h[2][64], l[2][64];
    float d[16];   // of each sum the scale
    int32_t n[16]; // minus the eight activations
    float s[16];   // and the eight as floats
} fours_t;

INLINE const fours_t *fours(const act_t *a, int64_t nb) { return (const fours_t *)(a->w + (nb + 1) / 2 * sizeof(wide_t)); }

typedef struct { __m512i lo, hi; __m512 d, m; } four; // 64 quants twice, a scale and a minimum for each sum

// Four blocks are in two registers: a has their first 64 bytes, b the last. Byte j of them,
// and word j, where a permutation of both finds it:
#define AT(BYTES, j) ((j) < 64 ? (j) : (j) - 4 * BYTES + 128)
#define AT16(BYTES, j) AT(BYTES, j), AT(BYTES, j + 1), AT(BYTES, j + 2), AT(BYTES, j + 3), AT(BYTES, j + 4), AT(BYTES, j + 5), AT(BYTES, j + 6), \
    AT(BYTES, j + 7), AT(BYTES, j + 8), AT(BYTES, j + 9), AT(BYTES, j + 10), AT(BYTES, j + 11), AT(BYTES, j + 12), AT(BYTES, j + 13), AT(BYTES, j + 14), AT(BYTES, j + 15)
#define ATW(BYTES, j) (AT(BYTES, j) / 2)

// The 16 bytes of each block that begin with byte Q; those of blocks of 4 bits, of which only the
// last block's are not in a. p is where the four begin.
#define NIBBLES4(BYTES, Q) _mm512_mask_broadcast_i32x4(_mm512_permutexvar_epi8( \
    (__m512i)(bytes64){TO16(Q), TO16(BYTES + Q), TO16(2 * BYTES + Q), TO16(0)}, a), 0xf000, ld128(p + 3 * BYTES + Q))
#define NIBBLES5(BYTES, Q) _mm512_permutex2var_epi8(a, \
    (__m512i)(bytes64){AT16(BYTES, Q), AT16(BYTES, BYTES + Q), AT16(BYTES, 2 * BYTES + Q), AT16(BYTES, 3 * BYTES + Q)}, b)
// The half of each block at byte I, for each of its sums.
#define HALVES4(BYTES, I) _mm512_cvtph_ps(_mm512_castsi512_si256(_mm512_permutexvar_epi16( \
    (__m512i)(words32x){X4(I / 2), X4((BYTES + I) / 2), X4((2 * BYTES + I) / 2), X4((3 * BYTES + I) / 2)}, a)))
#define HALVES5(BYTES, I) _mm512_cvtph_ps(_mm512_castsi512_si256(_mm512_permutex2var_epi16(a, \
    (__m512i)(words32x){X4(ATW(BYTES, I)), X4(ATW(BYTES, BYTES + I)), X4(ATW(BYTES, 2 * BYTES + I)), X4(ATW(BYTES, 3 * BYTES + I))}, b)))
// Bit TO of each byte: of bits 0 to 15 of each block's 32 at byte I.
#define FIFTH(BYTES, I, TO) _mm512_multishift_epi64_epi8( \
    (__m512i)(bytes64){TO8(8 - TO), TO8(8 - TO), TO8(8 - TO), TO8(8 - TO), TO8(8 - TO), TO8(8 - TO), TO8(8 - TO), TO8(8 - TO)}, \
    _mm512_permutex2var_epi8(a, (__m512i)(bytes64){X8(AT(BYTES, I)), X8(AT(BYTES, I + 1)), X8(AT(BYTES, BYTES + I)), X8(AT(BYTES, BYTES + I + 1)), \
        X8(AT(BYTES, 2 * BYTES + I)), X8(AT(BYTES, 2 * BYTES + I + 1)), X8(AT(BYTES, 3 * BYTES + I)), X8(AT(BYTES, 3 * BYTES + I + 1))}, b))
#define LOW(r) _mm512_and_si512(r, all8(15))
#define HIGH(r) LOW(_mm512_srli_epi16(r, 4))

INLINE four q4_0_four(const uint8_t *p, __m512i a, __m512i b) { // times 16
    __m512i r = NIBBLES4(18, 2);
    return (four){_mm512_and_si512(_mm512_slli_epi16(r, 4), all8(0xf0)), _mm512_and_si512(r, all8(0xf0)), HALVES4(18, 0), _mm512_setzero_ps()};
}
INLINE four q4_1_four(const uint8_t *p, __m512i a, __m512i b) {
    __m512i r = NIBBLES4(20, 4);
    return (four){LOW(r), HIGH(r), HALVES4(20, 0), HALVES4(20, 2)};
}
INLINE four q5_0_four(const uint8_t *p, __m512i a, __m512i b) { // times 8
    __m512i r = NIBBLES5(22, 6);
    return (four){merge(_mm512_slli_epi16(LOW(r), 3), FIFTH(22, 2, 7), all8(0x80)),
                  merge(_mm512_and_si512(_mm512_srli_epi16(r, 1), all8(0x78)), FIFTH(22, 4, 7), all8(0x80)), HALVES5(22, 0), _mm512_setzero_ps()};
}
INLINE four q5_1_four(const uint8_t *p, __m512i a, __m512i b) {
    __m512i r = NIBBLES5(24, 8);
    return (four){merge(LOW(r), FIFTH(24, 4, 4), all8(0x10)), merge(HIGH(r), FIFTH(24, 6, 4), all8(0x10)), HALVES5(24, 0), HALVES5(24, 2)};
}
INLINE four iq4_nl_four(const uint8_t *p, __m512i a, __m512i b) {
    __m512i r = NIBBLES4(18, 2), table = _mm512_broadcast_i32x4(_mm_xor_si128(IQ4_TABLE, _mm_set1_epi8(-128)));
    return (four){_mm512_shuffle_epi8(table, LOW(r)), _mm512_shuffle_epi8(table, HIGH(r)), HALVES4(18, 0), _mm512_setzero_ps()};
}

// Products and what minima add are sums of their own.
#define STEP4(T, BYTES, HASMIN, A, B) { \
    four b = T(p, A, B); \
    __m512i s = _mm512_dpbusd_epi32(HASMIN ? _mm512_setzero_si512() : ld512(x->n), b.lo, ld512(x->h[0])); \
    s = _mm512_slli_epi32(_mm512_dpbusd_epi32(s, b.hi, ld512(x->h[1])), 7); \
    s = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(s, b.lo, ld512(x->l[0])), b.hi, ld512(x->l[1])); \
    acc = _mm512_fmadd_ps(_mm512_cvtepi32_ps(s), _mm512_mul_ps(b.d, _mm512_loadu_ps(x->d)), acc); \
    if (HASMIN) low = _mm512_fmadd_ps(b.m, _mm512_loadu_ps(x->s), low); \
    x++; \
}
#define NEXT4(T, BYTES, HASMIN) { \
    STEP4(T, BYTES, HASMIN, ld512(p), ld512(p + 4 * BYTES - 64)) \
    prefetch(p); prefetch(p + 64); \
    p += 4 * BYTES; i -= 4; PIN(p); \
}
// FACTOR takes back what scaled the quants up. Rows of fewer than four blocks are loaded with
// masks; masked loads alone would do, but where memory is not in the cache they ran
// at a third of the speed.
#define DOT4(NAME, T, BYTES, HASMIN, FACTOR) \
KERNEL(NAME)(float *y, const uint8_t *w, int64_t stride, int64_t rows, int64_t nb, const act_t *a) { \
    do { \
        __m512 acc = _mm512_setzero_ps(), low = acc; \
        const fours_t *x = fours(a, nb); const uint8_t *p = w; \
        int64_t i = nb; \
        while (i >= 8) { NEXT4(T, BYTES, HASMIN) NEXT4(T, BYTES, HASMIN) } \
        if (i >= 4) NEXT4(T, BYTES, HASMIN) \
        if (i > 0) { \
            int64_t before = (4 - i) * BYTES, inb = before - 4 * BYTES + 64; \
            p -= before; \
            if (nb >= 4) STEP4(T, BYTES, HASMIN, ld512(p), ld512(p + 4 * BYTES - 64)) \
            else STEP4(T, BYTES, HASMIN, _mm512_maskz_loadu_epi8(before < 64 ? ~0ull << before : 0, p), \
                       _mm512_maskz_loadu_epi8(inb > 0 ? ~0ull << inb : ~0ull, p + 4 * BYTES - 64)) \
        } \
        *y++ = sum16(HASMIN ? _mm512_add_ps(acc, low) : acc) * FACTOR; w += stride; \
    } while (--rows > 0); \
}
DOT4(dotQ4_0VBMI, q4_0_four, 18, 0, 1 / 16.0f)
DOT4(dotQ4_1VBMI, q4_1_four, 20, 1, 1)
DOT4(dotQ5_0VBMI, q5_0_four, 22, 0, 1 / 8.0f)
DOT4(dotQ5_1VBMI, q5_1_four, 24, 1, 1)
DOT4(dotIQ4NLVBMI, iq4_nl_four, 18, 0, 1)

// ---- blocks of 32 bytes, two at a time

#define STEP8(Q, D) { \
    acc = _mm512_fmadd_ps(sums(_mm512_xor_si512(Q, all8(0x80)), ld512(x->n), x), _mm512_mul_ps(_mm512_cvtph_ps(D), _mm512_loadu_ps(x->d)), acc); \
    x++; \
}
#define NEXT8 { \
    STEP8(_mm512_inserti64x4(_mm512_castsi256_si512(ld256(p + 2)), ld256(p + 36), 1), \
        _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_set1_epi16(*(const int16_t *)p)), _mm_set1_epi16(*(const int16_t *)(p + 34)), 1)) \
    prefetch(p); prefetch(p + 34); \
    p += 68; i -= 2; PIN(p); \
}
KERNEL(dotQ8_0VBMI)(float *y, const uint8_t *w, int64_t stride, int64_t rows, int64_t nb, const act_t *a) {
    do {
        __m512 acc = _mm512_setzero_ps();
        const wide_t *x = (const wide_t *)a->w; const uint8_t *p = w;
        int64_t i = nb;
        while (i >= 4) { NEXT8 NEXT8 }
        if (i >= 2) NEXT8
        if (i > 0) STEP8(_mm512_zextsi256_si512(ld256(p + 2)), _mm256_zextsi128_si256(_mm_set1_epi16(*(const int16_t *)p)))
        *y++ = sum16(acc); w += stride;
    } while (--rows > 0);
}

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
typedef struct { __m256 scale, min; } k4;
INLINE k4 k4_begin(const uint8_t *p) {
    __m128i c = k4_scales(p + 4);
    return (k4){_mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(c)), _mm256_set1_ps(half(p))),
        _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(c, 8))), _mm256_set1_ps(half(p + 2)))};
}
// What 64·j on are scaled with, for rows whose 32 activations have scales xd.
INLINE __m512 k4_scaled(k4 k, const float *xd) { return _mm512_castps256_ps512(_mm256_mul_ps(k.scale, _mm256_loadu_ps(xd))); }
INLINE __m512 k4_low(__m512 s, k4 k, const float *xs) {
    return _mm512_fnmadd_ps(_mm512_zextps256_ps512(k.min), _mm512_zextps256_ps512(_mm256_loadu_ps(xs)), s);
}

#define DOT_K4(NAME, T, BYTES) \
KERNEL(NAME)(float *y, const uint8_t *w, int64_t stride, int64_t rows, int64_t nb, const act_t *a) { \
    do { \
        __m512 s = _mm512_setzero_ps(); \
        const wide_t *x = (const wide_t *)a->w; const uint8_t *p = w; const float *xd = a->d, *xs = a->s; \
        int64_t i = nb; \
        do { \
            k4 k = k4_begin(p); \
            __m512 f = k4_scaled(k, xd); \
            s = k4_low(s, k, xs); \
UNROLL      for (int j = 0; j < 4; j++) { \
                s = _mm512_fmadd_ps(sums(T(p, j), _mm512_setzero_si512(), x), LANES8(f, j), s); \
                x++; PIN(x); \
            } \
UNROLL      for (int j = 0; j < BYTES; j += 64) prefetch(p + j); \
            p += BYTES; xd += 8; xs += 8; \
        } while (--i > 0); \
        *y++ = sum16(s); w += stride; \
    } while (--rows > 0); \
}
DOT_K4(dotQ4KVBMI, q4_k_64, 144)
DOT_K4(dotQ5KVBMI, q5_k_64, 176)

// Q6_K has 16 scales.
INLINE __m512 q6_k_scales(const uint8_t *p) {
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(ld128(p + 192))), _mm512_set1_ps(half(p + 208)));
}
INLINE __m512 q6_k_scaled(__m512 k, const float *xd) {
    return _mm512_mul_ps(k, _mm512_permutexvar_ps((__m512i)(ints16){0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7}, _mm512_castps256_ps512(_mm256_loadu_ps(xd))));
}
KERNEL(dotQ6KVBMI)(float *y, const uint8_t *w, int64_t stride, int64_t rows, int64_t nb, const act_t *a) {
    do {
        __m512 s = _mm512_setzero_ps();
        const wide_t *x = (const wide_t *)a->w; const uint8_t *p = w; const float *xd = a->d;
        int64_t i = nb;
        do {
            __m512 f = q6_k_scaled(q6_k_scales(p), xd);
UNROLL      for (int j = 0; j < 4; j++) {
                s = _mm512_fmadd_ps(sums(q6_k_64(p, j), ld512(x->n), x), LANES4(f, j), s);
                x++; PIN(x);
            }
UNROLL      for (int j = 0; j < 210; j += 64) prefetch(p + j);
            p += 210; xd += 8;
        } while (--i > 0);
        *y++ = sum16(s) * 0.25f; w += stride;
    } while (--rows > 0);
}

// ---- two rows of weights with four of activations

// Weights are unpacked once for all columns, activations loaded once for both rows. Each sum
// is made in the order in which the kernels of one column make it. Of an odd number of
// rows the last is multiplied twice.
#define COLUMNS 4
typedef struct { float *y; int64_t len, cap; const act_t *a; } column_t; // Go's Column
#define DOTS_ARGS (const column_t *columns, const uint8_t *w, int64_t stride, int64_t rows, int64_t nb)
#define EACH_COLUMN UNROLL for (int c = 0; c < COLUMNS; c++)
#define EACH_ROW UNROLL for (int r = 0; r < 2; r++)
#define ROWS_BEGIN \
    do { \
        int64_t next = rows > 1 ? stride : 0, i = 0, at = 0; \
        const uint8_t *p = w; \
        __m512 acc[2][COLUMNS], low[2][COLUMNS]; \
        EACH_ROW EACH_COLUMN acc[r][c] = low[r][c] = _mm512_setzero_ps();
#define ROWS_END(FACTOR) \
        EACH_COLUMN { \
            float *y = columns[c].y + columns[c].len - rows; \
            y[0] = sum16(_mm512_add_ps(acc[0][c], low[0][c])) * FACTOR; \
            if (rows > 1) y[1] = sum16(_mm512_add_ps(acc[1][c], low[1][c])) * FACTOR; \
            PIN(columns); \
        } \
        PIN(stride); w += 2 * stride; rows -= 2; \
    } while (rows > 0);

// Adds the products of 64 weights, whose sums are scaled with F[r].
#define MULTIPLY(Q, F, OFFSET) EACH_COLUMN { \
    const wide_t *x = (const wide_t *)(columns[c].a->w + at); \
    __m512i h = ld512(x->h), l = ld512(x->l); \
    __m512 d = _mm512_loadu_ps(x->d); \
    EACH_ROW { \
        __m512i v = _mm512_slli_epi32(_mm512_dpbusd_epi32(OFFSET ? ld512(x->n) : _mm512_setzero_si512(), Q[r], h), 7); \
        acc[r][c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_dpbusd_epi32(v, Q[r], l)), _mm512_mul_ps(F[r], d), acc[r][c]); \
        PINV(acc[r][c]); \
    } \
    PIN(columns); \
}

#define DOTS_K(NAME, T, BYTES, SCALES, BEGIN, LANES, MINIMA, OFFSET, FACTOR) \
KERNEL(NAME) DOTS_ARGS { \
    ROWS_BEGIN \
        do { \
            SCALES k[2]; \
            EACH_ROW k[r] = BEGIN(p + r * next); \
            MINIMA \
UNROLL      for (int j = 0; j < 4; j++) { \
                __m512i q[2]; __m512 f[2]; \
                EACH_ROW { q[r] = T(p + r * next, j); f[r] = LANES(k[r], j); } \
                MULTIPLY(q, f, OFFSET) \
                at += sizeof(wide_t); PIN(at); \
            } \
UNROLL      for (int j = 0; j < BYTES; j += 64) { prefetch(p + j); prefetch(p + next + j); } \
            p += BYTES; \
        } while (++i < nb); \
    ROWS_END(FACTOR) \
}
#define LANES_K4(k, j) LANES8(_mm512_castps256_ps512(k.scale), j)
#define MINIMA_K4 EACH_COLUMN { EACH_ROW acc[r][c] = k4_low(acc[r][c], k[r], columns[c].a->s + 8 * i); PIN(columns); }
DOTS_K(dotsQ4KVBMI, q4_k_64, 144, k4, k4_begin, LANES_K4, MINIMA_K4, 0, 1)
DOTS_K(dotsQ6KVBMI, q6_k_64, 210, __m512, q6_k_scales, LANES4, , 1, 0.25f)

KERNEL(dotsQ8_0VBMI) DOTS_ARGS {
    ROWS_BEGIN
        do {
            __m512i q[2]; __m512 f[2];
            EACH_ROW {
                const uint8_t *b = p + r * next;
                __m256i d = _mm256_zextsi128_si256(_mm_set1_epi16(*(const int16_t *)b));
                q[r] = _mm512_zextsi256_si512(ld256(b + 2));
                if (i + 1 < nb) {
                    q[r] = _mm512_inserti64x4(q[r], ld256(b + 36), 1);
                    d = _mm256_inserti128_si256(d, _mm_set1_epi16(*(const int16_t *)(b + 34)), 1);
                }
                q[r] = _mm512_xor_si512(q[r], all8(0x80)); f[r] = _mm512_cvtph_ps(d);
                PINV(q[r]);
            }
            MULTIPLY(q, f, 1)
            prefetch(p); prefetch(p + next);
            p += 68; at += sizeof(wide_t);
        } while ((i += 2) < nb);
    ROWS_END(1)
}

INLINE four read4(four (*T)(const uint8_t *, __m512i, __m512i), int bytes, const uint8_t *p) {
    PIN(p); // what is read again is not kept
    return T(p, ld512(p), ld512(p + 4 * bytes - 64));
}
// nb is at least 4.
#define DOTS4(NAME, T, BYTES, HASMIN, FACTOR) \
KERNEL(NAME) DOTS_ARGS { \
    ROWS_BEGIN \
        PIN(nb); i = nb; at = (nb + 1) / 2 * sizeof(wide_t); \
        do { \
            PIN(i); \
            if (i < 4) p -= (4 - i) * BYTES; \
            four b[2]; \
            EACH_ROW { b[r] = read4(T, BYTES, p + r * next); PINV(b[r].lo); PINV(b[r].hi); PINV(b[r].d); } \
            EACH_COLUMN { \
                const fours_t *x = (const fours_t *)(columns[c].a->w + at); \
                __m512i h0 = ld512(x->h[0]), h1 = ld512(x->h[1]), l0 = ld512(x->l[0]), l1 = ld512(x->l[1]); \
                EACH_ROW { \
                    __m512i v = _mm512_dpbusd_epi32(HASMIN ? _mm512_setzero_si512() : ld512(x->n), b[r].lo, h0); \
                    v = _mm512_slli_epi32(_mm512_dpbusd_epi32(v, b[r].hi, h1), 7); \
                    v = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(v, b[r].lo, l0), b[r].hi, l1); \
                    acc[r][c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(v), _mm512_mul_ps(b[r].d, _mm512_loadu_ps(x->d)), acc[r][c]); \
                    PINV(acc[r][c]); \
                } \
                PIN(columns); \
            } \
            if (HASMIN) { \
                __m512 m[2]; \
                EACH_ROW m[r] = read4(T, BYTES, p + r * next).m; \
                EACH_COLUMN { \
                    const fours_t *x = (const fours_t *)(columns[c].a->w + at); \
                    EACH_ROW low[r][c] = _mm512_fmadd_ps(m[r], _mm512_loadu_ps(x->s), low[r][c]); \
                    PIN(columns); \
                } \
            } \
            prefetch(p); prefetch(p + 64); prefetch(p + next); prefetch(p + next + 64); \
            p += 4 * BYTES; at += sizeof(fours_t); PIN(at); \
        } while ((i -= 4) > 0); \
    ROWS_END(FACTOR) \
}
DOTS4(dotsQ4_0VBMI, q4_0_four, 18, 0, 1 / 16.0f)
DOTS4(dotsQ4_1VBMI, q4_1_four, 20, 1, 1)
DOTS4(dotsQ5_0VBMI, q5_0_four, 22, 0, 1 / 8.0f)

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

// The low bytes of the words of a, then of b.
#define BYTES2(a, b) _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi16_epi8(a)), _mm512_cvtepi16_epi8(b), 1)
// The sums of four activations.
INLINE __m512i sums_of(__m512i one, __m512i h, __m512i l) {
    return _mm512_dpbusd_epi32(_mm512_slli_epi32(_mm512_dpbusd_epi32(_mm512_setzero_si512(), one, h), 7), one, l);
}
// wideVBMI writes nb ≥ 1 blocks of rounded activations as wide_t, then as fours_t. What
// follows an odd number of blocks is 0.
KERNEL(wideVBMI)(uint8_t *out, const int16_t *q, const float *d, int64_t nb) {
    const __m512i low = _mm512_set1_epi16(127), one = all8(1), zero = _mm512_setzero_si512();
    wide_t *x = (wide_t *)out;
    for (int64_t i = 0; i < nb; i += 2) {
        const int16_t *p = q + 32 * i; const float *e = d + i;
        __m512i a = ld512(p), b = i + 1 < nb ? ld512(p + 32) : zero;
        __m512i h = BYTES2(_mm512_srai_epi16(a, 7), _mm512_srai_epi16(b, 7)), l = BYTES2(_mm512_and_si512(a, low), _mm512_and_si512(b, low));
        _mm512_storeu_si512(x->h, h); _mm512_storeu_si512(x->l, l);
        _mm512_storeu_si512(x->n, _mm512_sub_epi32(zero, sums_of(one, h, l)));
        __m256 s = _mm256_set1_ps(e[0]), t = i + 1 < nb ? _mm256_set1_ps(e[1]) : _mm256_setzero_ps();
        _mm512_storeu_ps(x->d, _mm512_insertf32x8(_mm512_castps256_ps512(s), t, 1));
        x++;
    }
    fours_t *y = (fours_t *)x;
    for (int64_t i = 0; i < nb; i += 4) {
        int64_t first = i + 4 <= nb ? i : nb - 4;
        const int16_t *p = q + 32 * first; const float *e = d + first;
        __m512i v[4];
        __m128 f = _mm_maskz_loadu_ps((__mmask8)(15 << (i - first)), e);
UNROLL  for (int k = 0; k < 4; k++) { v[k] = first + k < i ? zero : ld512(p + 32 * k); PINV(v[k]); }
        __m512i h0 = BYTES2(_mm512_srai_epi16(v[0], 7), _mm512_srai_epi16(v[1], 7)), h1 = BYTES2(_mm512_srai_epi16(v[2], 7), _mm512_srai_epi16(v[3], 7));
        __m512i l0 = BYTES2(_mm512_and_si512(v[0], low), _mm512_and_si512(v[1], low)), l1 = BYTES2(_mm512_and_si512(v[2], low), _mm512_and_si512(v[3], low));
        __m512i ha = _mm512_shuffle_i64x2(h0, h1, 0x88), hb = _mm512_shuffle_i64x2(h0, h1, 0xDD);
        __m512i la = _mm512_shuffle_i64x2(l0, l1, 0x88), lb = _mm512_shuffle_i64x2(l0, l1, 0xDD);
        __m512i n = _mm512_add_epi32(sums_of(one, ha, la), sums_of(one, hb, lb));
        __m512 s = _mm512_permutexvar_ps((__m512i)(ints16){X4(0), X4(1), X4(2), X4(3)}, _mm512_castps128_ps512(f));
        _mm512_storeu_si512(y->h[0], ha); _mm512_storeu_si512(y->h[1], hb);
        _mm512_storeu_si512(y->l[0], la); _mm512_storeu_si512(y->l[1], lb);
        _mm512_storeu_ps(y->d, s);
        _mm512_storeu_si512(y->n, _mm512_sub_epi32(zero, n));
        _mm512_storeu_ps(y->s, _mm512_mul_ps(s, _mm512_cvtepi32_ps(n)));
        y++;
    }
}
