// attention_tiles: attention of prompts, on simdgroup matrices (flash attention: Dao et al. 2022). The parameters and
// buffers are attention.metal's.
//
//   q [rows][H·D]   keys, values: pages of 32 positions (cache.h)   out [rows][H·DV]      D, DV multiples of 16, up to 256
//
// A threadgroup takes 32 pairs of a row and one of the query heads that share one KV head: 32/HEADS rows that follow one
// another in a sequence by HEADS heads (4, 2 or 1, as the share divides), so that a short prompt fills tiles too. It goes
// through the KEYS positions of a block at a time (32, or 16 or 8 where memory asks for it), from the first that its first row
// sees to the last row's own: blocks before a window and after the diagonal are not read. All threads copy the
// block's keys, then its values, to threadgroup memory, where 32 pairs use each: without that, four simdgroups would
// fetch 8×8 matrices from the cache in rows of 16 bytes. Each simdgroup takes 8 pairs:
//
//   scores: Sᵀ [KEYS][8] = K·Qᵀ, the queries in registers from the start, already turned; each 8×8 of keys is loaded once,
//           in the order it lies in. Sᵀ goes through 1 KiB of threadgroup memory, so that lane l has pair l%8 and keys
//           l/8, l/8+4, …: a maximum over a pair's keys is two shuffles, and nothing depends on which lane holds
//           which element of a matrix, which Metal does not say.
//   values: O [8][DV] += P·V, O in registers. O is relative to the largest score so far, but follows it only when it has
//           grown by LAG: weights up to e^8 are as good in float as weights up to 1, and multiplying O by the diagonal
//           matrix that moves it costs an eighth of the block's work.
//
// Heads over 128 wide are cut into two stretches of columns with a simdgroup each: both make scores of their columns
// of K, add up each other's, and keep their own columns of O. So registers are those of 128 columns: 32 of Qᵀ, 32 of O, 8 of
// Sᵀ or P, a matrix of K or V, some 16 of addresses and counters, about 96 of the 128 a thread has before it spills, and
// 16 simdgroups fit a core. Threadgroup memory for D = 128 is 8.5 KiB of keys or values and 4 KiB of scores, so that
// four threadgroups a core hide each other's barriers (three a block) and loads; what is wider or of float (Q8_0
// too, whose products no half holds) comes in smaller blocks. Rows of a block are padded by 8
// values: 8 rows of an 8×8 load then fall into different banks, for every D that is a multiple of 16.
//
// Queries, weights and sums are float (a matrix product may mix types), so that no digit is lost that the cache has.
// Positions that no pair sees are not read, and count as 0: what the cache holds there is anything at all.
#include "attention.h"

constant uint HEADS [[function_constant(6)]]; // query heads a threadgroup takes: 1, 2 or 4

#define SIMDS 4    // of 8 pairs, for each stretch
#define MATRICES 16 // most 8×8 of a stretch: 128 columns
#define LAG 8.0f
#define ROOM 18176 // bytes of threadgroup memory: 32 KiB but for matmul's own, see attention.go

// stage copies the rows of positions from to until−1 of a block to threadgroup memory, and zeros in place of the others.
template <class T, class S>
inline void stage(device const uchar *rows, uint row_bytes, uint column, uint width, uint from, uint until, uint keys,
                  threadgroup S *to, uint stride, uint t, uint threads) {
  const uint eights = width / 8;
  for (uint i = t; i < keys * eights; i += threads) {
    const uint j = i / eights, c = i % eights * 8;
    threadgroup S *at = to + j * stride + c;
    if (j >= from && j < until) {
      T::stage(rows + j * row_bytes, column + c, at);
    } else {
      UNROLL for (uint k = 0; k < 8; k++) at[k] = 0;
    }
  }
}

template <class T>
kernel void attention_tiles(constant AttentionParams &p [[buffer(0)]], device const float *q [[buffer(1)]],
                            device const uchar *keys [[buffer(2)]], device const uchar *values [[buffer(3)]],
                            device float *out [[buffer(4)]], // with SPLIT the ranges' parts: [rows][H][splits][DV + 2]
                            device const int *positions [[buffer(5)]],
                            device const int *starts [[buffer(6)]], // of the rows' block tables
                            device const int *tables [[buffer(7)]], device const float *sinks [[buffer(8), function_constant(SINKS)]],
                            device const int2 *tiles [[buffer(9)]], // first row and number of rows
                            threadgroup float *shared [[threadgroup(0)]], uint3 at [[threadgroup_position_in_grid]],
                            uint t [[thread_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]],
                            uint simd [[simdgroup_index_in_threadgroup]]) {
  typedef typename T::Staged Staged;
  const uint stretches = max(D, DV) > 8 * MATRICES ? 2 : 1, threads = stretches * SIMDS * LANES;
  const uint stride = max(D, DV) + 8;
  const uint room = 32 * (stride * sizeof(Staged) + threads); // for 32 keys and their scores
  const uint block_keys = room <= ROOM ? 32 : room <= 2 * ROOM ? 16 : 8; // KEYS
  threadgroup Staged *staged = (threadgroup Staged *)shared;
  threadgroup float *mine = shared + block_keys * stride * sizeof(Staged) / 4 + simd * block_keys * 8;

  const uint tokens = TILE / HEADS, part = at.z % HEADS * tokens; // of the tile's rows
  const int2 tile = tiles[at.z / HEADS];
  if (int(part) >= tile.y) return;
  const uint row = uint(tile.x) + part, rows = min(tokens, uint(tile.y) - part);
  const uint group = at.y % p.kv_heads, share = p.heads / p.kv_heads;
  const uint head = group * share + at.y / p.kv_heads * HEADS + simd % HEADS;
  // This simdgroup's rows, and its columns of keys and values.
  const uint from = simd % SIMDS / HEADS * 8, n = rows > from ? min(rows - from, 8u) : 0;
  const uint stretch = simd / SIMDS, columns = D / stretches, value_columns = DV / stretches;
  const uint column = stretch * columns, value_column = stretch * value_columns;

  const uint start = uint(positions[row]), last = start + rows - 1, first = first_seen(p, start);
  const uint own = start + from + lane % 8, own_first = first_seen(p, own); // of the lane's pair
  const uint my_first = first_seen(p, start + from), my_last = start + from + n - 1;
  uint begin = first / block_keys;
  const uint blocks = last / block_keys + 1 - begin, each = (blocks + p.splits - 1) / p.splits;
  const uint end = begin + min(blocks, (at.x + 1) * each);
  begin += at.x * each;
  tables += starts[row];

  simdgroup_float8x8 query[MATRICES], sum[MATRICES];
  UNROLL for (uint i = 0; i < MATRICES; i++) {
    sum[i] = make_filled_simdgroup_matrix<float, 8, 8>(0);
    query[i] = make_filled_simdgroup_matrix<float, 8, 8>(0);
    if (i * 8 >= columns) continue;
    const uint r = lane / 4, c = lane % 4 * 2;
    float2 v = 0;
    if (r < n) v = *(device const float2 *)(q + (ulong(row + from + r) * p.heads + head) * D + column + i * 8 + c) * p.scale;
    mine[c * 8 + r] = v.x;
    mine[c * 8 + 8 + r] = v.y;
    simdgroup_barrier(mem_flags::mem_threadgroup);
    simdgroup_load(query[i], mine, 8);
    simdgroup_barrier(mem_flags::mem_threadgroup);
  }

  float top = NOTHING, total = 0; // of the lane's pair; of its keys
  for (uint block = begin; block < end; block++) {
    const uint position = block * block_keys, until = min(block_keys, last + 1 - position);
    const uint since = first > position ? first - position : 0;
    const ulong slot = ulong(tables[position / PAGE]) * PAGE + position % PAGE;
    const bool sees = n > 0 && position <= my_last && position + block_keys > my_first;
    threadgroup_barrier(mem_flags::mem_threadgroup); // the values before are done with
    const uint key_bytes = T::bytes(p.kv_heads * D), value_bytes = T::bytes(p.kv_heads * DV);
    stage<T, Staged>(keys + slot * key_bytes, key_bytes, group * D, D, since, until, block_keys, staged, stride, t, threads);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (sees) {
      simdgroup_float8x8 score[4];
      UNROLL for (uint j = 0; j < 4; j++) score[j] = make_filled_simdgroup_matrix<float, 8, 8>(0);
      UNROLL for (uint i = 0; i < MATRICES; i++) {
        if (i * 8 >= columns) break;
        UNROLL for (uint j = 0; j < 4; j++) {
          if (j * 8 >= block_keys) break;
          simdgroup_matrix<Staged, 8, 8> k;
          simdgroup_load(k, staged + j * 8 * stride + column + i * 8, stride);
          simdgroup_multiply_accumulate(score[j], k, query[i], score[j]);
        }
      }
      UNROLL for (uint j = 0; j < 4; j++) {
        if (j * 8 >= block_keys) break;
        simdgroup_store(score[j], mine + j * 64, 8);
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup); // the keys are done with, the scores of both stretches there
    stage<T, Staged>(values + slot * value_bytes, value_bytes, group * DV, DV, since, until, block_keys, staged, stride, t, threads);
    float weight[8], shrink = 1;
    if (sees) {
      threadgroup const float *other = mine + (stretch == 0 ? 1 : -1) * int(SIMDS * block_keys * 8);
      float largest = NOTHING;
      UNROLL for (uint i = 0; i < 8; i++) {
        if (i * 4 >= block_keys) break;
        const uint key = position + lane / 8 + 4 * i;
        float s = mine[lane + LANES * i];
        if (stretches > 1) s += other[lane + LANES * i];
        s = capped(p, s, head, own, key);
        weight[i] = key <= own && key >= own_first ? s : NOTHING;
        largest = max(largest, weight[i]);
      }
      largest = max(largest, simd_shuffle_xor(largest, 8));
      largest = max(largest, simd_shuffle_xor(largest, 16));
      if (largest > top + LAG) {
        shrink = exp(top - largest);
        total *= shrink;
        top = largest;
      }
      UNROLL for (uint i = 0; i < 8; i++) {
        if (i * 4 >= block_keys) break;
        weight[i] = weight[i] == NOTHING ? 0.0f : exp(weight[i] - top);
        total += weight[i];
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup); // the values are there, the scores read
    if (!sees) continue;
    if (simd_any(shrink < 1)) {
      const float low = simd_shuffle(shrink, ushort(lane / 8)), high = simd_shuffle(shrink, ushort(lane / 8 + 4));
      mine[lane] = lane / 8 == lane % 8 ? low : 0.0f;
      mine[lane + LANES] = lane / 8 + 4 == lane % 8 ? high : 0.0f;
      simdgroup_barrier(mem_flags::mem_threadgroup);
      simdgroup_float8x8 diagonal;
      simdgroup_load(diagonal, mine, 8);
      simdgroup_barrier(mem_flags::mem_threadgroup);
      UNROLL for (uint i = 0; i < MATRICES; i++) {
        if (i * 8 >= value_columns) break;
        simdgroup_multiply(sum[i], diagonal, sum[i]);
      }
    }
    UNROLL for (uint i = 0; i < 8; i++) {
      if (i * 4 >= block_keys) break;
      mine[lane + LANES * i] = weight[i];
    }
    simdgroup_barrier(mem_flags::mem_threadgroup);
    simdgroup_float8x8 weights[4];
    UNROLL for (uint j = 0; j < 4; j++) {
      if (j * 8 >= block_keys) break;
      simdgroup_load(weights[j], mine + j * 64, 8, ulong2(0), true);
    }
    UNROLL for (uint i = 0; i < MATRICES; i++) {
      if (i * 8 >= value_columns) break;
      UNROLL for (uint j = 0; j < 4; j++) {
        if (j * 8 >= block_keys) break;
        simdgroup_matrix<Staged, 8, 8> v;
        simdgroup_load(v, staged + j * 8 * stride + value_column + i * 8, stride);
        simdgroup_multiply_accumulate(sum[i], weights[j], v, sum[i]);
      }
    }
  }

  total += simd_shuffle_xor(total, 8);
  total += simd_shuffle_xor(total, 16);
  float by = 1;
  if (!SPLIT) {
    const float largest = SINKS ? max(top, sinks[head]) : top;
    by = exp(top - largest);
    by /= total * by + (SINKS ? exp(sinks[head] - largest) : 0.0f);
  }
  const uint r = lane / 4, c = lane % 4 * 2;
  by = simd_shuffle(by, ushort(r));
  const ulong place = ulong(row + from + r) * p.heads + head;
  device float *o = out + (SPLIT ? (place * p.splits + at.x) * (DV + 2) : place * DV) + value_column + c;
  UNROLL for (uint i = 0; i < MATRICES; i++) {
    if (i * 8 >= value_columns) break;
    simdgroup_barrier(mem_flags::mem_threadgroup);
    simdgroup_store(sum[i], mine, 8);
    simdgroup_barrier(mem_flags::mem_threadgroup);
    if (r < n) *(device float2 *)(o + i * 8) = by * float2(mine[r * 8 + c], mine[r * 8 + c + 1]);
  }
  if (SPLIT && stretch == 0 && lane < n) {
    device float *ends = out + ((ulong(row + from + lane) * p.heads + head) * p.splits + at.x) * (DV + 2) + DV;
    ends[0] = top;
    ends[1] = total;
  }
}

#define INSTANTIATE(NAME, T) template HOST_NAME(attention_tiles_##NAME) kernel decltype(attention_tiles<T>) attention_tiles<T>;
EACH_CACHE(INSTANTIATE)
