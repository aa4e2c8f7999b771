// columns.h: four rows of weights times 2 to 8 rows of activations ("columns" of the product): what a simdgroup of
// matvec_n, matvec_qkv_n and matvec_glu_n does.
//
// The weights are read once for all columns: it should cost little more than one column, for it is bound
// by memory up to the point where arithmetic or cache takes as long. Small batches, parallel requests and speculation
// live on that. So 16 values of four rows of weights are decoded once, into registers, and meet the
// columns one by one; x comes four values at a time, from cache, each load used by all four rows. 64 registers of
// weights and up to 32 sums stay below the 128 a thread may have before it spills. The number of columns is a
// function constant; the loops over columns are written for 8, so that no sum is indexed at run time.
//
// Loads a weight of n columns are n/16 of x, and those of blocks.h, twice over where slices have 32 values: they are
// decoded half by half, since two rows of whole slices, in the same registers, would load x twice as often. For
// Q4_K and 4 columns 0.25 + 0.125 (by whole slices 0.5 + 0.0625; matvec has 0.0625 + 0.0625). Bytes from cache are
// 4 + 2 a weight, of 0.56 from memory. More rows at once do not fit: eight of 8 values would load x half as often, and
// each slice four times.
#pragma once
#include "linear.h"

constant uint columns [[function_constant(7)]]; // 1 to MAX_COLUMNS

#define MAX_COLUMNS 8
#define COLUMN_ROWS 4 // rows of weights a simdgroup takes at once

// half_slice gives 16 values of a slice, the first or the last, or all of a shorter one. What it does not use of the
// slice is not computed.
template <class T> inline void half_slice(Row row, uint s, uint which, thread float4 *v) {
  float4 q[T::values / 4];
  float scale[T::scales], shift[T::scales];
  quants<T>(row, s, q, scale, shift);
  constexpr uint n = T::values / T::scales / 4;
  UNROLL for (uint i = 0; i < min(uint(T::values), 16u) / 4; i++) {
    const uint at = 4 * which + i;
    v[i] = scale[at / n] * q[at] + shift[at / n];
  }
}

// column_products adds to sum[i][j] this lane's part of row[i] times column j of x [columns][width], and to squares[j]
// that of the column's squares.
template <class T>
inline void column_products(thread const Row *row, uint width, device const float *x, device const float *norm, uint lane,
                            thread float (&sum)[COLUMN_ROWS][MAX_COLUMNS], thread float (&squares)[MAX_COLUMNS]) {
  if (T::plain && width % T::block != 0) {
    for (uint c = lane; c < width; c += LANES) {
      float w[COLUMN_ROWS];
      UNROLL for (uint i = 0; i < COLUMN_ROWS; i++) w[i] = T::at(row[i].w + row[i].at, c);
      UNROLL for (uint j = 0; j < MAX_COLUMNS; j++) {
        if (j >= columns) break;
        float v = x[ulong(j) * width + c];
        if (norm_x) {
          squares[j] += v * v;
          v *= norm[c];
        }
        UNROLL for (uint i = 0; i < COLUMN_ROWS; i++) sum[i][j] += w[i] * v;
      }
    }
  } else {
    constexpr uint run = T::values / T::runs, halves = T::values > 16 ? 2 : 1, n = T::values / halves / 4;
    for (uint s = lane; s < width / T::values; s += LANES) {
      UNROLL for (uint half_of = 0; half_of < halves; half_of++) {
        uint c[n]; // the columns of four values each
        UNROLL for (uint k = 0; k < n; k++) {
          const uint i = 4 * (half_of * n + k);
          c[k] = run_of<T>(s, i / run) + i % run;
        }
        float4 w[COLUMN_ROWS][n];
        UNROLL for (uint i = 0; i < COLUMN_ROWS; i++) half_slice<T>(row[i], s, half_of, w[i]);
        if (norm_x) { // the norm's weights go with the matrix: once for all columns
          UNROLL for (uint k = 0; k < n; k++) {
            const float4 by = *(device const float4 *)(norm + c[k]);
            UNROLL for (uint i = 0; i < COLUMN_ROWS; i++) w[i][k] *= by;
          }
        }
        UNROLL for (uint j = 0; j < MAX_COLUMNS; j++) {
          if (j >= columns) break;
          UNROLL for (uint k = 0; k < n; k++) {
            const float4 v = *(device const float4 *)(x + ulong(j) * width + c[k]);
            if (norm_x) squares[j] += dot(v, v);
            UNROLL for (uint i = 0; i < COLUMN_ROWS; i++) sum[i][j] += dot(w[i][k], v);
          }
        }
      }
    }
  }
}

// project_columns is the projection of all columns by rows first to first+3 of a matrix of `rows` rows: project_rows of
// linear.h for several columns.
template <class T>
inline void project_columns(device const uchar *weights, uint first, uint rows, uint width, float eps, device const float *x,
                            device float *out, device const float *bias, float scale, device const float *residual,
                            device const float *norm, uint lane) {
  const uint row_bytes = width / T::block * T::bytes + width % T::block * (T::bytes / T::block);
  Row row[COLUMN_ROWS];
  UNROLL for (uint i = 0; i < COLUMN_ROWS; i++) row[i] = row_of(weights, min(first + i, rows - 1), row_bytes);
  float sum[COLUMN_ROWS][MAX_COLUMNS] = {}, squares[MAX_COLUMNS] = {};
  column_products<T>(row, width, x, norm, lane, sum, squares);
  UNROLL for (uint j = 0; j < MAX_COLUMNS; j++) {
    if (j >= columns) break;
    const float by = norm_x ? rms(simd_sum(squares[j]), width, eps) : 1;
    UNROLL for (uint i = 0; i < COLUMN_ROWS; i++) {
      const float total = simd_sum(sum[i][j]) * by;
      const uint o = first + i;
      if (lane == i && o < rows) {
        const ulong to = ulong(j) * rows + o;
        const float y = finish(total, has_bias ? bias[o] : 0, scale);
        out[to] = add_residual ? y + residual[to] : y;
      }
    }
  }
}
