// matvec_glu, matvec_glu_n: gate and up projections and their gated product, in one launch. matvec_glu does it for one row
// by a layer's own weights, or for each token by its experts'; matvec_glu_n for 2 to 8 rows by a layer's own.
//
//   out[i, o] = act(gate)·up,  gate = scale_g[e]·Σ x[i/repeat, c]·G[e, o, c] + bias_g[e, o], and up the same of U
//
//   G, U [E][rows][width], biases [E][rows], scales [E]; with by_id e = ids[i] for i in 0…pairs, else one pair, e = 0
//
// A simdgroup computes the same T::rows rows of both matrices, one after the other: the registers of the first's
// slices are free for the second's, and x is in cache. So neither product is ever written to memory, and two launches with
// their barriers are saved. Tile and reads are matvec's. With norm_x the row is RMS-normalised by the way.
// matvec_glu_n has the four rows of columns.h: two of gate, and the same two of up.
#include "common.h"
#include "activation.h"
#include "columns.h"

constant uint activation [[function_constant(5)]]; // activation.h
constant bool by_id [[function_constant(6)]];

struct MatVecGLUParams {
  uint width;   // of x and of the rows of the weights
  uint rows;    // of one expert's gate, and of its up
  uint experts; // E
  uint repeat;  // pairs that share a row of x
  float eps;    // of the normalisation
};

template <class T>
kernel void matvec_glu(constant MatVecGLUParams &p [[buffer(0)]],
                       device const uchar *gate [[buffer(1)]],
                       device const uchar *up [[buffer(2)]],
                       device const float *x [[buffer(3)]],
                       device float *out [[buffer(4)]],
                       device const float *gate_bias [[buffer(5), function_constant(has_bias)]],
                       device const float *up_bias [[buffer(6), function_constant(has_bias)]],
                       device const float *gate_scale [[buffer(7), function_constant(has_scale)]],
                       device const float *up_scale [[buffer(8), function_constant(has_scale)]],
                       device const float *norm [[buffer(9), function_constant(norm_x)]],
                       device const int *ids [[buffer(10), function_constant(by_id)]],
                       uint2 group [[threadgroup_position_in_grid]],
                       uint simdgroup [[simdgroup_index_in_threadgroup]],
                       uint simdgroups [[simdgroups_per_threadgroup]],
                       uint lane [[thread_index_in_simdgroup]]) {
  const uint first = (group.x * simdgroups + simdgroup) * T::rows;
  if (first >= p.rows) return;
  const uint expert = by_id ? min(uint(ids[group.y]), p.experts - 1) : 0;
  const ulong before = ulong(expert) * p.rows, end = before + p.rows;
  x += ulong(group.y / p.repeat) * p.width;
  out += ulong(group.y) * p.rows;
  float g[T::rows] = {}, u[T::rows] = {}, squares = 0, again = 0;
  products<T>(gate, before + first, end, p.width, x, norm, lane, g, squares);
  products<T>(up, before + first, end, p.width, x, norm, lane, u, again);
  const float by = norm_x ? rms(simd_sum(squares), p.width, p.eps) : 1;
  UNROLL for (uint i = 0; i < T::rows; i++) {
    const float a = simd_sum(g[i]) * by, b = simd_sum(u[i]) * by;
    const uint o = first + i;
    if (lane == i && o < p.rows)
      out[o] = glu(finish(a, has_bias ? gate_bias[before + o] : 0, has_scale ? gate_scale[expert] : 1),
                   finish(b, has_bias ? up_bias[before + o] : 0, has_scale ? up_scale[expert] : 1), activation);
  }
}

template <class T>
kernel void matvec_glu_n(constant MatVecGLUParams &p [[buffer(0)]],
                         device const uchar *gate [[buffer(1)]],
                         device const uchar *up [[buffer(2)]],
                         device const float *x [[buffer(3)]],
                         device float *out [[buffer(4)]],
                         device const float *gate_bias [[buffer(5), function_constant(has_bias)]],
                         device const float *up_bias [[buffer(6), function_constant(has_bias)]],
                         device const float *gate_scale [[buffer(7), function_constant(has_scale)]],
                         device const float *up_scale [[buffer(8), function_constant(has_scale)]],
                         device const float *norm [[buffer(9), function_constant(norm_x)]],
                         uint group [[threadgroup_position_in_grid]],
                         uint simdgroup [[simdgroup_index_in_threadgroup]],
                         uint simdgroups [[simdgroups_per_threadgroup]],
                         uint lane [[thread_index_in_simdgroup]]) {
  constexpr uint half_of = COLUMN_ROWS / 2; // of the rows are gate's
  const uint first = (group * simdgroups + simdgroup) * half_of;
  if (first >= p.rows) return;
  const uint row_bytes = p.width / T::block * T::bytes + p.width % T::block * (T::bytes / T::block);
  Row row[COLUMN_ROWS];
  UNROLL for (uint i = 0; i < half_of; i++) {
    row[i] = row_of(gate, min(first + i, p.rows - 1), row_bytes);
    row[half_of + i] = row_of(up, min(first + i, p.rows - 1), row_bytes);
  }
  float sum[COLUMN_ROWS][MAX_COLUMNS] = {}, squares[MAX_COLUMNS] = {};
  column_products<T>(row, p.width, x, norm, lane, sum, squares);
  UNROLL for (uint j = 0; j < MAX_COLUMNS; j++) {
    if (j >= columns) break;
    const float by = norm_x ? rms(simd_sum(squares[j]), p.width, p.eps) : 1;
    UNROLL for (uint i = 0; i < half_of; i++) {
      const float a = simd_sum(sum[i][j]) * by, b = simd_sum(sum[half_of + i][j]) * by;
      const uint o = first + i;
      if (lane == i && o < p.rows)
        out[ulong(j) * p.rows + o] = glu(finish(a, has_bias ? gate_bias[o] : 0, has_scale ? gate_scale[0] : 1),
                                         finish(b, has_bias ? up_bias[o] : 0, has_scale ? up_scale[0] : 1), activation);
    }
  }
}

#define INSTANTIATE(NAME, T) \
  template HOST_NAME(matvec_glu_##NAME) kernel decltype(matvec_glu<T>) matvec_glu<T>; \
  template HOST_NAME(matvec_glu_n_##NAME) kernel decltype(matvec_glu_n<T>) matvec_glu_n<T>;
EACH_TYPE(INSTANTIATE)
