// c2s:flags -mavx2 -mfma -mf16c -mbmi -mbmi2
#include "x86.h"

// ---- products of rows of floats with one row x of n ≥ 1 floats

INLINE __m256 f32_8(const uint8_t *p) { return _mm256_loadu_ps((const float *)p); }
INLINE __m256 f16_8(const uint8_t *p) { return _mm256_cvtph_ps(ld128(p)); }
INLINE __m256 bf16_8(const uint8_t *p) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(ld128(p)), 16)); }
INLINE float f32_1(const uint8_t *p) { return *(const float *)p; }
INLINE float f16_1(const uint8_t *p) { return half(p); }
INLINE float bf16_1(const uint8_t *p) { union { uint32_t u; float f; } v = {(uint32_t)*(const uint16_t *)p << 16}; return v.f; }

// R rows at a time, of which rows is a multiple: a row of activations takes as
// much cache traffic as the weights.
#define DOT(NAME, R, T, SIZE) \
KERNEL(NAME)(float *y, const uint8_t *w, int64_t stride, int64_t rows, int64_t n, const float *x) { \
    do { \
        __m256 s[R]; \
UNROLL  for (int r = 0; r < R; r++) s[r] = _mm256_setzero_ps(); \
        int64_t i = n; \
        const float *v = x; const uint8_t *q = w; \
        for (; i >= 8; i -= 8) { \
            __m256 a = _mm256_loadu_ps(v); \
            const uint8_t *p = q; \
UNROLL      for (int r = 0; r < R; r++) { s[r] = _mm256_fmadd_ps(T##_8(p), a, s[r]); p += stride; PIN(p); } \
            v += 8; q += 8 * SIZE; \
        } \
        float t[R]; \
UNROLL  for (int r = 0; r < R; r++) { t[r] = sum8(s[r]); __asm__ volatile("" : "+x"(t[r])); } \
        for (; i > 0; i--) { \
            const uint8_t *p = q; \
UNROLL      for (int r = 0; r < R; r++) { t[r] += T##_1(p) * *v; p += stride; PIN(p); } \
            v++; q += SIZE; \
        } \
UNROLL  for (int r = 0; r < R; r++) { *y++ = t[r]; w += stride; } \
        PIN(w); \
    } while ((rows -= R) > 0); \
}
// One row at a time, for short rows: their memory is read from end to end.
#define DOT1(NAME, T, SIZE) \
KERNEL(NAME)(float *y, const uint8_t *w, int64_t stride, int64_t rows, int64_t n, const float *x) { \
    do { \
        __m256 s[4]; \
UNROLL  for (int k = 0; k < 4; k++) s[k] = _mm256_setzero_ps(); \
        int64_t i = n; \
        const float *v = x; const uint8_t *p = w; \
        for (; i >= 32; i -= 32) { \
UNROLL      for (int k = 0; k < 4; k++) s[k] = _mm256_fmadd_ps(T##_8(p + 8 * k * SIZE), _mm256_loadu_ps(v + 8 * k), s[k]); \
            v += 32; p += 32 * SIZE; \
        } \
        for (; i >= 8; i -= 8) { s[0] = _mm256_fmadd_ps(T##_8(p), _mm256_loadu_ps(v), s[0]); v += 8; p += 8 * SIZE; } \
        float t = sum8(_mm256_add_ps(_mm256_add_ps(s[0], s[1]), _mm256_add_ps(s[2], s[3]))); \
        for (; i > 0; i--) { t += T##_1(p) * *v++; p += SIZE; } \
        *y++ = t; w += stride; \
    } while (--rows > 0); \
}
DOT1(dotF32AVX2, f32, 4)
DOT1(dotF16AVX2, f16, 2)
DOT1(dotBF16AVX2, bf16, 2)
DOT(dot4F32AVX2, 4, f32, 4)
DOT(dot4F16AVX2, 4, f16, 2)
DOT(dot4BF16AVX2, 4, bf16, 2)

// y += Σ f[r]·row r, over n values: the values of attention.
#define SUM(NAME, T, SIZE) \
KERNEL(NAME)(float *y, const uint8_t *w, int64_t stride, int64_t rows, int64_t n, const float *f) { \
    int64_t i = 0; \
    for (; i + 16 <= n; i += 16) { \
        __m256 a = _mm256_loadu_ps(y + i), b = _mm256_loadu_ps(y + i + 8); \
        const uint8_t *p = w + SIZE * i; \
        for (int64_t r = 0; r < rows; r++) { \
            __m256 v = _mm256_set1_ps(f[r]); \
            a = _mm256_fmadd_ps(T##_8(p), v, a); b = _mm256_fmadd_ps(T##_8(p + 8 * SIZE), v, b); \
            p += stride; \
        } \
        _mm256_storeu_ps(y + i, a); _mm256_storeu_ps(y + i + 8, b); \
    } \
    for (; i < n; i++) { \
        const uint8_t *p = w + SIZE * i; float a = y[i]; \
        for (int64_t r = 0; r < rows; r++) { a += f[r] * T##_1(p); p += stride; } \
        y[i] = a; \
    } \
}
SUM(sumF32AVX2, f32, 4)
SUM(sumF16AVX2, f16, 2)

// The same over rows of Q8_0, a multiple of 32 values: an int8 is turned into a float
// as quickly as a half is.
INLINE __m256 i8_8(const uint8_t *p) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p))); }
KERNEL(dotFloatQ8_0AVX2)(float *y, const uint8_t *w, int64_t stride, int64_t rows, int64_t n, const float *x) {
    do {
        const uint8_t *p = w; const float *v = x;
        __m256 a = _mm256_setzero_ps(), b = a;
        int64_t i = n;
        do {
            __m256 d = _mm256_set1_ps(half(p));
            __m256 s = _mm256_mul_ps(i8_8(p + 2), _mm256_loadu_ps(v)), t = _mm256_mul_ps(i8_8(p + 10), _mm256_loadu_ps(v + 8));
            s = _mm256_fmadd_ps(i8_8(p + 18), _mm256_loadu_ps(v + 16), s); t = _mm256_fmadd_ps(i8_8(p + 26), _mm256_loadu_ps(v + 24), t);
            a = _mm256_fmadd_ps(s, d, a); b = _mm256_fmadd_ps(t, d, b);
            p += 34; v += 32;
        } while ((i -= 32) > 0);
        *y++ = sum8(_mm256_add_ps(a, b)); w += stride;
    } while (--rows > 0);
}
KERNEL(sumQ8_0AVX2)(float *y, const uint8_t *w, int64_t stride, int64_t rows, int64_t n, const float *f) {
    do {
        __m256 a[4];
UNROLL  for (int k = 0; k < 4; k++) a[k] = _mm256_loadu_ps(y + 8 * k);
        const uint8_t *p = w;
        for (int64_t r = 0; r < rows; r++) {
            __m256 v = _mm256_set1_ps(f[r] * half(p));
UNROLL      for (int k = 0; k < 4; k++) a[k] = _mm256_fmadd_ps(i8_8(p + 2 + 8 * k), v, a[k]);
            p += stride;
        }
UNROLL  for (int k = 0; k < 4; k++) _mm256_storeu_ps(y + 8 * k, a[k]);
        y += 32; w += 34;
    } while ((n -= 32) > 0);
}

// widenF16AVX2 converts n halves to floats.
KERNEL(widenF16AVX2)(float *y, const uint8_t *w, int64_t n) {
    for (; n >= 8; n -= 8) { _mm256_storeu_ps(y, f16_8(w)); y += 8; w += 16; }
    for (; n > 0; n--) { *y++ = half(w); w += 2; }
}
// widenBF16AVX2 converts n bfloat16 numbers to floats.
KERNEL(widenBF16AVX2)(float *y, const uint8_t *w, int64_t n) {
    for (; n >= 8; n -= 8) { _mm256_storeu_ps(y, bf16_8(w)); y += 8; w += 16; }
    for (; n > 0; n--) { *y++ = bf16_1(w); w += 2; }
}
// narrowF16AVX2 rounds n floats to halves, ties to even.
KERNEL(narrowF16AVX2)(uint8_t *y, const float *x, int64_t n) {
    for (; n >= 8; n -= 8) { _mm_storeu_si128((__m128i *)y, _mm256_cvtps_ph(_mm256_loadu_ps(x), 0)); y += 16; x += 8; }
    for (; n > 0; n--) { *(uint16_t *)y = _cvtss_sh(*x++, 0); y += 2; }
}
// narrowQ8_0AVX2 rounds n floats, a multiple of 32, to Q8_0: the bytes that package
// quant writes. Where a value is not a number the scale is none.
KERNEL(narrowQ8_0AVX2)(uint8_t *y, const float *x, int64_t n) {
    const __m256 sign = _mm256_set1_ps(-0.0f), half1 = _mm256_set1_ps(0.5f);
    do {
        __m256 v[4], top;
UNROLL  for (int i = 0; i < 4; i++) v[i] = _mm256_loadu_ps(x + 8 * i);
        top = _mm256_max_ps(_mm256_max_ps(_mm256_andnot_ps(sign, v[0]), _mm256_andnot_ps(sign, v[1])),
                            _mm256_max_ps(_mm256_andnot_ps(sign, v[2]), _mm256_andnot_ps(sign, v[3])));
        float sum = sum8(_mm256_add_ps(_mm256_add_ps(v[0], v[1]), _mm256_add_ps(v[2], v[3])));
        __m128 t = _mm_max_ps(_mm256_castps256_ps128(top), _mm256_extractf128_ps(top, 1));
        t = _mm_max_ps(t, _mm_movehl_ps(t, t)); t = _mm_max_ss(t, _mm_movehdup_ps(t));
        float d = _mm_cvtss_f32(t) / 127;
        __m256 f = _mm256_set1_ps(d >= 0x1p-126f ? 1 / d : 0);
        __m256i q[4];
UNROLL  for (int i = 0; i < 4; i++) { // ties go away from zero
            __m256 u = _mm256_mul_ps(v[i], f);
            q[i] = _mm256_cvttps_epi32(_mm256_add_ps(u, _mm256_or_ps(_mm256_and_ps(u, sign), half1)));
        }
        __m256i b = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
        *(uint16_t *)y = _cvtss_sh(sum == sum ? d : sum, 0);
        _mm256_storeu_si256((__m256i *)(y + 2), _mm256_permutevar8x32_epi32(b, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
        y += 34; x += 32;
    } while ((n -= 32) > 0);
}

// ---- rounding activations

// quantizeAVX2 rounds nb blocks of 32 floats: see act_t.
KERNEL(quantizeAVX2)(int16_t *q, float *d, float *s, float *h, const float *x, int64_t nb) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    do {
        __m256 v[4], top;
UNROLL  for (int i = 0; i < 4; i++) v[i] = _mm256_loadu_ps(x + 8 * i);
        top = _mm256_max_ps(_mm256_max_ps(_mm256_andnot_ps(sign, v[0]), _mm256_andnot_ps(sign, v[1])),
                            _mm256_max_ps(_mm256_andnot_ps(sign, v[2]), _mm256_andnot_ps(sign, v[3])));
        float a = sum8(_mm256_add_ps(v[0], v[1])), b = sum8(_mm256_add_ps(v[2], v[3]));
        __m128 t = _mm_max_ps(_mm256_castps256_ps128(top), _mm256_extractf128_ps(top, 1));
        t = _mm_max_ps(t, _mm_movehl_ps(t, t)); t = _mm_max_ss(t, _mm_movehdup_ps(t));
        float largest = _mm_cvtss_f32(t);
        // A block that is all zeros, or so small that the factor would be infinite, is 0.
        __m256 f = _mm256_set1_ps(largest > 1e-34f ? 16383.0f / largest : 0.0f);
        __m256i w0 = _mm256_packs_epi32(_mm256_cvtps_epi32(_mm256_mul_ps(v[0], f)), _mm256_cvtps_epi32(_mm256_mul_ps(v[1], f)));
        __m256i w1 = _mm256_packs_epi32(_mm256_cvtps_epi32(_mm256_mul_ps(v[2], f)), _mm256_cvtps_epi32(_mm256_mul_ps(v[3], f)));
        _mm256_storeu_si256((__m256i *)q, _mm256_permute4x64_epi64(w0, 0xD8));
        _mm256_storeu_si256((__m256i *)(q + 16), _mm256_permute4x64_epi64(w1, 0xD8));
        // Not a number stays one: a + b has it.
        *d++ = (a + b == a + b) ? largest * (1 / 16383.0f) : a + b;
        *s++ = a + b; h[0] = a; h[1] = b; h += 2;
        q += 32; x += 32;
    } while (--nb > 0);
}

// ---- functions

// e^x to a few units in the last place; 0 below -87.
INLINE __m256 exp8(__m256 x) {
    __m256 low = _mm256_cmp_ps(x, _mm256_set1_ps(-87.0f), _CMP_LT_OQ);
    __m256 c = _mm256_min_ps(_mm256_set1_ps(88.0f), x); // the second is returned if one is not a number
    __m256 n = _mm256_round_ps(_mm256_mul_ps(c, _mm256_set1_ps(1.44269504f)), 8);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), c);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
    __m256 p = _mm256_set1_ps(1.9875691500e-4f);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.3981999507e-3f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(8.3334519073e-3f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(4.1665795894e-2f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.6666665459e-1f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(5.0000001201e-1f));
    p = _mm256_fmadd_ps(_mm256_mul_ps(p, r), r, _mm256_add_ps(r, _mm256_set1_ps(1.0f)));
    __m256i e = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_andnot_ps(low, _mm256_mul_ps(p, _mm256_castsi256_ps(e)));
}

// expAVX2 replaces x by e^(x-top), n a multiple of 8, and adds the sum of them to *sum.
KERNEL(expAVX2)(float *x, float top, float *sum, int64_t n) {
    __m256 t = _mm256_set1_ps(top), s = _mm256_setzero_ps();
    do {
        __m256 v = exp8(_mm256_sub_ps(_mm256_loadu_ps(x), t));
        _mm256_storeu_ps(x, v);
        s = _mm256_add_ps(s, v);
        x += 8;
    } while ((n -= 8) > 0);
    *sum += sum8(s);
}
// siluAVX2 writes x/(1+e^-x)·u, n a multiple of 8.
KERNEL(siluAVX2)(float *y, const float *x, const float *u, int64_t n) {
    const __m256 sign = _mm256_set1_ps(-0.0f), one = _mm256_set1_ps(1);
    do {
        __m256 v = _mm256_loadu_ps(x);
        v = _mm256_div_ps(v, _mm256_add_ps(one, exp8(_mm256_xor_ps(v, sign))));
        _mm256_storeu_ps(y, _mm256_mul_ps(v, _mm256_loadu_ps(u)));
        y += 8; x += 8; u += 8;
    } while ((n -= 8) > 0);
}
// geluAVX2 writes gelu(x)·u, n a multiple of 8: x·σ(2√(2/π)(x+0.044715x³)), which is
// the tanh approximation.
KERNEL(geluAVX2)(float *y, const float *x, const float *u, int64_t n) {
    const __m256 one = _mm256_set1_ps(1);
    do {
        __m256 v = _mm256_loadu_ps(x), c = _mm256_fmadd_ps(_mm256_mul_ps(v, v), _mm256_set1_ps(-0.0713548163f), _mm256_set1_ps(-1.5957691216f));
        v = _mm256_div_ps(v, _mm256_add_ps(one, exp8(_mm256_mul_ps(v, c))));
        _mm256_storeu_ps(y, _mm256_mul_ps(v, _mm256_loadu_ps(u)));
        y += 8; x += 8; u += 8;
    } while ((n -= 8) > 0);
}
// sumSquaresAVX2 stores Σx² of n values.
KERNEL(sumSquaresAVX2)(float *sum, const float *x, int64_t n) {
    __m256 s = _mm256_setzero_ps();
    for (; n >= 8; n -= 8) { __m256 v = _mm256_loadu_ps(x); s = _mm256_fmadd_ps(v, v, s); x += 8; }
    float t = sum8(s);
    for (; n > 0; n--) { t += *x * *x; x++; }
    *sum = t;
}
// scaleMulAVX2 writes x·f·w, n ≥ 0 values.
KERNEL(scaleMulAVX2)(float *y, const float *x, const float *w, int64_t n, const float *factor) {
    float f = *factor; __m256 v = _mm256_set1_ps(f);
    for (; n >= 8; n -= 8) { _mm256_storeu_ps(y, _mm256_mul_ps(_mm256_mul_ps(_mm256_loadu_ps(x), v), _mm256_loadu_ps(w))); y += 8; x += 8; w += 8; }
    for (; n > 0; n--) *y++ = *x++ * f * *w++;
}
// addAVX2 writes a+b, n ≥ 0 values.
KERNEL(addAVX2)(float *y, const float *a, const float *b, int64_t n) {
    for (; n >= 8; n -= 8) { _mm256_storeu_ps(y, _mm256_add_ps(_mm256_loadu_ps(a), _mm256_loadu_ps(b))); y += 8; a += 8; b += 8; }
    for (; n > 0; n--) *y++ = *a++ + *b++;
}
