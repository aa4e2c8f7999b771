// The runtime of the CPU executor. It is compiled by clang with the kernels into one shared object
// and has no library below it but libc's memset and memcpy.
//
// A worker is one OS thread that runs threadgroups of a dispatch, one after another. A fiber is one
// GPU thread: its stack is a block of BLOCK bytes aligned to BLOCK, with its state at the top, so
// that the state is found from the stack pointer alone.
#include <stdint.h>
#include <stddef.h>
#include <stdatomic.h>

void *memset(void *, int, size_t);
void *memcpy(void *, const void *, size_t);
void *memmove(void *, const void *, size_t);
void *mmap(void *, size_t, int, int, int, long);
int munmap(void *, size_t);

#define EXPORT __attribute__((visibility("default")))
#define BLOCK ((uintptr_t)128 * 1024)
#define FRAME 49152  // a function's most, as target.go has it
#define RESERVE 4096 // what this file's own functions take of a fiber's stack
#define LANES 32
#define MAXBUF 31

// As msl_cpu.h has them.
typedef struct {
  uint64_t buffer[MAXBUF], threadgroup[MAXBUF];
  uint32_t position[3], size[3], full[3], grid[3], groups[3], simdgroups;
} group_t;
typedef struct {
  uint32_t grid[3], inside[3], index, lane, simdgroup;
} thread_t;

typedef void (*entry_t)(const group_t *, const thread_t *);

enum { RULE_NONE, RULE_BOUNDS, RULE_BARRIER, RULE_SIMD, RULE_RACE, RULE_ALIGN, RULE_DIVIDE, RULE_STACK, RULE_UNREACHABLE, RULE_UNINITIALIZED, RULE_UNDEFINED };
enum { FLAG_RACE = 1, FLAG_SIMD = 2 };
// What a pointer may come from: [[buffer(i)]] is i, [[threadgroup(i)]] FROM_TGARG + i. provenance.go
// has the same numbers; those below 64 are bits of a mask too.
enum { FROM_TGARG = MAXBUF, FROM_TG = 2 * MAXBUF, FROM_OBJECT, FROM_GROUP, RANGES, FROM_VARIABLE = RANGES, FROM_LOCAL, FROM_CONSTANT, FROM_ANYWHERE };
// What was undefined.
enum { UB_OVERFLOW = 1, UB_SHIFT, UB_INDEX, UB_POINTER, UB_VALUE, UB_RETURN };

// What Go passes, and reads back. simt.go has the same layout.
typedef struct {
  uint64_t lo, len;
} range_t;

typedef struct {
  entry_t entry;
  uint64_t seed;
  uint32_t groups[3], full[3], grid[3];
  uint32_t nranges;
  uint32_t tgbytes;       // threadgroup memory in all
  uint32_t flags;
  uint64_t buffer[MAXBUF];
  uint32_t tgoffset[MAXBUF];
  uint32_t tglength[MAXBUF];
  range_t range[MAXBUF + 1]; // bound memory, index i for [[buffer(i)]]; length 0 if none
  _Atomic uint64_t next;  // threadgroups handed out
  _Atomic uint32_t stop;  // end soon: a fault, or the caller's wish
  _Atomic uint32_t fault; // a rule: what follows is about the first fault
  uint32_t f_write, f_line, f_line2, f_extra;
  uint64_t f_address, f_size, f_pc, f_pc2;
  uint32_t f_thread[3], f_group[3], f_other[3], f_from;
  int64_t f_offset;
  uint64_t f_lo, f_len;   // what the pointer comes from
} dispatch_t;

enum { READY, SIMD, BARRIER, SIMDBARRIER, DONE };
enum { OP_REDUCE = 1, OP_SHUFFLE, OP_BALLOT, OP_MMA, OP_SIMDBARRIER };

typedef struct worker worker_t;

typedef struct fiber {
  void *sp;
  worker_t *w;
  struct fiber *free;
  uint32_t state;
  int32_t op, a, b, n, width, line;
  uint32_t arg;
  void *ptr;
  uint64_t u64;
  uintptr_t site;
  thread_t t;
} fiber_t;

// What the race detector knows of one byte.
typedef struct {
  uint64_t address;
  uint32_t serial, epoch;  // threadgroup, and the barrier epoch of what follows
  uint16_t writer, reader; // thread index + 1
  uint32_t wsg, rsg;       // simdgroup barrier epochs of the two
  uint8_t init, many;      // many: 1 read by several of one simdgroup, 2 by several simdgroups
} shadow_t;
#define SHADOW (1u << 21)

struct worker {
  dispatch_t *d;
  uint32_t quick;         // an access in bounds needs no second look; Go clears it to stop a kernel that runs on
  uint32_t nchecks;       // ranges the check of a pointer from anywhere looks at
  void *sp;               // of the scheduler
  fiber_t *free;
  char *stacks;
  uint64_t nstacks;
  char *tg;               // threadgroup memory
  uint64_t tgcap;
  uint64_t tglen;
  range_t check[RANGES];
  uint8_t index[RANGES];
  group_t g;
  uint64_t rng;
  uint32_t nthreads;
  uint32_t serial, tgepoch, devepoch;
  uint32_t sgepoch[2][LANES]; // for device and for threadgroup memory
  shadow_t *shadow;
  fiber_t *fibers[1024];
};

static inline fiber_t *self(void) {
  uintptr_t sp = (uintptr_t)__builtin_frame_address(0);
  return (fiber_t *)((sp | (BLOCK - 1)) + 1) - 1;
}

// swtch saves the callee's registers and stack pointer at *from and takes up those at to.
void swtch(void **from, void *to);
__asm__(
    ".text\n.globl swtch\n.hidden swtch\n.type swtch,@function\nswtch:\n"
    " push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
    " mov %rsp,(%rdi)\n mov %rsi,%rsp\n"
    " pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n ret\n"
    ".size swtch,.-swtch\n");

static inline uint64_t random64(worker_t *w) {
  uint64_t z = w->rng += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

static inline void wait_(fiber_t *f, uint32_t state) {
  f->state = state;
  swtch(&f->sp, f->w->sp);
}

// claim makes this fault the dispatch's, if it is the first.
static int claim(dispatch_t *d, uint32_t rule) {
  uint32_t none = 0;
  int first = atomic_compare_exchange_strong(&d->fault, &none, rule);
  atomic_store(&d->stop, 1);
  return first;
}

static void blame(dispatch_t *d, const worker_t *w, const thread_t *t) {
  memcpy(d->f_thread, t->grid, sizeof d->f_thread);
  memcpy(d->f_group, w->g.position, sizeof d->f_group);
}

// die ends a fiber that broke a rule; its threadgroup ends with it.
__attribute__((noreturn)) static void die(fiber_t *f) {
  f->state = DONE;
  swtch(&f->sp, f->w->sp);
  __builtin_unreachable();
}

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

#define PC ((uintptr_t)__builtin_return_address(0))
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

// What the kernels call.

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
COMBINE(int64_t, r_i64, BITS)
COMBINE(uint64_t, r_u64, BITS)

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
    case 3: r_i64(l, lanes, f->a, f->n, f->width); break;
    case 4: r_u64(l, lanes, f->a, f->n, f->width); break;
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

static void start(void) {
  fiber_t *f = self();
  f->w->d->entry(&f->w->g, &f->t);
  f->state = DONE;
  swtch(&f->sp, f->w->sp);
  __builtin_unreachable();
}

// begin gives a thread a stack and stands it before its first instruction.
static fiber_t *begin(worker_t *w, const thread_t *t) {
  fiber_t *f = w->free;
  w->free = f->free;
  f->w = w, f->state = READY, f->t = *t;
  // Stacks are a power of two apart: without a shift of their own all would share a few cache sets.
  uintptr_t top = ((uintptr_t)f - 64 - (t->lane % 16) * 192) & ~(uintptr_t)63;
  void **sp = (void **)top;
  *--sp = 0; // what start would return to
  *--sp = (void *)start;
  sp -= 6;
  f->sp = sp;
  return f;
}

static thread_t thread_of(const worker_t *w, uint32_t index) {
  thread_t t;
  const group_t *g = &w->g;
  t.index = index, t.lane = index % LANES, t.simdgroup = index / LANES;
  t.inside[0] = index % g->size[0], t.inside[1] = index / g->size[0] % g->size[1], t.inside[2] = index / g->size[0] / g->size[1];
  for (int i = 0; i < 3; i++) t.grid[i] = g->position[i] * g->full[i] + t.inside[i];
  return t;
}

// simdgroup runs the lanes of one until each is at a barrier or done.
static void simdgroup(worker_t *w, uint32_t sg) {
  dispatch_t *d = w->d;
  uint32_t base = sg * LANES, n = w->nthreads - base < LANES ? w->nthreads - base : LANES;
  fiber_t **l = &w->fibers[base];
  static fiber_t done = {.state = DONE};
  for (;;) {
    uint32_t shift = random64(w) % n;
    for (uint32_t k = 0; k < n; k++) {
      uint32_t i = k + shift < n ? k + shift : k + shift - n;
      if (!l[i]) {
        thread_t t = thread_of(w, base + i);
        l[i] = begin(w, &t);
      }
      fiber_t *f = l[i];
      if (f->state != READY) continue;
      swtch(&w->sp, f->sp);
      if (f->state == DONE && f != &done) { // its stack is the next one's
        f->free = w->free;
        w->free = f;
        l[i] = &done;
      }
      // Threads of this one may not have begun: threadgroup looks at stop, too, before it looks at them.
      if (atomic_load_explicit(&d->stop, memory_order_relaxed)) return;
    }
    // Lanes that diverged wait at different places: the first in the program goes on, so that they
    // meet again where their paths join.
    uint32_t waiting = 0, lanes = 0;
    fiber_t *first = 0;
    for (uint32_t i = 0; i < n; i++)
      if (l[i]->state == SIMD) {
        waiting |= 1u << i;
        if (!first || l[i]->site < first->site || (l[i]->site == first->site && l[i]->line < first->line)) first = l[i];
      }
    if (!waiting) return;
    for (uint32_t i = 0; i < n; i++)
      if (waiting >> i & 1 && l[i]->site == first->site && l[i]->line == first->line) lanes |= 1u << i;
    if (lanes != waiting && (d->flags & FLAG_SIMD) && claim(d, RULE_SIMD)) {
      fiber_t *other = l[__builtin_ctz(waiting & ~lanes)];
      blame(d, w, &other->t);
      d->f_line = first->line, d->f_line2 = other->line, d->f_pc = first->site, d->f_pc2 = other->site;
      return;
    }
    operate(w, l, lanes, sg);
  }
}

static void threadgroup(worker_t *w) {
  dispatch_t *d = w->d;
  group_t *g = &w->g;
  w->nthreads = g->size[0] * g->size[1] * g->size[2];
  uint32_t nsg = (w->nthreads + LANES - 1) / LANES;
  g->simdgroups = nsg;
  memset(w->tg, 0xff, w->tglen);
  memset(w->fibers, 0, w->nthreads * sizeof w->fibers[0]);
  w->serial++;
  uint8_t order[LANES];
  for (uint32_t i = 0; i < nsg; i++) order[i] = i;
  for (;;) {
    for (uint32_t i = nsg; i > 1; i--) { // a fresh order between any two barriers
      uint32_t j = random64(w) % i;
      uint8_t t = order[i - 1];
      order[i - 1] = order[j], order[j] = t;
    }
    for (uint32_t i = 0; i < nsg; i++) {
      simdgroup(w, order[i]);
      if (atomic_load_explicit(&d->stop, memory_order_relaxed)) return;
    }
    fiber_t *at = 0, *odd = 0;
    uint32_t gone = w->nthreads;
    for (uint32_t i = 0; i < w->nthreads; i++) {
      fiber_t *f = w->fibers[i];
      if (f->state == BARRIER) {
        if (!at) at = f;
        else if ((f->site != at->site || f->line != at->line) && !odd) odd = f;
      } else
        gone = i;
    }
    if (!at) return;
    if ((odd || gone < w->nthreads) && claim(d, RULE_BARRIER)) {
      thread_t t = odd ? odd->t : thread_of(w, gone);
      blame(d, w, &t);
      d->f_line = at->line, d->f_line2 = odd ? odd->line : 0, d->f_pc = at->site, d->f_pc2 = odd ? odd->site : 0;
      memcpy(d->f_other, at->t.inside, sizeof d->f_other);
    }
    if (odd || gone < w->nthreads) return;
    if (at->arg & 2) w->tgepoch++;
    if (at->arg & 1) w->devepoch++;
    for (uint32_t i = 0; i < w->nthreads; i++) w->fibers[i]->state = READY;
    for (uint32_t i = 0; i < nsg; i++) w->sgepoch[0][i] += at->arg & 1, w->sgepoch[1][i] += at->arg >> 1 & 1;
  }
}

static uint64_t gcd(uint64_t a, uint64_t b) {
  while (b) {
    uint64_t t = a % b;
    a = b, b = t;
  }
  return a;
}

// stacks takes back every fiber and sees that there are enough.
static int stacks(worker_t *w, uint64_t n) {
  if (w->nstacks < n) {
    if (w->stacks) munmap(w->stacks, (w->nstacks + 1) * BLOCK);
    w->nstacks = 0;
    w->stacks = mmap(0, (n + 1) * BLOCK, 3, 0x22 | 0x4000 /* private, anonymous, no reserve */, -1, 0);
    if (w->stacks == (char *)-1) {
      w->stacks = 0;
      return 0;
    }
    w->nstacks = n;
  }
  w->free = 0;
  uintptr_t base = ((uintptr_t)w->stacks + BLOCK - 1) & ~(BLOCK - 1);
  for (uint64_t i = n; i-- > 0;) {
    fiber_t *f = (fiber_t *)(base + (i + 1) * BLOCK) - 1;
    f->free = w->free;
    w->free = f;
  }
  return 1;
}

// rt_run runs threadgroups of d on this thread until none is left. *state keeps the worker's memory
// between calls. It returns 0, or 1 if there is no memory.
EXPORT int rt_run(dispatch_t *d, worker_t **state) {
  worker_t *w = *state;
  if (!w) {
    w = mmap(0, sizeof *w, 3, 0x22, -1, 0);
    if (w == (worker_t *)-1) return 1;
    *state = w;
  }
  w->d = d;
  uint64_t threads = (uint64_t)d->full[0] * d->full[1] * d->full[2];
  if (threads == 0 || threads > 1024) return 2;
  if (w->tgcap < (uint64_t)d->tgbytes + 64) {
    if (w->tg) munmap(w->tg, w->tgcap);
    w->tgcap = 0;
    uint64_t cap = ((uint64_t)d->tgbytes + 65536) & ~(uint64_t)4095;
    w->tg = mmap(0, cap, 3, 0x22, -1, 0);
    if (w->tg == (char *)-1) {
      w->tg = 0;
      return 1;
    }
    w->tgcap = cap;
  }
  if ((d->flags & FLAG_RACE) && !w->shadow) {
    w->shadow = mmap(0, SHADOW * sizeof(shadow_t), 3, 0x22 | 0x4000, -1, 0);
    if (w->shadow == (shadow_t *)-1) {
      w->shadow = 0;
      return 1;
    }
  }
  w->tglen = d->tgbytes;
  w->nchecks = 0;
  w->quick = !(d->flags & FLAG_RACE);
  for (int i = 0; i < MAXBUF; i++) {
    w->check[i] = d->range[i];
    w->g.buffer[i] = d->buffer[i];
    w->g.threadgroup[i] = (uint64_t)w->tg + d->tgoffset[i];
    w->check[FROM_TGARG + i] = (range_t){w->g.threadgroup[i], d->tglength[i]};
    if (d->range[i].len) w->index[w->nchecks++] = i;
  }
  w->check[FROM_TG] = (range_t){(uint64_t)w->tg, w->tglen};
  if (w->tglen) w->index[w->nchecks++] = FROM_TG;
  w->check[FROM_OBJECT] = (range_t){(uint64_t)__ehdr_start, (uint64_t)(_end - __ehdr_start)};
  w->check[FROM_GROUP] = (range_t){(uint64_t)&w->g, sizeof w->g};
  memcpy(w->g.full, d->full, sizeof d->full);
  memcpy(w->g.grid, d->grid, sizeof d->grid);
  memcpy(w->g.groups, d->groups, sizeof d->groups);

  if (!stacks(w, threads)) return 1;

  // Threadgroups in an order of the seed's: n -> (n*step + shift) mod total, step prime to total.
  uint64_t total = (uint64_t)d->groups[0] * d->groups[1] * d->groups[2];
  w->rng = d->seed;
  uint64_t step = total > 2 ? random64(w) % (total < 1 << 20 ? total : 1 << 20) | 1 : 1, shift = total ? random64(w) % total : 0;
  while (gcd(step, total) != 1) step = step + 1 < total ? step + 1 : 1;
  for (;;) {
    if (atomic_load_explicit(&d->stop, memory_order_relaxed)) return 0;
    uint64_t k = atomic_fetch_add(&d->next, 1);
    if (k >= total) return 0;
    uint64_t n = (k * step + shift) % total;
    w->rng = d->seed ^ (n + 1) * 0xd6e8feb86659fd93u;
    w->g.position[0] = n % d->groups[0], w->g.position[1] = n / d->groups[0] % d->groups[1], w->g.position[2] = n / d->groups[0] / d->groups[1];
    for (int i = 0; i < 3; i++) {
      uint64_t start = (uint64_t)w->g.position[i] * d->full[i], left = d->grid[i] - start;
      w->g.size[i] = left < d->full[i] ? (uint32_t)left : d->full[i];
    }
    threadgroup(w);
  }
}

// rt_free gives back what rt_run kept.
EXPORT void rt_free(worker_t *w) {
  if (!w) return;
  if (w->stacks) munmap(w->stacks, (w->nstacks + 1) * BLOCK);
  if (w->tg) munmap(w->tg, w->tgcap);
  if (w->shadow) munmap(w->shadow, SHADOW * sizeof(shadow_t));
  munmap(w, sizeof *w);
}

// Conversions that clang calls where the CPU has no instruction for them.
uint16_t msl_truncsfbf2(float f) __asm__("msl_truncsfbf2");
uint16_t msl_truncsfbf2(float f) {
  uint32_t u;
  memcpy(&u, &f, 4);
  if (f != f) return (uint16_t)(u >> 16 | 0x40);
  return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
__bf16 __truncsfbf2(float f) {
  uint16_t h = msl_truncsfbf2(f);
  __bf16 b;
  memcpy(&b, &h, 2);
  return b;
}
__bf16 __truncdfbf2(double x) { return __truncsfbf2((float)x); }
