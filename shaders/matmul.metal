// matmul: a projection of many rows of activations (prefill).
//
//   out[j, o] = scale·Σ x[j, c]·W[o, c] + bias[o] + residual[j, o]      x [columns][width], out [columns][rows]
//
// A threadgroup of 128 threads computes a tile of 64 rows by 32 columns (matmul.h). It reads its 64 rows of
// weights and 32 rows of x once; the matrix is read once for every 32 columns and x once for every 64 rows, from
// cache as far as it goes: columns come first in the grid, so that the tiles that share weights run together.
// Tiles at the edges read rows and columns beyond as the last row and as zeros, and do not write them.
#include "common.h"
#include "matmul.h"

struct MatMulParams {
  uint width;   // of x and of the rows of the weights
  uint rows;    // of the weights
  uint columns; // rows of x
  float eps;    // of the normalisation
};

template <class T>
kernel void matmul(constant MatMulParams &p [[buffer(0)]],
                   device const uchar *weights [[buffer(1)]],
                   device const float *x [[buffer(2)]],
                   device float *out [[buffer(3)]],
                   device const float *bias [[buffer(4), function_constant(has_bias)]],
                   device const float *scale [[buffer(5), function_constant(has_scale)]],
                   device const float *residual [[buffer(6), function_constant(add_residual)]],
                   device const float *norm [[buffer(7), function_constant(norm_x)]],
                   uint2 group [[threadgroup_position_in_grid]],
                   uint thread_index [[thread_index_in_threadgroup]],
                   uint simdgroup [[simdgroup_index_in_threadgroup]]) {
  threadgroup float shared[TILE_FLOATS];
  const uint from = group.x * TILE_COLUMNS;
  const Tile tile = {group.y * TILE_ROWS, p.rows, p.width, min(p.columns - from, uint(TILE_COLUMNS)), p.eps};
  const uint column = (thread_index - TILE_ROWS) / 2 % TILE_COLUMNS;
  multiply<T>(weights, 0, x + ulong(min(from + column, p.columns - 1)) * p.width, norm, tile, shared, thread_index, simdgroup);
  const uint rows = min(p.rows - tile.first, uint(TILE_ROWS));
  for (uint i = thread_index; i < TILE_ROWS * tile.columns; i += TILE_THREADS) {
    const uint r = i % TILE_ROWS, j = i / TILE_ROWS;
    if (r >= rows) continue;
    const uint o = tile.first + r;
    const ulong to = ulong(from + j) * p.rows + o;
    const float y = finish(product(shared, j, r, tile), has_bias ? bias[o] : 0, has_scale ? scale[0] : 1);
    out[to] = add_residual ? y + residual[to] : y;
  }
}

#define INSTANTIATE(NAME, T) template HOST_NAME(matmul_##NAME) kernel decltype(matmul<T>) matmul<T>;
EACH_TYPE(INSTANTIATE)
