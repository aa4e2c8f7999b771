package arch

import (
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

// experts is a mixture of gated networks: a router picks k of E for each token.
// Files have gate and up apart, or one above the other in one matrix.
type experts struct {
	router           program.Linear
	gate, up, gateUp program.Linear
	down             program.Linear
	width            int // of each network's inside
	routing          program.Routing
}

// experts loads a layer's router and its experts of the given inner width.
func (l *loader) experts(i, width int, r program.Routing) experts {
	if r.Used < 1 || r.Used > l.Experts {
		l.fail("keys %q and %q: %d of %d experts make no mixture", l.key("expert_used_count"), l.key("expert_count"), r.Used, l.Experts)
		return experts{}
	}
	if n := l.number("expert_group_count", 0); n > 1 {
		l.fail("key %q is %d: experts chosen by group are not supported", l.key("expert_group_count"), n)
	}
	e := experts{
		router:  l.linear(block(i, "ffn_gate_inp"), l.Width, l.Experts),
		down:    l.expert(block(i, "ffn_down_exps"), width, l.Width),
		width:   width,
		routing: r,
	}
	if gateUp := block(i, "ffn_gate_up_exps"); l.file.Tensor(gateUp+".weight") != nil {
		e.gateUp = l.expert(gateUp, l.Width, 2*width)
	} else {
		e.gate = l.expert(block(i, "ffn_gate_exps"), l.Width, width)
		e.up = l.expert(block(i, "ffn_up_exps"), l.Width, width)
	}
	return e
}

// expert loads one projection of all experts: [in, out, E], bias [out, E].
func (l *loader) expert(name string, in, out int) program.Linear {
	return program.Linear{
		Weight: l.tensor(name+".weight", in, out, l.Experts),
		Bias:   l.optional(name+".bias", out, l.Experts),
		Scale:  l.optional(name+".scale", l.Experts),
	}
}

// plainExperts is experts for families that have no scales there: see
// plainLinear.
func (l *loader) plainExperts(i, width int, r program.Routing) experts {
	e := l.experts(i, width, r)
	for _, p := range []*program.Linear{&e.gate, &e.up, &e.gateUp, &e.down} {
		if p.Weight != nil && p.Weight.Type != gguf.NVFP4 {
			p.Scale = nil
		}
	}
	return e
}

// sharedExpert loads the network that all tokens pass beside their experts.
func (l *loader) sharedExpert(i, width int) gated {
	return gated{
		gate: l.plainLinear(block(i, "ffn_gate_shexp"), l.Width, width),
		up:   l.plainLinear(block(i, "ffn_up_shexp"), l.Width, width),
		down: l.plainLinear(block(i, "ffn_down_shexp"), width, l.Width),
	}
}

// expertWidth is the inner width of an expert: as the file says, or the dense
// network's shared out among the experts that a token uses.
func (l *loader) expertWidth() int {
	if n := l.largest("expert_feed_forward_length", 0); n > 0 || l.ExpertsUsed < 1 {
		return n
	}
	return l.FF / l.ExpertsUsed
}

func (e *experts) forward(b *program.Builder, x program.Tensor, act program.Activation) program.Tensor {
	chosen, weights := b.Route(b.Project(x, e.router), e.routing)
	var gate, up program.Tensor
	if e.gateUp.Weight != nil {
		both := b.ProjectExperts(x, e.gateUp, chosen)
		gate, up = b.Split(both, 0, e.width), b.Split(both, e.width, e.width)
	} else {
		gate, up = b.ProjectExperts(x, e.gate, chosen), b.ProjectExperts(x, e.up, chosen)
	}
	return b.CombineExperts(b.ProjectExperts(b.GLU(gate, up, act), e.down, chosen), weights)
}
