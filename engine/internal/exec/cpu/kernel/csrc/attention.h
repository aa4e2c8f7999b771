// Attention of a panel of LANES query rows, one a lane, over a block of keys and
// their values. Everything is transposed: of queries, scores and sums, a row of
// LANES floats belongs to one dimension, key or dimension. So the largest score and
// the sums of a query stay in its lane, and keys and values are read as they lie,
// a float at a time for all lanes.
//
// Included with W floats in a register, NV registers in a panel, NC keys or
// dimensions at a time, and PINK, which keeps constants out of registers where those
// are few.
#pragma once
#include "kernel.h"

#define LANES (W * NV)
typedef float vec __attribute__((ext_vector_type(W)));
typedef int32_t ivec __attribute__((ext_vector_type(W)));
typedef vec vec_u __attribute__((aligned(4)));
typedef ivec ivec_u __attribute__((aligned(4)));

INLINE vec load(const float *p) { return *(const vec_u *)p; }
INLINE ivec loadi(const float *p) { return *(const ivec_u *)p; }
INLINE void store(float *p, vec v) { *(vec_u *)p = v; }
INLINE vec fma(vec a, vec b, vec c) { return __builtin_elementwise_fma(a, b, c); }
INLINE vec all(float f) { return (vec)f; }
INLINE ivec as_ints(vec v) { return (ivec)v; }
INLINE vec as_floats(ivec v) { return (vec)v; }

// e^x to a few units in the last place; 0 below -87. What is not a number stays so.
// 1.5·2^23 makes a sum's last bits the integer next to it.
#define EVERY(f) {[0 ... W - 1] = f}
static const float factors[][W] __attribute__((aligned(64))) = {
    EVERY(88.0f), EVERY(1.44269504f), EVERY(12582912.0f), EVERY(-0.693359375f), EVERY(2.12194440e-4f), EVERY(1.9875691500e-4f),
    EVERY(1.3981999507e-3f), EVERY(8.3334519073e-3f), EVERY(4.1665795894e-2f), EVERY(1.6666665459e-1f), EVERY(5.0000001201e-1f),
};
INLINE vec exponential(vec x) {
    const float *k = factors[0];
    PINK(k);
#define K(i) load(k + W * i)
    ivec low = x < -87.0f;
    vec c = (K(0) < x) ? K(0) : x, z = fma(c, K(1), K(2)), n = z - K(2);
    vec r = fma(n, K(4), fma(n, K(3), c));
    vec p = fma(fma(fma(fma(fma(K(5), r, K(6)), r, K(7)), r, K(8)), r, K(9)), r, K(10));
    p = fma(p * r, r, r + 1.0f);
    ivec e = (as_ints(z) << 23) + (127 << 23);
    return as_floats(~low & as_ints(p * as_floats(e)));
}

// s[key][lane] = Σ q[i][lane]·k[key][i], of n keys, a multiple of NC, whose width
// values lie stride floats apart.
#define SCORES(NAME) \
KERNEL(NAME)(float *s, const float *q, const float *k, int64_t n, int64_t width, int64_t stride) { \
    do { \
        vec a[NC][NV]; \
UNROLL  for (int c = 0; c < NC; c++) \
UNROLL      for (int v = 0; v < NV; v++) { a[c][v] = (vec)0.0f; PINV(a[c][v]); } \
        const float *x = q, *p = k; int64_t i = width; \
        do { \
            vec w[NV]; \
UNROLL      for (int v = 0; v < NV; v++) w[v] = load(x + W * v); \
UNROLL      for (int c = 0; c < NC; c++) { \
                vec b = all(p[c * stride]); \
UNROLL          for (int v = 0; v < NV; v++) { a[c][v] = fma(w[v], b, a[c][v]); PINV(a[c][v]); } \
            } \
            p++; x += LANES; PIN(x); \
        } while (--i > 0); \
UNROLL  for (int c = 0; c < NC; c++) \
UNROLL      for (int v = 0; v < NV; v++) store(s + LANES * c + W * v, a[c][v]); \
        s += NC * LANES; k += NC * stride; \
    } while ((n -= NC) > 0); \
}

// s becomes cap·tanh(s/cap), n rows of it.
#define CAP(NAME) \
KERNEL(NAME)(float *s, float cap, int64_t n) { \
    vec f = all(2 / cap), c = all(cap); \
    n *= NV; \
    do { \
        vec v = exponential(load(s) * f) + 1.0f; \
        store(s, c - (c + c) / v); \
        s += W; \
    } while (--n > 0); \
}

// What is kept of each lane: floats top, the largest score; sum, of e^(score-top);
// factor, what the last block made of earlier sums; slope, of ALiBi; then integers: the
// first and the last key seen.
#define TOP 0
#define SUM LANES
#define FACTOR (2 * LANES)
#define SLOPE (3 * LANES)
#define LOW (4 * LANES)
#define HIGH (5 * LANES)

// Biases the scores of n keys, from key first on, by slope·(key - last key), and
// makes them -∞ where a lane does not see the key.
#define MASK(NAME) \
KERNEL(NAME)(float *s, const float *lanes, int64_t n, int64_t first) { \
    int64_t left = NV; \
    do { \
        vec slope = load(lanes + SLOPE); \
        ivec low = loadi(lanes + LOW), high = loadi(lanes + HIGH), at = (ivec)(int32_t)first; \
        float *p = s; int64_t i = n; \
        do { \
            vec v = fma(slope, __builtin_convertvector(at - high, vec), load(p)); \
            store(p, ((low <= at) & (at <= high)) ? v : all(-__builtin_inff())); \
            at += 1; p += LANES; \
        } while (--i > 0); \
        s += W; lanes += W; \
    } while (--left > 0); \
}

// The scores of n keys become weights e^(score-top).
#define WEIGH(NAME) \
KERNEL(NAME)(float *s, float *lanes, int64_t n) { \
    int64_t left = NV; \
    do { \
        vec was = load(lanes + TOP), top = was; \
        const float *r = s; int64_t i = n; \
        do { vec v = load(r); top = (v > top) ? v : top; r += LANES; } while (--i > 0); \
        store(lanes + TOP, top); \
        vec sum = exponential(was - top); \
        store(lanes + FACTOR, sum); \
        sum *= load(lanes + SUM); PINV(sum); \
        float *p = s; i = n; \
        do { \
            vec v = exponential(load(p) - top); \
            store(p, v); sum += v; p += LANES; \
        } while (--i > 0); \
        store(lanes + SUM, sum); \
        s += W; lanes += W; \
    } while (--left > 0); \
}

// o[d][lane] = o·factor + Σ s[key][lane]·v[key][d], of n keys, over width dimensions, a
// multiple of NC; v's rows lie stride floats apart.
#define VALUES(NAME) \
KERNEL(NAME)(float *o, const float *factor, const float *s, const float *v, int64_t n, int64_t width, int64_t stride) { \
    do { \
        vec a[NC][NV]; \
UNROLL  for (int c = 0; c < NC; c++) \
UNROLL      for (int j = 0; j < NV; j++) { a[c][j] = load(o + LANES * c + W * j) * load(factor + W * j); PINV(a[c][j]); } \
        const float *x = s, *p = v; int64_t i = n; \
        do { \
            vec w[NV]; \
UNROLL      for (int j = 0; j < NV; j++) w[j] = load(x + W * j); \
UNROLL      for (int c = 0; c < NC; c++) { \
                vec b = all(p[c]); \
UNROLL          for (int j = 0; j < NV; j++) { a[c][j] = fma(w[j], b, a[c][j]); PINV(a[c][j]); } \
            } \
            p += stride; x += LANES; PIN(x); \
        } while (--i > 0); \
UNROLL  for (int c = 0; c < NC; c++) \
UNROLL      for (int j = 0; j < NV; j++) store(o + LANES * c + W * j, a[c][j]); \
        o += NC * LANES; v += NC; \
    } while ((width -= NC) > 0); \
}
