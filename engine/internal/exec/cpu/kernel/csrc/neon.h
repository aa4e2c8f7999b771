#pragma once
#include "kernel.h"
#include <arm_neon.h>

// 32 quants in the order of their values, as bytes and as words.
typedef struct { int8x16_t lo, hi; } bytes32;
typedef struct { int16x8_t v[4]; } words32;

// Panels are of ROWS weight rows and of COLUMNS rows of activations.
#define ROWS 16
#define COLUMNS 8
#define PINV(v) __asm__ volatile("" : "+w"(v))

// The arguments of kernels that multiply rows with one row of activations, and of those that
// write a row out for a panel: see Set.Dot and Set.Quants.
#define DOT_ARGS (float *y, const uint8_t *w, int64_t stride, int64_t rows, int64_t nb, const act_t *a)
#define QUANTS_ARGS (int16_t *q, float *d, float *m, const uint8_t *w, int64_t nb)

INLINE float half(const uint8_t *p) { return (float)*(const __fp16 *)p; }
INLINE uint8x16_t ld(const uint8_t *p) { return vld1q_u8(p); }

INLINE words32 widened(bytes32 b) {
    return (words32){{vmovl_s8(vget_low_s8(b.lo)), vmovl_high_s8(b.lo), vmovl_s8(vget_low_s8(b.hi)), vmovl_high_s8(b.hi)}};
}
INLINE bytes32 signed32(uint8x16_t lo, uint8x16_t hi) { return (bytes32){vreinterpretq_s8_u8(lo), vreinterpretq_s8_u8(hi)}; }
INLINE uint8x16_t low4(uint8x16_t b) { return vandq_u8(b, vdupq_n_u8(15)); }
INLINE uint8x16_t high4(uint8x16_t b) { return vshrq_n_u8(b, 4); }
INLINE uint8x16_t less(uint8x16_t b, uint8_t o) { return vsubq_u8(b, vdupq_n_u8(o)); }

typedef struct { float32x4_t lo, hi; } floats8;
INLINE floats8 floats(int8x8_t b) {
    int16x8_t w = vmovl_s8(b);
    return (floats8){vcvtq_f32_s32(vmovl_s16(vget_low_s16(w))), vcvtq_f32_s32(vmovl_high_s16(w))};
}

// Four rows of four 32-bit elements, transposed.
INLINE void transpose4(int8x16_t r[4]) {
#define WITH32(f, x, y) vreinterpretq_s64_s32(f(vreinterpretq_s32_s8(x), vreinterpretq_s32_s8(y)))
    int64x2_t a = WITH32(vtrn1q_s32, r[0], r[1]), b = WITH32(vtrn2q_s32, r[0], r[1]), c = WITH32(vtrn1q_s32, r[2], r[3]), d = WITH32(vtrn2q_s32, r[2], r[3]);
    r[0] = vreinterpretq_s8_s64(vtrn1q_s64(a, c)); r[1] = vreinterpretq_s8_s64(vtrn1q_s64(b, d));
    r[2] = vreinterpretq_s8_s64(vtrn2q_s64(a, c)); r[3] = vreinterpretq_s8_s64(vtrn2q_s64(b, d));
}

// ---- blocks of 32: see unpack.h

INLINE bytes32 q4_0(const uint8_t *p) { uint8x16_t b = ld(p + 2); return signed32(less(low4(b), 8), less(high4(b), 8)); }
INLINE bytes32 q4_1(const uint8_t *p) { uint8x16_t b = ld(p + 4); return signed32(low4(b), high4(b)); }
// The low nibbles of b under the low ones of t, and its high ones under the high ones. (Said
// with masks, clang would take two instructions.)
INLINE uint8x16_t low4_under(uint8x16_t b, uint8x16_t t) { return vsliq_n_u8(b, t, 4); }
INLINE uint8x16_t high4_under(uint8x16_t b, uint8x16_t t) { return vsriq_n_u8(t, b, 4); }

// All ones where the bits of values 0 to 15, or 16 to 31, are set.
INLINE uint8x16_t fifth(uint32_t bits, int half) {
    const uint8x16_t bit = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t low = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1};
    return vtstq_u8(vqtbl1q_u8(vreinterpretq_u8_u32(vdupq_n_u32(bits)), half ? vaddq_u8(low, vdupq_n_u8(2)) : low), bit);
}
INLINE bytes32 q5_0(const uint8_t *p) { // less 16: where the bit is not set, all bits above the nibble are
    uint32_t unset = ~*(const uint32_t *)(p + 2);
    uint8x16_t b = ld(p + 6);
    return signed32(low4_under(b, fifth(unset, 0)), high4_under(b, fifth(unset, 1)));
}
INLINE uint8x16_t one(uint8x16_t set) { return vandq_u8(set, vdupq_n_u8(0x11)); } // in each nibble
INLINE bytes32 q5_1(const uint8_t *p) {
    uint32_t set = *(const uint32_t *)(p + 4);
    uint8x16_t b = ld(p + 8);
    return signed32(low4_under(b, one(fifth(set, 0))), high4_under(b, one(fifth(set, 1))));
}
INLINE bytes32 q8_0(const uint8_t *p) { return signed32(ld(p + 2), ld(p + 18)); }
INLINE bytes32 looked_up(const uint8_t *p, int8x16_t table) {
    uint8x16_t b = ld(p);
    return (bytes32){vqtbl1q_s8(table, low4(b)), vqtbl1q_s8(table, high4(b))};
}
INLINE int8x16_t iq4_table(void) { return (int8x16_t){-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}; }
INLINE int8x16_t mxfp4_table(void) { return (int8x16_t){0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}; }
INLINE bytes32 iq4_nl(const uint8_t *p) { return looked_up(p + 2, iq4_table()); }
INLINE bytes32 mxfp4(const uint8_t *p) { return looked_up(p + 1, mxfp4_table()); }
INLINE float e8m0(const uint8_t *p) {
    uint32_t e = *p;
    union { uint32_t u; float f; } v = {e < 2 ? 0x200000u << e : (e - 1) << 23};
    return v.f;
}

// ---- blocks of 256: T(p, j) is 32·j and the 31 that follow, T_scales(p) the scales of
// sub-blocks: 16 of 16 values each, or 8 of 32 in the lower half

// Q4_K, Q5_K: 8 scales in the low bytes, 8 mins in the high ones.
INLINE uint8x16_t k4_scales(const uint8_t *p) {
    uint32_t a = *(const uint32_t *)p, b = *(const uint32_t *)(p + 4), c = *(const uint32_t *)(p + 8);
    uint64_t s = (a & 0x3f3f3f3f) | (uint64_t)((c & 0x0f0f0f0f) | ((a >> 2) & 0x30303030)) << 32;
    uint64_t m = (b & 0x3f3f3f3f) | (uint64_t)(((c >> 4) & 0x0f0f0f0f) | ((b >> 2) & 0x30303030)) << 32;
    return vcombine_u8(vcreate_u8(s), vcreate_u8(m));
}
INLINE int8x16_t q4_k_scales(const uint8_t *p) { return vreinterpretq_s8_u8(k4_scales(p + 4)); }
#define q5_k_scales q4_k_scales
INLINE bytes32 q4_k(const uint8_t *p, int j) {
    p += 16 + 32 * (j / 2);
    uint8x16_t a = ld(p), b = ld(p + 16);
    return j & 1 ? signed32(high4(a), high4(b)) : signed32(low4(a), low4(b));
}
// Bits n and up of each byte, moved to bit m and up.
INLINE uint8x16_t move(uint8x16_t b, int n, int m) { return vshlq_u8(b, vdupq_n_s8((int8_t)(m - n))); }
// Bit j of each byte, as the lowest of one nibble or the other.
INLINE uint8x16_t bit(const uint8_t *p, int j, int nibble) { return vandq_u8(move(ld(p), j, 4 * nibble), vdupq_n_u8((uint8_t)(1 << 4 * nibble))); }
INLINE bytes32 q5_k(const uint8_t *p, int j) {
    const uint8_t *q = p + 48 + 32 * (j / 2);
    uint8x16_t a = ld(q), b = ld(q + 16), s = bit(p + 16, j, j & 1), t = bit(p + 32, j, j & 1);
    return j & 1 ? signed32(high4_under(a, s), high4_under(b, t)) : signed32(low4_under(a, s), low4_under(b, t));
}
INLINE int8x16_t q6_k_scales(const uint8_t *p) { return vreinterpretq_s8_u8(ld(p + 192)); }
// The two upper bits of six, less 32, in each nibble: with the first of them turned over they
// are a number with a sign.
INLINE uint8x16_t q6_k_top(const uint8_t *h, int run) {
    int8x16_t b = vreinterpretq_s8_u8(veorq_u8(ld(h), vdupq_n_u8(0xaa)));
    b = run < 3 ? vshlq_s8(b, vdupq_n_s8(6 - 2 * run)) : b;
    return vreinterpretq_u8_s8(run < 2 ? vshrq_n_s8(b, 6) : vshrq_n_s8(b, 2)); // low nibble, high nibble
}
INLINE bytes32 q6_k(const uint8_t *p, int j) {
    int run = j % 4;
    const uint8_t *l = p + 64 * (j / 4) + 32 * (run & 1), *h = p + 128 + 32 * (j / 4);
    uint8x16_t a = ld(l), b = ld(l + 16), s = q6_k_top(h, run), t = q6_k_top(h + 16, run);
    return run < 2 ? signed32(low4_under(a, s), low4_under(b, t)) : signed32(high4_under(a, s), high4_under(b, t));
}
INLINE int8x16_t q2_k_scales(const uint8_t *p) { return vreinterpretq_s8_u8(low4(ld(p))); }
// Of four values of two bits in a byte, value j as the lowest.
INLINE uint8x16_t two_bits(const uint8_t *p, int j) { return move(ld(p), 2 * (j & 3), 0); }
INLINE bytes32 q2_k(const uint8_t *p, int j) {
    const uint8_t *q = p + 16 + 32 * (j / 4);
    return signed32(vandq_u8(two_bits(q, j), vdupq_n_u8(3)), vandq_u8(two_bits(q + 16, j), vdupq_n_u8(3)));
}
INLINE int8x16_t q3_k_scales(const uint8_t *p) {
    uint8x8_t l = vld1_u8(p + 96);
    uint8x16_t low = vcombine_u8(vand_u8(l, vdup_n_u8(15)), vshr_n_u8(l, 4));
    uint32x4_t h = vdupq_n_u32(*(const uint32_t *)(p + 104));
    h = vshlq_u32(h, (int32x4_t){0, -2, -4, -6});
    uint8x16_t high = vandq_u8(vreinterpretq_u8_u32(h), vdupq_n_u8(3));
    return vreinterpretq_s8_u8(less(vorrq_u8(low, vshlq_n_u8(high, 4)), 32));
}
// Less 4 where the third bit is not set: all bits above the two are ones then.
INLINE uint8x16_t q3_k_16(const uint8_t *q, const uint8_t *h, int j) {
    return vsliq_n_u8(two_bits(q, j), vtstq_u8(vmvnq_u8(ld(h)), vdupq_n_u8((uint8_t)(1 << j))), 2);
}
INLINE bytes32 q3_k(const uint8_t *p, int j) {
    const uint8_t *q = p + 32 + 32 * (j / 4);
    return signed32(q3_k_16(q, p, j), q3_k_16(q + 16, p + 16, j));
}
INLINE int8x16_t iq4_xs_scales(const uint8_t *p) {
    uint16x8_t l = vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(*(const uint32_t *)(p + 4))));
    l = vzip1q_u16(l, l); // each byte twice: its low nibble, its high one
    l = vandq_u16(vshlq_u16(l, (int16x8_t){0, -4, 0, -4, 0, -4, 0, -4}), vdupq_n_u16(15));
    uint16x8_t h = vdupq_n_u16(*(const uint16_t *)(p + 2));
    h = vandq_u16(vshlq_u16(h, (int16x8_t){4, 2, 0, -2, -4, -6, -8, -10}), vdupq_n_u16(48));
    int8x8_t s = vmovn_s16(vsubq_s16(vreinterpretq_s16_u16(vorrq_u16(l, h)), vdupq_n_s16(32)));
    return vcombine_s8(s, s);
}
INLINE bytes32 iq4_xs(const uint8_t *p, int j) { return looked_up(p + 8 + 16 * j, iq4_table()); }

// Eight mins as floats, times -dmin.
INLINE void mins8(float32x4_t m[2], uint8x8_t b, float dmin) {
    uint16x8_t w = vmovl_u8(b);
    m[0] = vmulq_n_f32(vcvtq_f32_u32(vmovl_u16(vget_low_u16(w))), -dmin);
    m[1] = vmulq_n_f32(vcvtq_f32_u32(vmovl_high_u16(w)), -dmin);
}
INLINE void k4_mins(float32x4_t m[2], const uint8_t *p) { mins8(m, vget_high_u8(k4_scales(p + 4)), half(p + 2)); }
INLINE void q2_k_mins(float32x4_t m[2], const uint8_t *p, int half8) { mins8(m, vshr_n_u8(vld1_u8(p + 8 * half8), 4), half(p + 82)); }
