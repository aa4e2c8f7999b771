// matmul.h: the tile of matmul and matmul_id: 64 rows of weights times 32 columns (tokens).
//
// For each step of 32 values of the rows, two simdgroups decode 64 rows of weights into threadgroup memory
// (a thread a row) while the other two fetch the same values of 32
// rows of x; then each of the four multiplies a quarter, 32 rows by 16 columns: 8 accumulators of 8×8, fed by 4 + 2
// matrices per 8 values, so that a matrix loaded is used 2 to 4 times and the accumulators take 16 of a thread's
// registers. A slice's values may lie in runs 32 columns apart (blocks.h): a sum does not mind its order, as long
// as x is fetched in the same one.
//
// 64×32 because a row decoded must be used often (32 times) but a prompt of 40 tokens should not compute
// for 64, and because the memory, 14 KiB, then lets two threadgroups share what a core has. Weights and activations
// stay float: simdgroup matrices multiply floats at the rate of halves on M1 to M4, half weights would save threadgroup
// memory and lose 13 bits of d·q (docs/RATIONALE.md).
//
// Weights lie value-major, so that the 32 stores of a simdgroup go to neighbouring words; the strides are 8 more than a
// multiple of 32, so that the 8 rows of a matrix load fall into different banks.
#pragma once
#include "linear.h"

#define TILE_ROWS 64
#define TILE_COLUMNS 32
#define TILE_VALUES 32
#define W_STRIDE 72
#define X_STRIDE 40
#define TILE_THREADS 128
// Floats of threadgroup memory: weights, x, and a sum of squares for each thread that fetches x.
#define TILE_FLOATS (TILE_VALUES * W_STRIDE + TILE_COLUMNS * X_STRIDE + 2 * TILE_COLUMNS)

// A tile's part of a problem.
struct Tile {
  uint first, rows;  // row of the matrix it begins with, rows of the matrix
  uint width;        // of rows and of x
  uint columns;      // of the tile: 1 to 32
  float eps;
};

// decode32 gives values 32·step to 32·step+31 of a row in the order of its slices; 0 beyond its end.
template <class T> inline void decode32(Row row, uint step, uint width, thread float4 *v) {
  constexpr uint per = TILE_VALUES / T::values;
  if (T::plain && (width % T::block != 0 || (step + 1) * TILE_VALUES > width)) {
    UNROLL for (uint i = 0; i < TILE_VALUES; i++) {
      const uint c = step * TILE_VALUES + i;
      v[i / 4][i % 4] = c < width ? T::at(row.w + row.at, c) : 0;
    }
    return;
  }
  UNROLL for (uint j = 0; j < per; j++) decode<T>(row, step * per + j, v + j * (T::values / 4));
}

// The column of value i (a multiple of 4) of a step.
template <class T> inline uint column32(uint step, uint i) {
  if (T::plain) return step * TILE_VALUES + i;
  constexpr uint per = TILE_VALUES / T::values, run = T::values / T::runs;
  const uint k = i % T::values;
  return run_of<T>(step * per + i / T::values, k / run) + k % run;
}

// multiply leaves the products of 64 rows and the tile's columns in shared[column·W_STRIDE + row], for
// all threads of the threadgroup. The matrix begins at byte `at` of weights. x is the row of activations of column
// (thread−64)/2, for threads from 64 on.
template <class T>
inline void multiply(device const uchar *weights, uint at, device const float *x, device const float *norm, Tile tile,
                     threadgroup float *shared, uint thread_index, uint simdgroup) {
  threadgroup float *w = shared, *xs = shared + TILE_VALUES * W_STRIDE, *squares = xs + TILE_COLUMNS * X_STRIDE;
  const uint row_bytes = tile.width / T::block * T::bytes + tile.width % T::block * (T::bytes / T::block);
  const bool decodes = thread_index < TILE_ROWS;
  const ulong start = at + ulong(min(tile.first + thread_index % TILE_ROWS, tile.rows - 1)) * row_bytes;
  const Row row = {weights + (start & ~3ul), uint(start & 3)};
  const uint column = (thread_index - TILE_ROWS) / 2 % TILE_COLUMNS, part = thread_index % 2 * 16;
  float square = 0;

  simdgroup_float8x8 sum[2][4];
  UNROLL for (uint c = 0; c < 2; c++)
    UNROLL for (uint r = 0; r < 4; r++) sum[c][r] = make_filled_simdgroup_matrix<float, 8, 8>(0);
  threadgroup const float *my_w = w + simdgroup % 2 * 32;
  threadgroup const float *my_x = xs + simdgroup / 2 * 16 * X_STRIDE;

  for (uint step = 0; step * TILE_VALUES < tile.width; step++) {
    if (decodes) {
      float4 v[TILE_VALUES / 4];
      decode32<T>(row, step, tile.width, v);
      UNROLL for (uint i = 0; i < TILE_VALUES; i++) w[i * W_STRIDE + thread_index] = v[i / 4][i % 4];
    } else {
      threadgroup float *to = xs + column * X_STRIDE + part;
      UNROLL for (uint i = 0; i < 16; i += 4) {
        const uint c = column32<T>(step, part + i);
        float4 v = 0, by = 1;
        if (column >= tile.columns) {
        } else if (T::plain && (tile.width % 4 != 0 || c + 4 > tile.width)) {
          for (uint k = 0; k < 4 && c + k < tile.width; k++) {
            v[k] = x[c + k];
            if (norm_x) by[k] = norm[c + k];
          }
        } else {
          v = *(device const float4 *)(x + c);
          if (norm_x) by = *(device const float4 *)(norm + c);
        }
        if (norm_x) {
          square += dot(v, v);
          v *= by;
        }
        UNROLL for (uint k = 0; k < 4; k++) to[i + k] = v[k];
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    UNROLL for (uint k = 0; k < TILE_VALUES; k += 8) {
      simdgroup_float8x8 a[2], b[4];
      UNROLL for (uint c = 0; c < 2; c++) simdgroup_load(a[c], my_x + c * 8 * X_STRIDE + k, X_STRIDE);
      UNROLL for (uint r = 0; r < 4; r++) simdgroup_load(b[r], my_w + k * W_STRIDE + r * 8, W_STRIDE);
      UNROLL for (uint c = 0; c < 2; c++)
        UNROLL for (uint r = 0; r < 4; r++) simdgroup_multiply_accumulate(sum[c][r], a[c], b[r], sum[c][r]);
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }

  if (norm_x && !decodes) squares[thread_index - TILE_ROWS] = square;
  threadgroup float *out = shared + simdgroup / 2 * 16 * W_STRIDE + simdgroup % 2 * 32;
  UNROLL for (uint c = 0; c < 2; c++)
    UNROLL for (uint r = 0; r < 4; r++) simdgroup_store(sum[c][r], out + c * 8 * W_STRIDE + r * 8, W_STRIDE);
  threadgroup_barrier(mem_flags::mem_threadgroup);
}

// product is what multiply left for a column and a row of the tile.
inline float product(threadgroup const float *shared, uint column, uint row, Tile tile) {
  float y = shared[column * W_STRIDE + row];
  if (norm_x) {
    threadgroup const float *squares = shared + TILE_VALUES * W_STRIDE + TILE_COLUMNS * X_STRIDE;
    y *= rms(squares[2 * column] + squares[2 * column + 1], tile.width, tile.eps);
  }
  return y;
}
