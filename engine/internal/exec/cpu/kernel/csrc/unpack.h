// The block formats: each type's quants as words, 16 in a register, in the order
// of the values, ready to be multiplied with 15-bit activations. The formats are
// described where package quant decodes them.
//
// A block of 32 is lo (values 0 to 15) and hi, with a scale d and perhaps a
// minimum m: value = d·q + m.
//
// A block of 256 comes 32 values at a time. The small scales of its sub-blocks are
// multiplied into the words: |q·scale| ≤ 4096, and 32 products of that with 16383 still
// fit the 32-bit sums.
#pragma once
#include "x86.h"

typedef struct { __m256i lo, hi; } words32;

// ---- blocks of 32

INLINE words32 nibbles(const uint8_t *p) { // low nibbles, then high ones
    __m256i b = words(p);
    return (words32){_mm256_and_si256(b, all16(15)), _mm256_srli_epi16(b, 4)};
}
INLINE words32 offset(words32 w, int o) {
    return (words32){_mm256_sub_epi16(w.lo, all16(o)), _mm256_sub_epi16(w.hi, all16(o))};
}
INLINE words32 looked_up(const uint8_t *p, __m128i table) {
    __m128i b = ld128(p), m = _mm_set1_epi8(15);
    return (words32){_mm256_cvtepi8_epi16(_mm_shuffle_epi8(table, _mm_and_si128(b, m))),
                     _mm256_cvtepi8_epi16(_mm_shuffle_epi8(table, _mm_and_si128(_mm_srli_epi16(b, 4), m)))};
}
#define IQ4_TABLE _mm_setr_epi8(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
#define MXFP4_TABLE _mm_setr_epi8(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12)

INLINE words32 q4_0(const uint8_t *p) { return offset(nibbles(p + 2), 8); }
INLINE words32 q4_1(const uint8_t *p) { return nibbles(p + 4); }
INLINE words32 q5(const uint8_t *bits, const uint8_t *p) {
    words32 w = nibbles(p);
    return (words32){_mm256_or_si256(w.lo, fifth(bits)), _mm256_or_si256(w.hi, fifth(bits + 2))};
}
INLINE words32 q5_0(const uint8_t *p) { return offset(q5(p + 2, p + 6), 16); }
INLINE words32 q5_1(const uint8_t *p) { return q5(p + 4, p + 8); }
INLINE words32 q8_0(const uint8_t *p) { return (words32){_mm256_cvtepi8_epi16(ld128(p + 2)), _mm256_cvtepi8_epi16(ld128(p + 18))}; }
INLINE words32 iq4_nl(const uint8_t *p) { return looked_up(p + 2, IQ4_TABLE); }
INLINE words32 mxfp4(const uint8_t *p) { return looked_up(p + 1, MXFP4_TABLE); }

// A scale of 8 bits is the exponent of a power of two; half of it, because the table's
// values are doubled: 2^(e-128), subnormal below e = 2.
INLINE float e8m0(const uint8_t *p) {
    uint32_t e = *p;
    union { uint32_t u; float f; } v = {e < 2 ? 0x200000u << e : (e - 1) << 23};
    return v.f;
}

// ---- blocks of 256: a context of what is unpacked once, and 32 values of it

typedef struct { __m256i a, b; } scales_t; // 16 words: of sub-blocks of 16; or 8, in both halves, of 32

// The scale of sub-block j of 16, in all words.
INLINE __m256i scale16(scales_t s, int j) {
    return _mm256_shuffle_epi8(j < 8 ? s.a : s.b, all16((2 * (j & 7)) | (2 * (j & 7) + 1) << 8));
}
INLINE words32 times(words32 w, __m256i lo, __m256i hi) {
    return (words32){_mm256_mullo_epi16(w.lo, lo), _mm256_mullo_epi16(w.hi, hi)};
}
INLINE scales_t spread(__m256i s) { // 16 words for scale16
    return (scales_t){_mm256_permute4x64_epi64(s, 0x44), _mm256_permute4x64_epi64(s, 0xEE)};
}

// Q4_K, Q5_K: the 8 scales (low 8 bytes) and mins (high 8 bytes) of 6 bits at p.
INLINE __m128i k4_scales(const uint8_t *p) {
    __m128i v = ld128(p); // reads 4 bytes past the 12
    __m128i lo = _mm_and_si128(v, _mm_set1_epi32(0x3f3f3f3f));
    __m128i top = _mm_and_si128(_mm_srli_epi32(v, 2), _mm_set1_epi32(0x30303030));
    __m128i t = _mm_srlv_epi32(_mm_shuffle_epi32(v, 0xAA), _mm_setr_epi32(0, 4, 0, 0));
    __m128i hi = _mm_or_si128(top, _mm_and_si128(t, _mm_set1_epi32(0x0f0f0f0f)));
    return _mm_unpacklo_epi32(lo, hi);
}
INLINE scales_t q4_k_begin(const uint8_t *p) {
    __m256i s = _mm256_permute4x64_epi64(_mm256_cvtepu8_epi16(k4_scales(p + 4)), 0x44);
    return (scales_t){s, s};
}
#define q5_k_begin q4_k_begin
INLINE words32 k4_nibbles(const uint8_t *p, int j) {
    __m256i a = words(p + 32 * (j / 2)), b = words(p + 32 * (j / 2) + 16);
    if (j & 1) return (words32){_mm256_srli_epi16(a, 4), _mm256_srli_epi16(b, 4)};
    return (words32){_mm256_and_si256(a, all16(15)), _mm256_and_si256(b, all16(15))};
}
INLINE words32 q4_k(const uint8_t *p, scales_t s, int j) {
    __m256i f = scale16(s, j);
    return times(k4_nibbles(p + 16, j), f, f);
}
INLINE __m256i bit_to_4(__m256i b, int n) { // bit n of each word, as 16 or 0
    return _mm256_and_si256(n < 4 ? _mm256_slli_epi16(b, (4 - n) & 15) : _mm256_srli_epi16(b, (n - 4) & 15), all16(16));
}
INLINE words32 q5_k(const uint8_t *p, scales_t s, int j) {
    words32 w = k4_nibbles(p + 48, j);
    __m256i f = scale16(s, j);
    w.lo = _mm256_or_si256(w.lo, bit_to_4(words(p + 16), j));
    w.hi = _mm256_or_si256(w.hi, bit_to_4(words(p + 32), j));
    return times(w, f, f);
}
// The mins, times -dmin.
INLINE __m256 k4_mins(const uint8_t *p) {
    __m128i m = _mm_srli_si128(k4_scales(p + 4), 8);
    return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(m)), _mm256_set1_ps(-half(p + 2)));
}

INLINE scales_t q6_k_begin(const uint8_t *p) { return spread(_mm256_cvtepi8_epi16(ld128(p + 192))); }
INLINE words32 q6_k(const uint8_t *p, scales_t s, int j) {
    int run = j % 4;
    const uint8_t *l = p + 64 * (j / 4) + 32 * (run & 1), *h = p + 128 + 32 * (j / 4);
    words32 w;
    __m256i *out[2] = {&w.lo, &w.hi};
UNROLL for (int i = 0; i < 2; i++) {
        __m256i a = words(l + 16 * i), b = words(h + 16 * i);
        a = run < 2 ? _mm256_and_si256(a, all16(15)) : _mm256_srli_epi16(a, 4);
        b = _mm256_and_si256(run < 2 ? _mm256_slli_epi16(b, (4 - 2 * run) & 15) : _mm256_srli_epi16(b, (2 * run - 4) & 15), all16(48));
        *out[i] = _mm256_sub_epi16(_mm256_or_si256(a, b), all16(32));
    }
    return times(w, scale16(s, 2 * j), scale16(s, 2 * j + 1));
}

INLINE scales_t q2_k_begin(const uint8_t *p) { return spread(_mm256_and_si256(words(p), all16(15))); }
INLINE words32 two_bits(const uint8_t *p, int j) {
    p += 32 * (j / 4);
    return (words32){_mm256_and_si256(_mm256_srli_epi16(words(p), 2 * (j & 3)), all16(3)),
                     _mm256_and_si256(_mm256_srli_epi16(words(p + 16), 2 * (j & 3)), all16(3))};
}
INLINE words32 q2_k(const uint8_t *p, scales_t s, int j) {
    return times(two_bits(p + 16, j), scale16(s, 2 * j), scale16(s, 2 * j + 1));
}
INLINE __m256 q2_k_mins(const uint8_t *p, int half8) { // mins 8·half8 to +7, times -dmin
    __m128i m = _mm_and_si128(_mm_srli_epi16(_mm_loadl_epi64((const __m128i *)(p + 8 * half8)), 4), _mm_set1_epi8(15));
    return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(m)), _mm256_set1_ps(-half(p + 82)));
}

INLINE scales_t q3_k_begin(const uint8_t *p) {
    // 4 low bits in the nibbles of 8 bytes, 2 high bits in the 4 bytes that follow.
    __m128i l = _mm_loadl_epi64((const __m128i *)(p + 96));
    l = _mm_and_si128(_mm_unpacklo_epi64(l, _mm_srli_epi16(l, 4)), _mm_set1_epi8(15));
    __m128i h = _mm_set1_epi32(*(const int32_t *)(p + 104));
    h = _mm_and_si128(_mm_srlv_epi32(h, _mm_setr_epi32(0, 2, 4, 6)), _mm_set1_epi8(3));
    h = _mm_or_si128(l, _mm_slli_epi16(h, 4));
    return spread(_mm256_cvtepi8_epi16(_mm_sub_epi8(h, _mm_set1_epi8(32))));
}
INLINE words32 q3_k(const uint8_t *p, scales_t s, int j) {
    words32 w = two_bits(p + 32, j);
    const __m256i four = all16(4);
    __m256i a = words(p), b = words(p + 16);
    a = _mm256_and_si256(j < 2 ? _mm256_slli_epi16(a, (2 - j) & 15) : _mm256_srli_epi16(a, (j - 2) & 15), four);
    b = _mm256_and_si256(j < 2 ? _mm256_slli_epi16(b, (2 - j) & 15) : _mm256_srli_epi16(b, (j - 2) & 15), four);
    w.lo = _mm256_sub_epi16(_mm256_or_si256(w.lo, a), four);
    w.hi = _mm256_sub_epi16(_mm256_or_si256(w.hi, b), four);
    return times(w, scale16(s, 2 * j), scale16(s, 2 * j + 1));
}

INLINE scales_t iq4_xs_begin(const uint8_t *p) {
    // 8 scales: 4 low bits in nibbles at 4, 2 high bits in the 16-bit word at 2.
    __m128i l = _mm_cvtepu8_epi16(_mm_cvtsi32_si128(*(const int32_t *)(p + 4)));
    l = _mm_and_si128(_mm_unpacklo_epi16(l, _mm_srli_epi16(l, 4)), _mm_set1_epi16(15));
    __m128i h = _mm_mullo_epi16(_mm_set1_epi16(*(const int16_t *)(p + 2)), _mm_setr_epi16(0x4000, 0x1000, 0x400, 0x100, 0x40, 0x10, 4, 1));
    h = _mm_and_si128(_mm_srli_epi16(h, 10), _mm_set1_epi16(48)); // the scale's 2 bits are on top now
    __m256i s = _mm256_castsi128_si256(_mm_sub_epi16(_mm_or_si128(l, h), _mm_set1_epi16(32)));
    s = _mm256_permute4x64_epi64(s, 0x44);
    return (scales_t){s, s};
}
INLINE words32 iq4_xs(const uint8_t *p, scales_t s, int j) {
    __m256i f = scale16(s, j);
    return times(looked_up(p + 8 + 16 * j, IQ4_TABLE), f, f);
}
