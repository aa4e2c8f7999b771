// c2s:flags -march=armv8.2-a+dotprod
// Kernels with SDOT, which adds the products of four bytes to each 32-bit lane: for
// processors with FEAT_DotProd. The 15 bits of an activation are two bytes, x = 128·h + l,
// both with a sign, and quants are bytes as they are: the sums are the integers
// that neon_arm64.c makes of words, for half the instructions (docs/RATIONALE.md).
#define STEP 4
#include "neonbytes.h"

// Of 4 columns, each a lane of x.
INLINE void step(int32x4_t h[8], int32x4_t l[8], const int8_t *w, const int8_t *x) {
    int8x16_t a = vld1q_s8(w), b = vld1q_s8(w + 16), u = vld1q_s8(x), v = vld1q_s8(x + 4 * COLUMNS);
    h[0] = vdotq_laneq_s32(h[0], a, u, 0); h[1] = vdotq_laneq_s32(h[1], b, u, 0);
    h[2] = vdotq_laneq_s32(h[2], a, u, 1); h[3] = vdotq_laneq_s32(h[3], b, u, 1);
    h[4] = vdotq_laneq_s32(h[4], a, u, 2); h[5] = vdotq_laneq_s32(h[5], b, u, 2);
    h[6] = vdotq_laneq_s32(h[6], a, u, 3); h[7] = vdotq_laneq_s32(h[7], b, u, 3);
    l[0] = vdotq_laneq_s32(l[0], a, v, 0); l[1] = vdotq_laneq_s32(l[1], b, v, 0);
    l[2] = vdotq_laneq_s32(l[2], a, v, 1); l[3] = vdotq_laneq_s32(l[3], b, v, 1);
    l[4] = vdotq_laneq_s32(l[4], a, v, 2); l[5] = vdotq_laneq_s32(l[5], b, v, 2);
    l[6] = vdotq_laneq_s32(l[6], a, v, 3); l[7] = vdotq_laneq_s32(l[7], b, v, 3);
}
INLINE int32x4_t rows4(const int32x4_t h[8], const int32x4_t l[8], int c, int r) { return vmlaq_n_s32(l[2 * c + r], h[2 * c + r], 128); }

// ---- one row of activations: act_t.w, of each block of 32 the bytes h and then l

// Four parts of the sum of 32 products.
INLINE int32x4_t dot(bytes32 w, const int8_t *x) {
    int32x4_t s = vdotq_s32(vdotq_s32(vdupq_n_s32(0), w.lo, vld1q_s8(x)), w.hi, vld1q_s8(x + 16));
    s = vshlq_n_s32(s, 7);
    return vdotq_s32(vdotq_s32(s, w.lo, vld1q_s8(x + 32)), w.hi, vld1q_s8(x + 48));
}
INLINE int32x4_t sum4(int32x4_t a, int32x4_t b, int32x4_t c, int32x4_t d) { return vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d)); }
// A scale of each of four blocks of so many bytes.
#define FOUR(T, p, BYTES) ((float32x4_t){T(p), T(p + BYTES), T(p + 2 * BYTES), T(p + 3 * BYTES)})

// Four blocks at a time, so that their sums are converted and scaled at once.
#define DOT32(NAME, T, BYTES, D, M, HASMIN) \
KERNEL(NAME) DOT_ARGS { \
    do { \
        const uint8_t *p = w; const int8_t *x = (const int8_t *)a->w; const float *xd = a->d, *xs = a->s; \
        float32x4_t acc = vdupq_n_f32(0), low = acc; \
        int64_t i = nb; \
        for (; i >= 4; i -= 4) { \
            int32x4_t s = sum4(dot(T(p), x), dot(T(p + BYTES), x + 64), dot(T(p + 2 * BYTES), x + 128), dot(T(p + 3 * BYTES), x + 192)); \
            acc = vfmaq_f32(acc, vcvtq_f32_s32(s), vmulq_f32(FOUR(D, p, BYTES), vld1q_f32(xd))); \
            if (HASMIN) low = vfmaq_f32(low, FOUR(M, p, BYTES), vld1q_f32(xs)); \
            p += 4 * BYTES; x += 256; xd += 4; xs += 4; \
        } \
        float sum = vaddvq_f32(vaddq_f32(acc, low)); \
        for (; i > 0; i--) { \
            sum += (float)vaddvq_s32(dot(T(p), x)) * (D(p) * *xd); \
            if (HASMIN) sum += M(p) * *xs; \
            p += BYTES; x += 64; xd++; xs++; \
        } \
        *y++ = sum; w += stride; \
    } while (--rows > 0); \
}
INLINE float second_half(const uint8_t *p) { return half(p + 2); }
DOT32(dotQ4_0SDOT, q4_0, 18, half, half, 0)
DOT32(dotQ4_1SDOT, q4_1, 20, half, second_half, 1)
DOT32(dotQ5_0SDOT, q5_0, 22, half, half, 0)
DOT32(dotQ5_1SDOT, q5_1, 24, half, second_half, 1)
DOT32(dotQ8_0SDOT, q8_0, 34, half, half, 0)
DOT32(dotIQ4NLSDOT, iq4_nl, 18, half, half, 0)
DOT32(dotMXFP4SDOT, mxfp4, 17, e8m0, half, 0)

// ---- blocks of 256

// Adds the products of 128 values to f: sub-blocks of 32.
#define SUMS32(T, J) \
    f = vfmaq_f32(f, vcvtq_f32_s32(sum4(dot(T(p, J), x), dot(T(p, J + 1), x + 64), dot(T(p, J + 2), x + 128), dot(T(p, J + 3), x + 192))), \
                  vmulq_f32(J ? c.hi : c.lo, vld1q_f32(xd + J))); \
    x += 256; PINV(f); PIN(x);

#define DOT256(NAME, T, BYTES, D, MINS) \
KERNEL(NAME) DOT_ARGS { \
    do { \
        const uint8_t *p = w; const int8_t *x = (const int8_t *)a->w; const float *xd = a->d, *xs = a->s; \
        float32x4_t acc = vdupq_n_f32(0), low = acc; \
        int64_t i = nb; \
        do { \
            float32x4_t f = vdupq_n_f32(0), m[2]; \
            floats8 c = floats(vget_low_s8(T##_scales(p))); \
            SUMS32(T, 0) SUMS32(T, 4) \
            acc = vfmaq_n_f32(acc, f, half(p + D)); \
            if (MINS) { \
                k4_mins(m, p); \
                low = vfmaq_f32(vfmaq_f32(low, m[0], vld1q_f32(xs)), m[1], vld1q_f32(xs + 4)); \
            } \
            p += BYTES; xd += 8; xs += 8; \
        } while (--i > 0); \
        *y++ = vaddvq_f32(vaddq_f32(acc, low)); w += stride; \
    } while (--rows > 0); \
}
DOT256(dotQ4KSDOT, q4_k, 144, 0, 1)
DOT256(dotQ5KSDOT, q5_k, 176, 0, 1)
DOT256(dotIQ4XSSDOT, iq4_xs, 136, 0, 0)

// Sub-blocks of 16: dot2 is dot of each half.
typedef struct { int32x4_t a, b; } ints2;
INLINE ints2 dot2(bytes32 w, const int8_t *x) {
    int32x4_t a = vshlq_n_s32(vdotq_s32(vdupq_n_s32(0), w.lo, vld1q_s8(x)), 7);
    int32x4_t b = vshlq_n_s32(vdotq_s32(vdupq_n_s32(0), w.hi, vld1q_s8(x + 16)), 7);
    return (ints2){vdotq_s32(a, w.lo, vld1q_s8(x + 32)), vdotq_s32(b, w.hi, vld1q_s8(x + 48))};
}
// Adds the products of 64 values to f.
#define SUMS16(T, J) { \
    ints2 s = dot2(T(p, J), x), t = dot2(T(p, J + 1), x + 64); \
    float32x2_t d = vld1_f32(xd + J); \
    f = vfmaq_f32(f, vcvtq_f32_s32(sum4(s.a, s.b, t.a, t.b)), vmulq_f32(J % 4 ? c[J / 4].hi : c[J / 4].lo, vcombine_f32(vdup_lane_f32(d, 0), vdup_lane_f32(d, 1)))); \
    x += 128; PINV(f); PIN(x); }

#define DOT256_16(NAME, T, BYTES, D, MINS) \
KERNEL(NAME) DOT_ARGS { \
    do { \
        const uint8_t *p = w; const int8_t *x = (const int8_t *)a->w; const float *xd = a->d, *xh = a->h; \
        float32x4_t acc = vdupq_n_f32(0), low = acc; \
        int64_t i = nb; \
        do { \
            float32x4_t f = vdupq_n_f32(0), m[2]; \
            int8x16_t b = T##_scales(p); \
            floats8 c[2] = {floats(vget_low_s8(b)), floats(vget_high_s8(b))}; \
            SUMS16(T, 0) SUMS16(T, 2) SUMS16(T, 4) SUMS16(T, 6) \
            acc = vfmaq_n_f32(acc, f, half(p + D)); \
            if (MINS) { \
UNROLL          for (int j = 0; j < 2; j++) { \
                    q2_k_mins(m, p, j); \
                    low = vfmaq_f32(vfmaq_f32(low, m[0], vld1q_f32(xh + 8 * j)), m[1], vld1q_f32(xh + 8 * j + 4)); \
                } \
            } \
            p += BYTES; xd += 8; xh += 16; \
        } while (--i > 0); \
        *y++ = vaddvq_f32(vaddq_f32(acc, low)); w += stride; \
    } while (--rows > 0); \
}
DOT256_16(dotQ2KSDOT, q2_k, 84, 80, 1)
DOT256_16(dotQ3KSDOT, q3_k, 110, 108, 0)
DOT256_16(dotQ6KSDOT, q6_k, 210, 208, 0)

// ---- rows of weights for panels: quants as bytes

INLINE void store(int16_t *q, bytes32 b) { vst1q_s8((int8_t *)q, b.lo); vst1q_s8((int8_t *)q + 16, b.hi); }

#define BYTES32(NAME, T, BYTES, D, M, HASMIN) \
KERNEL(NAME) QUANTS_ARGS { \
    do { \
        store(q, T(w)); \
        *d++ = D(w); \
        if (HASMIN) *m++ = M(w); \
        w += BYTES; q += 16; \
    } while (--nb > 0); \
}
BYTES32(bytesQ4_0NEON, q4_0, 18, half, half, 0)
BYTES32(bytesQ4_1NEON, q4_1, 20, half, second_half, 1)
BYTES32(bytesQ5_0NEON, q5_0, 22, half, half, 0)
BYTES32(bytesQ5_1NEON, q5_1, 24, half, second_half, 1)
BYTES32(bytesQ8_0NEON, q8_0, 34, half, half, 0)
BYTES32(bytesIQ4NLNEON, iq4_nl, 18, half, half, 0)
BYTES32(bytesMXFP4NEON, mxfp4, 17, e8m0, half, 0)

// A block's scale is multiplied into its sub-blocks'.
#define BYTES256(NAME, T, PER, BYTES, D, MINS) \
KERNEL(NAME) QUANTS_ARGS { \
    do { \
        int8x16_t s = T##_scales(w); \
        float32x4_t t[2]; \
UNROLL  for (int i = 0; i < 32 / PER; i++) { \
            floats8 f = floats(i ? vget_high_s8(s) : vget_low_s8(s)); \
            vst1q_f32(d, vmulq_n_f32(f.lo, half(w + D))); vst1q_f32(d + 4, vmulq_n_f32(f.hi, half(w + D))); \
            d += 8; \
        } \
UNROLL  for (int j = 0; j < 8; j++) { store(q, T(w, j)); q += 16; PIN(q); } \
        if (MINS == 1) { k4_mins(t, w); vst1q_f32(m, t[0]); vst1q_f32(m + 4, t[1]); m += 8; } \
        if (MINS == 2) { \
UNROLL      for (int j = 0; j < 2; j++) { q2_k_mins(t, w, j); vst1q_f32(m, t[0]); vst1q_f32(m + 4, t[1]); m += 8; } \
        } \
        w += BYTES; \
    } while (--nb > 0); \
}
BYTES256(bytesQ2KNEON, q2_k, 16, 84, 80, 2)
BYTES256(bytesQ3KNEON, q3_k, 16, 110, 108, 0)
BYTES256(bytesQ4KNEON, q4_k, 32, 144, 0, 1)
BYTES256(bytesQ5KNEON, q5_k, 32, 176, 0, 1)
BYTES256(bytesQ6KNEON, q6_k, 16, 210, 208, 0)
BYTES256(bytesIQ4XSNEON, iq4_xs, 32, 136, 0, 0)

// ---- activations

// splitNEON writes nb blocks of 32 activations as act_t.w has them.
KERNEL(splitNEON)(uint8_t *w, const int16_t *q, const float *d, int64_t nb) {
    (void)d;
    do {
        split16 a = split(q), b = split(q + 16);
        int8_t *to = (int8_t *)w;
        vst1q_s8(to, a.h); vst1q_s8(to + 16, b.h); vst1q_s8(to + 32, a.l); vst1q_s8(to + 48, b.l);
        w += 64; q += 32;
    } while (--nb > 0);
}

// packSDOT makes a panel of COLUMNS rows of n activations, a multiple of 16, which begin ld apart.
KERNEL(packSDOT)(int16_t *dst, const int16_t *q, int64_t ld, int64_t n) {
    int64_t columns = COLUMNS;
    do {
        uint8_t *to = (uint8_t *)dst; const int16_t *from = q; int64_t i = n;
        do {
            const int16_t *p = from;
            split16 r[4];
UNROLL      for (int c = 0; c < 4; c++) { r[c] = split(p); p += ld; PIN(p); }
            int8x16_t h[4] = {r[0].h, r[1].h, r[2].h, r[3].h}, l[4] = {r[0].l, r[1].l, r[2].l, r[3].l};
            transpose4(h); transpose4(l);
UNROLL      for (int k = 0; k < 4; k++) {
                vst1q_s8((int8_t *)to, h[k]); vst1q_s8((int8_t *)to + 4 * COLUMNS, l[k]);
                to += 8 * COLUMNS; PIN(to);
            }
            from += 16;
        } while ((i -= 16) > 0);
        dst += 8; q += 4 * ld;
    } while ((columns -= 4) > 0);
}

// ---- matrix products

GEMM(gemmSDOT, 1, 0)
GEMM(gemmMinSDOT, 1, 1)
GEMM(gemm16SDOT, 2, 0)
GEMM(gemm16Min2SDOT, 2, 2)
