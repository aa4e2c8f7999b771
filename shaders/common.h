// What every source begins with.
#include <metal_stdlib>
using namespace metal;

// Lanes of a simdgroup on every Apple GPU.
#define LANES 32

// HOST_NAME(matvec_q4_K) is the attribute that gives a template's instantiation its name.
#define HOST_NAME(NAME) [[host_name(#NAME)]]

// UNROLL before a loop over an array of fixed size keeps the array in registers: one that is indexed at run time lies
// in memory.
#define UNROLL _Pragma("clang loop unroll(full)")
