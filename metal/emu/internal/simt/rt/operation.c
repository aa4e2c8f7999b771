// What kernels wait for or call: barriers, simd operations, atomics.

void msl_rt_barrier(uint32_t flags, int line) {
  fiber_t *f = self();
  f->site = PC, f->line = line, f->arg = flags;
  wait_(f, BARRIER);
}
static inline __attribute__((always_inline)) fiber_t *meet(int op, int line, uintptr_t pc) {
  fiber_t *f = self();
  f->op = op, f->line = line, f->site = pc;
  return f;
}
void msl_rt_simd_barrier(uint32_t flags, int line) {
  fiber_t *f = meet(OP_SIMDBARRIER, line, PC);
  f->arg = flags;
  wait_(f, SIMD);
}
void msl_rt_reduce(int op, int type, int n, int width, void *v, int line) {
  fiber_t *f = meet(OP_REDUCE, line, PC);
  f->a = op, f->b = type, f->n = n, f->width = width, f->ptr = v;
  wait_(f, SIMD);
}
void msl_rt_shuffle(int mode, int bytes, int width, void *v, uint32_t arg, int line) {
  fiber_t *f = meet(OP_SHUFFLE, line, PC);
  f->a = mode, f->n = bytes, f->width = width, f->ptr = v, f->arg = arg;
  wait_(f, SIMD);
}
uint64_t msl_rt_ballot(int width, uint32_t predicate, int line) {
  fiber_t *f = meet(OP_BALLOT, line, PC);
  f->width = width, f->arg = predicate;
  wait_(f, SIMD);
  return f->u64;
}
void msl_rt_mma(float *abcd, int line) {
  fiber_t *f = meet(OP_MMA, line, PC);
  f->ptr = abcd;
  wait_(f, SIMD);
}
// Where an entry point's pointers come from: calls, so that provenance.go can tell them from others.
uint64_t msl_rt_buffer(const group_t *g, uint32_t i) { return g->buffer[i]; }
uint64_t msl_rt_threadgroup_argument(const group_t *g, uint32_t i) { return g->threadgroup[i]; }
uint64_t msl_rt_threadgroup_variable(uint32_t offset, uint32_t size) { return (uint64_t)self()->w->tg + offset; }
uint32_t msl_rt_lane(void) { return self()->t.lane; }

static float f32(uint64_t b) { uint32_t u = (uint32_t)b; float f; memcpy(&f, &u, 4); return f; }
static uint64_t bits(float f) { uint32_t u; memcpy(&u, &f, 4); return u; }

static uint64_t combine(int op, int type, uint64_t a, uint64_t b) {
  enum { LOAD, STORE, EXCHANGE, ADD, SUB, MIN, MAX, AND, OR, XOR };
  switch (op) {
  case LOAD: return a;
  case STORE: case EXCHANGE: return b;
  case ADD: return type == 0 ? bits(f32(a) + f32(b)) : a + b;
  case SUB: return type == 0 ? bits(f32(a) - f32(b)) : a - b;
  case AND: return a & b;
  case OR: return a | b;
  case XOR: return a ^ b;
  }
  int less;
  switch (type) {
  case 0: less = f32(b) < f32(a); break;
  case 1: less = (int32_t)b < (int32_t)a; break;
  case 2: less = (uint32_t)b < (uint32_t)a; break;
  case 3: less = (int64_t)b < (int64_t)a; break;
  default: less = b < a;
  }
  return (op == MIN) == less ? b : a;
}

// bounds checks an atomic access; it is never part of a race.
static void bounds(uintptr_t a, size_t n, uintptr_t pc) {
  fiber_t *f = self();
  worker_t *w = f->w;
  if (a & (n - 1))
    fault_access(f, RULE_ALIGN, a, n, 1, pc);
  for (uint32_t i = 0; i < RANGES; i++)
    if (inside(w->check[i], a, n)) {
      if (atomic_load_explicit(&w->d->stop, memory_order_relaxed))
        die(f);
      return;
    }
  fault_access(f, RULE_BOUNDS, a, n, 1, pc);
}

uint64_t msl_rt_atomic(int op, int type, void *p, uint64_t v) {
  int bytes = type >= 16 ? 1 : type >= 3 ? 8 : 4;
  type &= 15;
  bounds((uintptr_t)p, bytes, PC);
  if (bytes == 8) {
    _Atomic uint64_t *a = p;
    uint64_t old = atomic_load(a);
    if (op != 0)
      while (!atomic_compare_exchange_weak(a, &old, combine(op, type, old, v)))
        ;
    return old;
  }
  if (bytes == 1) {
    _Atomic uint8_t *a = p;
    uint8_t old = atomic_load(a);
    if (op != 0)
      while (!atomic_compare_exchange_weak(a, &old, (uint8_t)combine(op, type, old, v)))
        ;
    return old;
  }
  _Atomic uint32_t *a = p;
  if (op == 3 && type != 0)
    return atomic_fetch_add(a, (uint32_t)v);
  uint32_t old = atomic_load(a);
  if (op != 0)
    while (!atomic_compare_exchange_weak(a, &old, (uint32_t)combine(op, type, old, v)))
      ;
  return old;
}

_Bool msl_rt_compare_exchange(int bytes, void *p, void *expected, uint64_t v) {
  bounds((uintptr_t)p, bytes, PC);
  if (bytes == 8)
    return atomic_compare_exchange_strong((_Atomic uint64_t *)p, (uint64_t *)expected, v);
  if (bytes == 1)
    return atomic_compare_exchange_strong((_Atomic uint8_t *)p, (uint8_t *)expected, (uint8_t)v);
  return atomic_compare_exchange_strong((_Atomic uint32_t *)p, (uint32_t *)expected, (uint32_t)v);
}

// Simd operations. lanes is the set of lanes that take part; the others hold nothing.

#define REDUCE(T, name) \
  static void name(fiber_t **l, uint32_t lanes, int op, int n, int width) { \
    for (int c = 0; c < n; c++) \
      for (int base = 0; base < LANES; base += width) { \
        T v[LANES]; \
        uint32_t on = lanes >> base & (width == 32 ? ~0u : (1u << width) - 1); \
        if (!on) continue; \
        for (int i = 0; i < width; i++) if (on >> i & 1) v[i] = ((T *)l[base + i]->ptr)[c]; \
        if (op >= 7) { \
          int product = op >= 9, exclusive = op == 8 || op == 10; \
          T acc = product ? 1 : 0; \
          for (int i = 0; i < width; i++) if (on >> i & 1) { \
            T next = product ? (T)(acc * v[i]) : (T)(acc + v[i]); \
            ((T *)l[base + i]->ptr)[c] = exclusive ? acc : next; \
            acc = next; \
          } \
          continue; \
        } \
        /* pairs, as the hardware's butterfly has them: halves fold onto each other */ \
        uint32_t have = on; \
        for (int half = width / 2; half > 0; half /= 2) \
          for (int i = 0; i < half; i++) { \
            int j = i + half; \
            if (!(have >> j & 1)) continue; \
            if (!(have >> i & 1)) { v[i] = v[j]; have |= 1u << i; continue; } \
            v[i] = combine_##name(op, v[i], v[j]); \
          } \
        for (int i = 0; i < width; i++) if (on >> i & 1) ((T *)l[base + i]->ptr)[c] = v[0]; \
      } \
  }
#define COMBINE(T, name, ANDOR) \
  static inline T combine_##name(int op, T a, T b) { \
    switch (op) { \
    case 0: return a + b; \
    case 1: return a * b; \
    case 2: return b < a || a != a ? b : a; \
    case 3: return b > a || a != a ? b : a; \
    ANDOR \
    } \
    return a; \
  } \
  REDUCE(T, name)
#define BITS case 4: return a & b; case 5: return a | b; case 6: return a ^ b;
COMBINE(float, r_f32, )
COMBINE(int32_t, r_i32, BITS)
COMBINE(uint32_t, r_u32, BITS)

static void shuffle(fiber_t **l, uint32_t lanes, int n) {
  unsigned char v[LANES][256];
  for (int i = 0; i < LANES; i++)
    if (lanes >> i & 1) memcpy(v[i], l[i]->ptr, n);
  for (int i = 0; i < LANES; i++) {
    if (!(lanes >> i & 1)) continue;
    fiber_t *f = l[i];
    int w = f->width, base = i & ~(w - 1), k = i & (w - 1), from = k;
    switch (f->a) {
    case 0: from = f->arg; break;
    case 1: from = k ^ (int)f->arg; break;
    case 2: from = k - (int)f->arg; if (from < 0) from = k; break;
    case 3: from = k + (int)f->arg; if (from >= w) from = k; break;
    case 4: from = (k - (int)f->arg) & (w - 1); break;
    case 5: from = (k + (int)f->arg) & (w - 1); break;
    case 6: from = __builtin_ctz(lanes >> base & (w == 32 ? ~0u : (1u << w) - 1)); break;
    }
    // A lane that is not there has no value: what is read is poison.
    if (from < 0 || from >= w || !(lanes >> (base + from) & 1)) memset(f->ptr, 0xff, n);
    else memcpy(f->ptr, v[base + from], n);
  }
}

// Where a lane's two elements of an 8x8 matrix are, as in msl_cpu.h.
static int row(int l) { return (l / 4 & 4) + l / 2 % 4; }
static int col(int l) { return (l / 4 & 2) * 2 + l % 2 * 2; }

static void mma(fiber_t **l, uint32_t lanes) {
  float a[8][8], b[8][8], c[8][8];
  for (int i = 0; i < LANES; i++) {
    float nan2[6] = {__builtin_nanf(""), __builtin_nanf(""), __builtin_nanf(""), __builtin_nanf(""), __builtin_nanf(""), __builtin_nanf("")};
    const float *e = lanes >> i & 1 ? l[i]->ptr : nan2;
    int r = row(i), k = col(i);
    a[r][k] = e[0], a[r][k + 1] = e[1], b[r][k] = e[2], b[r][k + 1] = e[3], c[r][k] = e[4], c[r][k + 1] = e[5];
  }
  for (int i = 0; i < 8; i++)
    for (int k = 0; k < 8; k++)
      for (int j = 0; j < 8; j++) c[i][j] += a[i][k] * b[k][j];
  for (int i = 0; i < LANES; i++)
    if (lanes >> i & 1) {
      float *e = l[i]->ptr;
      e[6] = c[row(i)][col(i)], e[7] = c[row(i)][col(i) + 1];
    }
}

static void operate(worker_t *w, fiber_t **l, uint32_t lanes, uint32_t sg) {
  fiber_t *f = l[__builtin_ctz(lanes)];
  switch (f->op) {
  case OP_REDUCE:
    switch (f->b) {
    case 0: r_f32(l, lanes, f->a, f->n, f->width); break;
    case 1: r_i32(l, lanes, f->a, f->n, f->width); break;
    case 2: r_u32(l, lanes, f->a, f->n, f->width); break;
    }
    break;
  case OP_SHUFFLE:
    shuffle(l, lanes, f->n);
    break;
  case OP_BALLOT:
    for (int base = 0; base < LANES; base += f->width) {
      uint64_t m = 0;
      for (int i = 0; i < f->width; i++)
        if (lanes >> (base + i) & 1 && l[base + i]->arg) m |= 1ull << i;
      for (int i = 0; i < f->width; i++)
        if (lanes >> (base + i) & 1) l[base + i]->u64 = m;
    }
    break;
  case OP_MMA:
    mma(l, lanes);
    break;
  case OP_SIMDBARRIER:
    w->sgepoch[0][sg] += f->arg & 1, w->sgepoch[1][sg] += f->arg >> 1 & 1;
    break;
  }
  for (int i = 0; i < LANES; i++)
    if (lanes >> i & 1) l[i]->state = READY;
}
