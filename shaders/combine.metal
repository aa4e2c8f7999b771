// combine: the weighted sum of each token's experts.
//
//   out[i, c] = Σ_j weights[i, j]·x[i·k + j, c] + residual[i, c]      x [n·k][width], weights [n][k], out [n][width]
//
// Reads x once and writes n rows. A thread a value: neighbouring threads read neighbouring values, k
// independent loads each.
#include "common.h"

constant bool add_residual [[function_constant(0)]];

struct CombineParams {
  uint width;
  uint used;  // k
  uint count; // n
};

kernel void combine(constant CombineParams &p [[buffer(0)]],
                    device const float *x [[buffer(1)]],
                    device const float *weights [[buffer(2)]],
                    device float *out [[buffer(3)]],
                    device const float *residual [[buffer(4), function_constant(add_residual)]],
                    uint2 at [[thread_position_in_grid]]) {
  if (at.x >= p.width || at.y >= p.count) return;
  const ulong to = ulong(at.y) * p.width + at.x;
  x += ulong(at.y) * p.used * p.width + at.x;
  weights += at.y * p.used;
  float sum = add_residual ? residual[to] : 0;
  for (uint j = 0; j < p.used; j++) sum += weights[j] * x[ulong(j) * p.width];
  out[to] = sum;
}
