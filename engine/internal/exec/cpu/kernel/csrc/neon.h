#pragma once
#include "kernel.h"
#include <arm_neon.h>

// 32 words, in the order of the values.
typedef struct { int16x8_t v[4]; } words32;

INLINE float half(const uint8_t *p) { return (float)*(const __fp16 *)p; }
INLINE uint8x16_t ld(const uint8_t *p) { return vld1q_u8(p); }

INLINE words32 from_bytes(int8x16_t lo, int8x16_t hi) {
    return (words32){{vmovl_s8(vget_low_s8(lo)), vmovl_high_s8(lo), vmovl_s8(vget_low_s8(hi)), vmovl_high_s8(hi)}};
}
INLINE words32 from_u8(uint8x16_t lo, uint8x16_t hi) { return from_bytes(vreinterpretq_s8_u8(lo), vreinterpretq_s8_u8(hi)); }
INLINE uint8x16_t low4(uint8x16_t b) { return vandq_u8(b, vdupq_n_u8(15)); }
INLINE uint8x16_t high4(uint8x16_t b) { return vshrq_n_u8(b, 4); }
INLINE uint8x16_t less(uint8x16_t b, uint8_t o) { return vsubq_u8(b, vdupq_n_u8(o)); }

// ---- blocks of 32: see unpack.h

INLINE words32 q4_0(const uint8_t *p) { uint8x16_t b = ld(p + 2); return from_u8(less(low4(b), 8), less(high4(b), 8)); }
INLINE words32 q4_1(const uint8_t *p) { uint8x16_t b = ld(p + 4); return from_u8(low4(b), high4(b)); }
// Bits of 16 values as bytes of 16 or 0.
INLINE uint8x16_t fifth(const uint8_t *p) {
    const uint8x16_t bit = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t b = vcombine_u8(vdup_n_u8(p[0]), vdup_n_u8(p[1]));
    return vandq_u8(vtstq_u8(b, bit), vdupq_n_u8(16));
}
INLINE words32 q5_0(const uint8_t *p) {
    uint8x16_t b = ld(p + 6);
    return from_u8(less(vorrq_u8(low4(b), fifth(p + 2)), 16), less(vorrq_u8(high4(b), fifth(p + 4)), 16));
}
INLINE words32 q5_1(const uint8_t *p) {
    uint8x16_t b = ld(p + 8);
    return from_u8(vorrq_u8(low4(b), fifth(p + 4)), vorrq_u8(high4(b), fifth(p + 6)));
}
INLINE words32 q8_0(const uint8_t *p) { return from_u8(ld(p + 2), ld(p + 18)); }
INLINE words32 looked_up(const uint8_t *p, int8x16_t table) {
    uint8x16_t b = ld(p);
    return from_bytes(vqtbl1q_s8(table, low4(b)), vqtbl1q_s8(table, high4(b)));
}
INLINE int8x16_t iq4_table(void) { return (int8x16_t){-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}; }
INLINE int8x16_t mxfp4_table(void) { return (int8x16_t){0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}; }
INLINE words32 iq4_nl(const uint8_t *p) { return looked_up(p + 2, iq4_table()); }
INLINE words32 mxfp4(const uint8_t *p) { return looked_up(p + 1, mxfp4_table()); }
INLINE float e8m0(const uint8_t *p) {
    uint32_t e = *p;
    union { uint32_t u; float f; } v = {e < 2 ? 0x200000u << e : (e - 1) << 23};
    return v.f;
}

// ---- blocks of 256: 16 scales of sub-blocks of 16, or 8 of 32

typedef struct { int16x8_t a, b; } scales_t;

// The words of 32 values times the scales of their halves.
INLINE words32 times(words32 w, int16x8_t s, int lo, int hi) {
#define LANE(i) (i == 0 ? vdupq_laneq_s16(s, 0) : i == 1 ? vdupq_laneq_s16(s, 1) : i == 2 ? vdupq_laneq_s16(s, 2) : i == 3 ? vdupq_laneq_s16(s, 3) : \
                 i == 4 ? vdupq_laneq_s16(s, 4) : i == 5 ? vdupq_laneq_s16(s, 5) : i == 6 ? vdupq_laneq_s16(s, 6) : vdupq_laneq_s16(s, 7))
    int16x8_t a = LANE(lo), b = LANE(hi);
    return (words32){{vmulq_s16(w.v[0], a), vmulq_s16(w.v[1], a), vmulq_s16(w.v[2], b), vmulq_s16(w.v[3], b)}};
}
INLINE words32 times16(words32 w, scales_t s, int j) { return times(w, j < 4 ? s.a : s.b, (2 * j) & 7, (2 * j + 1) & 7); }
INLINE words32 times32(words32 w, scales_t s, int j) { return times(w, s.a, j, j); }
INLINE scales_t spread(int8x16_t s) { return (scales_t){vmovl_s8(vget_low_s8(s)), vmovl_high_s8(s)}; }

// Q4_K, Q5_K: 8 scales in the low bytes, 8 mins in the high ones.
INLINE uint8x16_t k4_scales(const uint8_t *p) {
    uint32_t a = *(const uint32_t *)p, b = *(const uint32_t *)(p + 4), c = *(const uint32_t *)(p + 8);
    uint64_t s = (a & 0x3f3f3f3f) | (uint64_t)((c & 0x0f0f0f0f) | ((a >> 2) & 0x30303030)) << 32;
    uint64_t m = (b & 0x3f3f3f3f) | (uint64_t)(((c >> 4) & 0x0f0f0f0f) | ((b >> 2) & 0x30303030)) << 32;
    return vcombine_u8(vcreate_u8(s), vcreate_u8(m));
}
INLINE scales_t q4_k_begin(const uint8_t *p) { int16x8_t s = spread(vreinterpretq_s8_u8(k4_scales(p + 4))).a; return (scales_t){s, s}; }
#define q5_k_begin q4_k_begin
INLINE words32 q4_k(const uint8_t *p, scales_t s, int j) {
    p += 16 + 32 * (j / 2);
    uint8x16_t a = ld(p), b = ld(p + 16);
    return times32(j & 1 ? from_u8(high4(a), high4(b)) : from_u8(low4(a), low4(b)), s, j);
}
// Bits n and up of each byte, moved to bit m and up.
INLINE uint8x16_t move(uint8x16_t b, int n, int m) { return vshlq_u8(b, vdupq_n_s8((int8_t)(m - n))); }
INLINE words32 q5_k(const uint8_t *p, scales_t s, int j) {
    const uint8_t *q = p + 48 + 32 * (j / 2);
    uint8x16_t a = ld(q), b = ld(q + 16), bit = vdupq_n_u8(16);
    a = vorrq_u8(j & 1 ? high4(a) : low4(a), vandq_u8(move(ld(p + 16), j, 4), bit));
    b = vorrq_u8(j & 1 ? high4(b) : low4(b), vandq_u8(move(ld(p + 32), j, 4), bit));
    return times32(from_u8(a, b), s, j);
}
INLINE scales_t q6_k_begin(const uint8_t *p) { return spread(vreinterpretq_s8_u8(ld(p + 192))); }
INLINE words32 q6_k(const uint8_t *p, scales_t s, int j) {
    int run = j % 4;
    const uint8_t *l = p + 64 * (j / 4) + 32 * (run & 1), *h = p + 128 + 32 * (j / 4);
    uint8x16_t a = ld(l), b = ld(l + 16), top = vdupq_n_u8(48);
    a = vorrq_u8(run < 2 ? low4(a) : high4(a), vandq_u8(move(ld(h), 2 * run, 4), top));
    b = vorrq_u8(run < 2 ? low4(b) : high4(b), vandq_u8(move(ld(h + 16), 2 * run, 4), top));
    return times16(from_u8(less(a, 32), less(b, 32)), s, j);
}
INLINE scales_t q2_k_begin(const uint8_t *p) { return spread(vreinterpretq_s8_u8(low4(ld(p)))); }
INLINE uint8x16_t two_bits(const uint8_t *p, int j) { return vandq_u8(move(ld(p), 2 * (j & 3), 0), vdupq_n_u8(3)); }
INLINE words32 q2_k(const uint8_t *p, scales_t s, int j) {
    const uint8_t *q = p + 16 + 32 * (j / 4);
    return times16(from_u8(two_bits(q, j), two_bits(q + 16, j)), s, j);
}
INLINE scales_t q3_k_begin(const uint8_t *p) {
    uint8x8_t l = vld1_u8(p + 96);
    uint8x16_t low = vcombine_u8(vand_u8(l, vdup_n_u8(15)), vshr_n_u8(l, 4));
    uint32x4_t h = vdupq_n_u32(*(const uint32_t *)(p + 104));
    h = vshlq_u32(h, (int32x4_t){0, -2, -4, -6});
    uint8x16_t high = vandq_u8(vreinterpretq_u8_u32(h), vdupq_n_u8(3));
    return spread(vreinterpretq_s8_u8(less(vorrq_u8(low, vshlq_n_u8(high, 4)), 32)));
}
INLINE words32 q3_k(const uint8_t *p, scales_t s, int j) {
    const uint8_t *q = p + 32 + 32 * (j / 4);
    const uint8x16_t four = vdupq_n_u8(4);
    uint8x16_t a = vorrq_u8(two_bits(q, j), vandq_u8(move(ld(p), j, 2), four));
    uint8x16_t b = vorrq_u8(two_bits(q + 16, j), vandq_u8(move(ld(p + 16), j, 2), four));
    return times16(from_u8(less(a, 4), less(b, 4)), s, j);
}
INLINE scales_t iq4_xs_begin(const uint8_t *p) {
    uint16x8_t l = vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(*(const uint32_t *)(p + 4))));
    l = vzip1q_u16(l, l); // each byte twice: its low nibble, its high one
    l = vandq_u16(vshlq_u16(l, (int16x8_t){0, -4, 0, -4, 0, -4, 0, -4}), vdupq_n_u16(15));
    uint16x8_t h = vdupq_n_u16(*(const uint16_t *)(p + 2));
    h = vandq_u16(vshlq_u16(h, (int16x8_t){4, 2, 0, -2, -4, -6, -8, -10}), vdupq_n_u16(48));
    int16x8_t s = vsubq_s16(vreinterpretq_s16_u16(vorrq_u16(l, h)), vdupq_n_s16(32));
    return (scales_t){s, s};
}
INLINE words32 iq4_xs(const uint8_t *p, scales_t s, int j) { return times32(looked_up(p + 8 + 16 * j, iq4_table()), s, j); }

// Eight mins as floats, times -dmin.
INLINE void mins8(float32x4_t m[2], uint8x8_t b, float dmin) {
    uint16x8_t w = vmovl_u8(b);
    m[0] = vmulq_n_f32(vcvtq_f32_u32(vmovl_u16(vget_low_u16(w))), -dmin);
    m[1] = vmulq_n_f32(vcvtq_f32_u32(vmovl_high_u16(w)), -dmin);
}
INLINE void k4_mins(float32x4_t m[2], const uint8_t *p) { mins8(m, vget_high_u8(k4_scales(p + 4)), half(p + 2)); }
INLINE void q2_k_mins(float32x4_t m[2], const uint8_t *p, int half8) { mins8(m, vshr_n_u8(vld1_u8(p + 8 * half8), 4), half(p + 82)); }
