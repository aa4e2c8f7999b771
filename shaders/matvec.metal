// matvec: a projection of one row of activations.
//
//   out[o] = scale·Σ x[c]·W[o, c] + bias[o] + residual[o]      W [rows][width] of any type, x [width]
//
// Reads the weights once, and x once for every 4 or 2 rows (from cache), writes rows floats. It is bound by
// memory: a token costs weights ÷ bandwidth, and all that matters is that loads are wide, many and
// independent. So a simdgroup takes T::rows rows at once (4, or 2 of the types whose slices need
// more registers): the loads of all its rows are in flight together, and a slice of x, 4 to 32 values a lane kept in
// registers, is loaded once for all of them. Lanes split the row by slices, so that a simdgroup reads 270 to
// 840 neighbouring bytes of each row at a time. Sums end in one simd_sum: no barriers, no threadgroup
// memory. Threadgroups are two simdgroups, small enough that a matrix of 576 rows still makes 72
// of them, and large enough for 24 resident simdgroups within the threadgroups a core can hold.
//
// Everything optional is in linear.h. With norm_x the row of x is RMS-normalised by the way.
#include "common.h"
#include "linear.h"

struct MatVecParams {
  uint width; // of x and of the rows of the weights
  uint rows;  // of the weights
  float eps;  // of the normalisation
};

template <class T>
kernel void matvec(constant MatVecParams &p [[buffer(0)]],
                   device const uchar *weights [[buffer(1)]],
                   device const float *x [[buffer(2)]],
                   device float *out [[buffer(3)]],
                   device const float *bias [[buffer(4), function_constant(has_bias)]],
                   device const float *scale [[buffer(5), function_constant(has_scale)]],
                   device const float *residual [[buffer(6), function_constant(add_residual)]],
                   device const float *norm [[buffer(7), function_constant(norm_x)]],
                   uint group [[threadgroup_position_in_grid]],
                   uint simdgroup [[simdgroup_index_in_threadgroup]],
                   uint simdgroups [[simdgroups_per_threadgroup]],
                   uint lane [[thread_index_in_simdgroup]]) {
  const uint first = (group * simdgroups + simdgroup) * T::rows;
  if (first >= p.rows) return;
  project_rows<T>(weights, 0, first, p.rows, p.width, p.eps, x, out, bias, has_scale ? scale[0] : 1, residual, norm, lane);
}

#define INSTANTIATE(NAME, T) template HOST_NAME(matvec_##NAME) kernel decltype(matvec<T>) matvec<T>;
EACH_TYPE(INSTANTIATE)
