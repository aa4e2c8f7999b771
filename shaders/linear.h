// linear.h: what all projections share: their optional parts, and the product of rows with one x.
#pragma once
#include "blocks.h"

// Function constants 0 to 4. out = scale·(W·x) + bias, or scale·(W·x + bias), then + residual.
constant bool has_bias [[function_constant(0)]];     // [rows]
constant bool has_scale [[function_constant(1)]];    // [1]
constant bool scale_bias [[function_constant(2)]];   // scale multiplies the bias too
constant bool add_residual [[function_constant(3)]]; // [columns][rows]
constant bool norm_x [[function_constant(4)]];       // x is RMS-normalised first, with weights [width]

// The end of a projection but for the residual.
inline float finish(float sum, float bias, float scale) {
  return scale_bias ? (sum + bias) * scale : sum * scale + bias;
}

// What RMS normalisation multiplies by: it is the same for all of a row of x, so that it can be applied
// to the products. Each simdgroup sees the whole of x anyway and sums its squares on the way.
inline float rms(float squares, uint width, float eps) { return rsqrt(squares / width + eps); }

// Sum of a slice's products with x, which is in the slice's order; total is the sum of the x that share a scale.
template <class T> inline float dot_slice(Row row, uint s, thread const float4 *x, thread const float *total) {
  float4 q[T::values / 4];
  float scale[T::scales], shift[T::scales];
  quants<T>(row, s, q, scale, shift);
  constexpr uint n = T::values / T::scales / 4;
  float sum = 0;
  UNROLL for (uint k = 0; k < T::scales; k++) {
    float4 products = q[k * n] * x[k * n];
    UNROLL for (uint i = 1; i < n; i++) products += q[k * n + i] * x[k * n + i];
    sum += scale[k] * ((products.x + products.y) + (products.z + products.w)) + shift[k] * total[k];
  }
  return sum;
}

// products adds to sum[i] this lane's part of row first+i times x, for T::rows rows, and to squares that
// of x². Rows from `rows` on are read as the last one. Only lanes of one simdgroup share the work: no threadgroup
// memory, no barrier.
template <class T>
inline void products(device const uchar *weights, ulong first, ulong rows, uint width, device const float *x,
                     device const float *norm, uint lane, thread float *sum, thread float &squares) {
  const uint row_bytes = width / T::block * T::bytes + width % T::block * (T::bytes / T::block);
  Row row[T::rows];
  UNROLL for (uint i = 0; i < T::rows; i++) row[i] = row_of(weights, min(first + i, rows - 1), row_bytes);
  if (T::plain && width % T::block != 0) {
    for (uint c = lane; c < width; c += LANES) {
      float v = x[c];
      if (norm_x) {
        squares += v * v;
        v *= norm[c];
      }
      UNROLL for (uint i = 0; i < T::rows; i++) sum[i] += v * T::at(row[i].w + row[i].at, c);
    }
    return;
  }
  constexpr uint n = T::values / T::runs / 4;
  for (uint s = lane; s < width / T::values; s += LANES) {
    float4 v[T::values / 4];
    float total[T::scales] = {};
    UNROLL for (uint r = 0; r < T::runs; r++) {
      device const float4 *from = (device const float4 *)(x + run_of<T>(s, r));
      device const float4 *by = (device const float4 *)(norm + run_of<T>(s, r));
      float4 t = 0;
      UNROLL for (uint i = 0; i < n; i++) {
        float4 e = from[i];
        if (norm_x) {
          squares += dot(e, e);
          e *= by[i];
        }
        v[r * n + i] = e;
        t += e;
      }
      total[r * T::scales / T::runs] += (t.x + t.y) + (t.z + t.w);
    }
    UNROLL for (uint i = 0; i < T::rows; i++) sum[i] += dot_slice<T>(row[i], s, v, total);
  }
}

// project_rows is the projection of one x by rows first to first+T::rows−1 of a matrix of `rows` rows, which begins at
// row `origin` of weights: what one simdgroup does. Pointers to what the function constants leave out are never
// followed.
template <class T>
inline void project_rows(device const uchar *weights, ulong origin, uint first, uint rows, uint width, float eps,
                         device const float *x, device float *out, device const float *bias, float scale,
                         device const float *residual, device const float *norm, uint lane) {
  float sum[T::rows] = {}, squares = 0;
  products<T>(weights, origin + first, origin + rows, width, x, norm, lane, sum, squares);
  const float by = norm_x ? rms(simd_sum(squares), width, eps) : 1;
  UNROLL for (uint i = 0; i < T::rows; i++) {
    const float total = simd_sum(sum[i]) * by;
    const uint o = first + i;
    if (lane == i && o < rows) {
      const float y = finish(total, has_bias ? bias[o] : 0, scale);
      out[o] = add_residual ? y + residual[o] : y;
    }
  }
}
