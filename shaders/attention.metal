// attention: softmax(scale·q·k)·v of each row's query over the cached positions of its sequence.
//
//   q [rows][H·D]   keys, values: pages of 32 positions, [pages][32][G·D] and [G·DV] (cache.h)   out [rows][H·DV]
//
// attention_rows: a threadgroup takes HB pairs of a row and one of the query heads that share one KV head, and one of
// p.splits ranges of the pages they see. Decoding, the pairs are of one row (HB heads); of tiles that
// attention_tiles does not take they are of rows that follow one another (TOKENS of them, HB/TOKENS heads), so that a key is read once for HB
// queries either way. Each simdgroup takes every SIMDS-th page of the range. A page is as long as a simdgroup is wide, so that
//   scores: 4 lanes a key, 8 keys a round: the lanes of a key read 64 bytes (of half) in one go and two shuffles add them up;
//           after 4 rounds each lane holds the score of one key, and the softmax is two reductions a head;
//   values: a lane owns NV columns and goes through the keys: whole rows are read in order.
// Of each pair a simdgroup keeps the largest score, the sum of the weights and NV columns of the weighted values
// in registers: NV·HB is at most 32. The end of the range joins the simdgroups; attention_join the ranges.
//
// Positions that no pair sees are not read: what the cache holds there is anything at all.
#include "attention.h"

constant uint TOKENS [[function_constant(6)]]; // rows a threadgroup takes: 1, or a divisor of 8 and HB
constant bool TILED = TOKENS > 1;

#define SIMDS 4

template <class T, uint NV, uint HB>
kernel void attention_rows(constant AttentionParams &p [[buffer(0)]], device const float *q [[buffer(1)]],
                           device const uchar *keys [[buffer(2)]], device const uchar *values [[buffer(3)]],
                           device float *out [[buffer(4)]], // with SPLIT the ranges' parts: [rows][H][splits][DV + 2]
                           device const int *positions [[buffer(5)]],
                           device const int *starts [[buffer(6)]], // of the rows' block tables
                           device const int *tables [[buffer(7)]], device const float *sinks [[buffer(8), function_constant(SINKS)]],
                           device const int2 *tiles [[buffer(9), function_constant(TILED)]], // first row and number of rows
                           threadgroup float *shared [[threadgroup(0)]], uint3 at [[threadgroup_position_in_grid]],
                           uint t [[thread_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]],
                           uint simd [[simdgroup_index_in_threadgroup]]) {
  uint split = at.x, row = at.z, rows = 1, share = p.heads / p.kv_heads;
  if (TILED) {
    uint from = at.z % (TILE / TOKENS) * TOKENS; // of the tile's rows
    int2 tile = tiles[at.z / (TILE / TOKENS)];
    if (int(from) >= tile.y) return;
    row = uint(tile.x) + from;
    rows = min(TOKENS, uint(tile.y) - from);
  }
  const uint across = HB / TOKENS; // heads
  uint group = at.y % p.kv_heads, part = at.y / p.kv_heads * across;
  uint head = group * share + part, heads = min(across, share - part);
  // The rows follow one another, so that what any of them sees is all from the first's first to the last's own.
  uint start = uint(positions[row]), last = start + rows - 1, first = first_seen(p, start);
  uint begin = first / PAGE, pages = last / PAGE + 1 - begin;
  uint each = (pages + p.splits - 1) / p.splits;
  uint end = begin + min(pages, (split + 1) * each);
  begin += split * each;
  tables += starts[row];

  // shared: the queries [HB][D], then each simdgroup's weights [HB][PAGE]; at the end the simdgroups' sums.
  threadgroup float *weights = shared + HB * D + simd * HB * PAGE;
  for (uint i = t; i < HB * D; i += SIMDS * LANES) {
    uint token = i / (across * D), h = i / D % across;
    bool there = token < rows && h < heads;
    shared[i] = there ? q[(ulong(row + token) * p.heads + head + h) * D + i % D] * p.scale : 0.0f;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);

  constexpr uint W = NV < 4 ? NV : 4; // values of one load
  float top[HB], sum[HB], acc[HB][NV];
  UNROLL for (uint h = 0; h < HB; h++) {
    top[h] = NOTHING;
    sum[h] = 0;
    UNROLL for (uint i = 0; i < NV; i++) acc[h][i] = 0;
  }
  uint quarter = lane % 4, key = lane % 4 * 8 + lane / 4; // the key whose score this lane ends up with
  for (uint page = begin + simd; page < end; page += SIMDS) {
    ulong base = ulong(tables[page]) * PAGE;
    uint from = first > page * PAGE ? first - page * PAGE : 0, to = min(uint(PAGE), last - page * PAGE + 1);
    float score[HB];
    for (uint round = 0; round < 4; round++) {
      float s[HB];
      UNROLL for (uint h = 0; h < HB; h++) s[h] = 0;
      uint j = round * 8 + lane / 4;
      if (j >= from && j < to) {
        device const uchar *k = keys + (base + j) * T::bytes(p.kv_heads * D);
        if (D % 8 == 0) {
          for (uint c = 8 * quarter; c < D; c += 32) {
            float4 x[2];
            T::eight(k, group * D + c, x);
            UNROLL for (uint h = 0; h < HB; h++) {
              threadgroup const float4 *y = (threadgroup const float4 *)(shared + h * D + c);
              s[h] += dot(x[0], y[0]) + dot(x[1], y[1]);
            }
          }
        } else {
          for (uint c = quarter; c < D; c += 4) {
            const float x = T::at(k, group * D + c);
            UNROLL for (uint h = 0; h < HB; h++) s[h] += x * shared[h * D + c];
          }
        }
      }
      UNROLL for (uint h = 0; h < HB; h++) {
        s[h] += simd_shuffle_xor(s[h], 1);
        s[h] += simd_shuffle_xor(s[h], 2);
        if (round == quarter) score[h] = s[h];
      }
    }
    uint position = page * PAGE + key;
    UNROLL for (uint h = 0; h < HB; h++) {
      uint own = start + h / across;
      bool seen = position <= own && position >= (TILED ? first_seen(p, own) : first);
      float s = capped(p, score[h], head + h % across, own, position);
      float largest = max(top[h], simd_max(seen ? s : NOTHING));
      float shrink = exp(top[h] - largest), w = seen ? exp(s - largest) : 0.0f;
      top[h] = largest;
      sum[h] = sum[h] * shrink + simd_sum(w);
      UNROLL for (uint i = 0; i < NV; i++) acc[h][i] *= shrink;
      weights[h * PAGE + key] = w;
    }
    simdgroup_barrier(mem_flags::mem_threadgroup);
    for (uint j = from; j < to; j++) {
      device const uchar *v = values + (base + j) * T::bytes(p.kv_heads * DV);
      float x[NV];
      UNROLL for (uint i = 0; i < NV; i += W) {
        const uint c = i * LANES + lane * W;
        if (DV % W != 0) {
          UNROLL for (uint n = 0; n < W; n++) x[i + n] = c + n < DV ? T::at(v, group * DV + c + n) : 0.0f;
        } else if (W == 2) {
          float2 y = c < DV ? T::two(v, group * DV + c) : float2(0);
          UNROLL for (uint n = 0; n < W; n++) x[i + n] = y[n];
        } else {
          float4 y = c < DV ? T::four(v, group * DV + c) : float4(0);
          UNROLL for (uint n = 0; n < W; n++) x[i + n] = y[n];
        }
      }
      UNROLL for (uint h = 0; h < HB; h++) {
        float w = weights[h * PAGE + j];
        UNROLL for (uint i = 0; i < NV; i++) acc[h][i] += w * x[i];
      }
    }
    simdgroup_barrier(mem_flags::mem_threadgroup);
  }

  // Join the simdgroups: [SIMDS][HB] of the largest scores, the same of the sums, then [SIMDS][HB][DV].
  threadgroup_barrier(mem_flags::mem_threadgroup);
  threadgroup float *tops = shared, *sums = shared + SIMDS * HB, *parts = shared + 2 * SIMDS * HB;
  UNROLL for (uint h = 0; h < HB; h++) {
    if (lane == 0) {
      tops[simd * HB + h] = top[h];
      sums[simd * HB + h] = sum[h];
    }
    UNROLL for (uint i = 0; i < NV; i++) {
      uint c = i / W * W * LANES + lane * W + i % W;
      if (c < DV) parts[(simd * HB + h) * DV + c] = acc[h][i];
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint i = t; i < HB * DV; i += SIMDS * LANES) {
    uint h = i / DV, c = i % DV, token = h / across, own = head + h % across; // the pair's head
    if (token >= rows || h % across >= heads) continue;
    float largest = NOTHING, total = 0, y = 0;
    for (uint n = 0; n < SIMDS; n++) largest = max(largest, tops[n * HB + h]);
    if (SINKS && !SPLIT) {
      largest = max(largest, sinks[own]);
      total = exp(sinks[own] - largest);
    }
    for (uint n = 0; n < SIMDS; n++) {
      float f = exp(tops[n * HB + h] - largest);
      total += f * sums[n * HB + h];
      y += f * parts[(n * HB + h) * DV + c];
    }
    ulong place = ulong(row + token) * p.heads + own;
    if (SPLIT) {
      device float *o = out + (place * p.splits + split) * (DV + 2);
      o[c] = y;
      if (c == 0) {
        o[DV] = largest;
        o[DV + 1] = total;
      }
    } else {
      out[place * DV + c] = y / total;
    }
  }
}

// attention_join puts the ranges of each row and head together: a simdgroup a head and row.
kernel void attention_join(constant AttentionParams &p [[buffer(0)]], device const float *parts [[buffer(1)]],
                           device float *out [[buffer(2)]], device const float *sinks [[buffer(3), function_constant(SINKS)]],
                           uint2 at [[threadgroup_position_in_grid]], uint lane [[thread_index_in_simdgroup]]) {
  ulong place = ulong(at.y) * p.heads + at.x;
  parts += place * p.splits * (DV + 2);
  float largest = NOTHING, total = 0;
  for (uint n = 0; n < p.splits; n++) largest = max(largest, parts[n * (DV + 2) + DV]);
  if (SINKS) {
    largest = max(largest, sinks[at.x]);
    total = exp(sinks[at.x] - largest);
  }
  for (uint n = 0; n < p.splits; n++) total += parts[n * (DV + 2) + DV + 1] * exp(parts[n * (DV + 2) + DV] - largest);
  for (uint c = lane; c < DV; c += LANES) {
    float y = 0;
    for (uint n = 0; n < p.splits; n++) y += parts[n * (DV + 2) + c] * exp(parts[n * (DV + 2) + DV] - largest);
    out[place * DV + c] = y / total;
  }
}

#define ATTENTION(NAME, T, NV, HB) \
  template HOST_NAME(attention_##NAME##_##NV##_##HB) kernel decltype(attention_rows<T, NV, HB>) attention_rows<T, NV, HB>;
#define ATTENTIONS(NAME, T)                                                                                          \
  ATTENTION(NAME, T, 2, 1) ATTENTION(NAME, T, 2, 2) ATTENTION(NAME, T, 2, 4) ATTENTION(NAME, T, 2, 8)                \
  ATTENTION(NAME, T, 4, 1) ATTENTION(NAME, T, 4, 2) ATTENTION(NAME, T, 4, 4) ATTENTION(NAME, T, 4, 8)                \
  ATTENTION(NAME, T, 8, 1) ATTENTION(NAME, T, 8, 2) ATTENTION(NAME, T, 8, 4)                                         \
  ATTENTION(NAME, T, 16, 1) ATTENTION(NAME, T, 16, 2)
EACH_CACHE(ATTENTIONS)
