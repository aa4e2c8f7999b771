// rope: rotary position embedding (Su et al. 2021), and the cache's rows.
//
//   rope:     out = x with pair i of each head turned by positions[row]·f[i]      x, out [rows][heads·head]
//   store_kv: keys[slot[row]] = k, values[slot[row]] = v, k turned first if TURN   k, v [rows][width]
//
// An angle is a fraction of a turn in 64 bits of fixed point, and the product with the position keeps the low bits
// alone: exact however far the position, where a product of floats loses a digit with every power of ten. What reaches sin
// and cos lies within half a turn, where the fast ones are at their best.
//
// A thread a pair (or a column that is not turned): a row of 32 heads of 128 is 2048 threads. A cache of Q8_0 takes a
// thread a column, so that a simdgroup has a block and the block's largest value is one simd_max; a pair's angle
// is then computed twice, which a step of one token does not notice and a prompt's matrices dwarf. Rounding is
// ggml's (quantize_row_q8_0_ref): d = max|x|/127, of which the file keeps a half, and x/d to the nearest, halves away
// from zero, by the d that was not rounded.
#include "cache.h"

constant bool HALVES [[function_constant(0)]]; // pairs (i, i+dims/2), else (2i, 2i+1)
constant bool TURN [[function_constant(1)]];   // store_kv turns the keys

struct RopeParams {
  uint rows;
  uint width; // of x
  uint head;  // columns of a head
  uint dims;  // of these turned, the first
  float magnitude;
};

struct StoreParams {
  uint rows;
  uint keys;   // width of a row
  uint values; // width of a row
  uint head;
  uint dims;
  float magnitude;
};

// turn gives cos and sin of the angle of a pair at a position.
inline float2 turn(int position, uint2 frequency, float magnitude) {
  uint phase = uint(position) * frequency.x + mulhi(uint(position), frequency.y);
  float angle = float(int(phase)) * 1.4629180792671596e-9f; // 2 pi / 2^32
  return magnitude * float2(cos(angle), sin(angle));
}

// Place of work item i of a row: the columns of a pair, or one column twice where it passes through.
inline uint2 place(uint i, uint head, uint dims) {
  uint items = head - dims / 2;
  uint h = i / items * head, j = i % items;
  if (j >= dims / 2) return uint2(h + j + dims / 2);
  return h + (HALVES ? uint2(j, j + dims / 2) : uint2(2 * j, 2 * j + 1));
}

kernel void rope(constant RopeParams &p [[buffer(0)]], device const float *x [[buffer(1)]], device float *out [[buffer(2)]],
                 device const uint2 *frequencies [[buffer(3)]], device const int *positions [[buffer(4)]],
                 uint2 at [[thread_position_in_grid]]) {
  uint items = p.head - p.dims / 2;
  if (at.x >= p.width / p.head * items) return;
  x += ulong(at.y) * p.width;
  out += ulong(at.y) * p.width;
  uint2 c = place(at.x, p.head, p.dims);
  float a = x[c.x], b = x[c.y];
  if (c.x == c.y) {
    out[c.x] = a;
    return;
  }
  float2 r = turn(positions[at.y], frequencies[at.x % items], p.magnitude);
  out[c.x] = a * r.x - b * r.y;
  out[c.y] = a * r.y + b * r.x;
}

template <typename T>
kernel void store_kv(constant StoreParams &p [[buffer(0)]], device const float *k [[buffer(1)]], device const float *v [[buffer(2)]],
                     device T *keys [[buffer(3)]], device T *values [[buffer(4)]], device const int *slots [[buffer(5)]],
                     device const uint2 *frequencies [[buffer(6), function_constant(TURN)]],
                     device const int *positions [[buffer(7), function_constant(TURN)]], uint2 at [[thread_position_in_grid]]) {
  uint items = TURN ? p.head - p.dims / 2 : 1;
  uint pairs = TURN ? p.keys / p.head * items : p.keys;
  ulong slot = ulong(slots[at.y]);
  if (at.x >= pairs) { // the values come after the keys
    uint c = at.x - pairs;
    if (c < p.values) values[slot * p.values + c] = T(v[ulong(at.y) * p.values + c]);
    return;
  }
  k += ulong(at.y) * p.keys;
  keys += slot * p.keys;
  uint2 c = uint2(at.x);
  if (TURN) c = place(at.x, p.head, p.dims);
  float a = k[c.x], b = k[c.y];
  if (c.x == c.y) {
    keys[c.x] = T(a);
    return;
  }
  if (TURN) {
    float2 r = turn(positions[at.y], frequencies[at.x % items], p.magnitude);
    keys[c.x] = T(a * r.x - b * r.y);
    keys[c.y] = T(a * r.y + b * r.x);
  }
}

// store_kv_q8_0: see above. A block never lies in both keys and values, each a whole number of them.
kernel void store_kv_q8_0(constant StoreParams &p [[buffer(0)]], device const float *k [[buffer(1)]], device const float *v [[buffer(2)]],
                          device uchar *keys [[buffer(3)]], device uchar *values [[buffer(4)]], device const int *slots [[buffer(5)]],
                          device const uint2 *frequencies [[buffer(6), function_constant(TURN)]],
                          device const int *positions [[buffer(7), function_constant(TURN)]], uint2 at [[thread_position_in_grid]],
                          uint lane [[thread_index_in_simdgroup]]) {
  if (at.x >= p.keys + p.values) return; // whole simdgroups
  const bool is_key = at.x < p.keys;
  const uint width = is_key ? p.keys : p.values, c = is_key ? at.x : at.x - p.keys;
  device const float *from = (is_key ? k : v) + ulong(at.y) * width;
  float x = from[c];
  if (TURN && is_key) {
    const uint i = c % p.head, half_dims = p.dims / 2;
    if (i < p.dims) {
      const uint pair = HALVES ? i % half_dims : i / 2;
      const bool second = HALVES ? i >= half_dims : i % 2 == 1;
      const float other = from[second ? c - (HALVES ? half_dims : 1) : c + (HALVES ? half_dims : 1)];
      const float2 r = turn(positions[at.y], frequencies[pair], p.magnitude);
      x = second ? other * r.y + x * r.x : x * r.x - other * r.y;
    }
  }
  const float d = simd_max(fabs(x)) / 127.0f;
  device uchar *block = (is_key ? keys : values) + ulong(slots[at.y]) * (width / 32 * 34) + c / 32 * 34;
  if (lane == 0) *(device half *)block = half(d);
  block[2 + lane] = uchar(char(d > 1e-30f ? round(x * (1.0f / d)) : 0.0f)); // that half(d) is 0 long before
}

template [[host_name("store_kv_f16")]] kernel decltype(store_kv<half>) store_kv<half>;
template [[host_name("store_kv_f32")]] kernel decltype(store_kv<float>) store_kv<float>;
