// embed: rows of a table by number, as floats.
//
//   out[i, c] = table[ids[i], c]       table [V][width] of any type, ids [n] int32, out [n][width]
//
// Reads n rows of the table and writes n rows of floats. A thread decodes one slice (blocks.h) of a row:
// a row of 4096 is 128 threads, so that even a single token keeps four simdgroups busy.
#include "common.h"
#include "blocks.h"

struct EmbedParams {
  uint width; // of a row
  uint rows;  // of the table
  uint count; // of ids
};

template <class T>
kernel void embed(constant EmbedParams &p [[buffer(0)]],
                  device const uchar *table [[buffer(1)]],
                  device const int *ids [[buffer(2)]],
                  device float *out [[buffer(3)]],
                  uint2 at [[thread_position_in_grid]]) {
  constexpr uint n = T::values / T::runs; // values in a run
  const uint slices = p.width / T::values;
  if (at.x > slices || at.y >= p.count) return;
  const uint id = min(uint(ids[at.y]), p.rows - 1);
  out += ulong(at.y) * p.width;
  const uint row_bytes = p.width / T::block * T::bytes;
  if (T::plain && p.width % T::block != 0) {
    // Rows of a width that is no multiple of 16 bytes begin anywhere.
    device const uchar *row = table + ulong(id) * p.width * (T::bytes / T::block);
    for (uint c = at.x * T::values; c < min(p.width, (at.x + 1) * T::values); c++) out[c] = T::at(row, c);
    return;
  }
  if (at.x == slices) return;
  float4 v[T::values / 4];
  decode<T>(row_of(table, id, row_bytes), at.x, v);
  for (uint r = 0; r < T::runs; r++) {
    device float4 *to = (device float4 *)(out + run_of<T>(at.x, r));
    for (uint i = 0; i < n / 4; i++) to[i] = v[r * (n / 4) + i];
  }
}

#define INSTANTIATE(NAME, T) template HOST_NAME(embed_##NAME) kernel decltype(embed<T>) embed<T>;
EACH_TYPE(INSTANTIATE)
