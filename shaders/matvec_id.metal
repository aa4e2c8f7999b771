// matvec_id: a projection of each token by each of its experts, for a few tokens.
//
//   out[i, o] = scale[e]·Σ x[i/repeat, c]·W[e, o, c] + bias[e, o],  e = ids[i]
//
//   W [E][rows][width], bias [E][rows], scale [E], ids [pairs], out [pairs][rows]; i = token·k + j
//
// x has a row for each pair (repeat 1), or one for the k pairs of a token (repeat k). It is matvec with a third
// dimension of the grid: reads the rows of k experts for each token, writes pairs·rows floats. An expert two tokens
// share is read twice: with 32 tokens and more matmul_id reads it once.
#include "common.h"
#include "linear.h"

struct MatVecIDParams {
  uint width;   // of x and of the rows of the weights
  uint rows;    // of one expert's weights
  uint experts; // E
  uint repeat;
  float eps; // of the normalisation
};

template <class T>
kernel void matvec_id(constant MatVecIDParams &p [[buffer(0)]],
                      device const uchar *weights [[buffer(1)]],
                      device const float *x [[buffer(2)]],
                      device float *out [[buffer(3)]],
                      device const float *bias [[buffer(4), function_constant(has_bias)]],
                      device const float *scale [[buffer(5), function_constant(has_scale)]],
                      device const float *residual [[buffer(6), function_constant(add_residual)]],
                      device const float *norm [[buffer(7), function_constant(norm_x)]],
                      device const int *ids [[buffer(8)]],
                      uint2 group [[threadgroup_position_in_grid]],
                      uint simdgroup [[simdgroup_index_in_threadgroup]],
                      uint simdgroups [[simdgroups_per_threadgroup]],
                      uint lane [[thread_index_in_simdgroup]]) {
  const uint first = (group.x * simdgroups + simdgroup) * T::rows;
  if (first >= p.rows) return;
  const uint expert = min(uint(ids[group.y]), p.experts - 1);
  const ulong before = ulong(expert) * p.rows, pair = group.y;
  project_rows<T>(weights, before, first, p.rows, p.width, p.eps, x + pair / p.repeat * p.width, out + pair * p.rows, bias + before,
                  has_scale ? scale[expert] : 1, residual + pair * p.rows, norm, lane);
}

#define INSTANTIATE(NAME, T) template HOST_NAME(matvec_id_##NAME) kernel decltype(matvec_id<T>) matvec_id<T>;
EACH_TYPE(INSTANTIATE)
