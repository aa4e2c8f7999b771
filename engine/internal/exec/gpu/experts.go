package gpu

import (
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/shaders"
)

// groupTokens is from how many tokens on an expert's tokens are taken together.
const groupTokens = 32

// grouped are the tokens of each expert, where there are enough to be taken
// together: scratch that one routing after another uses.
type grouped struct {
	buffer *metal.Buffer
	tiles  int // where the tiles begin
}

func (l *lowering) groups(experts, pairs int) (order, tiles place) {
	return place{l.grouped.buffer, 0, 4 * pairs}, place{l.grouped.buffer, l.grouped.tiles, 12 * shaders.TileCount(experts, pairs)}
}

// experts allocates what routed ops need, once it is known that there are any.
func (r *runner) experts(op *program.Route) error {
	tiles, n := r.groupedRoom(op)
	if b := r.grouped.buffer; b != nil {
		if b.Len() >= n && r.grouped.tiles >= tiles {
			return nil
		}
		n, tiles = max(n, b.Len()+tiles), max(tiles, r.grouped.tiles)
		b.Release()
		r.grouped.buffer = nil
	}
	b, err := r.e.device.NewBuffer(n, metal.Private)
	if err != nil {
		return err
	}
	b.SetLabel("tokens by expert")
	r.grouped = grouped{b, tiles}
	return nil
}

// groupedRoom is the bytes that a routing needs of grouped's buffer, and where in
// it the tiles can begin.
func (r *runner) groupedRoom(op *program.Route) (tiles, n int) {
	experts, used := r.program.Info(op.X).Width, r.program.Info(op.Weights).Width
	pairs := r.program.Info(op.X).MaxRows(r.limits) * used
	tiles = (4*pairs + 255) &^ 255
	return tiles, tiles + 12*shaders.TileCount(experts, pairs)
}

func (l *lowering) route(op *program.Route) error {
	experts, used, rows := l.width(op.X), l.width(op.Weights), l.rows(op.X)
	scale := op.Scale
	if scale == 0 {
		scale = 1
	}
	list, err := l.vectors([]binding{l.in(shaders.RouteX, op.X), l.out(shaders.RouteExperts, op.Experts), l.out(shaders.RouteWeights, op.Weights)},
		shaders.RouteSelect, op.Bias)
	if err != nil {
		return err
	}
	p := shaders.RouteParams{Experts: uint32(experts), Used: uint32(used), Count: uint32(rows), Scale: scale}
	l.emit(shaders.Route(p, shaders.Gating(op.Gating), op.Bias != nil, op.Normalise), list...)
	if rows >= groupTokens {
		order, tiles := l.groups(experts, rows*used)
		l.emit(shaders.GroupExpertsByPair(experts, rows*used), l.in(shaders.GroupExperts, op.Experts),
			binding{shaders.GroupOrder, order, writes}, binding{shaders.GroupTiles, tiles, writes})
	}
	return nil
}

func (l *lowering) projectExperts(op *program.ProjectExperts) error {
	w := op.Linear.Weight
	typ, err := typeOf(w)
	if err != nil {
		return err
	}
	parts := shaders.Parts{Bias: op.Linear.Bias != nil, Scale: op.Linear.Scale != nil, ScaleBias: op.Linear.ScaleBias}
	list, err := l.vectors([]binding{l.weight(shaders.LinearWeights, w), l.in(shaders.LinearX, op.X), l.out(shaders.LinearOut, op.Out)},
		shaders.LinearBias, op.Linear.Bias, op.Linear.Scale)
	if err != nil {
		return err
	}
	pairs, experts := l.rows(op.Out), w.Dims[2]
	width, rows, repeat := uint32(w.Dims[0]), uint32(w.Dims[1]), uint32(pairs/l.rows(op.X))
	if l.rows(op.Experts) < groupTokens {
		p := shaders.MatVecIDParams{Width: width, Rows: rows, Experts: uint32(experts), Repeat: repeat}
		l.emitTyped(typ, typ, shaders.MatVecID(typ, p, parts, pairs), append(list, l.in(shaders.LinearIDs, op.Experts))...)
		return nil
	}
	order, tiles := l.groups(experts, pairs)
	p := shaders.MatMulIDParams{Width: width, Rows: rows, Repeat: repeat}
	l.emitTyped(typ, typ, shaders.MatMulID(typ, p, parts, experts, pairs), append(list,
		binding{shaders.LinearOrder, order, reads}, binding{shaders.LinearTiles, tiles, reads})...)
	return nil
}

// combineExperts lowers the experts' projections and their weighted sum, with a
// residual if one is added: in one launch where each token is taken by itself.
func (l *lowering) combineExperts(f *program.Fused) error {
	p, c := f.Ops[0].(*program.ProjectExperts), f.Ops[1].(*program.CombineExperts)
	residual, out := program.Tensor{}, c.Out
	if len(f.Ops) > 2 {
		add := f.Ops[2].(*program.Add)
		residual, out = other(add, c.Out), add.Out
	}
	if l.rows(p.Experts) >= groupTokens {
		if err := l.projectExperts(p); err != nil {
			return err
		}
		l.op = c
		l.combine(c, residual, out)
		return nil
	}
	w := p.Linear.Weight
	typ, err := typeOf(w)
	if err != nil {
		return err
	}
	list, err := l.vectors([]binding{l.weight(shaders.LinearWeights, w), l.in(shaders.LinearX, p.X), l.out(shaders.LinearOut, out),
		l.in(shaders.LinearExpertWeights, c.Weights), l.in(shaders.LinearIDs, p.Experts)}, shaders.LinearBias, p.Linear.Bias, p.Linear.Scale)
	if err != nil {
		return err
	}
	if !residual.None() {
		list = append(list, l.in(shaders.LinearResidual, residual))
	}
	parts := shaders.Parts{Bias: p.Linear.Bias != nil, Scale: p.Linear.Scale != nil, ScaleBias: p.Linear.ScaleBias, Residual: !residual.None()}
	params := shaders.MatVecCombineParams{Width: uint32(w.Dims[0]), Rows: uint32(w.Dims[1]), Experts: uint32(w.Dims[2]), Used: uint32(l.width(c.Weights))}
	l.emitTyped(typ, typ, shaders.MatVecCombine(typ, params, parts, l.rows(out)), list...)
	return nil
}

// combine lowers a CombineExperts, with a residual if one is added.
func (l *lowering) combine(op *program.CombineExperts, residual, out program.Tensor) {
	list := []binding{l.in(shaders.CombineX, op.X), l.in(shaders.CombineWeights, op.Weights), l.out(shaders.CombineOut, out)}
	if !residual.None() {
		list = append(list, l.in(shaders.CombineResidual, residual))
	}
	p := shaders.CombineParams{Width: uint32(l.width(op.X)), Used: uint32(l.width(op.Weights)), Count: uint32(l.rows(out))}
	l.emit(shaders.Combine(p, !residual.None()), list...)
}
