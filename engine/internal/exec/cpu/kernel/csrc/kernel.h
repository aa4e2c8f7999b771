// What all kernels share. They are freestanding C: no library, no stack.
#pragma once
#include <stdint.h>

// A row of activations as 15-bit integers, a scale for each 32: Go's Act.
typedef struct {
    const int16_t *q; // [K]    within ±16383
    const float *d;   // [K/32] scale
    const float *s;   // [K/32] sum of the values
    const float *h;   // [K/16] sum of the values
    const uint8_t *w; // [K/64] the same, as vbmi_amd64.c or dotprod_arm64.c reads it; or nothing
} act_t;

#define KERNEL(name) __attribute__((preserve_none, section(".text." #name))) void name
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")
// Pins keep clang from holding more values than there are registers.
#define PIN(p) __asm__ volatile("" : "+r"(p))
