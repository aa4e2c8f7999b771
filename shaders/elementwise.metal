// elementwise: out[i] = f(a[i], b[i]), for every f of one value or two.
//
// All of [rows][width] are one run of count values, 4 a thread: 16-byte loads and stores, and the tail value by
// value. Whichever f is wanted is a function constant, so that a pipeline holds that one alone.
#include "common.h"
#include "activation.h"

constant uint F [[function_constant(0)]];   // ELEMENT_...
constant uint ACT [[function_constant(1)]]; // ACT_..., of activate and glu

#define ELEMENT_ADD 0
#define ELEMENT_MUL 1
#define ELEMENT_SCALE 2    // a·factor
#define ELEMENT_SOFTCAP 3  // factor·tanh(a/factor)
#define ELEMENT_ACTIVATE 4 // act(a)
#define ELEMENT_GLU 5      // act(a)·b, and gpt-oss's clamped variant

constant bool TWO = F == ELEMENT_ADD || F == ELEMENT_MUL || F == ELEMENT_GLU;

struct ElementParams {
  uint count;
  float factor;
};

inline float element(float a, float b, float factor) {
  switch (F) {
  case ELEMENT_ADD: return a + b;
  case ELEMENT_MUL: return a * b;
  case ELEMENT_SCALE: return a * factor;
  case ELEMENT_SOFTCAP: return factor * precise::tanh(a / factor);
  case ELEMENT_ACTIVATE: return activate(a, ACT);
  }
  return glu(a, b, ACT);
}

kernel void elementwise(constant ElementParams &p [[buffer(0)]], device const float *a [[buffer(1)]],
                        device const float *b [[buffer(2), function_constant(TWO)]], device float *out [[buffer(3)]],
                        uint t [[thread_position_in_grid]]) {
  uint i = 4 * t;
  if (i + 4 <= p.count) {
    float4 x = *(device const float4 *)(a + i);
    float4 y = 0.0f;
    if (TWO) y = *(device const float4 *)(b + i);
    float4 z;
    for (uint j = 0; j < 4; j++) z[j] = element(x[j], y[j], p.factor);
    *(device float4 *)(out + i) = z;
    return;
  }
  for (; i < p.count; i++) out[i] = element(a[i], TWO ? b[i] : 0.0f, p.factor);
}

// Row-wise: each row has a factor of its own.

struct RowScaleParams {
  uint rows;
  uint width;
  int period;
  int offset;
  float beta;
};

// mul_rows: out[i, c] = x[i, c]·f[i].
kernel void mul_rows(constant RowScaleParams &p [[buffer(0)]], device const float *x [[buffer(1)]], device const float *f [[buffer(2)]],
                     device float *out [[buffer(3)]], uint2 at [[thread_position_in_grid]]) {
  if (at.x >= p.width) return;
  ulong i = ulong(at.y) * p.width + at.x;
  out[i] = x[i] * f[at.y];
}

// scale_by_position: out[i, c] = x[i, c]·(1 + beta·ln(1 + floor((position[i] + offset)/period))).
kernel void scale_by_position(constant RowScaleParams &p [[buffer(0)]], device const float *x [[buffer(1)]],
                              device const int *positions [[buffer(2)]], device float *out [[buffer(3)]],
                              uint2 at [[thread_position_in_grid]]) {
  if (at.x >= p.width) return;
  ulong i = ulong(at.y) * p.width + at.x;
  out[i] = x[i] * (1.0f + p.beta * precise::log(1.0f + float((positions[at.y] + p.offset) / p.period)));
}
