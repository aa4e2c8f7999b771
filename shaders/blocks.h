// blocks.h: every tensor type's layout, and how a thread reads it.
//
// A row of weights is blocks, and a block is one or more slices. A slice is what one lane takes at a
// time: 8 to 16 bytes, 4 to 32 values. A simdgroup's 32 lanes take 32 neighbouring slices, so that each of its loads falls
// on few cache lines, and every line is used up while it is there. A whole block of 32 a lane would read the scale once
// instead of twice, and spread each 2-byte load of a simdgroup over 5 to 9 lines instead of 3.
//
// The values of a slice are not always neighbours: a byte of Q4_K holds a column and the one 32 further.
// They come in runs, each of neighbouring columns; one scale goes with one or more of its runs.
//
//   block    values in a block                bytes    of a block
//   values   in a slice                       runs     in a slice, `stride` columns apart
//   column(part)                              first column of the block's slice `part`
//   slice(w, at, part, q, scale, shift)       reads the slice of the block at byte `at` of w: value i is
//                                             scale[k]·q[i] + shift[k], k = i·scales/values
//   rows     of the matrix that a simdgroup of matvec takes at once (see there)
//
// w is a multiple of 4 bytes into the tensor, whose own address is a multiple of 32, and loads keep to the
// alignment of the block: 16 bytes for Q4_K and Q5_K, 8 for Q5_1 and IQ4_XS, 4 for Q4_1 and Q2_K, 2 for
// the others; MXFP4's 17 bytes are read as the words around them. Alignment to 2 does not mean loads of 2: a load of
// the GPU is of up to four components and asks for the alignment of one (so Mesa's driver for these chips has it), which
// in Metal is a packed vector. Counting loads a weight, in brackets with 2 bytes each:
//
//   Q4_0, IQ4_NL   d, 8 bytes                              2 / 16 values = 0.125   (5: 0.31)
//   Q5_0           d and fifth bits, 8 bytes               2 / 16        = 0.125   (7: 0.44)
//   Q8_0           d, 8 bytes                              2 / 8         = 0.25    (5: 0.63)
//   Q3_K           third bits, quants, 3 of scales and d   5 / 32        = 0.156   (15: 0.47)
//   Q6_K           3 of quants, scales, d                  5 / 32        = 0.156   (11 / 16: 0.69)
//   Q4_K           header, 16 bytes                        2 / 32        = 0.0625
//
// Each helper works on words of four bytes, masked and converted four at a time: bytes loaded one by one cost as many
// instructions as words.
//
// The layouts are ggml's (the file format's definition); gguf/quant has each as plain Go.
#pragma once
#include "common.h"

// Four bytes as floats, unsigned and signed.
inline float4 bytes(uint u) { return float4(as_type<uchar4>(u)); }
inline float4 signed_bytes(uint u) { return float4(as_type<char4>(u)); }

// One word and two that are only aligned to 2 bytes.
inline uint word(device const ushort *p) { return as_type<uint>(ushort2(*(device const packed_ushort2 *)p)); }
inline uint2 words(device const ushort *p) { return as_type<uint2>(ushort4(*(device const packed_ushort4 *)p)); }

inline float half_at(ushort bits) { return float(as_type<half>(bits)); }
// Two halves: scale in the low half of a word and scale or minimum of the mins in the high one.
inline float2 halves(uint u) { return float2(as_type<half2>(u)); }

// Bits 0 to 3, one to each byte.
inline uint spread(uint bits) { return (bits & 15) * 0x00204081u & 0x01010101u; }

// ---- plain types: a "block" is one 16-byte load ----

// at(w, c) is the value in column c, for rows whose width is no multiple of the block.
struct F32 {
  enum { block = 4, bytes = 16, values = 4, runs = 1, stride = 0, scales = 1, rows = 2, plain = 1 };
  static uint column(uint) { return 0; }
  static void slice(device const uchar *w, uint at, uint, thread float4 *q, thread float *scale, thread float *shift) {
    q[0] = *(device const float4 *)(w + at);
    scale[0] = 1;
    shift[0] = 0;
  }
  static float at(device const uchar *w, uint c) { return ((device const float *)w)[c]; }
};

struct F16 {
  enum { block = 8, bytes = 16, values = 8, runs = 1, stride = 0, scales = 1, rows = 2, plain = 1 };
  static uint column(uint) { return 0; }
  static void slice(device const uchar *w, uint at, uint, thread float4 *q, thread float *scale, thread float *shift) {
    const uint4 u = *(device const uint4 *)(w + at);
    q[0] = float4(as_type<half4>(u.xy));
    q[1] = float4(as_type<half4>(u.zw));
    scale[0] = 1;
    shift[0] = 0;
  }
  static float at(device const uchar *w, uint c) { return float(((device const half *)w)[c]); }
};

// BF16 is the upper half of a float; read as bits it needs no bfloat, which MSL has from 3.1 on.
struct BF16 {
  enum { block = 8, bytes = 16, values = 8, runs = 1, stride = 0, scales = 1, rows = 2, plain = 1 };
  static uint column(uint) { return 0; }
  static void slice(device const uchar *w, uint at, uint, thread float4 *q, thread float *scale, thread float *shift) {
    const uint4 u = *(device const uint4 *)(w + at);
    q[0] = as_type<float4>(uint4(u.x << 16, u.x & 0xffff0000u, u.y << 16, u.y & 0xffff0000u));
    q[1] = as_type<float4>(uint4(u.z << 16, u.z & 0xffff0000u, u.w << 16, u.w & 0xffff0000u));
    scale[0] = 1;
    shift[0] = 0;
  }
  static float at(device const uchar *w, uint c) { return as_type<float>(uint(((device const ushort *)w)[c]) << 16); }
};

// ---- 32 values a block: the low nibbles of 16 bytes are values 0 to 15, the high ones 16 to 31 ----

// A slice is 8 bytes of nibbles: 8 columns from 8·part on, and those 16 further. There is no column without a block.
struct Block32 {
  enum { block = 32, values = 16, runs = 2, stride = 16, scales = 1, rows = 4, plain = 0 };
  static uint column(uint part) { return 8 * part; }
  static float at(device const uchar *, uint) { return 0; }
};

// Q4_0: d half, 16 bytes of nibbles; d·(q−8).
struct Q4_0 : Block32 {
  enum { bytes = 18 };
  static void slice(device const uchar *w, uint at, uint part, thread float4 *q, thread float *scale, thread float *shift) {
    device const ushort *p = (device const ushort *)(w + at);
    scale[0] = half_at(p[0]);
    shift[0] = -8 * scale[0];
    const uint2 u = words(p + 1 + 4 * part);
    UNROLL for (uint i = 0; i < 2; i++) {
      q[i] = ::bytes(u[i] & 0x0f0f0f0fu);
      q[i + 2] = ::bytes(u[i] >> 4 & 0x0f0f0f0fu);
    }
  }
};

// Q4_1: d and m half, 16 bytes of nibbles; d·q + m.
struct Q4_1 : Block32 {
  enum { bytes = 20 };
  static void slice(device const uchar *w, uint at, uint part, thread float4 *q, thread float *scale, thread float *shift) {
    device const uint *p = (device const uint *)(w + at);
    const float2 dm = halves(p[0]);
    scale[0] = dm.x;
    shift[0] = dm.y;
    UNROLL for (uint i = 0; i < 2; i++) {
      const uint u = p[1 + 2 * part + i];
      q[i] = ::bytes(u & 0x0f0f0f0fu);
      q[i + 2] = ::bytes(u >> 4 & 0x0f0f0f0fu);
    }
  }
};

// Q5_0: d half, a word of 32 fifth bits, 16 bytes of nibbles; d·(q−16).
struct Q5_0 : Block32 {
  enum { bytes = 22 };
  static void slice(device const uchar *w, uint at, uint part, thread float4 *q, thread float *scale, thread float *shift) {
    device const ushort *p = (device const ushort *)(w + at);
    const ushort3 head = *(device const packed_ushort3 *)p;
    scale[0] = half_at(head.x);
    shift[0] = -16 * scale[0];
    const uint high = as_type<uint>(head.yz) >> (8 * part);
    const uint2 u = words(p + 3 + 4 * part);
    UNROLL for (uint i = 0; i < 2; i++) {
      q[i] = ::bytes((u[i] & 0x0f0f0f0fu) | spread(high >> (4 * i)) << 4);
      q[i + 2] = ::bytes((u[i] >> 4 & 0x0f0f0f0fu) | spread(high >> (4 * i + 16)) << 4);
    }
  }
};

// Q5_1: d and m half, a word of 32 fifth bits, 16 bytes of nibbles; d·q + m.
struct Q5_1 : Block32 {
  enum { bytes = 24 };
  static void slice(device const uchar *w, uint at, uint part, thread float4 *q, thread float *scale, thread float *shift) {
    device const uint2 *p = (device const uint2 *)(w + at);
    const uint2 head = p[0], u = p[1 + part];
    const float2 dm = halves(head.x);
    scale[0] = dm.x;
    shift[0] = dm.y;
    const uint high = head.y >> (8 * part);
    UNROLL for (uint i = 0; i < 2; i++) {
      q[i] = ::bytes((u[i] & 0x0f0f0f0fu) | spread(high >> (4 * i)) << 4);
      q[i + 2] = ::bytes((u[i] >> 4 & 0x0f0f0f0fu) | spread(high >> (4 * i + 16)) << 4);
    }
  }
};

// Q8_0: d half, 32 signed bytes; d·q. A slice is 8 bytes again, 8 columns.
struct Q8_0 {
  enum { block = 32, bytes = 34, values = 8, runs = 1, stride = 0, scales = 1, rows = 4, plain = 0 };
  static uint column(uint part) { return 8 * part; }
  static float at(device const uchar *, uint) { return 0; }
  static void slice(device const uchar *w, uint at, uint part, thread float4 *q, thread float *scale, thread float *shift) {
    device const ushort *p = (device const ushort *)(w + at);
    scale[0] = half_at(p[0]);
    shift[0] = 0;
    const uint2 u = words(p + 1 + 4 * part);
    q[0] = signed_bytes(u.x);
    q[1] = signed_bytes(u.y);
  }
};

// The 16 levels of IQ4_NL and IQ4_XS, denser near zero.
constant float iq4_levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

inline float4 iq4(uint u) {
  return float4(iq4_levels[u & 15], iq4_levels[u >> 8 & 15], iq4_levels[u >> 16 & 15], iq4_levels[u >> 24 & 15]);
}

// IQ4_NL: d half, 16 bytes of nibbles; d·level.
struct IQ4_NL : Block32 {
  enum { bytes = 18 };
  static void slice(device const uchar *w, uint at, uint part, thread float4 *q, thread float *scale, thread float *shift) {
    device const ushort *p = (device const ushort *)(w + at);
    scale[0] = half_at(p[0]);
    shift[0] = 0;
    const uint2 u = words(p + 1 + 4 * part);
    UNROLL for (uint i = 0; i < 2; i++) {
      q[i] = iq4(u[i]);
      q[i + 2] = iq4(u[i] >> 4);
    }
  }
};

// Twice the 4-bit floats (E2M1) in the low nibbles of four bytes: magnitudes 0 1 2 3 4 6 8 12 fit into
// a nibble each, so that the table is one word and a lookup a shift.
inline float fp4(uint n) {
  const float m = float(0xc8643210u >> (4 * (n & 7)) & 15);
  return as_type<float>(as_type<uint>(m) | (n & 8) << 28);
}
inline float4 fp4x4(uint u) { return float4(fp4(u), fp4(u >> 8), fp4(u >> 16), fp4(u >> 24)); }

// MXFP4: a power of two e, 16 bytes of 4-bit floats; 2^(e−127)·fp4. The block's 17 bytes begin anywhere: the three
// words that hold 8 of them are shifted into place.
struct MXFP4 : Block32 {
  enum { bytes = 17 };
  static void slice(device const uchar *w, uint at, uint part, thread float4 *q, thread float *scale, thread float *shift) {
    const uint e = w[at], from = at + 1 + 8 * part;
    scale[0] = as_type<float>(e < 2 ? 0x00200000u << e : (e - 1) << 23); // half of 2^(e−127): fp4 is doubled
    shift[0] = 0;
    device const uint *p = (device const uint *)(w + (from & ~3u));
    const uint by = from % 4 * 8;
    uint u[3] = {p[0], p[1], 0};
    if (by > 0) u[2] = p[2];
    UNROLL for (uint i = 0; i < 2; i++) {
      const uint v = by > 0 ? u[i] >> by | u[i + 1] << (32 - by) : u[i];
      q[i] = fp4x4(v);
      q[i + 2] = fp4x4(v >> 4);
    }
  }
};

// ---- 256 values a block, in sub-blocks whose scales (and minima) are small integers ----

// IQ4_XS: d half, eight times two high scale bits, eight nibbles of low ones, 8·16 bytes laid out as
// IQ4_NL; d·(s−32)·level. A slice is a sub-block.
struct IQ4_XS {
  enum { block = 256, bytes = 136, values = 32, runs = 1, stride = 0, scales = 1, rows = 4, plain = 0 };
  static uint column(uint part) { return 32 * part; }
  static float at(device const uchar *, uint) { return 0; }
  static void slice(device const uchar *w, uint at, uint part, thread float4 *q, thread float *scale, thread float *shift) {
    device const uint2 *p = (device const uint2 *)(w + at);
    const uint2 head = p[0];
    const int s = int(head.y >> (4 * part) & 15) | int(head.x >> (16 + 2 * part) & 3) << 4;
    scale[0] = half_at(ushort(head.x)) * float(s - 32);
    shift[0] = 0;
    UNROLL for (uint i = 0; i < 4; i++) {
      const uint u = i % 2 == 0 ? p[1 + 2 * part + i / 2].x : p[1 + 2 * part + i / 2].y;
      q[i] = iq4(u);
      q[i + 4] = iq4(u >> 4);
    }
  }
};

// Q2_K, Q3_K and Q6_K: of each 128 values, a byte holds one of each of four runs of 32 (Q6_K: the 2 high bits). A slice
// is 8 such bytes: 8 columns of each run. Its scales are those of sub-blocks 8·(part/4) + 2·r + part%4/2.
struct Quarters {
  static uint column(uint part) { return part / 4 * 128 + part % 4 * 8; }
  static float at(device const uchar *, uint) { return 0; }
};

// Q2_K: 16 bytes of scale (low nibble) and min (high), 64 bytes of 2-bit quants, d and dmin half;
// d·s·q − dmin·m.
struct Q2_K : Quarters {
  enum { block = 256, bytes = 84, values = 32, runs = 4, stride = 32, scales = 4, rows = 4, plain = 0 };
  static void slice(device const uchar *w, uint at, uint part, thread float4 *q, thread float *scale, thread float *shift) {
    device const uint *p = (device const uint *)(w + at);
    const uint n = part / 4, c = part % 4;
    const float2 dm = halves(p[20]);
    const uint u0 = p[4 + 8 * n + 2 * c], u1 = p[5 + 8 * n + 2 * c];
    UNROLL for (uint r = 0; r < 4; r++) {
      const uint s = p[2 * n + r / 2] >> (16 * (r % 2) + 8 * (c / 2));
      scale[r] = dm.x * float(s & 15);
      shift[r] = -dm.y * float(s >> 4 & 15);
      q[2 * r] = ::bytes(u0 >> (2 * r) & 0x03030303u);
      q[2 * r + 1] = ::bytes(u1 >> (2 * r) & 0x03030303u);
    }
  }
};

// Q3_K: 32 bytes of third bits (bit 4n+r of a byte is run r of half n), 64 bytes of 2-bit quants, 16
// scales of 6 bits in 12 bytes (8 bytes of two low nibbles, 4 of four high pairs), d half; d·(s−32)·(q−4).
struct Q3_K : Quarters {
  enum { block = 256, bytes = 110, values = 32, runs = 4, stride = 32, scales = 4, rows = 2, plain = 0 };
  static void slice(device const uchar *w, uint at, uint part, thread float4 *q, thread float *scale, thread float *shift) {
    device const ushort *p = (device const ushort *)(w + at);
    const uint n = part / 4, c = part % 4;
    const uint2 h = words(p + 4 * c), u = words(p + 16 + 16 * n + 4 * c);
    const ushort4 low = *(device const packed_ushort4 *)(p + 48); // of the scales
    const ushort2 high = *(device const packed_ushort2 *)(p + 52);
    const float d = half_at(p[54]);
    const uint from = 8 * (c / 2) + 4 * n; // of the nibble in its pair of bytes
    UNROLL for (uint r = 0; r < 4; r++) {
      const int s = int(low[r] >> from & 15) | int(high[r % 2] >> (from + r / 2 * 2) & 3) << 4;
      scale[r] = d * float(s - 32);
      shift[r] = -4 * scale[r];
      UNROLL for (uint i = 0; i < 2; i++)
        q[2 * r + i] = ::bytes((u[i] >> (2 * r) & 0x03030303u) | (h[i] >> (4 * n + r) & 0x01010101u) << 2);
    }
  }
};

// Q6_K: 128 bytes of low nibbles (of each 64: runs 0 and 2, then runs 1 and 3), 64 bytes of four times 2
// high bits, 16 signed scales, d half; d·s·(q−32). Of the 8 scales of a half, one load has those of all runs.
struct Q6_K : Quarters {
  enum { block = 256, bytes = 210, values = 32, runs = 4, stride = 32, scales = 4, rows = 2, plain = 0 };
  static void slice(device const uchar *w, uint at, uint part, thread float4 *q, thread float *scale, thread float *shift) {
    device const ushort *p = (device const ushort *)(w + at);
    const uint n = part / 4, c = part % 4;
    const uint2 low = words(p + 32 * n + 4 * c), high = words(p + 32 * n + 16 + 4 * c), h = words(p + 64 + 16 * n + 4 * c);
    const ushort4 s = *(device const packed_ushort4 *)(p + 96 + 4 * n);
    const float d = half_at(p[104]);
    UNROLL for (uint r = 0; r < 4; r++) {
      scale[r] = d * float(as_type<char2>(s[r])[c / 2]);
      shift[r] = -32 * scale[r];
    }
    UNROLL for (uint i = 0; i < 2; i++) {
      q[i] = ::bytes((low[i] & 0x0f0f0f0fu) | (h[i] << 4 & 0x30303030u));
      q[2 + i] = ::bytes((high[i] & 0x0f0f0f0fu) | (h[i] << 2 & 0x30303030u));
      q[4 + i] = ::bytes((low[i] >> 4 & 0x0f0f0f0fu) | (h[i] & 0x30303030u));
      q[6 + i] = ::bytes((high[i] >> 4 & 0x0f0f0f0fu) | (h[i] >> 2 & 0x30303030u));
    }
  }
};

// Q4_K and Q5_K: a header of 16 bytes, d and dmin half and eight 6-bit scales and minima. The low nibbles
// of 32 bytes are one sub-block, the high ones the next: a slice is 16 bytes, 16 columns of each.
struct Nibbles {
  static uint column(uint part) { return part / 2 * 64 + part % 2 * 16; }
  static float at(device const uchar *, uint) { return 0; }
  // Scale and min of sub-blocks 2j and 2j+1: below 4 the low 6 bits of their bytes, from 4 on a nibble of
  // the third word and the 2 bits the first two have left.
  static void unpack(uint4 head, uint j, thread float *scale, thread float *shift) {
    const float2 dm = halves(head.x);
    UNROLL for (uint r = 0; r < 2; r++) {
      const uint by = 16 * (j % 2) + 8 * r;
      const uint a = head.y >> by, b = head.z >> by, c = head.w >> by;
      scale[r] = dm.x * float(j < 2 ? a & 63 : (c & 15) | (a >> 2 & 48));
      shift[r] = -dm.y * float(j < 2 ? b & 63 : (c >> 4 & 15) | (b >> 2 & 48));
    }
  }
};

// Q4_K: header, 128 bytes of nibbles; d·s·q − dmin·m.
struct Q4_K : Nibbles {
  enum { block = 256, bytes = 144, values = 32, runs = 2, stride = 32, scales = 2, rows = 4, plain = 0 };
  static void slice(device const uchar *w, uint at, uint part, thread float4 *q, thread float *scale, thread float *shift) {
    device const uint4 *p = (device const uint4 *)(w + at);
    unpack(p[0], part / 2, scale, shift);
    const uint4 u = p[1 + part];
    UNROLL for (uint i = 0; i < 4; i++) {
      q[i] = ::bytes(u[i] & 0x0f0f0f0fu);
      q[i + 4] = ::bytes(u[i] >> 4 & 0x0f0f0f0fu);
    }
  }
};

// Q5_K: header, 32 bytes of fifth bits (bit k of a byte is sub-block k), 128 bytes of nibbles.
struct Q5_K : Nibbles {
  enum { block = 256, bytes = 176, values = 32, runs = 2, stride = 32, scales = 2, rows = 2, plain = 0 };
  static void slice(device const uchar *w, uint at, uint part, thread float4 *q, thread float *scale, thread float *shift) {
    device const uint4 *p = (device const uint4 *)(w + at);
    unpack(p[0], part / 2, scale, shift);
    const uint4 u = p[3 + part], h = p[1 + part % 2] >> (part / 2 * 2);
    UNROLL for (uint i = 0; i < 4; i++) {
      q[i] = ::bytes((u[i] & 0x0f0f0f0fu) | (h[i] & 0x01010101u) << 4);
      q[i + 4] = ::bytes((u[i] >> 4 & 0x0f0f0f0fu) | (h[i] >> 1 & 0x01010101u) << 4);
    }
  }
};

// ---- slices of a row ----

// A row of a matrix: w is a multiple of 4 bytes into it, the row begins at byte `at` of w (0 to 3).
struct Row {
  device const uchar *w;
  uint at;
};
inline Row row_of(device const uchar *weights, ulong row, uint row_bytes) {
  const ulong start = row * row_bytes;
  return {weights + (start & ~3ul), uint(start & 3)};
}

// The first column of a row's slice number s, and where its run r begins.
template <class T> inline uint column_of(uint s) {
  return s / (T::block / T::values) * T::block + T::column(s % (T::block / T::values));
}
template <class T> inline uint run_of(uint s, uint r) { return column_of<T>(s) + T::stride * r; }

template <class T> inline void quants(Row row, uint s, thread float4 *q, thread float *scale, thread float *shift) {
  constexpr uint parts = T::block / T::values;
  T::slice(row.w, row.at + s / parts * T::bytes, s % parts, q, scale, shift);
}

// The values of a slice, in its order.
template <class T> inline void decode(Row row, uint s, thread float4 *v) {
  float scale[T::scales], shift[T::scales];
  quants<T>(row, s, v, scale, shift);
  constexpr uint n = T::values / T::scales / 4;
  UNROLL for (uint i = 0; i < T::values / 4; i++) v[i] = scale[i / n] * v[i] + shift[i / n];
}

// ---- instantiation ----
// EACH_TYPE(K) is K(q4_K, Q4_K) and so on: the type's name in a host_name, and its struct.

#ifndef ONLY_TYPES
#define ONLY_TYPES 0
#endif
#if !ONLY_TYPES || defined(WITH_F32)
#define EACH_F32(K) K(f32, F32)
#else
#define EACH_F32(K)
#endif
#if !ONLY_TYPES || defined(WITH_F16)
#define EACH_F16(K) K(f16, F16)
#else
#define EACH_F16(K)
#endif
#if !ONLY_TYPES || defined(WITH_BF16)
#define EACH_BF16(K) K(bf16, BF16)
#else
#define EACH_BF16(K)
#endif
#if !ONLY_TYPES || defined(WITH_Q4_0)
#define EACH_Q4_0(K) K(q4_0, Q4_0)
#else
#define EACH_Q4_0(K)
#endif
#if !ONLY_TYPES || defined(WITH_Q4_1)
#define EACH_Q4_1(K) K(q4_1, Q4_1)
#else
#define EACH_Q4_1(K)
#endif
#if !ONLY_TYPES || defined(WITH_Q5_0)
#define EACH_Q5_0(K) K(q5_0, Q5_0)
#else
#define EACH_Q5_0(K)
#endif
#if !ONLY_TYPES || defined(WITH_Q5_1)
#define EACH_Q5_1(K) K(q5_1, Q5_1)
#else
#define EACH_Q5_1(K)
#endif
#if !ONLY_TYPES || defined(WITH_Q8_0)
#define EACH_Q8_0(K) K(q8_0, Q8_0)
#else
#define EACH_Q8_0(K)
#endif
#if !ONLY_TYPES || defined(WITH_Q2_K)
#define EACH_Q2_K(K) K(q2_K, Q2_K)
#else
#define EACH_Q2_K(K)
#endif
#if !ONLY_TYPES || defined(WITH_Q3_K)
#define EACH_Q3_K(K) K(q3_K, Q3_K)
#else
#define EACH_Q3_K(K)
#endif
#if !ONLY_TYPES || defined(WITH_Q4_K)
#define EACH_Q4_K(K) K(q4_K, Q4_K)
#else
#define EACH_Q4_K(K)
#endif
#if !ONLY_TYPES || defined(WITH_Q5_K)
#define EACH_Q5_K(K) K(q5_K, Q5_K)
#else
#define EACH_Q5_K(K)
#endif
#if !ONLY_TYPES || defined(WITH_Q6_K)
#define EACH_Q6_K(K) K(q6_K, Q6_K)
#else
#define EACH_Q6_K(K)
#endif
#if !ONLY_TYPES || defined(WITH_IQ4_NL)
#define EACH_IQ4_NL(K) K(iq4_nl, IQ4_NL)
#else
#define EACH_IQ4_NL(K)
#endif
#if !ONLY_TYPES || defined(WITH_IQ4_XS)
#define EACH_IQ4_XS(K) K(iq4_xs, IQ4_XS)
#else
#define EACH_IQ4_XS(K)
#endif
#if !ONLY_TYPES || defined(WITH_MXFP4)
#define EACH_MXFP4(K) K(mxfp4, MXFP4)
#else
#define EACH_MXFP4(K)
#endif
#define EACH_TYPE(K) \
  EACH_F32(K) EACH_F16(K) EACH_BF16(K) EACH_Q4_0(K) EACH_Q4_1(K) EACH_Q5_0(K) EACH_Q5_1(K) EACH_Q8_0(K) \
  EACH_Q2_K(K) EACH_Q3_K(K) EACH_Q4_K(K) EACH_Q5_K(K) EACH_Q6_K(K) EACH_IQ4_NL(K) EACH_IQ4_XS(K) EACH_MXFP4(K)
