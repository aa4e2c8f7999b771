// matvec_n: a projection of 2 to 8 rows of activations ("columns" of the product).
//
//   out[j, o] = scale·Σ x[j, c]·W[o, c] + bias[o] + residual[j, o]      x [columns][width], out [columns][rows]
//
// Reads the weights once for all columns: it should cost little more than one column, for it is bound
// by memory up to the point where arithmetic takes as long. Small batches, parallel requests and speculation live on
// that. So slices of weights are decoded once, into registers (four rows of up to 16 values, two of 32), and meet the
// columns one by one; x comes four values at a time, from cache, each load used by all rows. 64 registers of
// weights and up to 32 sums stay below the 128 a thread may have before it spills. The number of columns is a
// function constant; the loops over columns are written for 8, so that no sum is indexed at run time.
#include "common.h"
#include "linear.h"

constant uint columns [[function_constant(5)]]; // 1 to MAX_COLUMNS

#define MAX_COLUMNS 8

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
  constexpr uint R = T::values > 16 ? 2 : 4; // rows of weights at once
  const uint first = (group * simdgroups + simdgroup) * R;
  if (first >= p.rows) return;
  const uint row_bytes = p.width / T::block * T::bytes + p.width % T::block * (T::bytes / T::block);
  Row row[R];
  UNROLL for (uint i = 0; i < R; i++) row[i] = row_of(weights, min(first + i, p.rows - 1), row_bytes);
  float sum[R][MAX_COLUMNS] = {}, squares[MAX_COLUMNS] = {};

  if (T::plain && p.width % T::block != 0) {
    for (uint c = lane; c < p.width; c += LANES) {
      float w[R];
      UNROLL for (uint i = 0; i < R; i++) w[i] = T::at(row[i].w + row[i].at, c);
      UNROLL for (uint j = 0; j < MAX_COLUMNS; j++) {
        if (j >= columns) break;
        float v = x[ulong(j) * p.width + c];
        if (norm_x) {
          squares[j] += v * v;
          v *= norm[c];
        }
        UNROLL for (uint i = 0; i < R; i++) sum[i][j] += w[i] * v;
      }
    }
  } else {
    constexpr uint n = T::values / T::runs / 4;
    for (uint s = lane; s < p.width / T::values; s += LANES) {
      float4 w[R][T::values / 4];
      UNROLL for (uint i = 0; i < R; i++) decode<T>(row[i], s, w[i]);
      if (norm_x) { // the norm's weights go with the matrix: once for all columns
        UNROLL for (uint r = 0; r < T::runs; r++) {
          device const float4 *by = (device const float4 *)(norm + run_of<T>(s, r));
          UNROLL for (uint k = 0; k < n; k++)
            UNROLL for (uint i = 0; i < R; i++) w[i][r * n + k] *= by[k];
        }
      }
      UNROLL for (uint j = 0; j < MAX_COLUMNS; j++) {
        if (j >= columns) break;
        UNROLL for (uint r = 0; r < T::runs; r++) {
          device const float4 *from = (device const float4 *)(x + ulong(j) * p.width + run_of<T>(s, r));
          UNROLL for (uint k = 0; k < n; k++) {
            const float4 v = from[k];
            if (norm_x) squares[j] += dot(v, v);
            UNROLL for (uint i = 0; i < R; i++) sum[i][j] += dot(w[i][r * n + k], v);
          }
        }
      }
    }
  }

  UNROLL for (uint j = 0; j < MAX_COLUMNS; j++) {
    if (j >= columns) break;
    const float by = norm_x ? rms(simd_sum(squares[j]), p.width, p.eps) : 1;
    UNROLL for (uint i = 0; i < R; i++) {
      const float total = simd_sum(sum[i][j]) * by;
      const uint o = first + i;
      if (lane == i && o < p.rows) {
        const ulong to = ulong(j) * p.rows + o;
        const float y = finish(total, has_bias ? bias[o] : 0, has_scale ? scale[0] : 1);
        out[to] = add_residual ? y + residual[to] : y;
      }
    }
  }
}

#define INSTANTIATE(NAME, T) template HOST_NAME(matvec_n_##NAME) kernel decltype(matvec_n<T>) matvec_n<T>;
EACH_TYPE(INSTANTIATE)
