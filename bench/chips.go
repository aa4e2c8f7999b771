package bench

import (
	"time"

	"github.com/gollm/gollm/engine"
)

// Chip is an Apple GPU as Predict knows it.
type Chip struct {
	Name string `json:"name"`
	// Bandwidth is the memory's nominal bytes a second.
	Bandwidth float64 `json:"bandwidth"`
	// FLOPS is the rate of matrix products that others reach on long prompts: 2·6.74e9
	// values times the tokens a second that llama.cpp reads of Llama-2-7B in Q8_0.
	FLOPS float64 `json:"flops"`
}

// Chips are those that Predict has figures of: bandwidths as Apple states them,
// prompt speeds (pp512) from llama.cpp's discussion 4167 as it stood for build
// 8e672ef, for the largest GPU of each name.
var Chips = []Chip{
	chip("M1", 68, 117), chip("M1 Pro", 200, 270), chip("M1 Max", 400, 537), chip("M1 Ultra", 800, 1043),
	chip("M2", 100, 181), chip("M2 Pro", 200, 345), chip("M2 Max", 400, 678), chip("M2 Ultra", 800, 1249),
	chip("M3", 100, 188), chip("M3 Pro", 150, 345), chip("M3 Max", 400, 758), chip("M3 Ultra", 819, 1488),
	chip("M4", 120, 224), chip("M4 Pro", 273, 450), chip("M4 Max", 546, 892),
	chip("M5", 153, 264), chip("M5 Pro", 307, 431), chip("M5 Max", 614, 1052),
}

func chip(name string, gigabytes, tokens float64) Chip {
	return Chip{name, gigabytes * 1e9, 2 * 6.74e9 * tokens}
}

// DispatchCost is what Predict takes a dispatch to cost beside its bytes, its
// barrier and its share of the step's round trip included. It is an assumption,
// not a measurement: a fit of time = fixed + bytes/bandwidth to llama.cpp's
// published decode speeds in Q8_0 and Q4_0 (discussion 4167) leaves 3.1 to 7.7 ms
// a token, half of the 14 chips below 5.1 ms, for about 580 dispatches.
const DispatchCost = 9 * time.Microsecond

// Formula is what Predict computes, for people.
const Formula = "time = dispatches · 9 µs + max(bytes read and written / bandwidth, FLOPs / FLOPS)"

// Predict is how long a step may take on a chip, by Formula.
func Predict(s *engine.StepPlan, c Chip) time.Duration {
	bytes := float64(s.Total.Read+s.Total.Written) / c.Bandwidth
	products := float64(s.FLOPs) / c.FLOPS
	return time.Duration(s.Total.Dispatches)*DispatchCost + time.Duration(max(bytes, products)*1e9)
}
