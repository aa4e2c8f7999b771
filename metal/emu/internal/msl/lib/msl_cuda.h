// What the library asks of the machine, on an NVIDIA GPU: a simdgroup is a warp, a threadgroup a
// block, threadgroup memory the block's dynamic shared memory. The GPU's own operations are in
// msl_ptx.h; a test has others in their place, which run on the CPU.
#pragma once

// The parameters of every entry point.
struct msl_params {
  ulong buffer[31];
  uint threadgroup[31]; // offsets in shared memory
  uint grid[3];         // threads_per_grid
};

MSL_FUNC __local char * msl_tg_variable(uint offset, uint size) { return (__local char *)(size_t)msl_shared_base() + offset; }

namespace msl_ {
// place is where a thread is in its threadgroup. The last threadgroups of dispatchThreads are
// smaller than a block: the first threads of the block are theirs, counted by the threadgroup's own
// size, as Metal counts them. So a simdgroup is a warp there, too.
struct place {
  uint size[3], inside[3], index, threads;
  place(const __private msl_params & p) {
    for (int i = 0; i < 3; i++) {
      uint left = p.grid[i] - ctaid(i) * ntid(i);
      size[i] = left < ntid(i) ? left : ntid(i);
      inside[i] = tid(i);
    }
    index = tid(0) + ntid(0) * (tid(1) + ntid(1) * tid(2));
    threads = size[0] * size[1] * size[2];
    if (size[0] < ntid(0) || size[1] < ntid(1)) {
      inside[0] = index % size[0];
      inside[1] = index / size[0] % size[1];
      inside[2] = index / size[0] / size[1];
    }
  }
};

// from reads v of another lane of the warp, whatever its type.
template <class T> MSL_FUNC T from(T v, uint src, uint mask) {
  struct words { int w[(sizeof(T) + 3) / 4]; } a;
  __builtin_memcpy(&a, &v, sizeof(T));
  for (uint i = 0; i < (sizeof(T) + 3) / 4; i++) a.w[i] = ptx::shuffle(mask, a.w[i], src);
  __builtin_memcpy(&v, &a, sizeof(T));
  return v;
}
template <class T> MSL_FUNC T shuffle(int mode, int width, T v, uint arg, int) {
  uint mask = active(), l = lane(), base = l & ~(uint)(width - 1), k = l & (width - 1), src = k;
  switch (mode) {
  case sh_index: src = arg; break;
  case sh_xor: src = k ^ arg; break;
  case sh_up: src = k < arg ? k : k - arg; break;
  case sh_down: src = k + arg >= (uint)width ? k : k + arg; break;
  case sh_rotate_up: src = (k - arg) & (width - 1); break;
  case sh_rotate_down: src = (k + arg) & (width - 1); break;
  case sh_first: src = (uint)__builtin_ctz(mask >> base) & (width - 1); break;
  }
  return from(v, base + src, mask);
}
template <class E> MSL_FUNC E combine(int op, E a, E b) {
  switch (op) {
  case op_product: return a * b;
  case op_min: return b < a ? b : a;
  case op_max: return a < b ? b : a;
  }
  if constexpr (metal::is_integral<E>::value) {
    switch (op) {
    case op_and: return a & b;
    case op_or: return a | b;
    case op_xor: return a ^ b;
    }
  }
  return a + b;
}
template <class E> MSL_FUNC E reduce1(int op, int width, E v) {
  uint mask = active(), l = lane();
  if (op >= op_prefix_inclusive_sum) {
    bool product = op >= op_prefix_inclusive_product, exclusive = op == op_prefix_exclusive_sum || op == op_prefix_exclusive_product;
    E unit = product ? (E)1 : (E)0, acc = unit;
    for (uint i = l & ~(uint)(width - 1); i <= l; i++) {
      E x = from(v, i, mask);
      if ((mask >> i & 1) && !(exclusive && i == l)) acc = product ? (E)(acc * x) : (E)(acc + x);
    }
    return acc;
  }
  if (mask == 0xffffffffu) {
    for (int d = width / 2; d > 0; d /= 2) v = combine(op, v, from(v, l ^ d, mask));
    return v;
  }
  bool any = false;
  E acc = v;
  for (uint i = l & ~(uint)(width - 1), end = i + width; i < end; i++) {
    E x = from(v, i, mask);
    if (mask >> i & 1) { acc = any ? combine(op, acc, x) : x; any = true; }
  }
  return acc;
}
template <class T> MSL_FUNC T reduce(int op, int width, T v, int) {
  typedef typename shape<T>::elem E;
  typedef typename metal::conditional<metal::is_floating_point<E>::value, float, E>::type W;
  if constexpr (shape<T>::n == 1) return (T)reduce1<W>(op, width, (W)v);
  else { T r; for (int i = 0; i < shape<T>::n; i++) r[i] = (E)reduce1<W>(op, width, (W)v[i]); return r; }
}
MSL_FUNC ulong ballot(int width, bool p, int) {
  uint m = ptx::ballot(active(), p);
  return width == 32 ? m : m >> (lane() & ~3u) & 15;
}
MSL_FUNC void threadgroup_barrier(uint flags, int) { ptx::barrier(flags & 1); }
MSL_FUNC void simdgroup_barrier(uint flags, int) { ptx::warp_barrier(active()); }

// The lane that holds element (r, c & ~1) of a matrix.
MSL_FUNC uint matrix_lane(uint r, uint c) { return (r & 4) * 4 + (c & 4) * 2 + (r & 3) * 2 + (c >> 1 & 1); }
MSL_FUNC void mma(__private float * x, int) {
  uint l = lane(), r = matrix_row(l), c = matrix_col(l);
  float d0 = x[4], d1 = x[5];
  for (uint k = 0; k < 8; k++) {
    float a0 = from(x[0], matrix_lane(r, k), 0xffffffffu), a1 = from(x[1], matrix_lane(r, k), 0xffffffffu);
    float b0 = from(x[2], matrix_lane(k, c), 0xffffffffu), b1 = from(x[3], matrix_lane(k, c), 0xffffffffu);
    float a = k & 1 ? a1 : a0;
    d0 = __builtin_fmaf(a, b0, d0);
    d1 = __builtin_fmaf(a, b1, d1);
  }
  x[6] = d0, x[7] = d1;
}

template <class T> MSL_FUNC bool swap(__generic volatile T * p, __private T & old, T v) {
  if constexpr (sizeof(T) == 8) {
    ulong e = bits_of(old), r = ptx::cas64(p, e, bits_of(v));
    old = from_bits<T>(r);
    return r == e;
  } else {
    uint e = (uint)bits_of(old), r = ptx::cas32(p, e, (uint)bits_of(v));
    old = from_bits<T>(r);
    return r == e;
  }
}
template <class T> MSL_FUNC T atomic(int op, __generic volatile T * p, T v) {
  static_assert(sizeof(T) >= 4, "the GPU has no atomic operations on bytes");
  T old = *p;
  if (op == a_load) return old;
  T next;
  do {
    next = v;
    switch (op) {
    case a_add: next = old + v; break;
    case a_sub: next = old - v; break;
    case a_min: next = v < old ? v : old; break;
    case a_max: next = old < v ? v : old; break;
    }
    if constexpr (metal::is_integral<T>::value) {
      switch (op) {
      case a_and: next = old & v; break;
      case a_or: next = old | v; break;
      case a_xor: next = old ^ v; break;
      }
    }
  } while (!swap(p, old, next));
  return old;
}
template <class T> MSL_FUNC bool compare_exchange(__generic volatile T * p, __private T * expected, T v) { return swap(p, *expected, v); }
}

// Scalar maths from the GPU's own functions: ex2, lg2, sin and cos of the special function unit, to
// about 2^-21, which is what Metal's fast maths promises.
namespace msl_ { namespace m {
MSL_FUNC float sqrt(float x) { return ptx::sqrt(x); }
MSL_FUNC float rsqrt(float x) { return ptx::rsqrt(x); }
MSL_FUNC float exp2(float x) { return ptx::ex2(x); }
MSL_FUNC float exp(float x) {
  // 2^n · 2^f, with x·log2(e) in two parts.
  float t = x * 1.44269504f, n = __builtin_rintf(t), f = __builtin_fmaf(x, 1.44269502f, -n) + x * 1.92596299e-8f;
  return ptx::ex2(f) * ptx::ex2(n);
}
MSL_FUNC float exp10(float x) { return exp2(x * 3.32192809f); }
MSL_FUNC float log2(float x) { return ptx::lg2(x); }
MSL_FUNC float log(float x) { return log2(x) * 0.693147181f; }
MSL_FUNC float log10(float x) { return log2(x) * 0.301029996f; }
MSL_FUNC float reduce_turn(float x) {
  float n = __builtin_rintf(x * 0.159154943f);
  x = __builtin_fmaf(n, -6.28318548f, x);
  return __builtin_fmaf(n, 1.74845553e-7f, x);
}
MSL_FUNC float sin(float x) { return ptx::sin(reduce_turn(x)); }
MSL_FUNC float cos(float x) { return ptx::cos(reduce_turn(x)); }
MSL_FUNC float tan(float x) { return sin(x) / cos(x); }
MSL_FUNC float sinh(float x) { float e = exp(__builtin_fabsf(x)); return __builtin_copysignf(__builtin_fabsf(x) < 0.1f ? __builtin_fabsf(x) * (1 + x * x / 6 + x * x * x * x / 120) : 0.5f * (e - 1 / e), x); }
MSL_FUNC float cosh(float x) { float e = exp(__builtin_fabsf(x)); return 0.5f * (e + 1 / e); }
MSL_FUNC float tanh(float x) {
  float a = __builtin_fabsf(x);
  float t = a < 0.1f ? a * (1 - a * a / 3 + 2 * a * a * a * a / 15) : 1 - 2 / (exp(2 * a) + 1);
  return __builtin_copysignf(t, x);
}
MSL_FUNC float atan(float x) {
  float a = __builtin_fabsf(x), z = a > 1 ? 1 / a : a, s = 0;
  // Halved twice, then the series: atan z = 4 atan w.
  for (int i = 0; i < 2; i++) z = z / (1 + sqrt(1 + z * z));
  float q = z * z;
  s = 4 * z * (1 - q * (1.0f / 3 - q * (1.0f / 5 - q * (1.0f / 7 - q / 9))));
  return __builtin_copysignf(a > 1 ? 1.57079633f - s : s, x);
}
MSL_FUNC float atan2(float y, float x) {
  if (x > 0) return atan(y / x);
  if (x < 0) return atan(y / x) + __builtin_copysignf(3.14159265f, y);
  return y == 0 ? 0 : __builtin_copysignf(1.57079633f, y);
}
MSL_FUNC float asin(float x) { return atan2(x, sqrt((1 - x) * (1 + x))); }
MSL_FUNC float acos(float x) { return atan2(sqrt((1 - x) * (1 + x)), x); }
MSL_FUNC float asinh(float x) { float a = __builtin_fabsf(x); return __builtin_copysignf(log(a + sqrt(a * a + 1)), x); }
MSL_FUNC float acosh(float x) { return log(x + sqrt(x * x - 1)); }
MSL_FUNC float atanh(float x) { return 0.5f * log((1 + x) / (1 - x)); }
MSL_FUNC float fmod(float x, float y) { return x - y * __builtin_truncf(x / y); }
MSL_FUNC float pow(float x, float y) {
  if (y == 0) return 1;
  float r = exp2(y * log2(__builtin_fabsf(x)));
  if (x < 0) {
    if (y != __builtin_rintf(y)) return __builtin_nanf("");
    if (y * 0.5f != __builtin_rintf(y * 0.5f)) r = -r;
  }
  return r;
}
MSL_FUNC float nextafter(float x, float y) {
  if (x == y || x != x) return x;
  int b = __builtin_bit_cast(int, x);
  if (x == 0) return __builtin_copysignf(0x1p-149f, y);
  return __builtin_bit_cast(float, (x < y) == (x > 0) ? b + 1 : b - 1);
}
MSL_FUNC int ilogb(float x) { return (int)(__builtin_bit_cast(uint, x) >> 23 & 255) - 127; }
MSL_FUNC float ldexp(float x, int n) {
  int h = n / 2;
  return x * ptx::ex2((float)h) * ptx::ex2((float)(n - h));
}
MSL_FUNC float frexp(float x, __private int & e) {
  if (x == 0 || x - x != 0) { e = 0; return x; }
  e = ilogb(x) + 1;
  return ldexp(x, -e);
}
} }
