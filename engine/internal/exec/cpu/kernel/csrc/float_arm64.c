// c2s:flags -march=armv8-a
#include "neon.h"

// ---- products of rows of floats with one row x of n ≥ 1 floats: see float_amd64.c

INLINE float32x4_t f32_4(const uint8_t *p) { return vld1q_f32((const float *)p); }
INLINE float32x4_t f16_4(const uint8_t *p) { return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p))); }
INLINE float32x4_t bf16_4(const uint8_t *p) { return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(p)), 16)); }
INLINE float f32_1(const uint8_t *p) { return *(const float *)p; }
INLINE float f16_1(const uint8_t *p) { return half(p); }
INLINE float bf16_1(const uint8_t *p) { union { uint32_t u; float f; } v = {(uint32_t)*(const uint16_t *)p << 16}; return v.f; }

// Of R rows at a time, 4·V values at a time. A multiply-add takes four cycles: so that one
// can begin in each, V·R sums are made side by side.
#define DOT(NAME, R, V, T, SIZE) \
KERNEL(NAME)(float *y, const uint8_t *w, int64_t stride, int64_t rows, int64_t n, const float *x) { \
    do { \
        float32x4_t s[R][V]; \
UNROLL  for (int r = 0; r < R; r++) \
UNROLL      for (int k = 0; k < V; k++) s[r][k] = vdupq_n_f32(0); \
        int64_t i = n; \
        const float *v = x; const uint8_t *q = w; \
        for (; i >= 4 * V; i -= 4 * V) { \
            float32x4_t a[V]; \
UNROLL      for (int k = 0; k < V; k++) a[k] = vld1q_f32(v + 4 * k); \
            const uint8_t *p = q; \
UNROLL      for (int r = 0; r < R; r++) { \
UNROLL          for (int k = 0; k < V; k++) s[r][k] = vfmaq_f32(s[r][k], T##_4(p + 4 * k * SIZE), a[k]); \
                p += stride; PIN(p); \
            } \
            v += 4 * V; q += 4 * V * SIZE; \
        } \
        for (; i >= 4; i -= 4) { \
            float32x4_t a = vld1q_f32(v); \
            const uint8_t *p = q; \
UNROLL      for (int r = 0; r < R; r++) { s[r][0] = vfmaq_f32(s[r][0], T##_4(p), a); p += stride; PIN(p); } \
            v += 4; q += 4 * SIZE; \
        } \
        float sum[R]; \
UNROLL  for (int r = 0; r < R; r++) { \
UNROLL      for (int k = 1; k < V; k++) s[r][0] = vaddq_f32(s[r][0], s[r][k]); \
            sum[r] = vaddvq_f32(s[r][0]); \
        } \
        for (; i > 0; i--) { \
            const uint8_t *p = q; \
UNROLL      for (int r = 0; r < R; r++) { sum[r] += T##_1(p) * *v; p += stride; PIN(p); } \
            v++; q += SIZE; \
        } \
UNROLL  for (int r = 0; r < R; r++) { *y++ = sum[r]; w += stride; } \
        PIN(w); \
    } while ((rows -= R) > 0); \
}
DOT(dotF32NEON, 1, 4, f32, 4)
DOT(dotF16NEON, 1, 4, f16, 2)
DOT(dotBF16NEON, 1, 4, bf16, 2)
DOT(dot4F32NEON, 4, 2, f32, 4)
DOT(dot4F16NEON, 4, 2, f16, 2)
DOT(dot4BF16NEON, 4, 2, bf16, 2)

// Columns i and up of all rows, 4·V of them at a time while there are as many.
#define SUM_COLUMNS(V, T, SIZE) \
    for (; i + 4 * V <= n; i += 4 * V) { \
        float32x4_t a[V]; \
UNROLL  for (int k = 0; k < V; k++) a[k] = vld1q_f32(y + i + 4 * k); \
        const uint8_t *p = w + SIZE * i; \
        for (int64_t r = 0; r < rows; r++) { \
UNROLL      for (int k = 0; k < V; k++) a[k] = vfmaq_n_f32(a[k], T##_4(p + 4 * k * SIZE), f[r]); \
            p += stride; \
        } \
UNROLL  for (int k = 0; k < V; k++) vst1q_f32(y + i + 4 * k, a[k]); \
    }
#define SUM(NAME, T, SIZE) \
KERNEL(NAME)(float *y, const uint8_t *w, int64_t stride, int64_t rows, int64_t n, const float *f) { \
    int64_t i = 0; \
    SUM_COLUMNS(16, T, SIZE) SUM_COLUMNS(4, T, SIZE) SUM_COLUMNS(1, T, SIZE) \
    for (; i < n; i++) { \
        const uint8_t *p = w + SIZE * i; float a = y[i]; \
        for (int64_t r = 0; r < rows; r++) { a += f[r] * T##_1(p); p += stride; } \
        y[i] = a; \
    } \
}
SUM(sumF32NEON, f32, 4)
SUM(sumF16NEON, f16, 2)

INLINE floats8 i8_8(const uint8_t *p) { return floats(vreinterpret_s8_u8(vld1_u8(p))); }
KERNEL(dotFloatQ8_0NEON)(float *y, const uint8_t *w, int64_t stride, int64_t rows, int64_t n, const float *x) {
    do {
        const uint8_t *p = w; const float *v = x;
        float32x4_t a = vdupq_n_f32(0), b = a;
        int64_t i = n;
        do {
            floats8 q = i8_8(p + 2);
            float32x4_t s = vmulq_f32(q.lo, vld1q_f32(v)), t = vmulq_f32(q.hi, vld1q_f32(v + 4));
UNROLL      for (int k = 8; k < 32; k += 8) { q = i8_8(p + 2 + k); s = vfmaq_f32(s, q.lo, vld1q_f32(v + k)); t = vfmaq_f32(t, q.hi, vld1q_f32(v + k + 4)); }
            float d = half(p);
            a = vfmaq_n_f32(a, s, d); b = vfmaq_n_f32(b, t, d);
            p += 34; v += 32;
        } while ((i -= 32) > 0);
        *y++ = vaddvq_f32(vaddq_f32(a, b)); w += stride;
    } while (--rows > 0);
}
KERNEL(sumQ8_0NEON)(float *y, const uint8_t *w, int64_t stride, int64_t rows, int64_t n, const float *f) {
    do {
        float32x4_t a[8];
UNROLL  for (int k = 0; k < 8; k++) a[k] = vld1q_f32(y + 4 * k);
        const uint8_t *p = w;
        for (int64_t r = 0; r < rows; r++) {
            float v = f[r] * half(p);
UNROLL      for (int k = 0; k < 4; k++) {
                floats8 q = i8_8(p + 2 + 8 * k);
                a[2 * k] = vfmaq_n_f32(a[2 * k], q.lo, v); a[2 * k + 1] = vfmaq_n_f32(a[2 * k + 1], q.hi, v);
            }
            p += stride;
        }
UNROLL  for (int k = 0; k < 8; k++) vst1q_f32(y + 4 * k, a[k]);
        y += 32; w += 34;
    } while ((n -= 32) > 0);
}

KERNEL(widenF16NEON)(float *y, const uint8_t *w, int64_t n) {
    for (; n >= 4; n -= 4) { vst1q_f32(y, f16_4(w)); y += 4; w += 8; }
    for (; n > 0; n--) { *y++ = half(w); w += 2; }
}
KERNEL(widenBF16NEON)(float *y, const uint8_t *w, int64_t n) {
    for (; n >= 4; n -= 4) { vst1q_f32(y, bf16_4(w)); y += 4; w += 8; }
    for (; n > 0; n--) { *y++ = bf16_1(w); w += 2; }
}
KERNEL(narrowF16NEON)(uint8_t *y, const float *x, int64_t n) {
    for (; n >= 4; n -= 4) { vst1_u16((uint16_t *)y, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(x)))); y += 8; x += 4; }
    for (; n > 0; n--) { *(__fp16 *)y = (__fp16)*x++; y += 2; }
}
KERNEL(narrowQ8_0NEON)(uint8_t *y, const float *x, int64_t n) {
    do {
        float32x4_t v[8], top = vdupq_n_f32(0), s = top;
UNROLL  for (int i = 0; i < 8; i++) { v[i] = vld1q_f32(x + 4 * i); top = vmaxnmq_f32(top, vabsq_f32(v[i])); s = vaddq_f32(s, v[i]); }
        float d = vmaxnmvq_f32(top) / 127, sum = vaddvq_f32(s);
        float f = d >= 0x1p-126f ? 1 / d : 0;
        int16x4_t q[8];
UNROLL  for (int i = 0; i < 8; i++) q[i] = vqmovn_s32(vcvtaq_s32_f32(vmulq_n_f32(v[i], f))); // ties go away from zero
        *(__fp16 *)y = (__fp16)(sum == sum ? d : sum);
UNROLL  for (int i = 0; i < 4; i++) vst1_s8((int8_t *)y + 2 + 8 * i, vqmovn_s16(vcombine_s16(q[2 * i], q[2 * i + 1])));
        y += 34; x += 32;
    } while ((n -= 32) > 0);
}

// ---- rounding activations

KERNEL(quantizeNEON)(int16_t *q, float *d, float *s, float *h, const float *x, int64_t nb) {
    do {
        float32x4_t v[8], top = vdupq_n_f32(0), a = top, b = top;
UNROLL  for (int i = 0; i < 8; i++) {
            v[i] = vld1q_f32(x + 4 * i);
            top = vmaxq_f32(top, vabsq_f32(v[i]));
            if (i < 4) a = vaddq_f32(a, v[i]); else b = vaddq_f32(b, v[i]);
        }
        float largest = vmaxvq_f32(top), sa = vaddvq_f32(a), sb = vaddvq_f32(b);
        // A block that is all zeros, or so small that the factor would be infinite, is 0.
        float f = largest > 1e-34f ? 16383.0f / largest : 0.0f;
UNROLL  for (int i = 0; i < 8; i += 2) {
            int16x4_t lo = vqmovn_s32(vcvtnq_s32_f32(vmulq_n_f32(v[i], f)));
            vst1q_s16(q + 4 * i, vqmovn_high_s32(lo, vcvtnq_s32_f32(vmulq_n_f32(v[i + 1], f))));
        }
        *d++ = largest * (1 / 16383.0f); // not a number if one of x is not
        *s++ = sa + sb; h[0] = sa; h[1] = sb; h += 2;
        q += 32; x += 32;
    } while (--nb > 0);
}

// ---- functions

// e^x to a few units in the last place; 0 below -87.
INLINE float32x4_t exp4(float32x4_t x) {
    uint32x4_t low = vcltq_f32(x, vdupq_n_f32(-87.0f));
    float32x4_t c = vminq_f32(vdupq_n_f32(88.0f), x);
    float32x4_t n = vrndnq_f32(vmulq_n_f32(c, 1.44269504f));
    float32x4_t r = vfmsq_n_f32(c, n, 0.693359375f);
    r = vfmsq_n_f32(r, n, -2.12194440e-4f);
    float32x4_t p = vdupq_n_f32(1.9875691500e-4f);
    p = vfmaq_f32(vdupq_n_f32(1.3981999507e-3f), p, r);
    p = vfmaq_f32(vdupq_n_f32(8.3334519073e-3f), p, r);
    p = vfmaq_f32(vdupq_n_f32(4.1665795894e-2f), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.6666665459e-1f), p, r);
    p = vfmaq_f32(vdupq_n_f32(5.0000001201e-1f), p, r);
    p = vfmaq_f32(vaddq_f32(r, vdupq_n_f32(1.0f)), vmulq_f32(p, r), r);
    int32x4_t e = vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23);
    p = vmulq_f32(p, vreinterpretq_f32_s32(e));
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(p), low));
}
KERNEL(expNEON)(float *x, float top, float *sum, int64_t n) {
    float32x4_t t = vdupq_n_f32(top), s = vdupq_n_f32(0);
    do {
        float32x4_t v = exp4(vsubq_f32(vld1q_f32(x), t));
        vst1q_f32(x, v);
        s = vaddq_f32(s, v);
        x += 4;
    } while ((n -= 4) > 0);
    *sum += vaddvq_f32(s);
}
KERNEL(siluNEON)(float *y, const float *x, const float *u, int64_t n) {
    do {
        float32x4_t v = vld1q_f32(x);
        v = vdivq_f32(v, vaddq_f32(vdupq_n_f32(1), exp4(vnegq_f32(v))));
        vst1q_f32(y, vmulq_f32(v, vld1q_f32(u)));
        y += 4; x += 4; u += 4;
    } while ((n -= 4) > 0);
}
KERNEL(geluNEON)(float *y, const float *x, const float *u, int64_t n) {
    do {
        float32x4_t v = vld1q_f32(x), c = vfmaq_n_f32(vdupq_n_f32(-1.5957691216f), vmulq_f32(v, v), -0.0713548163f);
        v = vdivq_f32(v, vaddq_f32(vdupq_n_f32(1), exp4(vmulq_f32(v, c))));
        vst1q_f32(y, vmulq_f32(v, vld1q_f32(u)));
        y += 4; x += 4; u += 4;
    } while ((n -= 4) > 0);
}
KERNEL(sumSquaresNEON)(float *sum, const float *x, int64_t n) {
    float32x4_t s = vdupq_n_f32(0), t = s;
    for (; n >= 8; n -= 8) { float32x4_t a = vld1q_f32(x), b = vld1q_f32(x + 4); s = vfmaq_f32(s, a, a); t = vfmaq_f32(t, b, b); x += 8; }
    float r = vaddvq_f32(vaddq_f32(s, t));
    for (; n > 0; n--) { r += *x * *x; x++; }
    *sum = r;
}
KERNEL(scaleMulNEON)(float *y, const float *x, const float *w, int64_t n, const float *factor) {
    float f = *factor;
    for (; n >= 4; n -= 4) { vst1q_f32(y, vmulq_f32(vmulq_n_f32(vld1q_f32(x), f), vld1q_f32(w))); y += 4; x += 4; w += 4; }
    for (; n > 0; n--) *y++ = *x++ * f * *w++;
}
KERNEL(addNEON)(float *y, const float *a, const float *b, int64_t n) {
    for (; n >= 4; n -= 4) { vst1q_f32(y, vaddq_f32(vld1q_f32(a), vld1q_f32(b))); y += 4; a += 4; b += 4; }
    for (; n > 0; n--) *y++ = *a++ + *b++;
}
