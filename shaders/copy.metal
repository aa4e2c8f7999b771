// copy: columns or rows of [rows][width] as they are.
//
//   copy_columns: out[i, c] = x[i, from + c]        parts of a fused projection
//   copy_rows:    out[i, c] = x[rows[i], c]         the rows whose result is wanted
//
// A thread a value: these are small, and the offsets are not multiples of anything.
#include "common.h"

struct CopyParams {
  uint rows;   // of out
  uint width;  // of out
  uint stride; // of x
  uint from;   // first column
};

kernel void copy_columns(constant CopyParams &p [[buffer(0)]], device const float *x [[buffer(1)]], device float *out [[buffer(2)]],
                         uint2 at [[thread_position_in_grid]]) {
  if (at.x >= p.width) return;
  out[ulong(at.y) * p.width + at.x] = x[ulong(at.y) * p.stride + p.from + at.x];
}

kernel void copy_rows(constant CopyParams &p [[buffer(0)]], device const float *x [[buffer(1)]], device float *out [[buffer(2)]],
                      device const int *rows [[buffer(3)]], uint2 at [[thread_position_in_grid]]) {
  if (at.x >= p.width) return;
  out[ulong(at.y) * p.width + at.x] = x[ulong(rows[at.y]) * p.stride + at.x];
}
