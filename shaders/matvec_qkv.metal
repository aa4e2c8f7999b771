// matvec_qkv, matvec_qkv_n: two or three projections of the same rows of activations in one launch: queries, keys and
// values. matvec_qkv takes one row, matvec_qkv_n 2 to 8.
//
//   out_m[j, o] = Σ x[j, c]·W_m[o, c] + bias_m[o],  m = 0, 1, 2      W_m [rows_m][width], x [columns][width]
//
// The work is matvec's or matvec_n's, and so is the tile. What is saved is launches: a launch and its barrier cost microseconds in
// which a whole k or v matrix (grouped queries make them small) could have been read, and small matrices alone do not fill
// the GPU. Simdgroups are numbered through all matrices, each taking T::rows (or 4) rows of one of them. Matrices 0 and 1 are
// of one type and 2 may be of another, as files of mixed types have their values in a better type than queries and keys.
// With norm_x the row is RMS-normalised by the way.
#include "common.h"
#include "columns.h"

constant bool third [[function_constant(5)]]; // there are three matrices
constant bool third_bias = has_bias && third;

struct MatVecQKVParams {
  uint width; // of x and of all rows
  uint rows0;
  uint rows1;
  uint rows2;
  float eps; // of the normalisation
};

template <class A, class B>
kernel void matvec_qkv(constant MatVecQKVParams &p [[buffer(0)]],
                       device const uchar *weights0 [[buffer(1)]],
                       device const uchar *weights1 [[buffer(2)]],
                       device const uchar *weights2 [[buffer(3), function_constant(third)]],
                       device const float *x [[buffer(4)]],
                       device float *out0 [[buffer(5)]],
                       device float *out1 [[buffer(6)]],
                       device float *out2 [[buffer(7), function_constant(third)]],
                       device const float *bias0 [[buffer(8), function_constant(has_bias)]],
                       device const float *bias1 [[buffer(9), function_constant(has_bias)]],
                       device const float *bias2 [[buffer(10), function_constant(third_bias)]],
                       device const float *norm [[buffer(11), function_constant(norm_x)]],
                       uint group [[threadgroup_position_in_grid]],
                       uint simdgroup [[simdgroup_index_in_threadgroup]],
                       uint simdgroups [[simdgroups_per_threadgroup]],
                       uint lane [[thread_index_in_simdgroup]]) {
  uint unit = group * simdgroups + simdgroup; // of T::rows rows
  const uint units0 = (p.rows0 + A::rows - 1) / A::rows, units1 = (p.rows1 + A::rows - 1) / A::rows;
  if (unit < units0 + units1) {
    const bool one = unit >= units0;
    project_rows<A>(one ? weights1 : weights0, 0, (one ? unit - units0 : unit) * A::rows, one ? p.rows1 : p.rows0, p.width, p.eps,
                    x, one ? out1 : out0, one ? bias1 : bias0, 1, bias0, norm, lane);
    return;
  }
  const uint first = (unit - units0 - units1) * B::rows;
  if (third && first < p.rows2)
    project_rows<B>(weights2, 0, first, p.rows2, p.width, p.eps, x, out2, bias2, 1, bias0, norm, lane);
}

template <class A, class B>
kernel void matvec_qkv_n(constant MatVecQKVParams &p [[buffer(0)]],
                         device const uchar *weights0 [[buffer(1)]],
                         device const uchar *weights1 [[buffer(2)]],
                         device const uchar *weights2 [[buffer(3), function_constant(third)]],
                         device const float *x [[buffer(4)]],
                         device float *out0 [[buffer(5)]],
                         device float *out1 [[buffer(6)]],
                         device float *out2 [[buffer(7), function_constant(third)]],
                         device const float *bias0 [[buffer(8), function_constant(has_bias)]],
                         device const float *bias1 [[buffer(9), function_constant(has_bias)]],
                         device const float *bias2 [[buffer(10), function_constant(third_bias)]],
                         device const float *norm [[buffer(11), function_constant(norm_x)]],
                         uint group [[threadgroup_position_in_grid]],
                         uint simdgroup [[simdgroup_index_in_threadgroup]],
                         uint simdgroups [[simdgroups_per_threadgroup]],
                         uint lane [[thread_index_in_simdgroup]]) {
  uint unit = group * simdgroups + simdgroup; // of COLUMN_ROWS rows
  const uint units0 = (p.rows0 + COLUMN_ROWS - 1) / COLUMN_ROWS, units1 = (p.rows1 + COLUMN_ROWS - 1) / COLUMN_ROWS;
  if (unit < units0 + units1) {
    const bool one = unit >= units0;
    project_columns<A>(one ? weights1 : weights0, (one ? unit - units0 : unit) * COLUMN_ROWS, one ? p.rows1 : p.rows0, p.width, p.eps,
                       x, one ? out1 : out0, one ? bias1 : bias0, 1, bias0, norm, lane);
    return;
  }
  const uint first = (unit - units0 - units1) * COLUMN_ROWS;
  if (third && first < p.rows2)
    project_columns<B>(weights2, first, p.rows2, p.width, p.eps, x, out2, bias2, 1, bias0, norm, lane);
}

#define INSTANTIATE(NAME, T) \
  template HOST_NAME(matvec_qkv_##NAME) kernel decltype(matvec_qkv<T, T>) matvec_qkv<T, T>; \
  template HOST_NAME(matvec_qkv_n_##NAME) kernel decltype(matvec_qkv_n<T, T>) matvec_qkv_n<T, T>;
EACH_TYPE(INSTANTIATE)

// The mixtures of llama.cpp's quantisation recipes, and what they become where a width is no multiple of 256.
#define MIXED(NAME_A, A, NAME_B, B) \
  template HOST_NAME(matvec_qkv_##NAME_A##_##NAME_B) kernel decltype(matvec_qkv<A, B>) matvec_qkv<A, B>; \
  template HOST_NAME(matvec_qkv_n_##NAME_A##_##NAME_B) kernel decltype(matvec_qkv_n<A, B>) matvec_qkv_n<A, B>;
#if !ONLY_TYPES || (defined(WITH_Q2_K) && defined(WITH_Q3_K))
MIXED(q2_K, Q2_K, q3_K, Q3_K)
#endif
#if !ONLY_TYPES || (defined(WITH_Q2_K) && defined(WITH_Q4_K))
MIXED(q2_K, Q2_K, q4_K, Q4_K)
#endif
#if !ONLY_TYPES || (defined(WITH_Q3_K) && defined(WITH_Q4_K))
MIXED(q3_K, Q3_K, q4_K, Q4_K)
#endif
#if !ONLY_TYPES || (defined(WITH_Q3_K) && defined(WITH_Q5_K))
MIXED(q3_K, Q3_K, q5_K, Q5_K)
#endif
#if !ONLY_TYPES || (defined(WITH_Q4_K) && defined(WITH_Q5_K))
MIXED(q4_K, Q4_K, q5_K, Q5_K)
#endif
#if !ONLY_TYPES || (defined(WITH_Q4_K) && defined(WITH_Q6_K))
MIXED(q4_K, Q4_K, q6_K, Q6_K)
#endif
#if !ONLY_TYPES || (defined(WITH_Q5_K) && defined(WITH_Q6_K))
MIXED(q5_K, Q5_K, q6_K, Q6_K)
#endif
#if !ONLY_TYPES || (defined(WITH_Q4_K) && defined(WITH_Q8_0))
MIXED(q4_K, Q4_K, q8_0, Q8_0)
#endif
#if !ONLY_TYPES || (defined(WITH_Q5_K) && defined(WITH_Q8_0))
MIXED(q5_K, Q5_K, q8_0, Q8_0)
#endif
#if !ONLY_TYPES || (defined(WITH_Q6_K) && defined(WITH_Q8_0))
MIXED(q6_K, Q6_K, q8_0, Q8_0)
#endif
#if !ONLY_TYPES || (defined(WITH_Q5_0) && defined(WITH_Q8_0))
MIXED(q5_0, Q5_0, q8_0, Q8_0)
#endif
#if !ONLY_TYPES || (defined(WITH_Q5_1) && defined(WITH_Q8_0))
MIXED(q5_1, Q5_1, q8_0, Q8_0)
#endif
#if !ONLY_TYPES || (defined(WITH_Q4_0) && defined(WITH_Q8_0))
MIXED(q4_0, Q4_0, q8_0, Q8_0)
#endif
#if !ONLY_TYPES || (defined(WITH_IQ4_NL) && defined(WITH_Q5_K))
MIXED(iq4_nl, IQ4_NL, q5_K, Q5_K)
#endif
#if !ONLY_TYPES || (defined(WITH_IQ4_XS) && defined(WITH_Q5_K))
MIXED(iq4_xs, IQ4_XS, q5_K, Q5_K)
#endif
#if !ONLY_TYPES || (defined(WITH_IQ4_NL) && defined(WITH_Q5_1))
MIXED(iq4_nl, IQ4_NL, q5_1, Q5_1)
#endif
