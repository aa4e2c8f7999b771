package program

import (
	"math/rand/v2"
	"testing"
)

// lives returns the first and last op during which each tensor must keep its
// values: from the op that writes it to the last that reads it, and of the result
// to the end.
func lives(p *Program) (from, to []int) {
	from, to = make([]int, len(p.Tensors)), make([]int, len(p.Tensors))
	for i, op := range p.Ops {
		for _, t := range op.Writes() {
			from[t.id], to[t.id] = i, i
		}
		for _, t := range op.Reads() {
			to[t.id] = i
		}
	}
	to[p.Result.id] = len(p.Ops)
	return from, to
}

// checkLayout checks that no two tensors share memory while both are needed,
// and that all are inside the arena.
func checkLayout(t *testing.T, p *Program, l Limits) {
	t.Helper()
	layout := p.Layout(l)
	from, to := lives(p)
	end := func(i int) int { return layout.Offsets[i] + p.Tensors[i].MaxRows(l)*p.Tensors[i].Width }
	for i := 1; i < len(p.Tensors); i++ {
		if layout.Offsets[i] < 0 || end(i) > layout.Size {
			t.Errorf("%s is at %d to %d of %d", p.Tensors[i].Name, layout.Offsets[i], end(i), layout.Size)
		}
		if layout.Offsets[i]%16 != 0 {
			t.Errorf("%s is at %d, not on a cache line of its own", p.Tensors[i].Name, layout.Offsets[i])
		}
		for j := 1; j < i; j++ {
			if from[i] <= to[j] && from[j] <= to[i] && layout.Offsets[i] < end(j) && layout.Offsets[j] < end(i) {
				t.Errorf("%s and %s share memory and are both needed", p.Tensors[i].Name, p.Tensors[j].Name)
			}
		}
	}
}

func TestLayoutOfBlock(t *testing.T) {
	for _, l := range []Limits{{1, 1}, {1, 0}, {32, 1}, {512, 512}} {
		checkLayout(t, block(t), l)
	}
}

// Random programs, whose tensors live short and long.
func TestLayoutNeverOverlaps(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		b := NewBuilder()
		live := []Tensor{b.Embed(weight("embed", 64, 9))}
		for range 2 + random.IntN(60) {
			x := live[random.IntN(len(live))]
			switch random.IntN(5) {
			case 0:
				x = b.Split(x, 0, 1+random.IntN(b.Width(x)))
			case 1:
				x = b.Project(x, linear("w", b.Width(x), 1+random.IntN(200)))
			case 2:
				x = b.Add(x, x)
			case 3:
				_, x = b.Route(x, Routing{Used: 1 + random.IntN(b.Width(x))})
			case 4: // two inputs
				y := live[random.IntN(len(live))]
				if b.Width(y) == b.Width(x) {
					x = b.Mul(x, y)
				}
			}
			live = append(live, x)
			if len(live) > 6 {
				i := random.IntN(len(live))
				live = append(live[:i], live[i+1:]...)
			}
		}
		p, err := b.Build(b.SelectOutputs(live[len(live)-1]))
		if err != nil {
			t.Fatal(err)
		}
		checkLayout(t, p, Limits{Tokens: 1 + random.IntN(40), Outputs: 1 + random.IntN(10)})
		if t.Failed() {
			return
		}
	}
}

// Memory is shared: a deep chain takes no more than its widest neighbours.
func TestLayoutReuses(t *testing.T) {
	b := NewBuilder()
	x := b.Embed(weight("embed", 64, 9))
	for range 100 {
		x = b.Add(x, x)
	}
	p, err := b.Build(b.SelectOutputs(x))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := p.Layout(Limits{Tokens: 8, Outputs: 8}).Size, 2*8*64; got != want {
		t.Errorf("a chain of 100 ops takes %d values, want %d", got, want)
	}
}
