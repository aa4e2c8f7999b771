// The scheduler: fibers, simdgroups, threadgroups, and the worker that runs them.

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
      d->f_line = first->line, d->f_line2 = other->line, d->f_pc = first->site;
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
      d->f_line = at->line, d->f_line2 = odd ? odd->line : 0, d->f_pc = at->site;
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
__bf16 __truncsfbf2(float f) {
  uint32_t u;
  memcpy(&u, &f, 4);
  uint16_t h = f != f ? u >> 16 | 0x40 : (u + 0x7fff + (u >> 16 & 1)) >> 16;
  __bf16 b;
  memcpy(&b, &h, 2);
  return b;
}
__bf16 __truncdfbf2(double x) { return __truncsfbf2((float)x); }
