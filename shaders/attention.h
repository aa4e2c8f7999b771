// attention.h: what the attention kernels share: their parameters, and which positions a row sees.
#pragma once
#include "cache.h"

constant uint D [[function_constant(0)]];  // width of a key head
constant uint DV [[function_constant(1)]]; // width of a value head
constant bool SINKS [[function_constant(2)]];
constant bool SOFTCAP [[function_constant(3)]];
constant bool ALIBI [[function_constant(4)]];
constant bool SPLIT [[function_constant(5)]]; // ranges are left for attention_join

#define TILE 32        // most rows of an entry of tiles
#define NOTHING -1e30f // below every score, and yet a number: fast math knows no infinity

struct AttentionParams {
  uint heads;    // H
  uint kv_heads; // G
  uint splits;   // ranges a row's pages are cut into
  uint window;   // most positions seen, the own included; 0 is all
  uint chunk;    // only the own chunk of this many positions is seen; 0 is all
  float scale;
  float softcap;
  float alibi;  // the largest bias
  float powers; // ALiBi: largest power of two not above H
};

// first_seen is the first position a row at position own may see.
inline uint first_seen(constant AttentionParams &p, uint own) {
  uint first = 0;
  if (p.window > 0 && own >= p.window) first = own - p.window + 1;
  if (p.chunk > 0) first = max(first, own / p.chunk * p.chunk);
  return first;
}

// slope is ALiBi's of a head: a geometric series, and every second value of the finer one beyond a power of two.
inline float slope(constant AttentionParams &p, uint head) {
  float h = float(head);
  return h < p.powers ? exp2(-p.alibi / p.powers * (h + 1.0f)) : exp2(-p.alibi / 2.0f / p.powers * (2.0f * (h - p.powers) + 1.0f));
}

// capped is a score with its soft cap and its bias.
inline float capped(constant AttentionParams &p, float s, uint head, uint own, uint position) {
  if (SOFTCAP) s = p.softcap * precise::tanh(s / p.softcap);
  if (ALIBI) s -= slope(p, head) * float(int(own) - int(position));
  return s;
}
