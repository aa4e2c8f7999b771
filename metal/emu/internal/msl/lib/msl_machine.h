// What the library's machines (msl_cpu.h, msl_cuda.h) share: how a kernel's parameters are made, the
// numbers of operations, the layout of matrices, values as bits.
#pragma once

namespace msl_ {
#define MSL_ENTRY __attribute__((no_sanitize("kernel-address")))
// How a kernel's parameter of type P is made from what the entry point has.
template <class P> struct argument {
  static constexpr uint size = sizeof(P), align = alignof(P);
  MSL_ENTRY static P triple(uint x, uint y, uint z) {
    if constexpr (shape<P>::n == 1) return (P)x;
    else if constexpr (shape<P>::n == 2) return P{(typename shape<P>::elem)x, (typename shape<P>::elem)y};
    else return P{(typename shape<P>::elem)x, (typename shape<P>::elem)y, (typename shape<P>::elem)z};
  }
  MSL_ENTRY static P one(uint v) { return (P)v; }
};
template <class T> constexpr uint size_of() { if constexpr (metal::is_void<metal::remove_cv_t<T>>::value) return 1; else return sizeof(T); }
template <class T> constexpr uint align_of() { if constexpr (metal::is_void<metal::remove_cv_t<T>>::value) return 1; else return alignof(T); }
template <class T> struct argument<T *> {
  static constexpr uint size = size_of<T>(), align = align_of<T>();
  MSL_ENTRY static T * memory(ulong p) { return (T *)p; }
};
template <class T> struct argument<T * const> : argument<T *> {};
template <class T> struct argument<T &> {
  static constexpr uint size = sizeof(T), align = alignof(T);
  MSL_ENTRY static T & memory(ulong p) { return *(T *)p; }
};
template <class T> struct argument<const T> : argument<T> {};
template <class F> struct function;
template <int I, class A, class... R> struct nth : nth<I - 1, R...> {};
template <class A, class... R> struct nth<0, A, R...> { typedef A type; };
template <class R, class... P> struct function<R(P...)> { template <int I> using arg = argument<typename nth<I, P...>::type>; };

enum { op_sum, op_product, op_min, op_max, op_and, op_or, op_xor, op_prefix_inclusive_sum, op_prefix_exclusive_sum, op_prefix_inclusive_product, op_prefix_exclusive_product };
enum { sh_index, sh_xor, sh_up, sh_down, sh_rotate_up, sh_rotate_down, sh_first };

// The two elements of an 8x8 simdgroup matrix that a lane holds, as Apple's GPUs lay them out.
MSL_FUNC uint matrix_row(uint l) { return (l / 4 & 4) + l / 2 % 4; }
MSL_FUNC uint matrix_col(uint l) { return (l / 4 & 2) * 2 + l % 2 * 2; }

enum { a_load, a_store, a_exchange, a_add, a_sub, a_min, a_max, a_and, a_or, a_xor };
template <class T> MSL_FUNC ulong bits_of(T v) { if constexpr (sizeof(T) == 8) return __builtin_bit_cast(ulong, v); else if constexpr (sizeof(T) == 4) return __builtin_bit_cast(uint, v); else return (ulong)v; }
template <class T> MSL_FUNC T from_bits(ulong b) { if constexpr (sizeof(T) == 8) return __builtin_bit_cast(T, b); else if constexpr (sizeof(T) == 4) return __builtin_bit_cast(T, (uint)b); else return (T)b; }
}

