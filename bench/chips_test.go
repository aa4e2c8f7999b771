package bench

import (
	"strings"
	"testing"
	"time"

	"github.com/gollm/gollm/engine"
)

// TestPredict is the formula by hand: once the memory decides, once the products.
func TestPredict(t *testing.T) {
	c := Chip{"test", 100e9, 1e12}
	s := &engine.StepPlan{Total: engine.StepCost{Dispatches: 100, Read: 900e6, Written: 100e6}, FLOPs: 5e9}
	if got, want := Predict(s, c), 900*time.Microsecond+10*time.Millisecond; got != want {
		t.Errorf("bytes: %v, want %v", got, want)
	}
	s.FLOPs = 50e9
	if got, want := Predict(s, c), 900*time.Microsecond+50*time.Millisecond; got != want {
		t.Errorf("products: %v, want %v", got, want)
	}
	if !strings.Contains(strings.ReplaceAll(Formula, " ", ""), DispatchCost.String()) {
		t.Errorf("formula %q does not say %v", Formula, DispatchCost)
	}
}
