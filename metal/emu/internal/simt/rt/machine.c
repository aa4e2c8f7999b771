// The runtime of the CPU executor: machine.c, access.c, operation.c and run.c, in this order, are one
// C source. It is compiled by clang and linked with each shared object of kernels, and has no library
// below it but libc's memset, memcpy, memmove, mmap and munmap.
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

// What Go passes, and reads back. exec.go has the same layout.
typedef struct {
  uint64_t lo, len;
} range_t;

typedef struct {
  entry_t entry;
  uint64_t seed;
  uint32_t groups[3], full[3], grid[3];
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
  uint64_t f_address, f_size, f_pc;
  uint32_t f_thread[3], f_group[3], f_other[3], f_from;
  int64_t f_offset;
  uint64_t f_lo, f_len;   // what the pointer comes from
} dispatch_t;

enum { READY, SIMD, BARRIER, DONE };
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

// Where the function was called from, which is in the kernel.
#define PC ((uintptr_t)__builtin_return_address(0))
