package cpu

import (
	"unsafe"

	"github.com/gollm/gollm/engine/internal/exec/cpu/kernel"
	"github.com/gollm/gollm/gguf"
)

// Attention of prompts. A tile is some tokens of one sequence, with the query heads
// that share a KV head. Its query rows are the lanes of panels; keys and values are
// converted to floats once for all of them, a block of positions at a time.
const (
	tileKeys   = 64  // positions of a block, whole steps of the kernels
	tileRows   = 256 // most query rows of a tile, unless one token has more
	tileTokens = 64  // most tokens
	tileFewest = 8   // tokens of a sequence for which panels pay
)

// run is consecutive tokens of a step that are of one sequence.
type run struct{ from, n int }

// findRuns lists the runs of the step.
func (r *runner) findRuns() {
	r.runs, r.longest = r.runs[:0], 0
	for from := 0; from < r.n; {
		n := 1
		for from+n < r.n && r.step.Sequences[from+n] == r.step.Sequences[from] {
			n++
		}
		r.runs = append(r.runs, run{from, n})
		r.longest = max(r.longest, n)
		from += n
	}
}

// tokensOfTile is how many tokens make a tile: fewer where workers would be without
// work, or would wait for one that has a tile more.
func (r *runner) tokensOfTile(a *heads) int {
	n := tileTokens
	for n > 1 && (n*a.share > tileRows || n > 16 && r.n/n*a.KVHeads < 4*r.exec.team.n) {
		n /= 2
	}
	return n
}

// tiles returns how many tiles there are of n tokens.
func (r *runner) tiles(n int) (all int) {
	for _, s := range r.runs {
		all += (s.n + n - 1) / n
	}
	return all
}

// tileOf returns the tokens of a tile. The last come first: they see most.
func (r *runner) tileOf(tile, n int) (from, tokens int) {
	for i := len(r.runs) - 1; ; i-- {
		s := r.runs[i]
		of := (s.n + n - 1) / n
		if tile < of {
			at := (of - 1 - tile) * n
			return s.from + at, min(n, s.n-at)
		}
		tile -= of
	}
}

// attentionTile is a worker's memory for tiles.
type attentionTile struct {
	k, v   []float32 // [tileKeys][width]
	q, o   []float32 // a panel after another: [width][Lanes]
	rows   []float32 // [Lanes][width], on the way to and from panels
	scores []float32 // [tileKeys][Lanes]
	lanes  []float32 // a panel after another: [kernel.LaneRows][Lanes]
	seen   []seen    // of a panel
}

// seen is the least and the greatest of the first and of the last positions that a
// panel's lanes see.
type seen struct{ first, firstMost, lastLeast, last int }

// needTile is what tiles need: panels, and their panels times the heads' widths.
type needTile struct{ panels, width, values int }

// paddedWidth is a width as panels have it.
func paddedWidth(n int) int { return (n + kernel.Step - 1) &^ (kernel.Step - 1) }

// needTiles asks for a worker's memory.
func (r *runner) needTiles(a *heads) {
	if r.limits.Tokens < tileFewest {
		return
	}
	tokens := tileTokens
	for tokens > 1 && tokens*a.share > tileRows {
		tokens /= 2
	}
	tokens = min(tokens, r.limits.Tokens)
	n := &r.need.tile
	panels := (tokens*a.share + r.Lanes - 1) / r.Lanes
	width := paddedWidth(max(a.headK, a.headV))
	n.panels, n.width, n.values = max(n.panels, panels), max(n.width, width), max(n.values, panels*width)
}

func (t *attentionTile) allocate(n needTile, lanes int) {
	t.k, t.v = aligned[float32](tileKeys*n.width), aligned[float32](tileKeys*n.width)
	t.q, t.o = aligned[float32](n.values*lanes), aligned[float32](n.values*lanes)
	t.rows = aligned[float32](lanes * n.width)
	t.scores = aligned[float32](tileKeys * lanes)
	t.lanes = aligned[float32](n.panels * kernel.LaneRows * lanes)
	t.seen = make([]seen, n.panels)
}

// attendTokens computes a tile.
func (r *runner) attendTokens(w *worker, a *heads, from, n, group int) {
	if n >= tileFewest {
		r.attendTile(w, a, from, n, group)
		return
	}
	for i := range n {
		r.attend(w, a, from+i, group*a.share, a.share)
	}
}

// attendTile computes n tokens, from the given one on, of one sequence, and the
// query heads that share KV head group. It does what attend does, with the panels'
// lanes in the place of heads.
func (r *runner) attendTile(w *worker, a *heads, from, n, group int) {
	t, lanes := &w.attention, r.Lanes
	rows := n * a.share
	panels := (rows + lanes - 1) / lanes
	widthK, widthV := paddedWidth(a.headK), paddedWidth(a.headV)
	sizeQ, sizeO, sizeL := widthK*lanes, widthV*lanes, kernel.LaneRows*lanes
	first, last := int(r.step.Positions[from]), 0
	for p := range panels {
		r.beginPanel(t, a, p, from, group, min(lanes, rows-p*lanes))
		first, last = min(first, t.seen[p].first), max(last, t.seen[p].last)
	}
	for at := first; at <= last; at += tileKeys {
		keys := min(tileKeys, last-at+1)
		r.widenKV(t, a, r.step.Sequences[from], at, keys, group)
		for p := range panels {
			s := t.seen[p]
			// Keys that no lane sees are left out, by whole steps.
			skip := max(0, s.first-at) &^ (kernel.Step - 1)
			n := paddedWidth(min(keys, s.last-at+1)) - skip
			if n <= 0 {
				continue
			}
			state, o := t.lanes[p*sizeL:][:sizeL], t.o[p*sizeO:][:sizeO]
			r.Scores(t.scores, t.q[p*sizeQ:], t.k[skip*widthK:], n, a.headK, widthK)
			if a.Softcap > 0 {
				r.Softcap(t.scores, n, a.Softcap)
			}
			if a.slopes != nil || at+skip < s.firstMost || at+skip+n-1 > s.lastLeast {
				r.Mask(t.scores, state, n, at+skip)
			}
			r.Weigh(t.scores, state, n)
			r.Values(o, state, t.scores, t.v[skip*widthV:], n, widthV, widthV)
		}
	}
	for p := range panels {
		r.endPanel(t, a, p, from, group, min(lanes, rows-p*lanes))
	}
}

// beginPanel readies panel p with the queries of n rows. Lanes without a row see
// what the last one sees.
func (r *runner) beginPanel(t *attentionTile, a *heads, p, from, group, n int) {
	lanes, width := r.Lanes, paddedWidth(a.headK)
	state := t.lanes[p*kernel.LaneRows*lanes:][:kernel.LaneRows*lanes]
	low, high := kernel.Ints(state[kernel.LaneLow*lanes:][:lanes]), kernel.Ints(state[kernel.LaneHigh*lanes:][:lanes])
	var s seen
	for l := range lanes {
		i := p*lanes + min(l, n-1)
		token, head := from+i/a.share, group*a.share+i%a.share
		q := a.q.row(token)[head*a.headK:][:a.headK]
		dst := t.rows[l*width:][:width]
		r.ScaleMul(dst[:a.headK], q, r.ones, &a.Scale)
		clear(dst[a.headK:])
		// Less than any score: the first takes its place.
		state[kernel.LaneTop*lanes+l], state[kernel.LaneSum*lanes+l], state[kernel.LaneSlope*lanes+l] = -1e30, 0, 0
		if a.sinks != nil {
			state[kernel.LaneTop*lanes+l], state[kernel.LaneSum*lanes+l] = a.sinks[head], 1
		}
		if a.slopes != nil {
			state[kernel.LaneSlope*lanes+l] = a.slopes[head]
		}
		last := int(r.step.Positions[token])
		first := firstSeen(a.Attention, last)
		low[l], high[l] = int32(first), int32(last)
		if l == 0 {
			s = seen{first, first, last, last}
		}
		s.first, s.firstMost = min(s.first, first), max(s.firstMost, first)
		s.lastLeast, s.last = min(s.lastLeast, last), max(s.last, last)
	}
	t.seen[p] = s
	r.TransposeFloats(t.q[p*width*lanes:], lanes, t.rows, width, width, lanes)
	clear(t.o[p*paddedWidth(a.headV)*lanes:][:paddedWidth(a.headV)*lanes])
}

// endPanel writes the n rows of panel p out.
func (r *runner) endPanel(t *attentionTile, a *heads, p, from, group, n int) {
	lanes, width := r.Lanes, paddedWidth(a.headV)
	sum := t.lanes[p*kernel.LaneRows*lanes+kernel.LaneSum*lanes:][:lanes]
	r.TransposeFloats(t.rows, width, t.o[p*width*lanes:], lanes, lanes, width)
	for l := range n {
		i := p*lanes + l
		token, head := from+i/a.share, group*a.share+i%a.share
		sum[l] = 1 / sum[l]
		r.ScaleMul(a.out.row(token)[head*a.headV:][:a.headV], t.rows[l*width:], r.ones, &sum[l])
	}
}

// widenKV writes the keys and values of KV head group, of n positions from the first
// on, out as floats, and zeros up to whole steps.
func (r *runner) widenKV(t *attentionTile, a *heads, sequence int32, first, n, group int) {
	widthK, widthV := paddedWidth(a.headK), paddedWidth(a.headV)
	for i := range n {
		at := r.slot(sequence, first+i)
		r.widenRow(t.k[i*widthK:][:a.headK], a.k[at*a.rowK+group*a.sizeK:])
		v := t.v[i*widthV:][:widthV]
		r.widenRow(v[:a.headV], a.v[at*a.rowV+group*a.sizeV:])
		clear(v[a.headV:])
	}
	end := paddedWidth(n)
	clear(t.k[n*widthK : end*widthK])
	clear(t.v[n*widthV : end*widthV])
}

// widenRow converts a row of the cache.
func (r *runner) widenRow(dst []float32, src []byte) {
	if r.kv.Type == gguf.F32 {
		copy(dst, unsafe.Slice((*float32)(unsafe.Pointer(&src[0])), len(dst)))
	} else if !r.Widen(r.kv.Type, dst, src) {
		r.decodeKV(dst, src)
	}
}
