// Accesses to memory: each is checked against what its pointer may point to, and with FLAG_RACE
// against what other threads did.

// apart is how far an address is from a range; from an empty one, very far.
static uint64_t apart(uint64_t a, range_t r) {
  if (r.len == 0)
    return UINT64_MAX;
  return a < r.lo ? r.lo - a : a < r.lo + r.len ? 0 : a - (r.lo + r.len);
}

// fault_at reports an access through a pointer that comes from one place, or from anywhere.
__attribute__((noreturn, noinline)) static void fault_at(fiber_t *f, uint32_t rule, uintptr_t a, size_t n, int write, uintptr_t pc, uint32_t from, range_t r) {
  worker_t *w = f->w;
  dispatch_t *d = w->d;
  if (claim(d, rule)) {
    blame(d, w, &f->t);
    d->f_address = a, d->f_size = n, d->f_write = write, d->f_pc = pc;
    d->f_from = from, d->f_lo = r.lo, d->f_len = r.len;
    // Threadgroup memory is named by its worker's copy: give the offset in it. An address of unknown
    // origin outside everything is blamed on what lies nearest.
    uintptr_t tg = (uintptr_t)w->tg;
    d->f_offset = (int64_t)(a - tg);
    if (from == FROM_ANYWHERE) {
      uint64_t near = apart(a, w->check[FROM_TG]);
      d->f_extra = near < 1 << 20;
      for (int i = 0; i < MAXBUF; i++)
        if (apart(a, w->check[i]) <= near)
          d->f_extra = 0;
    } else
      d->f_extra = from >= FROM_TGARG && from <= FROM_TG || from == FROM_VARIABLE;
  }
  die(f);
}
__attribute__((noreturn)) static void fault_access(fiber_t *f, uint32_t rule, uintptr_t a, size_t n, int write, uintptr_t pc) {
  fault_at(f, rule, a, n, write, pc, FROM_ANYWHERE, (range_t){0, 0});
}

static void report_race(fiber_t *f, uint32_t other, uintptr_t a, int write, uintptr_t pc, int tg) {
  worker_t *w = f->w;
  dispatch_t *d = w->d;
  if (claim(d, RULE_RACE)) {
    uint32_t o = other - 1, x = w->g.size[0], y = w->g.size[1];
    blame(d, w, &f->t);
    d->f_address = a, d->f_size = 1, d->f_write = write, d->f_pc = pc;
    d->f_extra = tg, d->f_from = FROM_ANYWHERE, d->f_offset = (int64_t)(a - (uintptr_t)w->tg);
    d->f_other[0] = o % x, d->f_other[1] = o / x % y, d->f_other[2] = o / x / y;
  }
  die(f);
}

// race notes an access and reports one that nothing orders with another thread's: no barrier for
// this memory between them, and no simdgroup barrier if both are of one simdgroup.
static void race(fiber_t *f, uintptr_t a, size_t n, int write, uintptr_t pc, int tg) {
  worker_t *w = f->w;
  uint32_t me = f->t.index + 1, epoch = tg ? w->tgepoch : w->devepoch, sg = w->sgepoch[tg][f->t.simdgroup];
  for (; n > 0; a++, n--) {
    uint64_t h = a * 0x9e3779b97f4a7c15u >> 43;
    shadow_t *s = 0;
    for (int probe = 0; probe < 64 && !s; probe++) {
      shadow_t *c = &w->shadow[(h + probe) & (SHADOW - 1)];
      if (c->serial != w->serial) {
        memset(c, 0, sizeof *c);
        c->address = a, c->serial = w->serial, c->epoch = epoch;
      }
      if (c->address == a) s = c;
    }
    if (!s) continue; // the table is full here: this byte goes unwatched
    if (s->epoch != epoch) s->epoch = epoch, s->writer = s->reader = 0, s->many = 0;
    if (tg && !write && !s->init) fault_access(f, RULE_UNINITIALIZED, a, n, write, pc);
#define ORDERED(i, e) ((i) == me || (((i) - 1u) / LANES == f->t.simdgroup && (e) != sg))
    if (s->writer && !ORDERED(s->writer, s->wsg)) report_race(f, s->writer, a, write, pc, tg);
    if (write) {
      int ordered = !s->reader || (s->many == 0 ? ORDERED(s->reader, s->rsg) : s->many == 1 && (s->reader - 1u) / LANES == f->t.simdgroup && s->rsg != sg);
      if (!ordered) report_race(f, s->reader, a, write, pc, tg);
      s->writer = me, s->wsg = sg, s->init = 1, s->reader = 0, s->many = 0;
    } else if (!s->reader || (s->reader == me && !s->many)) {
      s->reader = me, s->rsg = sg;
    } else {
      s->many = s->many < 2 && (s->reader - 1u) / LANES == f->t.simdgroup ? 1 : 2;
      s->reader = me, s->rsg = sg;
    }
  }
}

static inline int inside(range_t r, uintptr_t a, size_t n) {
  uint64_t off = a - r.lo;
  return off < r.len && n <= r.len - off;
}

// slow looks an access up among everything the thread may touch.
__attribute__((noinline)) static void slow(fiber_t *f, uintptr_t a, size_t n, int write, uintptr_t pc) {
  worker_t *w = f->w;
  dispatch_t *d = w->d;
  if (atomic_load_explicit(&d->stop, memory_order_relaxed))
    die(f);
  for (uint32_t i = 0; i < RANGES; i++)
    if (inside(w->check[i], a, n) && (i < FROM_TGARG || i >= FROM_TG)) {
      if ((d->flags & FLAG_RACE) && i <= FROM_TG)
        race(f, a, n, write, pc, i == FROM_TG);
      return;
    }
  fault_access(f, RULE_BOUNDS, a, n, write, pc);
}

// slow_at looks again at an access through a pointer that comes from one place.
__attribute__((noinline)) static void slow_at(fiber_t *f, uintptr_t a, size_t n, int write, uintptr_t pc, uint32_t from, range_t r) {
  dispatch_t *d = f->w->d;
  if (atomic_load_explicit(&d->stop, memory_order_relaxed))
    die(f);
  if (!inside(r, a, n))
    fault_at(f, RULE_BOUNDS, a, n, write, pc, from, r);
  if ((d->flags & FLAG_RACE) && from != FROM_LOCAL && from != FROM_CONSTANT)
    race(f, a, n, write, pc, from >= FROM_TGARG);
}

// The linker's names for the object's own memory: constants of the program.
extern char __ehdr_start[] __attribute__((visibility("hidden"), weak));
extern char _end[] __attribute__((visibility("hidden"), weak));

// check looks at an access through a pointer that may come from anywhere.
static inline __attribute__((always_inline)) void check(uintptr_t a, size_t n, uintptr_t align, int write, uintptr_t pc) {
  uintptr_t sp = (uintptr_t)__builtin_frame_address(0);
  fiber_t *f = (fiber_t *)((sp | (BLOCK - 1)) + 1) - 1;
  if (__builtin_expect(((a ^ sp) & ~(BLOCK - 1)) == 0, 0)) // its own stack
    return;
  if (__builtin_expect(a & (align - 1), 0))
    fault_access(f, RULE_ALIGN, a, n, write, pc);
  worker_t *w = f->w;
  if (w->quick)
    for (uint32_t i = 0; i < w->nchecks; i++)
      if (inside(w->check[w->index[i]], a, n))
        return;
  slow(f, a, n, write, pc);
}

// check_at looks at an access through a pointer that comes from one place.
static inline __attribute__((always_inline)) void check_at(uintptr_t a, size_t n, uintptr_t align, int write, uint32_t from, uintptr_t pc) {
  fiber_t *f = self();
  worker_t *w = f->w;
  if (__builtin_expect(a & (align - 1), 0))
    fault_at(f, RULE_ALIGN, a, n, write, pc, from, w->check[from]);
  if (__builtin_expect(!inside(w->check[from], a, n) || !w->quick, 0))
    slow_at(f, a, n, write, pc, from, w->check[from]);
}

#define CHECKS(n, align) \
  void __asan_load##n##_noabort(uintptr_t a) { check(a, n, align, 0, PC); } \
  void __asan_store##n##_noabort(uintptr_t a) { check(a, n, align, 1, PC); }
CHECKS(1, 1)
CHECKS(2, 2)
CHECKS(4, 4)
CHECKS(8, 8)
CHECKS(16, 8)
void __asan_loadN_noabort(uintptr_t a, size_t n) { check(a, n, 1, 0, PC); }
void __asan_storeN_noabort(uintptr_t a, size_t n) { check(a, n, 1, 1, PC); }
void __asan_handle_no_return(void) {}

// What provenance.go puts in the place of these where it knows what the pointer comes from.
#define CHECKS_AT(n, align) \
  void msl_rt_load##n##_at(uintptr_t a, uint32_t from) { check_at(a, n, align, 0, from, PC); } \
  void msl_rt_store##n##_at(uintptr_t a, uint32_t from) { check_at(a, n, align, 1, from, PC); }
CHECKS_AT(1, 1)
CHECKS_AT(2, 2)
CHECKS_AT(4, 4)
CHECKS_AT(8, 8)
CHECKS_AT(16, 8)

// The same for any size; how is 1 for a write, 2 for an atomic access, and the alignment times 4.
enum { WRITE = 1, ATOMIC = 2 };
static inline __attribute__((always_inline)) void check_in(uintptr_t a, size_t n, uint32_t how, uint32_t from, range_t r, uintptr_t pc) {
  fiber_t *f = self();
  if (__builtin_expect(a & ((how >> 2) - 1), 0))
    fault_at(f, RULE_ALIGN, a, n, how & WRITE, pc, from, r);
  if (n && __builtin_expect(!inside(r, a, n) || (!f->w->quick && !(how & ATOMIC)), 0))
    slow_at(f, a, n, how & WRITE, pc, from, r);
}
void msl_rt_access_at(uintptr_t a, size_t n, uint32_t how, uint32_t from) { check_in(a, n, how, from, self()->w->check[from], PC); }
// One of several arguments: the mask has a bit for each.
void msl_rt_access_of(uintptr_t a, size_t n, uint32_t how, uint64_t mask) {
  worker_t *w = self()->w;
  uint32_t near = __builtin_ctzll(mask);
  for (uint64_t m = mask; m; m &= m - 1) {
    uint32_t i = __builtin_ctzll(m);
    if (inside(w->check[i], a, n)) {
      near = i;
      break;
    }
    if (apart(a, w->check[i]) < apart(a, w->check[near]))
      near = i;
  }
  check_in(a, n, how, near, w->check[near], PC);
}
// A variable of the thread, or a constant of the program.
void msl_rt_access_object(uintptr_t a, size_t n, uint32_t how, uintptr_t base, uint64_t size) {
  uintptr_t sp = (uintptr_t)__builtin_frame_address(0);
  uint32_t from = ((base ^ sp) & ~(BLOCK - 1)) == 0 ? FROM_LOCAL : FROM_CONSTANT;
  if (n && __builtin_expect(!inside((range_t){base, size}, a, n), 0))
    slow_at(self(), a, n, how & WRITE, PC, from, (range_t){base, size});
}
// A threadgroup variable.
void msl_rt_access_variable(uintptr_t a, size_t n, uint32_t how, uint32_t offset, uint32_t size) {
  check_in(a, n, how, FROM_VARIABLE, (range_t){(uintptr_t)self()->w->tg + offset, size}, PC);
}
void *__asan_memcpy(void *d, const void *s, size_t n) {
  if (n) check((uintptr_t)s, n, 1, 0, PC), check((uintptr_t)d, n, 1, 1, PC);
  return memmove(d, s, n);
}
void *__asan_memmove(void *d, const void *s, size_t n) {
  if (n) check((uintptr_t)s, n, 1, 0, PC), check((uintptr_t)d, n, 1, 1, PC);
  return memmove(d, s, n);
}
void *__asan_memset(void *d, int c, size_t n) {
  if (n) check((uintptr_t)d, n, 1, 1, PC);
  return memset(d, c, n);
}

static void trap(uint32_t rule, uintptr_t pc) {
  fiber_t *f = self();
  dispatch_t *d = f->w->d;
  if (claim(d, rule)) {
    blame(d, f->w, &f->t);
    d->f_pc = pc;
  }
  die(f);
}
void __ubsan_handle_divrem_overflow_abort(void *data, uintptr_t a, uintptr_t b) { trap(RULE_DIVIDE, PC); }
void __ubsan_handle_builtin_unreachable(void *data) { trap(RULE_UNREACHABLE, PC); }

// Before a call of a function that was not inlined: there is room for it.
void msl_rt_stack(void) {
  if (__builtin_expect(((uintptr_t)__builtin_frame_address(0) & (BLOCK - 1)) < FRAME + RESERVE, 0))
    trap(RULE_STACK, PC);
}

// undefined reports what C++ leaves undefined, of the kind what and with up to two numbers.
static void undefined(uint32_t what, uint64_t x, uint64_t y, uintptr_t pc) {
  fiber_t *f = self();
  dispatch_t *d = f->w->d;
  if (claim(d, RULE_UNDEFINED)) {
    blame(d, f->w, &f->t);
    d->f_pc = pc, d->f_extra = what, d->f_address = x, d->f_size = y;
  }
  die(f);
}
void __ubsan_handle_add_overflow_abort(void *data, uintptr_t a, uintptr_t b) { undefined(UB_OVERFLOW, a, b, PC); }
void __ubsan_handle_sub_overflow_abort(void *data, uintptr_t a, uintptr_t b) { undefined(UB_OVERFLOW, a, b, PC); }
void __ubsan_handle_mul_overflow_abort(void *data, uintptr_t a, uintptr_t b) { undefined(UB_OVERFLOW, a, b, PC); }
void __ubsan_handle_negate_overflow_abort(void *data, uintptr_t a) { undefined(UB_OVERFLOW, a, 0, PC); }
void __ubsan_handle_out_of_bounds_abort(void *data, uintptr_t i) { undefined(UB_INDEX, i, 0, PC); }
void __ubsan_handle_pointer_overflow_abort(void *data, uintptr_t a, uintptr_t b) { undefined(UB_POINTER, a, b, PC); }
void __ubsan_handle_load_invalid_value_abort(void *data, uintptr_t v) { undefined(UB_VALUE, v, 0, PC); }
void __ubsan_handle_missing_return(void *data) { undefined(UB_RETURN, 0, 0, PC); }
// In the place of the mask clang puts around the amount of a shift.
uint32_t msl_rt_shift32(uint32_t n, uint32_t last) {
  if (n > last) undefined(UB_SHIFT, n, last + 1, PC);
  return n;
}
uint64_t msl_rt_shift64(uint64_t n, uint64_t last) {
  if (n > last) undefined(UB_SHIFT, n, last + 1, PC);
  return n;
}
