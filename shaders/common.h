// What every source begins with.
#include <metal_stdlib>
using namespace metal;

// Lanes of a simdgroup on every Apple GPU.
#define LANES 32

// HOST_NAME(matvec_q4_K) is the attribute that gives a template's instantiation its name.
#define HOST_NAME(NAME) [[host_name(#NAME)]]
