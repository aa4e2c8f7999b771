// matmul_id: a projection of each token by each of its experts, for many tokens.
//
//   out[i, o] = scale[e]·Σ x[i/repeat, c]·W[e, o, c] + bias[e, o],  e the expert of pair i
//
// As matvec_id, with the pairs grouped by expert before (experts_by_pair in route.metal): a tile is 64 rows of an
// expert by up to 32 of its pairs, whose rows of x are gathered and whose results are scattered. An expert's weights
// are read once for 32 pairs. The grid has room for the most tiles there can be; those left over end at once.
#include "common.h"
#include "matmul.h"

struct MatMulIDParams {
  uint width; // of x and of the rows of the weights
  uint rows;  // of one expert's weights
  uint repeat;
  float eps; // of the normalisation
};

template <class T>
kernel void matmul_id(constant MatMulIDParams &p [[buffer(0)]],
                      device const uchar *weights [[buffer(1)]],
                      device const float *x [[buffer(2)]],
                      device float *out [[buffer(3)]],
                      device const float *bias [[buffer(4), function_constant(has_bias)]],
                      device const float *scale [[buffer(5), function_constant(has_scale)]],
                      device const float *residual [[buffer(6), function_constant(add_residual)]],
                      device const float *norm [[buffer(7), function_constant(norm_x)]],
                      device const int *order [[buffer(8)]],
                      device const uint *tiles [[buffer(9)]],
                      uint2 group [[threadgroup_position_in_grid]],
                      uint thread_index [[thread_index_in_threadgroup]],
                      uint simdgroup [[simdgroup_index_in_threadgroup]]) {
  threadgroup float shared[TILE_FLOATS];
  device const uint *t = tiles + 3 * group.x;
  const uint expert = t[0], columns = t[2];
  if (columns == 0) return;
  order += t[1];
  const Tile tile = {group.y * TILE_ROWS, p.rows, p.width, columns, p.eps};
  const uint column = (thread_index - TILE_ROWS) / 2 % TILE_COLUMNS;
  const ulong before = ulong(expert) * p.rows;
  const uint row_bytes = p.width / T::block * T::bytes + p.width % T::block * (T::bytes / T::block);
  const Row start = row_of(weights, before, row_bytes);
  multiply<T>(start.w, start.at, x + ulong(uint(order[min(column, columns - 1)]) / p.repeat) * p.width, norm, tile, shared,
              thread_index, simdgroup);
  const uint rows = min(p.rows - tile.first, uint(TILE_ROWS));
  for (uint i = thread_index; i < TILE_ROWS * columns; i += TILE_THREADS) {
    const uint r = i % TILE_ROWS, j = i / TILE_ROWS;
    if (r >= rows) continue;
    const uint o = tile.first + r;
    const ulong to = ulong(order[j]) * p.rows + o;
    const float y = finish(product(shared, j, r, tile), has_bias ? bias[before + o] : 0, has_scale ? scale[expert] : 1);
    out[to] = add_residual ? y + residual[to] : y;
  }
}

#define INSTANTIATE(NAME, T) template HOST_NAME(matmul_id_##NAME) kernel decltype(matmul_id<T>) matmul_id<T>;
EACH_TYPE(INSTANTIATE)
