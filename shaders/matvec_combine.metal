// matvec_combine: the down projections of each token's experts and their weighted sum, in one launch.
//
//   out[t, o] = Σ_j weights[t, j]·y_j + residual[t, o],  y_j = scale[e]·Σ x[t·k + j, c]·W[e, o, c] + bias[e, o],  e = ids[t·k + j]
//
//   W [E][rows][width], bias [E][rows], scale [E], ids and weights [n][k], x [n·k][width], out [n][rows]
//
// matvec_id and combine, without writing k rows and reading them again, and one launch instead of two. A simdgroup takes
// T::rows rows of all k experts one after another; each lane adds up its part of all of them, so that there is one
// simd_sum as in matvec. It is for a few tokens: an expert two of them share is read twice.
#include "common.h"
#include "linear.h"

struct MatVecCombineParams {
  uint width;   // of x and of the rows of the weights
  uint rows;    // of one expert's weights
  uint experts; // E
  uint used;    // k
};

template <class T>
kernel void matvec_combine(constant MatVecCombineParams &p [[buffer(0)]],
                           device const uchar *matrices [[buffer(1)]],
                           device const float *x [[buffer(2)]],
                           device float *out [[buffer(3)]],
                           device const float *bias [[buffer(4), function_constant(has_bias)]],
                           device const float *scale [[buffer(5), function_constant(has_scale)]],
                           device const float *residual [[buffer(6), function_constant(add_residual)]],
                           device const float *weights [[buffer(7)]],
                           device const int *ids [[buffer(8)]],
                           uint2 group [[threadgroup_position_in_grid]],
                           uint simdgroup [[simdgroup_index_in_threadgroup]],
                           uint simdgroups [[simdgroups_per_threadgroup]],
                           uint lane [[thread_index_in_simdgroup]]) {
  const uint first = (group.x * simdgroups + simdgroup) * T::rows;
  if (first >= p.rows) return;
  float sum[T::rows] = {}, biases = 0; // biases of this lane's row
  const uint mine = min(first + lane, p.rows - 1);
  for (uint j = 0; j < p.used; j++) {
    const uint pair = group.y * p.used + j, expert = min(uint(ids[pair]), p.experts - 1);
    const ulong before = ulong(expert) * p.rows;
    const float weight = weights[pair], by = has_scale ? weight * scale[expert] : weight;
    float y[T::rows] = {}, squares = 0;
    products<T>(matrices, before + first, before + p.rows, p.width, x + ulong(pair) * p.width, x, lane, y, squares);
    UNROLL for (uint i = 0; i < T::rows; i++) sum[i] += by * y[i];
    if (has_bias) biases += (scale_bias ? by : weight) * bias[before + mine];
  }
  UNROLL for (uint i = 0; i < T::rows; i++) {
    const float y = simd_sum(sum[i]) + biases;
    const uint o = first + i;
    if (lane == i && o < p.rows) {
      const ulong to = ulong(group.y) * p.rows + o;
      out[to] = add_residual ? y + residual[to] : y;
    }
  }
}

#define INSTANTIATE(NAME, T) template HOST_NAME(matvec_combine_##NAME) kernel decltype(matvec_combine<T>) matvec_combine<T>;
EACH_TYPE(INSTANTIATE)
