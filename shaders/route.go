package shaders

// Gating is how logits become scores: program.Gating's values.
type Gating uint32

const (
	GateSoftmax         Gating = iota // softmax over all experts
	GateSigmoid                       // sigmoid of each
	GateSoftmaxSelected               // the logits choose; softmax over the chosen
)

// RouteParams are the params of route.
type RouteParams struct {
	Experts uint32 // E
	Used    uint32 // k, at most MaxUsed and E
	Count   uint32 // of tokens
	Scale   float32
}

// MaxUsed is the most experts of a token, MaxExperts of a layer.
const (
	MaxUsed    = 32
	MaxExperts = 1024
)

// Buffers of route.
const (
	RouteX       = 1 // [Count][Experts]
	RouteExperts = 2 // [Count][Used] int32
	RouteWeights = 3 // [Count][Used]
	RouteSelect  = 4 // [Experts], with a selection bias
)

// Route chooses each token's experts: kernel route. Function constants: 0 gating, 1 whether there is a
// selection bias, 2 whether weights are divided by their sum.
func Route(p RouteParams, g Gating, selectionBias, normalise bool) Launch {
	l := Launch{
		Kernel:  Kernel{Source: "route", Name: "route", Constants: [8]any{uint32(g), selectionBias, normalise}},
		Params:  paramBytes(p),
		Groups:  Size{int(p.Count), 1, 1},
		Threads: Size{32, 1, 1},
		Read:    int64(p.Count) * int64(p.Experts) * 4,
		Written: int64(p.Count) * int64(p.Used) * 8,
	}
	if selectionBias {
		l.Read += int64(p.Experts) * 4
	}
	return l
}

// GroupParams are the params of experts_by_pair.
type GroupParams struct {
	Experts uint32 // at most MaxExperts
	Pairs   uint32 // tokens times experts of a token
	Tiles   uint32 // room: TileCount
}

// Buffers of experts_by_pair.
const (
	GroupExperts = 1 // [Pairs] int32
	GroupOrder   = 2 // [Pairs] int32
	GroupTiles   = 3 // [Tiles][3] uint32
)

// TileCount is the most tiles that so many pairs can make.
func TileCount(experts, pairs int) int { return min(pairs, pairs/tileColumns+experts) }

// GroupExpertsByPair groups pairs by expert for MatMulID: kernel experts_by_pair.
func GroupExpertsByPair(experts, pairs int) Launch {
	p := GroupParams{Experts: uint32(experts), Pairs: uint32(pairs), Tiles: uint32(TileCount(experts, pairs))}
	return Launch{
		Kernel:  Kernel{Source: "route", Name: "experts_by_pair", Constants: [8]any{uint32(0), false, false}},
		Params:  paramBytes(p),
		Groups:  Size{1, 1, 1},
		Threads: Size{32 * min(32, max(4, experts)), 1, 1},
		Read:    int64(pairs) * 4,
		Written: int64(pairs)*4 + int64(p.Tiles)*12,
	}
}
