// The Metal standard library: simdgroups, quadgroups, barriers, atomics, simdgroup matrices.
// Each function takes the line of its caller, which is what the runtime reports.
#pragma once

namespace metal {
#define MSL_LINE int line_ = __builtin_LINE()
MSL_FUNC void threadgroup_barrier(mem_flags f, MSL_LINE) { msl_::threadgroup_barrier((uint)f, line_); }
MSL_FUNC void threadgroup_barrier(mem_flags f, memory_order, thread_scope, MSL_LINE) { msl_::threadgroup_barrier((uint)f, line_); }
MSL_FUNC void simdgroup_barrier(mem_flags f, MSL_LINE) { msl_::simdgroup_barrier((uint)f, line_); }
MSL_FUNC void atomic_thread_fence(mem_flags, memory_order, thread_scope = thread_scope_device) {}

struct simd_vote {
  typedef ulong vote_t;
  ulong v;
  simd_vote() = default;
  constexpr explicit simd_vote(ulong b) : v(b) {}
  bool all() const { return (v & 0xffffffffu) == 0xffffffffu; }
  bool any() const { return v != 0; }
  explicit operator ulong() const { return v; }
};

// What a lane can hand to another: 32 bits or fewer, alone or in vectors.
template <class T> constexpr bool msl_lane = is_arithmetic_v<T> && sizeof(T) <= 4 && !is_same_v<T, bfloat>;
template <class T> using msl_lane_type = enable_if_t<msl_lane<typename msl_::shape<T>::elem>, int>;

#define MSL_GROUP(P, W) \
  template <class T, msl_lane_type<T> = 0> MSL_FUNC T P##sum(T v, MSL_LINE) { return msl_::reduce(msl_::op_sum, W, v, line_); } \
  template <class T, msl_lane_type<T> = 0> MSL_FUNC T P##product(T v, MSL_LINE) { return msl_::reduce(msl_::op_product, W, v, line_); } \
  template <class T, msl_lane_type<T> = 0> MSL_FUNC T P##min(T v, MSL_LINE) { return msl_::reduce(msl_::op_min, W, v, line_); } \
  template <class T, msl_lane_type<T> = 0> MSL_FUNC T P##max(T v, MSL_LINE) { return msl_::reduce(msl_::op_max, W, v, line_); } \
  template <class T, msl_lane_type<T> = 0> MSL_FUNC T P##and(T v, MSL_LINE) { return msl_::reduce(msl_::op_and, W, v, line_); } \
  template <class T, msl_lane_type<T> = 0> MSL_FUNC T P##or(T v, MSL_LINE) { return msl_::reduce(msl_::op_or, W, v, line_); } \
  template <class T, msl_lane_type<T> = 0> MSL_FUNC T P##xor(T v, MSL_LINE) { return msl_::reduce(msl_::op_xor, W, v, line_); } \
  template <class T, msl_lane_type<T> = 0> MSL_FUNC T P##prefix_inclusive_sum(T v, MSL_LINE) { return msl_::reduce(msl_::op_prefix_inclusive_sum, W, v, line_); } \
  template <class T, msl_lane_type<T> = 0> MSL_FUNC T P##prefix_exclusive_sum(T v, MSL_LINE) { return msl_::reduce(msl_::op_prefix_exclusive_sum, W, v, line_); } \
  template <class T, msl_lane_type<T> = 0> MSL_FUNC T P##prefix_inclusive_product(T v, MSL_LINE) { return msl_::reduce(msl_::op_prefix_inclusive_product, W, v, line_); } \
  template <class T, msl_lane_type<T> = 0> MSL_FUNC T P##prefix_exclusive_product(T v, MSL_LINE) { return msl_::reduce(msl_::op_prefix_exclusive_product, W, v, line_); } \
  template <class T, msl_lane_type<T> = 0> MSL_FUNC T P##broadcast(T v, ushort i, MSL_LINE) { return msl_::shuffle(msl_::sh_index, W, v, i, line_); } \
  template <class T, msl_lane_type<T> = 0> MSL_FUNC T P##broadcast_first(T v, MSL_LINE) { return msl_::shuffle(msl_::sh_first, W, v, 0, line_); } \
  template <class T, msl_lane_type<T> = 0> MSL_FUNC T P##shuffle(T v, ushort i, MSL_LINE) { return msl_::shuffle(msl_::sh_index, W, v, i, line_); } \
  template <class T, msl_lane_type<T> = 0> MSL_FUNC T P##shuffle_xor(T v, ushort m, MSL_LINE) { return msl_::shuffle(msl_::sh_xor, W, v, m, line_); } \
  template <class T, msl_lane_type<T> = 0> MSL_FUNC T P##shuffle_up(T v, ushort d, MSL_LINE) { return msl_::shuffle(msl_::sh_up, W, v, d, line_); } \
  template <class T, msl_lane_type<T> = 0> MSL_FUNC T P##shuffle_down(T v, ushort d, MSL_LINE) { return msl_::shuffle(msl_::sh_down, W, v, d, line_); } \
  template <class T, msl_lane_type<T> = 0> MSL_FUNC T P##shuffle_rotate_up(T v, ushort d, MSL_LINE) { return msl_::shuffle(msl_::sh_rotate_up, W, v, d, line_); } \
  template <class T, msl_lane_type<T> = 0> MSL_FUNC T P##shuffle_rotate_down(T v, ushort d, MSL_LINE) { return msl_::shuffle(msl_::sh_rotate_down, W, v, d, line_); } \
  template <class T, msl_lane_type<T> = 0> MSL_FUNC T P##shuffle_and_fill_up(T v, T fill, ushort d, MSL_LINE) { \
    T a = msl_::shuffle(msl_::sh_rotate_up, W, v, d, line_), b = msl_::shuffle(msl_::sh_rotate_up, W, fill, d, line_); return msl_::lane() % W < d ? b : a; } \
  template <class T, msl_lane_type<T> = 0> MSL_FUNC T P##shuffle_and_fill_down(T v, T fill, ushort d, MSL_LINE) { \
    T a = msl_::shuffle(msl_::sh_rotate_down, W, v, d, line_), b = msl_::shuffle(msl_::sh_rotate_down, W, fill, d, line_); return msl_::lane() % W + d >= W ? b : a; } \
  MSL_FUNC bool P##all(bool p, MSL_LINE) { return msl_::ballot(W, !p, line_) == 0; } \
  MSL_FUNC bool P##any(bool p, MSL_LINE) { return msl_::ballot(W, p, line_) != 0; }
MSL_GROUP(simd_, 32)
MSL_GROUP(quad_, 4)
#undef MSL_GROUP
MSL_FUNC simd_vote simd_ballot(bool p, MSL_LINE) { return simd_vote(msl_::ballot(32, p, line_)); }
MSL_FUNC simd_vote simd_active_threads_mask(MSL_LINE) { return simd_vote(msl_::ballot(32, true, line_)); }
MSL_FUNC bool simd_is_first(MSL_LINE) { ulong m = msl_::ballot(32, true, line_); return (m & -m) == 1ul << msl_::lane(); }
MSL_FUNC bool quad_is_first(MSL_LINE) { ulong m = msl_::ballot(4, true, line_); return (m & -m) == 1ul << (msl_::lane() % 4); }
MSL_FUNC uint quad_ballot(bool p, MSL_LINE) { return (uint)msl_::ballot(4, p, line_); }

// Atomics. Apple's GPUs give every order and scope the meaning of relaxed.
template <class T, class = void> struct _atomic { T v; };
template <class T> using atomic = _atomic<T>;
typedef _atomic<int> msl_atomic_int;
typedef _atomic<uint> msl_atomic_uint;
typedef _atomic<bool> atomic_bool;
typedef _atomic<float> msl_atomic_float;
typedef _atomic<ulong> msl_atomic_ulong;
}
using metal::msl_atomic_int; using metal::msl_atomic_uint; using metal::msl_atomic_float; using metal::msl_atomic_ulong;
namespace metal {
template <class T> struct msl_same { typedef T type; };
template <class T> constexpr bool msl_word = is_same_v<T, int> || is_same_v<T, uint> || is_same_v<T, bool>;
#define MSL_ATOMIC(SPACE) \
  template <class T> MSL_FUNC T atomic_load_explicit(const volatile SPACE _atomic<T> * o, memory_order) { return msl_::atomic<T>(msl_::a_load, (__generic volatile T *)&o->v, T()); } \
  template <class T> MSL_FUNC void atomic_store_explicit(volatile SPACE _atomic<T> * o, typename msl_same<T>::type v, memory_order) { msl_::atomic<T>(msl_::a_store, (__generic volatile T *)&o->v, v); } \
  template <class T> MSL_FUNC bool atomic_compare_exchange_weak_explicit(volatile SPACE _atomic<T> * o, __private T * e, typename msl_same<T>::type v, memory_order, memory_order) { return msl_::compare_exchange<T>((__generic volatile T *)&o->v, e, v); } \
  MSL_ATOMIC_OP(SPACE, exchange, exchange, true) MSL_ATOMIC_OP(SPACE, fetch_min, min, msl_word<T>) MSL_ATOMIC_OP(SPACE, fetch_max, max, msl_word<T>) \
  MSL_ATOMIC_OP(SPACE, fetch_and, and, msl_word<T>) MSL_ATOMIC_OP(SPACE, fetch_or, or, msl_word<T>) MSL_ATOMIC_OP(SPACE, fetch_xor, xor, msl_word<T>)
#define MSL_ATOMIC_OP(SPACE, name, op, for_T) \
  template <class T, enable_if_t<(for_T), int> = 0> MSL_FUNC T atomic_##name##_explicit(volatile SPACE _atomic<T> * o, typename msl_same<T>::type v, memory_order) { return msl_::atomic<T>(msl_::a_##op, (__generic volatile T *)&o->v, v); }
MSL_ATOMIC(MSL_DEVICE)
MSL_ATOMIC(__local)
// Floats are added in device memory alone; 64 bits have a minimum and a maximum there, and no more.
MSL_ATOMIC_OP(MSL_DEVICE, fetch_add, add, (msl_word<T> || is_same_v<T, float>)) MSL_ATOMIC_OP(MSL_DEVICE, fetch_sub, sub, (msl_word<T> || is_same_v<T, float>))
MSL_ATOMIC_OP(__local, fetch_add, add, msl_word<T>) MSL_ATOMIC_OP(__local, fetch_sub, sub, msl_word<T>)
MSL_FUNC void atomic_max_explicit(volatile MSL_DEVICE _atomic<ulong> * o, ulong v, memory_order) { msl_::atomic<ulong>(msl_::a_max, (__generic volatile ulong *)&o->v, v); }
MSL_FUNC void atomic_min_explicit(volatile MSL_DEVICE _atomic<ulong> * o, ulong v, memory_order) { msl_::atomic<ulong>(msl_::a_min, (__generic volatile ulong *)&o->v, v); }

// Simdgroup matrices (MSL 6.7): 8x8, two elements a lane.
template <class T, int C = 8, int R = 8> struct simdgroup_matrix {
  static_assert(C == 8 && R == 8, "simdgroup matrices are 8x8");
  static_assert(is_floating_point<T>::value, "invalid element type 'T' for 'simdgroup_matrix'");
  typedef T value_type;
  typedef vec<T, 2> storage_type;
  storage_type e;
  simdgroup_matrix() = default;
  explicit simdgroup_matrix(T diagonal) {
    uint l = msl_::lane(), r = msl_::matrix_row(l), c = msl_::matrix_col(l);
    e = storage_type{r == c ? diagonal : (T)0, r == c + 1 ? diagonal : (T)0};
  }
  __private storage_type & thread_elements() __private { return e; }
  const __private storage_type & thread_elements() const __private { return e; }
};
#define MSL_SIMDGROUP_NAMES(T) typedef simdgroup_matrix<T, 8, 8> simdgroup_##T##8x8;
MSL_SIMDGROUP_NAMES(float) MSL_SIMDGROUP_NAMES(half) MSL_SIMDGROUP_NAMES(bfloat)
template <class T, int C, int R = C> MSL_FUNC simdgroup_matrix<T, C, R> make_filled_simdgroup_matrix(T v) { simdgroup_matrix<T, C, R> m; m.e = vec<T, 2>{v, v}; return m; }
template <class T, int C, int R = C> MSL_FUNC simdgroup_matrix<T, C, R> make_diagonal_simdgroup_matrix(T v) { return simdgroup_matrix<T, C, R>(v); }
// Memory of the matrix's own type, and never constant.
#define MSL_MATRIX_MEMORY(SPACE) \
  template <class T> MSL_FUNC void simdgroup_load(__private simdgroup_matrix<T, 8, 8> & d, const SPACE T * p, ulong stride = 8, ulong2 origin = 0, bool transpose = false) { \
    uint l = msl_::lane(), r = msl_::matrix_row(l), c = msl_::matrix_col(l); \
    p += origin[1] * stride + origin[0]; \
    if (transpose) d.e = vec<T, 2>{p[c * stride + r], p[(c + 1) * stride + r]}; \
    else d.e = vec<T, 2>{p[r * stride + c], p[r * stride + c + 1]}; \
  } \
  template <class T> MSL_FUNC void simdgroup_store(simdgroup_matrix<T, 8, 8> s, SPACE T * p, ulong stride = 8, ulong2 origin = 0, bool transpose = false) { \
    uint l = msl_::lane(), r = msl_::matrix_row(l), c = msl_::matrix_col(l); \
    p += origin[1] * stride + origin[0]; \
    if (transpose) { p[c * stride + r] = s.e[0]; p[(c + 1) * stride + r] = s.e[1]; } \
    else { p[r * stride + c] = s.e[0]; p[r * stride + c + 1] = s.e[1]; } \
  }
MSL_MATRIX_MEMORY(MSL_DEVICE) MSL_MATRIX_MEMORY(__local)
template <class D, class A, class B, class C> MSL_FUNC void simdgroup_multiply_accumulate(__private simdgroup_matrix<D, 8, 8> & d, simdgroup_matrix<A, 8, 8> a, simdgroup_matrix<B, 8, 8> b, simdgroup_matrix<C, 8, 8> c, MSL_LINE) {
  float x[8] = {(float)a.e[0], (float)a.e[1], (float)b.e[0], (float)b.e[1], (float)c.e[0], (float)c.e[1], 0, 0};
  msl_::mma(x, line_);
  d.e = vec<D, 2>{(D)x[6], (D)x[7]};
}
template <class D, class A, class B> MSL_FUNC void simdgroup_multiply(__private simdgroup_matrix<D, 8, 8> & d, simdgroup_matrix<A, 8, 8> a, simdgroup_matrix<B, 8, 8> b, MSL_LINE) {
  simdgroup_multiply_accumulate(d, a, b, make_filled_simdgroup_matrix<D, 8, 8>((D)0), line_);
}
template <class T> MSL_FUNC simdgroup_matrix<T, 8, 8> operator*(simdgroup_matrix<T, 8, 8> a, simdgroup_matrix<T, 8, 8> b) { simdgroup_matrix<T, 8, 8> d; simdgroup_multiply(d, a, b); return d; }
}
