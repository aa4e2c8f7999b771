// norm: RMS normalisation (Zhang & Sennrich 2019) and layer normalisation (Ba et al. 2016).
//
//   out[i, g, c] = (x[i, g, c] - mean) / sqrt(mean square + eps) * weight + bias      x, out [rows][width]
//
// A group is the whole row, or one head of it; the mean is 0 for RMS. Weights have a group's width, which all
// heads share, or the row's.
//
// norm_rows: a threadgroup a row, a thread for 4 of its values, up to 1024: neighbours read neighbouring values. The row
// is read again for each pass (a third time if centred), by then from the cache.
// norm_heads: a simdgroup a head, since heads are short (64 to 256 values) and many: no barrier at all.
#include "common.h"

constant bool CENTRED [[function_constant(0)]]; // layer normalisation
constant bool WEIGHT [[function_constant(1)]];
constant bool BIAS [[function_constant(2)]];

struct NormParams {
  uint rows;
  uint width;   // of a row
  uint group;   // values normalised together; divides width
  uint weights; // values of weight and bias: group or width
  float eps;
};

// finish scales, weighs and shifts the value of one column.
inline float finish(float x, float mean, float scale, uint column, constant NormParams &p, device const float *weight,
                    device const float *bias) {
  float y = (x - mean) * scale;
  uint c = p.weights == p.width ? column : column % p.group;
  if (WEIGHT) y *= weight[c];
  if (BIAS) y += bias[c];
  return y;
}

// total sums v over the threadgroup; every thread gets the sum. shared holds a float for each simdgroup and
// may be used again at once.
inline float total(float v, threadgroup float *shared, uint lane, uint simd, uint simds) {
  v = simd_sum(v);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (lane == 0) shared[simd] = v;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  return simd_sum(lane < simds ? shared[lane] : 0.0f);
}

kernel void norm_rows(constant NormParams &p [[buffer(0)]], device const float *x [[buffer(1)]], device float *out [[buffer(2)]],
                      device const float *weight [[buffer(3), function_constant(WEIGHT)]],
                      device const float *bias [[buffer(4), function_constant(BIAS)]], uint row [[threadgroup_position_in_grid]],
                      uint t [[thread_position_in_threadgroup]], uint threads [[threads_per_threadgroup]],
                      uint lane [[thread_index_in_simdgroup]], uint simd [[simdgroup_index_in_threadgroup]],
                      uint simds [[simdgroups_per_threadgroup]]) {
  threadgroup float shared[LANES];
  x += ulong(row) * p.width;
  out += ulong(row) * p.width;
  float mean = 0;
  if (CENTRED) {
    float sum = 0;
    for (uint c = t; c < p.width; c += threads) sum += x[c];
    mean = total(sum, shared, lane, simd, simds) / float(p.width);
  }
  float square = 0;
  for (uint c = t; c < p.width; c += threads) square += (x[c] - mean) * (x[c] - mean);
  float scale = rsqrt(total(square, shared, lane, simd, simds) / float(p.width) + p.eps);
  for (uint c = t; c < p.width; c += threads) out[c] = finish(x[c], mean, scale, c, p, weight, bias);
}

kernel void norm_heads(constant NormParams &p [[buffer(0)]], device const float *x [[buffer(1)]], device float *out [[buffer(2)]],
                       device const float *weight [[buffer(3), function_constant(WEIGHT)]],
                       device const float *bias [[buffer(4), function_constant(BIAS)]], uint tg [[threadgroup_position_in_grid]],
                       uint lane [[thread_index_in_simdgroup]], uint simd [[simdgroup_index_in_threadgroup]],
                       uint simds [[simdgroups_per_threadgroup]]) {
  uint heads = p.width / p.group;
  uint item = tg * simds + simd;
  if (item >= p.rows * heads) return;
  uint row = item / heads, first = item % heads * p.group;
  x += ulong(row) * p.width;
  out += ulong(row) * p.width;
  float mean = 0;
  if (CENTRED) {
    float sum = 0;
    for (uint c = lane; c < p.group; c += LANES) sum += x[first + c];
    mean = simd_sum(sum) / float(p.group);
  }
  float square = 0;
  for (uint c = lane; c < p.group; c += LANES) square += (x[first + c] - mean) * (x[first + c] - mean);
  float scale = rsqrt(simd_sum(square) / float(p.group) + p.eps);
  for (uint c = lane; c < p.group; c += LANES) out[first + c] = finish(x[first + c], mean, scale, first + c, p, weight, bias);
}
