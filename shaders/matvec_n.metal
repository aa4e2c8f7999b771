// matvec_n: a projection of 2 to 8 rows of activations ("columns" of the product).
//
//   out[j, o] = scale·Σ x[j, c]·W[o, c] + bias[o] + residual[j, o]      x [columns][width], out [columns][rows]
//
// Reads the weights once for all columns, and x once for every four rows, from cache: columns.h says how and why.
#include "common.h"
#include "columns.h"

struct MatVecParams {
  uint width; // of x and of the rows of the weights
  uint rows;  // of the weights
  float eps;  // of the normalisation
};

template <class T>
kernel void matvec_n(constant MatVecParams &p [[buffer(0)]],
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
  const uint first = (group * simdgroups + simdgroup) * COLUMN_ROWS;
  if (first >= p.rows) return;
  project_columns<T>(weights, first, p.rows, p.width, p.eps, x, out, bias, has_scale ? scale[0] : 1, residual, norm, lane);
}

#define INSTANTIATE(NAME, T) template HOST_NAME(matvec_n_##NAME) kernel decltype(matvec_n<T>) matvec_n<T>;
EACH_TYPE(INSTANTIATE)
