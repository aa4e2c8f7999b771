// cache.h: the types of the KV cache. A layer's keys and values are pages of PAGE positions; a position is a row of
// `width` values, all KV heads after one another:
//
//   CacheF32, CacheF16   the values
//   CacheQ8_0            width/32 blocks of 34 bytes, d half and 32 signed bytes; d·q. A head begins with a block.
//
//   bytes(width)         of a row
//   at(row, c)           value in column c
//   two, four(row, c)    values from column c on, a multiple of 2 or 4; the row is aligned to as many values
//   eight(row, c, v)     eight, the same
//   stage(row, c, to)    eight, to threadgroup memory as the type matrices are multiplied in: half where that is exact.
//                        Of Q8_0's 7 bits times 11 a half would keep 11: sharp attention moves by thousandths
#pragma once
#include "common.h"

#define PAGE 32

struct CacheF32 {
  typedef float Staged;
  static uint bytes(uint width) { return 4 * width; }
  static float at(device const uchar *row, uint c) { return ((device const float *)row)[c]; }
  static float2 two(device const uchar *row, uint c) { return *(device const float2 *)(row + 4 * c); }
  static float4 four(device const uchar *row, uint c) { return *(device const float4 *)(row + 4 * c); }
  static void eight(device const uchar *row, uint c, thread float4 *v) {
    v[0] = four(row, c);
    v[1] = four(row, c + 4);
  }
  static void stage(device const uchar *row, uint c, threadgroup float *to) {
    *(threadgroup float4 *)to = four(row, c);
    *(threadgroup float4 *)(to + 4) = four(row, c + 4);
  }
};

struct CacheF16 {
  typedef half Staged;
  static uint bytes(uint width) { return 2 * width; }
  static float at(device const uchar *row, uint c) { return float(((device const half *)row)[c]); }
  static float2 two(device const uchar *row, uint c) { return float2(*(device const half2 *)(row + 2 * c)); }
  static float4 four(device const uchar *row, uint c) { return float4(*(device const half4 *)(row + 2 * c)); }
  static void eight(device const uchar *row, uint c, thread float4 *v) {
    const uint4 u = *(device const uint4 *)(row + 2 * c);
    v[0] = float4(as_type<half4>(u.xy));
    v[1] = float4(as_type<half4>(u.zw));
  }
  static void stage(device const uchar *row, uint c, threadgroup half *to) {
    *(threadgroup uint4 *)to = *(device const uint4 *)(row + 2 * c);
  }
};

struct CacheQ8_0 {
  typedef float Staged;
  static uint bytes(uint width) { return width / 32 * 34; }
  static device const ushort *block(device const uchar *row, uint c) { return (device const ushort *)(row + c / 32 * 34); }
  static float d(device const ushort *b) { return float(as_type<half>(b[0])); }
  static float at(device const uchar *row, uint c) {
    device const ushort *b = block(row, c);
    return d(b) * float(as_type<char2>(b[1 + c % 32 / 2])[c % 2]);
  }
  static float2 two(device const uchar *row, uint c) {
    device const ushort *b = block(row, c);
    return d(b) * float2(as_type<char2>(b[1 + c % 32 / 2]));
  }
  static float4 four(device const uchar *row, uint c) {
    device const ushort *b = block(row, c);
    return d(b) * float4(as_type<char4>(ushort2(*(device const packed_ushort2 *)(b + 1 + c % 32 / 2))));
  }
  static void eight(device const uchar *row, uint c, thread float4 *v) {
    device const ushort *b = block(row, c);
    const ushort4 u = *(device const packed_ushort4 *)(b + 1 + c % 32 / 2); // one load, aligned to 2: blocks.h
    const float by = d(b);
    v[0] = by * float4(as_type<char4>(u.xy));
    v[1] = by * float4(as_type<char4>(u.zw));
  }
  static void stage(device const uchar *row, uint c, threadgroup float *to) {
    float4 v[2];
    eight(row, c, v);
    *(threadgroup float4 *)to = v[0];
    *(threadgroup float4 *)(to + 4) = v[1];
  }
};

#define EACH_CACHE(K) K(f32, CacheF32) K(f16, CacheF16) K(q8_0, CacheQ8_0)
