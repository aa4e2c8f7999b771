// route: the experts of each token.
//
//   experts[i, j], weights[i, j] = the k largest of gate(x[i]) + select[e], the largest first      x [n][E]
//
// gate is softmax, sigmoid or nothing (then the chosen logits' own softmax are the weights); select only
// chooses, the weights are without it. Equal scores choose the lower number. Weights may be divided by their sum, and
// are multiplied by a factor.
//
// Reads n·E floats, writes n·k pairs. A simdgroup a token: k rounds of a maximum over E values, E/32 of them a
// lane, read again each round (a row of 128 logits is 512 bytes of cache; keeping them would need an array
// indexed at run time, which spills). What was chosen before needs no marks: in the order of scores and numbers the next is
// the first after the last. k is at most 32: lane j keeps the j-th.
//
// experts_by_pair: the same pairs, grouped by expert, for matmul_id.
//
//   order [n·k]      the pairs (numbered i·k + j) of expert 0 ascending, then those of expert 1, …
//   tiles [tiles][3] (expert, first, count): up to 32 places of order that are one expert's; count 0 beyond the last
//
// One threadgroup reads the n·k numbers, a simdgroup for each 32nd expert, twice: to count and to place. Counting
// by ballot gives the same order every time, which atomics do not.
#include "common.h"

constant uint gating [[function_constant(0)]]; // 0 softmax, 1 sigmoid, 2 softmax of the chosen
constant bool has_select [[function_constant(1)]];
constant bool normalise [[function_constant(2)]];

struct RouteParams {
  uint experts; // E
  uint used;    // k
  uint count;   // of tokens
  float scale;
};

// What a sum of weights is divided by at least: the smallest normal half, as llama.cpp does.
constant float least_sum = 6.103515625e-5f;

kernel void route(constant RouteParams &p [[buffer(0)]],
                  device const float *x [[buffer(1)]],
                  device int *experts [[buffer(2)]],
                  device float *weights [[buffer(3)]],
                  device const float *select [[buffer(4), function_constant(has_select)]],
                  uint group [[threadgroup_position_in_grid]],
                  uint simdgroup [[simdgroup_index_in_threadgroup]],
                  uint simdgroups [[simdgroups_per_threadgroup]],
                  uint lane [[thread_index_in_simdgroup]]) {
  const uint token = group * simdgroups + simdgroup;
  if (token >= p.count) return;
  x += ulong(token) * p.experts;

  float top = 0, sum = 1; // softmax is exp(x − top) / sum
  if (gating == 0) {
    top = -INFINITY;
    for (uint e = lane; e < p.experts; e += LANES) top = max(top, x[e]);
    top = simd_max(top);
    sum = 0;
    for (uint e = lane; e < p.experts; e += LANES) sum += exp(x[e] - top);
    sum = simd_sum(sum);
  }

  float last = INFINITY, mine = 0; // the last chosen, and the weight this lane keeps
  uint last_expert = p.experts;
  uint my_expert = 0;
  for (uint j = 0; j < p.used; j++) {
    float best = -INFINITY, weight = 0;
    uint best_expert = p.experts;
    for (uint e = lane; e < p.experts; e += LANES) {
      const float g = gating == 0 ? exp(x[e] - top) / sum : gating == 1 ? 1 / (1 + exp(-x[e])) : x[e];
      const float score = has_select ? g + select[e] : g;
      const bool after = j == 0 ? !isnan(score) : score < last || (score == last && e > last_expert);
      if (after && (best_expert == p.experts || score > best)) {
        best = score;
        best_expert = e;
        weight = g;
      }
    }
    last = simd_max(best_expert < p.experts ? best : -INFINITY);
    const uint winner = simd_min(best_expert < p.experts && best == last ? best_expert : p.experts);
    const float w = simd_sum(winner < p.experts && best_expert == winner ? weight : 0);
    last_expert = winner;
    if (lane == j) {
      // Nothing is left only where logits are NaN: any expert will do, as the NaN stays.
      my_expert = winner < p.experts ? winner : min(j, p.experts - 1);
      mine = winner < p.experts ? w : NAN;
    }
  }

  const bool keeps = lane < p.used;
  if (gating == 2) {
    const float high = simd_max(keeps ? mine : -INFINITY);
    mine = keeps ? exp(mine - high) : 0;
    mine /= simd_sum(mine);
  }
  if (normalise) mine /= max(simd_sum(keeps ? mine : 0), least_sum);
  if (keeps) {
    experts[ulong(token) * p.used + lane] = int(my_expert);
    weights[ulong(token) * p.used + lane] = mine * p.scale;
  }
}

#define MAX_EXPERTS 1024
#define TILE_COLUMNS 32

struct GroupParams {
  uint experts;
  uint pairs; // n·k
  uint tiles; // room for tiles
};

kernel void experts_by_pair(constant GroupParams &p [[buffer(0)]],
                            device const int *experts [[buffer(1)]],
                            device int *order [[buffer(2)]],
                            device uint *tiles [[buffer(3)]],
                            uint thread_index [[thread_index_in_threadgroup]],
                            uint threads [[threads_per_threadgroup]],
                            uint simdgroup [[simdgroup_index_in_threadgroup]],
                            uint simdgroups [[simdgroups_per_threadgroup]],
                            uint lane [[thread_index_in_simdgroup]]) {
  threadgroup uint counts[MAX_EXPERTS], starts[MAX_EXPERTS], first_tile[MAX_EXPERTS], total;
  for (uint e = simdgroup; e < p.experts; e += simdgroups) {
    uint n = 0;
    for (uint i = lane; i < p.pairs; i += LANES) n += uint(experts[i]) == e;
    n = simd_sum(n);
    if (lane == 0) counts[e] = n;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (simdgroup == 0) {
    uint start = 0, tile = 0;
    for (uint from = 0; from < p.experts; from += LANES) {
      const uint e = from + lane, n = e < p.experts ? counts[e] : 0, t = (n + TILE_COLUMNS - 1) / TILE_COLUMNS;
      const uint s = start + simd_prefix_exclusive_sum(n), f = tile + simd_prefix_exclusive_sum(t);
      if (e < p.experts) {
        starts[e] = s;
        first_tile[e] = f;
      }
      start += simd_sum(n);
      tile += simd_sum(t);
    }
    if (lane == 0) total = tile;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint e = simdgroup; e < p.experts; e += simdgroups) {
    uint to = starts[e];
    for (uint from = 0; from < p.pairs; from += LANES) {
      const uint i = from + lane, hit = i < p.pairs && uint(experts[i]) == e;
      const uint place = to + simd_prefix_exclusive_sum(hit);
      if (hit) order[place] = int(i);
      to += simd_sum(hit);
    }
    for (uint t = lane; t * TILE_COLUMNS < counts[e]; t += LANES) {
      device uint *tile = tiles + 3 * (first_tile[e] + t);
      tile[0] = e;
      tile[1] = starts[e] + t * TILE_COLUMNS;
      tile[2] = min(counts[e] - t * TILE_COLUMNS, uint(TILE_COLUMNS));
    }
  }
  for (uint t = total + thread_index; t < p.tiles; t += threads) {
    device uint *tile = tiles + 3 * t;
    tile[0] = 0;
    tile[1] = 0;
    tile[2] = 0;
  }
}
