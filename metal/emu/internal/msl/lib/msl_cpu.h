// What the library asks of the machine, on a CPU: calls into the runtime (metal/emu/internal/simt),
// where a GPU thread is a fiber that waits for the others of its simdgroup.
#pragma once

extern "C" {
// What an entry point reads. The runtime's rt/machine.c has the same layouts.
struct msl_group {
  ulong buffer[31];
  ulong threadgroup[31];
  uint position[3];      // threadgroup_position_in_grid
  uint size[3];          // threads_per_threadgroup
  uint full[3];          // dispatch_threads_per_threadgroup
  uint grid[3];          // threads_per_grid
  uint groups[3];        // threadgroups_per_grid
  uint simdgroups;
};
struct msl_thread {
  uint grid[3];  // thread_position_in_grid
  uint inside[3]; // thread_position_in_threadgroup
  uint index, lane, simdgroup;
};
__attribute__((convergent)) void msl_rt_barrier(uint flags, int line);
__attribute__((convergent)) void msl_rt_simd_barrier(uint flags, int line);
__attribute__((convergent)) void msl_rt_reduce(int op, int type, int n, int width, __private void * v, int line);
__attribute__((convergent)) void msl_rt_shuffle(int mode, int bytes, int width, __private void * v, uint arg, int line);
__attribute__((convergent)) ulong msl_rt_ballot(int width, uint predicate, int line);
__attribute__((convergent)) void msl_rt_mma(__private float * abcd, int line);
ulong msl_rt_atomic(int op, int type, __generic volatile void * p, ulong v);
bool msl_rt_compare_exchange(int bytes, __generic volatile void * p, __private void * expected, ulong v);
__attribute__((const)) ulong msl_rt_buffer(const __global msl_group * g, uint i);
__attribute__((const)) ulong msl_rt_threadgroup_argument(const __global msl_group * g, uint i);
__attribute__((const)) ulong msl_rt_threadgroup_variable(uint offset, uint size);
uint msl_rt_lane(void);
}
namespace msl_ { namespace c { extern "C" {
float acosf(float); float acoshf(float); float asinf(float); float asinhf(float); float atanf(float); float atanhf(float); float atan2f(float, float);
float cosf(float); float coshf(float); float sinf(float); float sinhf(float); float tanf(float); float tanhf(float);
float expf(float); float exp2f(float); float logf(float); float log2f(float); float log10f(float); float powf(float, float); float fmodf(float, float);
float nextafterf(float, float); double exp10(double);
} } }

MSL_FUNC __local char * msl_tg_variable(uint offset, uint size) { return (__local char *)msl_rt_threadgroup_variable(offset, size); }

namespace msl_ {
// Types as the runtime's reductions know them.
enum { t_f32, t_i32, t_u32, t_i64, t_u64 };
template <class E> constexpr int wide_code() {
  if constexpr (metal::is_floating_point<E>::value) return t_f32;
  else if constexpr (sizeof(E) == 8) return metal::is_signed<E>::value ? t_i64 : t_u64;
  else return metal::is_signed<E>::value ? t_i32 : t_u32;
}
template <int C> struct wide_type { typedef float type; };
template <> struct wide_type<t_i32> { typedef int type; };
template <> struct wide_type<t_u32> { typedef uint type; };

template <class T> MSL_FUNC T reduce(int op, int width, T v, int line) {
  typedef typename shape<T>::elem E;
  constexpr int N = shape<T>::n, C = wide_code<E>();
  typename wide_type<C>::type w[N];
  for (int i = 0; i < N; i++) w[i] = component<typename wide_type<C>::type>(v, i);
  msl_rt_reduce(op, C, N, width, w, line);
  if constexpr (N == 1) return (T)w[0];
  else { T r; for (int i = 0; i < N; i++) r[i] = (E)w[i]; return r; }
}
template <class T> MSL_FUNC T shuffle(int mode, int width, T v, uint arg, int line) {
  msl_rt_shuffle(mode, sizeof(T), width, &v, arg, line);
  return v;
}
MSL_FUNC ulong ballot(int width, bool p, int line) { return msl_rt_ballot(width, p, line); }
MSL_FUNC uint lane() { return msl_rt_lane(); }
MSL_FUNC void threadgroup_barrier(uint flags, int line) { msl_rt_barrier(flags, line); }
MSL_FUNC void simdgroup_barrier(uint flags, int line) { msl_rt_simd_barrier(flags, line); }

MSL_FUNC void mma(__private float * abcd, int line) { msl_rt_mma(abcd, line); }

template <class T> constexpr int atomic_code() { if constexpr (sizeof(T) == 1) return t_u32; else return wide_code<T>(); }
template <class T> MSL_FUNC T atomic(int op, __generic volatile T * p, T v) { return from_bits<T>(msl_rt_atomic(op, atomic_code<T>() + (sizeof(T) == 1 ? 16 : 0), p, bits_of(v))); }
template <class T> MSL_FUNC bool compare_exchange(__generic volatile T * p, __private T * expected, T v) { return msl_rt_compare_exchange(sizeof(T), p, expected, bits_of(v)); }
}

// Scalar maths. The emulator's fast and precise forms are one: the accurate one.
namespace msl_ { namespace m {
#define MSL_M1(name) MSL_FUNC float name(float x) { return c::name##f(x); }
MSL_M1(acos) MSL_M1(acosh) MSL_M1(asin) MSL_M1(asinh) MSL_M1(atan) MSL_M1(atanh) MSL_M1(cos) MSL_M1(cosh) MSL_M1(sin) MSL_M1(sinh) MSL_M1(tan) MSL_M1(tanh)
MSL_M1(exp) MSL_M1(exp2) MSL_M1(log) MSL_M1(log2) MSL_M1(log10)
MSL_FUNC float exp10(float x) { return (float)c::exp10((double)x); }
MSL_FUNC float atan2(float y, float x) { return c::atan2f(y, x); }
MSL_FUNC float pow(float x, float y) { return c::powf(x, y); }
MSL_FUNC float fmod(float x, float y) { return c::fmodf(x, y); }
MSL_FUNC float nextafter(float x, float y) { return c::nextafterf(x, y); }
MSL_FUNC float ldexp(float x, int n) { return __builtin_ldexpf(x, n); }
MSL_FUNC int ilogb(float x) { return __builtin_ilogbf(x); }
MSL_FUNC float frexp(float x, __private int & e) { int i; float r = __builtin_frexpf(x, &i); e = i; return r; }
MSL_FUNC float rsqrt(float x) { return 1.0f / __builtin_sqrtf(x); }
MSL_FUNC float sqrt(float x) { return __builtin_sqrtf(x); }
} }
