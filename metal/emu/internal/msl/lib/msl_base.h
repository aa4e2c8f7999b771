// The Metal standard library for clang's C++ for OpenCL mode: types. Part of the emulator; a kernel
// sees it as <metal_stdlib>. Facts from the Metal Shading Language Specification, chapters 2 and 6.
#pragma once
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
#pragma OPENCL EXTENSION __cl_clang_function_pointers : enable
#define MSL_DEVICE __attribute__((opencl_global_device))
#define MSL_FUNC static inline __attribute__((always_inline))

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef signed char int8_t;
typedef uchar uint8_t;
typedef short int16_t;
typedef ushort uint16_t;
typedef int int32_t;
typedef uint uint32_t;
typedef long int64_t;
typedef ulong uint64_t;
typedef ulong size_t;
typedef long ptrdiff_t;
typedef ulong uintptr_t;
typedef long intptr_t;
typedef __bf16 bfloat;

namespace msl_ {
template <class T> struct type_t_ { typedef T type; };
template <class T> using type_t = typename type_t_<T>::type;
template <class T, T V> struct constant_t { static constexpr T value = V; };
template <auto V> struct align_value { static constexpr uint value = V; };
template <auto V> using align_t = align_value<V>;
constexpr uint align_up(uint n, uint a) { return (n + a - 1) / a * a; }
}

namespace metal {
template <class T, int N> using vec = T __attribute__((ext_vector_type(N)));
}
using metal::vec;

#define MSL_VECTORS(T) typedef metal::vec<T, 2> T##2; typedef metal::vec<T, 3> T##3; typedef metal::vec<T, 4> T##4;
MSL_VECTORS(float) MSL_VECTORS(half) MSL_VECTORS(bfloat) MSL_VECTORS(int) MSL_VECTORS(uint) MSL_VECTORS(short) MSL_VECTORS(ushort)
MSL_VECTORS(char) MSL_VECTORS(uchar) MSL_VECTORS(long) MSL_VECTORS(ulong)

namespace metal {
struct true_type { static constexpr bool value = true; };
struct false_type { static constexpr bool value = false; };
template <class T, T V> struct integral_constant { static constexpr T value = V; typedef T value_type; constexpr operator T() const { return V; } };
template <bool B> using bool_constant = integral_constant<bool, B>;
template <class T, class U> struct is_same : false_type {};
template <class T> struct is_same<T, T> : true_type {};
template <class T, class U> constexpr bool is_same_v = is_same<T, U>::value;
template <bool B, class T = void> struct enable_if {};
template <class T> struct enable_if<true, T> { typedef T type; };
template <bool B, class T = void> using enable_if_t = typename enable_if<B, T>::type;
template <bool B, class T, class F> struct conditional { typedef T type; };
template <class T, class F> struct conditional<false, T, F> { typedef F type; };
template <bool B, class T, class F> using conditional_t = typename conditional<B, T, F>::type;
template <class...> using void_t = void;
template <class T> struct remove_const { typedef T type; };
template <class T> struct remove_const<const T> { typedef T type; };
template <class T> struct remove_volatile { typedef T type; };
template <class T> struct remove_volatile<volatile T> { typedef T type; };
template <class T> struct remove_address_space { typedef T type; };
template <class T> struct remove_address_space<__private T> { typedef T type; };
template <class T> struct remove_address_space<__local T> { typedef T type; };
template <class T> struct remove_address_space<__global T> { typedef T type; };
template <class T> struct remove_address_space<MSL_DEVICE T> { typedef T type; };
template <class T> struct remove_address_space<__generic T> { typedef T type; };
template <class T> struct remove_cv { typedef typename remove_const<typename remove_volatile<typename remove_address_space<T>::type>::type>::type type; };
template <class T> using remove_cv_t = typename remove_cv<T>::type;
template <class T> struct remove_reference { typedef T type; };
template <class T> struct remove_reference<T &> { typedef T type; };
template <class T> struct remove_reference<T &&> { typedef T type; };
template <class T> using remove_reference_t = typename remove_reference<T>::type;
template <class T> struct remove_pointer { typedef T type; };
template <class T> struct remove_pointer<T *> { typedef T type; };
template <class T> using remove_pointer_t = typename remove_pointer<T>::type;
template <class T> using decay_t = remove_cv_t<remove_reference_t<T>>;
template <class T> struct decay { typedef decay_t<T> type; };
template <class T> struct is_pointer : false_type {};
template <class T> struct is_pointer<T *> : true_type {};
template <class T> struct is_floating_point : false_type {};
template <> struct is_floating_point<float> : true_type {};
template <> struct is_floating_point<half> : true_type {};
template <> struct is_floating_point<bfloat> : true_type {};
template <class T> struct is_integral : false_type {};
template <> struct is_integral<bool> : true_type {};
template <> struct is_integral<char> : true_type {};
template <> struct is_integral<signed char> : true_type {};
template <> struct is_integral<uchar> : true_type {};
template <> struct is_integral<short> : true_type {};
template <> struct is_integral<ushort> : true_type {};
template <> struct is_integral<int> : true_type {};
template <> struct is_integral<uint> : true_type {};
template <> struct is_integral<long> : true_type {};
template <> struct is_integral<ulong> : true_type {};
template <class T> struct is_arithmetic { static constexpr bool value = is_integral<T>::value || is_floating_point<T>::value; };
template <class T> struct is_scalar : is_arithmetic<T> {};
template <class T> struct is_signed { static constexpr bool value = T(-1) < T(0); };
template <class T> struct is_unsigned { static constexpr bool value = is_integral<T>::value && !is_signed<T>::value; };
template <class T> struct is_void : is_same<T, void> {};
template <class T> constexpr bool is_floating_point_v = is_floating_point<T>::value;
template <class T> constexpr bool is_integral_v = is_integral<T>::value;
template <class T> constexpr bool is_arithmetic_v = is_arithmetic<T>::value;
template <class T> constexpr bool is_pointer_v = is_pointer<T>::value;
template <class T> struct make_unsigned { typedef T type; };
template <> struct make_unsigned<int> { typedef uint type; };
template <> struct make_unsigned<short> { typedef ushort type; };
template <> struct make_unsigned<char> { typedef uchar type; };
template <> struct make_unsigned<long> { typedef ulong type; };
template <class T> using make_unsigned_t = typename make_unsigned<T>::type;
template <class T, size_t N> struct array {
  T __v[N];
  T & operator[](size_t i) { return __v[i]; }
  const T & operator[](size_t i) const { return __v[i]; }
  constexpr size_t size() const { return N; }
  T * begin() { return __v; }
  T * end() { return __v + N; }
  const T * begin() const { return __v; }
  const T * end() const { return __v + N; }
};

// bool2, bool3, bool4: clang has no vectors of bool in OpenCL, and a comparison of vectors gives it
// integers of 0 and -1. These classes take such a mask and are Metal's type from there on.
template <int N> struct bools;
}

namespace msl_ {
template <class T> struct shape { static constexpr int n = 1; typedef T elem; static constexpr bool mask = false; };
template <class T, int N> struct shape<T __attribute__((ext_vector_type(N)))> { static constexpr int n = N; typedef T elem; static constexpr bool mask = false; };
template <int N> struct shape<metal::bools<N>> { static constexpr int n = N; typedef bool elem; static constexpr bool mask = true; };
// The type of a value read from any address space.
template <class T> using value_t = metal::decay_t<T>;
template <int N> struct index_t {};
}

namespace metal {
#define MSL_BOOL_COMMON(N) \
  bools() = default; \
  template <class T> bools(vec<T, N> m) { for (int i = 0; i < N; i++) (*this)[i] = m[i] != 0; } \
  bool & operator[](int i) { return (&x)[i]; } \
  bool operator[](int i) const { return (&x)[i]; }
template <> struct bools<2> { bool x, y; MSL_BOOL_COMMON(2) constexpr bools(bool a, bool b) : x(a), y(b) {} constexpr bools(bool a) : x(a), y(a) {} };
template <> struct alignas(4) bools<3> { bool x, y, z; MSL_BOOL_COMMON(3) constexpr bools(bool a, bool b, bool c) : x(a), y(b), z(c) {} constexpr bools(bool a) : x(a), y(a), z(a) {} };
template <> struct alignas(4) bools<4> { bool x, y, z, w; MSL_BOOL_COMMON(4) constexpr bools(bool a, bool b, bool c, bool d) : x(a), y(b), z(c), w(d) {} constexpr bools(bool a) : x(a), y(a), z(a), w(a) {} };
template <int N> MSL_FUNC bools<N> operator!(bools<N> a) { bools<N> r; for (int i = 0; i < N; i++) r[i] = !a[i]; return r; }
#define MSL_BOOL_OP(op, how) template <int N> MSL_FUNC bools<N> operator op(bools<N> a, bools<N> b) { bools<N> r; for (int i = 0; i < N; i++) r[i] = a[i] how b[i]; return r; } \
  template <class T, int N> MSL_FUNC bools<N> operator op(bools<N> a, vec<T, N> b) { return a op bools<N>(b); } \
  template <class T, int N> MSL_FUNC bools<N> operator op(vec<T, N> a, bools<N> b) { return bools<N>(a) op b; }
MSL_BOOL_OP(&&, &&) MSL_BOOL_OP(||, ||) MSL_BOOL_OP(&, &&) MSL_BOOL_OP(|, ||) MSL_BOOL_OP(^, !=) MSL_BOOL_OP(==, ==) MSL_BOOL_OP(!=, !=)
}
typedef metal::bools<2> bool2;
typedef metal::bools<3> bool3;
typedef metal::bools<4> bool4;

namespace msl_ {
// Constructors and casts: make<float4>(a.xy, b, 1), cast<half4>(v).
template <class E, class A> struct part { // component i of an argument, converted to E
  template <int I> static constexpr E get(A a) { return (E)a[I]; }
};
template <class E, class A> constexpr E scalar(A a) { return (E)a; }
template <class E, class A> constexpr E component(A a, int i) {
  if constexpr (shape<A>::n == 1) return (E)a; else return (E)a[i];
}

template <class T, class A> constexpr T convert(A a) {
  typedef typename shape<T>::elem E;
  constexpr int N = shape<T>::n;
  typedef typename shape<A>::elem F;
  if constexpr (metal::is_same<T, A>::value) return a;
  else if constexpr ((metal::is_same<E, bfloat>::value && metal::is_same<F, half>::value) || (metal::is_same<E, half>::value && metal::is_same<F, bfloat>::value)) {
    // Two types of one size: clang's code generator knows no conversion between them.
    if constexpr (shape<A>::n == 1) return convert<T>((float)a);
    else return convert<T>(convert<metal::vec<float, shape<A>::n>>(a));
  }
  else if constexpr (shape<T>::mask) {
    if constexpr (shape<A>::n == 1) return T((bool)a);
    else { T r; for (int i = 0; i < N; i++) r[i] = (bool)a[i]; return r; }
  } else if constexpr (shape<A>::mask) {
    T r; for (int i = 0; i < N; i++) r[i] = a[i] ? (E)1 : (E)0; return r;
  } else if constexpr (N > 1 && shape<A>::n > 1) {
    static_assert(shape<A>::n == N, "conversion between vectors of different sizes");
    return __builtin_convertvector(a, T);
  } else if constexpr (N > 1) return (T)(E)a;
  else return (T)a;
}

template <class T, class A> MSL_FUNC constexpr T cast(A a) {
  if constexpr (metal::is_same<T, half>::value && metal::is_same<A, bfloat>::value) return (T)(float)a;
  else if constexpr (metal::is_same<T, bfloat>::value && metal::is_same<A, half>::value) return (T)(float)a;
  else if constexpr (shape<T>::n == 1 && !metal::is_same<T, A>::value) return (T)a;
  else return convert<T>(a);
}
template <class T, class A> struct is_number { static constexpr bool value = metal::is_arithmetic<A>::value; };

template <class T> MSL_FUNC constexpr T make() { return T(); }
template <class T, class A> MSL_FUNC constexpr T make(A a) { if constexpr (shape<T>::n > 1 || (metal::is_floating_point<T>::value && shape<A>::n == 1)) return cast<T>(a); else return T(a); }
template <class T, class A, class B> MSL_FUNC constexpr T make(A a, B b) {
  typedef typename shape<T>::elem E;
  if constexpr (shape<T>::n == 1) return T(a, b);
  else if constexpr (shape<T>::n == 2) return T{(E)a, (E)b};
  else {
    static_assert(shape<A>::n + shape<B>::n == shape<T>::n, "too few or too many components");
    T r; for (int i = 0; i < shape<A>::n; i++) r[i] = component<E>(a, i);
    for (int i = 0; i < shape<B>::n; i++) r[shape<A>::n + i] = component<E>(b, i);
    return r;
  }
}
template <class T, class A, class B, class C> MSL_FUNC constexpr T make(A a, B b, C c) {
  typedef typename shape<T>::elem E;
  if constexpr (shape<T>::n == 1) return T(a, b, c);
  else if constexpr (shape<T>::n == 3) return T{(E)a, (E)b, (E)c};
  else {
    static_assert(shape<A>::n + shape<B>::n + shape<C>::n == shape<T>::n, "too few or too many components");
    T r; int k = 0; for (int i = 0; i < shape<A>::n; i++) r[k++] = component<E>(a, i);
    for (int i = 0; i < shape<B>::n; i++) r[k++] = component<E>(b, i);
    for (int i = 0; i < shape<C>::n; i++) r[k++] = component<E>(c, i);
    return r;
  }
}
template <class T, class A, class B, class C, class D> MSL_FUNC constexpr T make(A a, B b, C c, D d) {
  typedef typename shape<T>::elem E;
  if constexpr (shape<T>::n == 1) return T(a, b, c, d);
  else { static_assert(shape<T>::n == 4, "too few or too many components"); return T{(E)a, (E)b, (E)c, (E)d}; }
}
template <class T, class A, class B, class C, class D, class F, class... R> MSL_FUNC constexpr T make(A a, B b, C c, D d, F f, R... r) { return T(a, b, c, d, f, r...); }

// A function constant's value from its bytes, where it is compiled in.
template <class T> constexpr T from_bits_constant(ulong b) {
  if constexpr (metal::is_same<T, bool>::value) return (b & 255) != 0;
  else if constexpr (sizeof(T) == 1) return __builtin_bit_cast(T, (uchar)b);
  else if constexpr (sizeof(T) == 2) return __builtin_bit_cast(T, (ushort)b);
  else if constexpr (sizeof(T) == 4) return __builtin_bit_cast(T, (uint)b);
  else return __builtin_bit_cast(T, b);
}

// Operators on a vector and a scalar of greater rank: the scalar takes the vector's element type.
template <class V, class A> MSL_FUNC constexpr auto like(A a) {
  if constexpr (shape<A>::n == 1 && shape<V>::n > 1) return (V)(typename shape<V>::elem)a; else return a;
}
#define MSL_OPERATOR(name, op) template <class A, class B> MSL_FUNC constexpr auto op_##name(A a, B b) { return like<B>(a) op like<A>(b); }
MSL_OPERATOR(add, +) MSL_OPERATOR(sub, -) MSL_OPERATOR(mul, *) MSL_OPERATOR(div, /) MSL_OPERATOR(less, <) MSL_OPERATOR(greater, >) MSL_OPERATOR(less_equal, <=)
MSL_OPERATOR(greater_equal, >=) MSL_OPERATOR(equal, ==) MSL_OPERATOR(not_equal, !=)
template <class A, class B> MSL_FUNC constexpr auto op_and_(A a, B b) { return like<B>(a) & like<A>(b); }
template <class A, class B> MSL_FUNC constexpr auto op_or_(A a, B b) { return like<B>(a) | like<A>(b); }
template <class A, class B> MSL_FUNC constexpr auto op_xor_(A a, B b) { return like<B>(a) ^ like<A>(b); }
template <class A, class B> MSL_FUNC constexpr auto op_mod(A a, B b) { return like<B>(a) % like<A>(b); }

// A truth value: what a comparison gives, as Metal's bool or boolN.
template <class A> MSL_FUNC constexpr auto truth(A a) {
  if constexpr (shape<A>::n > 1 && !shape<A>::mask) return metal::bools<shape<A>::n>(a); else return a;
}
}

// as_type reinterprets bits.
template <class T, class U> MSL_FUNC constexpr T as_type(U u) {
  static_assert(sizeof(T) == sizeof(U), "as_type needs types of one size");
  return __builtin_bit_cast(T, u);
}

namespace metal {
// Packed vectors: the alignment of their element.
template <class T, int N> struct packed_vec;
#define MSL_PACKED(N, MEMBERS, INIT, GET) \
  template <class T> struct packed_vec<T, N> { \
    T MEMBERS; \
    packed_vec() = default; \
    constexpr packed_vec(vec<T, N> v) : INIT {} \
    template <class U> constexpr explicit packed_vec(vec<U, N> u) : packed_vec(msl_::convert<vec<T, N>>(u)) {} \
    constexpr packed_vec(T s) : packed_vec((vec<T, N>)s) {} \
    constexpr operator vec<T, N>() const { return vec<T, N>{GET}; } \
    T & operator[](int i) { return (&x)[i]; } \
    T operator[](int i) const { return (&x)[i]; } \
    packed_vec & operator+=(vec<T, N> b) { *this = vec<T, N>(*this) + b; return *this; } \
    packed_vec & operator-=(vec<T, N> b) { *this = vec<T, N>(*this) - b; return *this; } \
    packed_vec & operator*=(vec<T, N> b) { *this = vec<T, N>(*this) * b; return *this; } \
    packed_vec & operator/=(vec<T, N> b) { *this = vec<T, N>(*this) / b; return *this; } \
  };
#define MSL_C ,
MSL_PACKED(2, x MSL_C y, x(v[0]) MSL_C y(v[1]), x MSL_C y)
MSL_PACKED(3, x MSL_C y MSL_C z, x(v[0]) MSL_C y(v[1]) MSL_C z(v[2]), x MSL_C y MSL_C z)
MSL_PACKED(4, x MSL_C y MSL_C z MSL_C w, x(v[0]) MSL_C y(v[1]) MSL_C z(v[2]) MSL_C w(v[3]), x MSL_C y MSL_C z MSL_C w)
#define MSL_PACKED_OP(op) \
  template <class T, int N> MSL_FUNC vec<T, N> operator op(packed_vec<T, N> a, packed_vec<T, N> b) { return vec<T, N>(a) op vec<T, N>(b); } \
  template <class T, int N> MSL_FUNC vec<T, N> operator op(packed_vec<T, N> a, vec<T, N> b) { return vec<T, N>(a) op b; } \
  template <class T, int N> MSL_FUNC vec<T, N> operator op(vec<T, N> a, packed_vec<T, N> b) { return a op vec<T, N>(b); } \
  template <class T, int N> MSL_FUNC vec<T, N> operator op(packed_vec<T, N> a, T b) { return vec<T, N>(a) op b; } \
  template <class T, int N> MSL_FUNC vec<T, N> operator op(T a, packed_vec<T, N> b) { return a op vec<T, N>(b); }
MSL_PACKED_OP(+) MSL_PACKED_OP(-) MSL_PACKED_OP(*) MSL_PACKED_OP(/)
}
#define MSL_PACKED_NAMES(T) typedef metal::packed_vec<T, 2> packed_##T##2; typedef metal::packed_vec<T, 3> packed_##T##3; typedef metal::packed_vec<T, 4> packed_##T##4;
MSL_PACKED_NAMES(float) MSL_PACKED_NAMES(half) MSL_PACKED_NAMES(bfloat) MSL_PACKED_NAMES(int) MSL_PACKED_NAMES(uint) MSL_PACKED_NAMES(short)
MSL_PACKED_NAMES(ushort) MSL_PACKED_NAMES(char) MSL_PACKED_NAMES(uchar) MSL_PACKED_NAMES(long) MSL_PACKED_NAMES(ulong)
namespace msl_ {
template <class T, int N> struct shape<metal::packed_vec<T, N>> { static constexpr int n = N; typedef T elem; static constexpr bool mask = false; };
template <class T, class E, int N> MSL_FUNC constexpr T convert(metal::packed_vec<E, N> a) { return convert<T>(metal::vec<E, N>(a)); }
template <class T, class E, int N> MSL_FUNC constexpr T cast(metal::packed_vec<E, N> a) { return convert<T>(metal::vec<E, N>(a)); }
template <class T, class E, int N> MSL_FUNC constexpr T make(metal::packed_vec<E, N> a) { return convert<T>(metal::vec<E, N>(a)); }
}

namespace metal {
// Matrices: C columns of R components, column major (MSL 2.3).
template <class T, int C, int R> struct matrix {
  vec<T, R> columns[C];
  matrix() = default;
  explicit matrix(T s) { for (int i = 0; i < C; i++) { columns[i] = (vec<T, R>)(T)0; if (i < R) columns[i][i] = s; } }
  matrix(vec<T, R> a, vec<T, R> b) { static_assert(C == 2); columns[0] = a; columns[1] = b; }
  matrix(vec<T, R> a, vec<T, R> b, vec<T, R> c) { static_assert(C == 3); columns[0] = a; columns[1] = b; columns[2] = c; }
  matrix(vec<T, R> a, vec<T, R> b, vec<T, R> c, vec<T, R> d) { static_assert(C == 4); columns[0] = a; columns[1] = b; columns[2] = c; columns[3] = d; }
  template <class... A> matrix(T a, T b, T c, A... r) {
    static_assert(3 + sizeof...(A) == C * R, "too few or too many components");
    T e[C * R] = {a, b, c, (T)r...};
    for (int i = 0; i < C; i++) for (int j = 0; j < R; j++) columns[i][j] = e[i * R + j];
  }
  template <class U> explicit matrix(const matrix<U, C, R> & m) { for (int i = 0; i < C; i++) columns[i] = msl_::convert<vec<T, R>>(m.columns[i]); }
  vec<T, R> & operator[](int i) { return columns[i]; }
  const vec<T, R> & operator[](int i) const { return columns[i]; }
  matrix & operator*=(T s) { for (int i = 0; i < C; i++) columns[i] = columns[i] * s; return *this; }
  matrix & operator+=(const matrix & m) { for (int i = 0; i < C; i++) columns[i] = columns[i] + m.columns[i]; return *this; }
  matrix & operator-=(const matrix & m) { for (int i = 0; i < C; i++) columns[i] = columns[i] - m.columns[i]; return *this; }
};
template <class T, int C, int R> MSL_FUNC matrix<T, C, R> operator+(const matrix<T, C, R> & a, const matrix<T, C, R> & b) { matrix<T, C, R> r = a; r += b; return r; }
template <class T, int C, int R> MSL_FUNC matrix<T, C, R> operator-(const matrix<T, C, R> & a, const matrix<T, C, R> & b) { matrix<T, C, R> r = a; r -= b; return r; }
template <class T, int C, int R> MSL_FUNC matrix<T, C, R> operator*(const matrix<T, C, R> & a, T s) { matrix<T, C, R> r = a; r *= s; return r; }
template <class T, int C, int R> MSL_FUNC matrix<T, C, R> operator*(T s, const matrix<T, C, R> & a) { matrix<T, C, R> r = a; r *= s; return r; }
template <class T, int C, int R> MSL_FUNC vec<T, R> operator*(const matrix<T, C, R> & a, vec<T, C> v) {
  vec<T, R> r = a.columns[0] * v[0];
  for (int i = 1; i < C; i++) r += a.columns[i] * v[i];
  return r;
}
template <class T, int C, int R> MSL_FUNC vec<T, C> operator*(vec<T, R> v, const matrix<T, C, R> & a) {
  vec<T, C> r;
  for (int i = 0; i < C; i++) { T s = 0; for (int j = 0; j < R; j++) s += v[j] * a.columns[i][j]; r[i] = s; }
  return r;
}
template <class T, int C, int R, int K> MSL_FUNC matrix<T, K, R> operator*(const matrix<T, C, R> & a, const matrix<T, K, C> & b) {
  matrix<T, K, R> r;
  for (int k = 0; k < K; k++) r.columns[k] = a * b.columns[k];
  return r;
}
template <class T, int C, int R> MSL_FUNC matrix<T, R, C> transpose(const matrix<T, C, R> & a) {
  matrix<T, R, C> r;
  for (int i = 0; i < C; i++) for (int j = 0; j < R; j++) r.columns[j][i] = a.columns[i][j];
  return r;
}
template <class T> MSL_FUNC T determinant(const matrix<T, 2, 2> & m) { return m[0][0] * m[1][1] - m[1][0] * m[0][1]; }
template <class T> MSL_FUNC T determinant(const matrix<T, 3, 3> & m) {
  return m[0][0] * (m[1][1] * m[2][2] - m[2][1] * m[1][2]) - m[1][0] * (m[0][1] * m[2][2] - m[2][1] * m[0][2]) + m[2][0] * (m[0][1] * m[1][2] - m[1][1] * m[0][2]);
}
}
#define MSL_MATRICES(T) \
  typedef metal::matrix<T, 2, 2> T##2x2; typedef metal::matrix<T, 2, 3> T##2x3; typedef metal::matrix<T, 2, 4> T##2x4; \
  typedef metal::matrix<T, 3, 2> T##3x2; typedef metal::matrix<T, 3, 3> T##3x3; typedef metal::matrix<T, 3, 4> T##3x4; \
  typedef metal::matrix<T, 4, 2> T##4x2; typedef metal::matrix<T, 4, 3> T##4x3; typedef metal::matrix<T, 4, 4> T##4x4;
MSL_MATRICES(float) MSL_MATRICES(half)

namespace metal {
template <class T> struct numeric_limits;
#define MSL_LIMITS_INT(T, LO, HI, S) template <> struct numeric_limits<T> { \
  static constexpr bool is_integer = true, is_signed = S; static constexpr int digits = sizeof(T) * 8 - S; \
  static constexpr T min() { return LO; } static constexpr T max() { return HI; } static constexpr T lowest() { return LO; } };
MSL_LIMITS_INT(char, -128, 127, true) MSL_LIMITS_INT(uchar, 0, 255, false) MSL_LIMITS_INT(short, -32768, 32767, true) MSL_LIMITS_INT(ushort, 0, 65535, false)
MSL_LIMITS_INT(int, -2147483647 - 1, 2147483647, true) MSL_LIMITS_INT(uint, 0, 4294967295u, false)
MSL_LIMITS_INT(long, -9223372036854775807l - 1, 9223372036854775807l, true) MSL_LIMITS_INT(ulong, 0, 18446744073709551615ul, false)
MSL_LIMITS_INT(bool, false, true, false)
#define MSL_LIMITS_FLOAT(T, MIN, MAX, EPS, DENORM, DIG) template <> struct numeric_limits<T> { \
  static constexpr bool is_integer = false, is_signed = true, has_infinity = true, has_quiet_NaN = true; static constexpr int digits = DIG; \
  static constexpr T min() { return (T)MIN; } static constexpr T max() { return (T)MAX; } static constexpr T lowest() { return (T)-MAX; } \
  static constexpr T epsilon() { return (T)EPS; } static constexpr T denorm_min() { return (T)DENORM; } \
  static constexpr T infinity() { return (T)__builtin_inff(); } static constexpr T quiet_NaN() { return (T)__builtin_nanf(""); } };
MSL_LIMITS_FLOAT(float, 0x1p-126f, 0x1.fffffep127f, 0x1p-23f, 0x1p-149f, 24)
MSL_LIMITS_FLOAT(half, 0x1p-14f, 65504.0f, 0x1p-10f, 0x1p-24f, 11)
MSL_LIMITS_FLOAT(bfloat, 0x1p-126f, 0x1.fep127f, 0x1p-7f, 0x1p-133f, 8)

enum class mem_flags : uint { mem_none = 0, mem_device = 1, mem_threadgroup = 2, mem_texture = 4, mem_threadgroup_imageblock = 8, mem_object_data = 16 };
MSL_FUNC constexpr mem_flags operator|(mem_flags a, mem_flags b) { return (mem_flags)((uint)a | (uint)b); }
MSL_FUNC constexpr mem_flags operator&(mem_flags a, mem_flags b) { return (mem_flags)((uint)a & (uint)b); }
enum memory_order { memory_order_relaxed = 0, memory_order_acquire = 2, memory_order_release = 3, memory_order_acq_rel = 4, memory_order_seq_cst = 5 };
enum thread_scope { thread_scope_thread = 0, thread_scope_threadgroup = 1, thread_scope_device = 2, thread_scope_simdgroup = 4 };
}

// The scalar and vector types are Metal's own words and also names of namespace metal.
namespace metal {
#define MSL_USING(T) using ::T##2; using ::T##3; using ::T##4;
MSL_USING(float) MSL_USING(half) MSL_USING(bfloat) MSL_USING(int) MSL_USING(uint) MSL_USING(short) MSL_USING(ushort) MSL_USING(char) MSL_USING(uchar) MSL_USING(long) MSL_USING(ulong) MSL_USING(bool)
using ::uchar; using ::ushort; using ::uint; using ::ulong; using ::size_t; using ::ptrdiff_t; using ::bfloat;
using ::int8_t; using ::uint8_t; using ::int16_t; using ::uint16_t; using ::int32_t; using ::uint32_t; using ::int64_t; using ::uint64_t;
using ::float2x2; using ::float2x3; using ::float2x4; using ::float3x2; using ::float3x3; using ::float3x4; using ::float4x2; using ::float4x3; using ::float4x4;
using ::half2x2; using ::half2x3; using ::half2x4; using ::half3x2; using ::half3x3; using ::half3x4; using ::half4x2; using ::half4x3; using ::half4x4;
using ::as_type;
using ::packed_float2; using ::packed_float3; using ::packed_float4; using ::packed_half2; using ::packed_half3; using ::packed_half4;
}
