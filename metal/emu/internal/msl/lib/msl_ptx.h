// An NVIDIA GPU's own operations, for msl_cuda.h. Written without CUDA's toolkit: what clang's NVPTX
// target has built in, and PTX.
#pragma once

__asm__(".extern .shared .align 16 .b8 msl_shared[];");
MSL_FUNC uint msl_shared_base() { uint p; __asm__("mov.u32 %0, msl_shared;" : "=r"(p)); return p; }

namespace msl_ {
MSL_FUNC uint tid(int i) { return i == 0 ? __nvvm_read_ptx_sreg_tid_x() : i == 1 ? __nvvm_read_ptx_sreg_tid_y() : __nvvm_read_ptx_sreg_tid_z(); }
MSL_FUNC uint ntid(int i) { return i == 0 ? __nvvm_read_ptx_sreg_ntid_x() : i == 1 ? __nvvm_read_ptx_sreg_ntid_y() : __nvvm_read_ptx_sreg_ntid_z(); }
MSL_FUNC uint ctaid(int i) { return i == 0 ? __nvvm_read_ptx_sreg_ctaid_x() : i == 1 ? __nvvm_read_ptx_sreg_ctaid_y() : __nvvm_read_ptx_sreg_ctaid_z(); }
MSL_FUNC uint nctaid(int i) { return i == 0 ? __nvvm_read_ptx_sreg_nctaid_x() : i == 1 ? __nvvm_read_ptx_sreg_nctaid_y() : __nvvm_read_ptx_sreg_nctaid_z(); }
MSL_FUNC uint lane() { return __nvvm_read_ptx_sreg_laneid(); }
// The lanes that are here.
MSL_FUNC uint active() { uint m; __asm__ volatile("activemask.b32 %0;" : "=r"(m)); return m; }
namespace ptx {
MSL_FUNC int shuffle(uint mask, int v, uint src) { return __nvvm_shfl_sync_idx_i32(mask, v, src, 31); }
MSL_FUNC uint ballot(uint mask, bool p) { return __nvvm_vote_ballot_sync(mask, p); }
MSL_FUNC void barrier(bool device_memory) { __nvvm_bar_sync(0); if (device_memory) __nvvm_membar_gl(); }
MSL_FUNC void warp_barrier(uint mask) { __nvvm_bar_warp_sync(mask); }
// They compare *p with e, and give what it was.
MSL_FUNC uint cas32(__generic volatile void * p, uint e, uint v) {
  uint r;
  __asm__ volatile("atom.cas.b32 %0, [%1], %2, %3;" : "=r"(r) : "l"(p), "r"(e), "r"(v) : "memory");
  return r;
}
MSL_FUNC ulong cas64(__generic volatile void * p, ulong e, ulong v) {
  ulong r;
  __asm__ volatile("atom.cas.b64 %0, [%1], %2, %3;" : "=l"(r) : "l"(p), "l"(e), "l"(v) : "memory");
  return r;
}
MSL_FUNC float sqrt(float x) { return __nvvm_sqrt_rn_f(x); }
MSL_FUNC float rsqrt(float x) { return __nvvm_rsqrt_approx_f(x); }
MSL_FUNC float ex2(float x) { return __nvvm_ex2_approx_f(x); }
MSL_FUNC float lg2(float x) { return __nvvm_lg2_approx_f(x); }
MSL_FUNC float sin(float x) { return __nvvm_sin_approx_f(x); }
MSL_FUNC float cos(float x) { return __nvvm_cos_approx_f(x); }
} }

