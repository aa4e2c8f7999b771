// sample: the largest logits of each row, the lower token first among equals.
//
//   top_k:   ids[i, j], values[i, j] = the j-th largest of x[i]      x [rows][width], ids and values [rows][k]
//   argmax:  ids[i] = the largest of x[i]                            ids [rows]
//   logsumexp: values[i] = log Σ exp x[i], so that exp(x − values[i]) are the row's probabilities    values [rows]
//
// top_k: a threadgroup a row. In each of k rounds every thread looks at its share of the row for the largest value that
// comes after the one chosen last (order is total: by value, then by number), and a reduction finds the threadgroup's.
// k passes over a row in cache are right for the k that samplers ask for (1 for greedy, 40 to 100 otherwise), and no
// row is too wide. A value that is not a number is never chosen; where too few are left, ids are -1.
#include "common.h"

struct SampleParams {
  uint rows;
  uint width;
  uint k;
};

struct Candidate {
  float value;
  int id; // -1 is none
};

// before reports whether a comes before b.
inline bool before(Candidate a, Candidate b) {
  if (a.id < 0 || b.id < 0) return b.id < 0 && a.id >= 0;
  return a.value > b.value || (a.value == b.value && a.id < b.id);
}

kernel void top_k(constant SampleParams &p [[buffer(0)]], device const float *x [[buffer(1)]], device int *ids [[buffer(2)]],
                  device float *values [[buffer(3)]], uint row [[threadgroup_position_in_grid]],
                  uint t [[thread_position_in_threadgroup]], uint threads [[threads_per_threadgroup]],
                  uint lane [[thread_index_in_simdgroup]], uint simd [[simdgroup_index_in_threadgroup]],
                  uint simds [[simdgroups_per_threadgroup]]) {
  threadgroup float best_value[LANES];
  threadgroup int best_id[LANES];
  x += ulong(row) * p.width;
  Candidate last = {0.0f, -1};
  for (uint j = 0; j < p.k; j++) {
    Candidate best = {0.0f, -1};
    for (uint i = t; i < p.width; i += threads) {
      // Not a number: by its bits, since fast math takes none to occur.
      if ((as_type<uint>(x[i]) & 0x7fffffffu) > 0x7f800000u) continue;
      Candidate c = {x[i], int(i)};
      if ((j == 0 || before(last, c)) && before(c, best)) best = c;
    }
    for (ushort d = LANES / 2; d > 0; d /= 2) {
      Candidate other = {simd_shuffle_xor(best.value, d), simd_shuffle_xor(best.id, d)};
      if (before(other, best)) best = other;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup); // of the round before
    if (lane == 0) {
      best_value[simd] = best.value;
      best_id[simd] = best.id;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint s = 0; s < simds; s++) {
      Candidate other = {best_value[s], best_id[s]};
      if (before(other, best)) best = other;
    }
    if (t == 0) {
      ids[row * p.k + j] = best.id;
      values[row * p.k + j] = best.value;
    }
    if (best.id < 0 && t == 0)
      for (uint n = j; n < p.k; n++) {
        ids[row * p.k + n] = -1;
        values[row * p.k + n] = 0;
      }
    if (best.id < 0) return;
    last = best;
  }
}

// larger is an integer that is larger for a larger float, from its bits, since fast math takes no NaN to occur and may
// take the smallest numbers for zero. Zeros of both signs are equal; what is no number is larger than any.
inline int larger(uint bits) {
  const uint size = bits & 0x7fffffffu;
  if (size > 0x7f800000u) return 0x7fffffff;
  return bits == size ? int(size) : -int(size);
}

constant int INFINITE = 0x7f800000; // larger of infinity

// argmax: the greedy choice, a threadgroup a row: one pass of 16-byte loads, half a megabyte for a vocabulary of
// 128 thousand. A choice that samplers refuse is -1: a row with what is no number, or without a finite largest value.
kernel void argmax(constant SampleParams &p [[buffer(0)]], device const uint *x [[buffer(1)]], device int *ids [[buffer(2)]],
                   uint row [[threadgroup_position_in_grid]], uint t [[thread_position_in_threadgroup]],
                   uint threads [[threads_per_threadgroup]], uint lane [[thread_index_in_simdgroup]],
                   uint simd [[simdgroup_index_in_threadgroup]], uint simds [[simdgroups_per_threadgroup]]) {
  threadgroup int best_value[LANES];
  threadgroup uint best_id[LANES];
  x += ulong(row) * p.width;
  int best = -INFINITE;
  uint id = p.width; // none
  const uint quads = p.width % 4 == 0 ? p.width / 4 : 0; // else rows are not aligned to 16 bytes
  for (uint i = t; i < quads; i += threads) {
    const uint4 v = ((device const uint4 *)x)[i];
    for (uint c = 0; c < 4; c++)
      if (larger(v[c]) > best) {
        best = larger(v[c]);
        id = 4 * i + c;
      }
  }
  for (uint i = 4 * quads + t; i < p.width; i += threads)
    if (larger(x[i]) > best) {
      best = larger(x[i]);
      id = i;
    }
  int top = simd_max(best);
  id = simd_min(best == top ? id : p.width);
  if (lane == 0) {
    best_value[simd] = top;
    best_id[simd] = id;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (simd > 0) return;
  best = lane < simds ? best_value[lane] : -INFINITE;
  top = simd_max(best);
  id = simd_min(lane < simds && best == top ? best_id[lane] : p.width);
  if (lane == 0) ids[row] = top < INFINITE && id < p.width ? int(id) : -1;
}

// real is the float whose larger is v.
inline float real(int v) { return as_type<float>(v < 0 ? uint(-v) | 0x80000000u : uint(v)); }

// logsumexp: a threadgroup a row, in two passes: for the largest value, and for the sum of what the others are beside
// it, which cannot overflow; the second reads from cache. What is no number is left out; a row of nothing, or of −∞
// alone, is −∞, and one with ∞ is ∞.
kernel void logsumexp(constant SampleParams &p [[buffer(0)]], device const uint *x [[buffer(1)]], device float *values [[buffer(3)]],
                      uint row [[threadgroup_position_in_grid]], uint t [[thread_position_in_threadgroup]],
                      uint threads [[threads_per_threadgroup]], uint lane [[thread_index_in_simdgroup]],
                      uint simd [[simdgroup_index_in_threadgroup]], uint simds [[simdgroups_per_threadgroup]]) {
  threadgroup int tops[LANES];
  threadgroup float sums[LANES];
  x += ulong(row) * p.width;
  int top = -INFINITE;
  for (uint i = t; i < p.width; i += threads) {
    const int v = larger(x[i]);
    if (v <= INFINITE) top = max(top, v);
  }
  top = simd_max(top);
  if (lane == 0) tops[simd] = top;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  top = simd_max(lane < simds ? tops[lane] : -INFINITE);
  const bool finite = top > -INFINITE && top < INFINITE;
  float sum = 0;
  for (uint i = t; finite && i < p.width; i += threads) {
    const int v = larger(x[i]);
    if (v > -INFINITE && v < INFINITE) sum += exp(real(v) - real(top));
  }
  sum = simd_sum(sum);
  if (lane == 0) sums[simd] = sum;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (simd > 0) return;
  sum = simd_sum(lane < simds ? sums[lane] : 0.0f);
  if (lane == 0) values[row] = finite ? real(top) + log(sum) : real(top);
}
