package archtest

import (
	"math"
	"strings"
	"testing"
)

// All tests of families end in Difference: it must see what is wrong.
func TestDifference(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		name      string
		got, want [][]float32
		diff      float64
		err       string
	}{
		{"equal", [][]float32{{1, -4}, {0, 2}}, [][]float32{{1, -4}, {0, 2}}, 0, ""},
		{"small", [][]float32{{1, -4.002}}, [][]float32{{1, -4}}, 5e-4, ""},
		{"worst_row", [][]float32{{100.01}, {1.0005}}, [][]float32{{100}, {1}}, 5e-4, ""},
		{"too_large", [][]float32{{1, -4.1}}, [][]float32{{1, -4}}, 0.025, "above 0.001"},
		{"tie", [][]float32{{1.0004, 1}}, [][]float32{{1, 1.0004}}, 4e-4, ""},
		{"argmax", [][]float32{{1.1, 1}}, [][]float32{{1, 1.1}}, 0.0909, "row 0: argmax is 0, want 1"},
		{"nan", [][]float32{{nan, 1}}, [][]float32{{0, 1}}, 0, "logit 0 is NaN"},
		{"nan_wanted", [][]float32{{0, 1}}, [][]float32{{0, nan}}, 0, "logit 1 is 1, want NaN"},
		{"both_nan", [][]float32{{nan}}, [][]float32{{nan}}, 0, "NaN"},
		{"infinite", [][]float32{{inf}}, [][]float32{{inf}}, 0, "+Inf"},
		{"zeros_wanted", [][]float32{{0, 0}}, [][]float32{{0, 0}}, 0, "all logits are wanted to be 0"},
		{"rows", [][]float32{{1}}, [][]float32{{1}, {1}}, 0, "1 rows of logits, want 2"},
		{"columns", [][]float32{{1, 2}}, [][]float32{{1}}, 0, "2 logits, want 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := Difference(c.got, c.want, 1e-3)
			if math.Abs(d-c.diff) > 1e-3*c.diff {
				t.Errorf("difference %v, want %v", d, c.diff)
			}
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
		})
	}
}

// Each case says in its shapes what it says in its metadata: a variant that
// changed nothing would test nothing.
func TestCases(t *testing.T) {
	seen := map[string]string{}
	for _, c := range Cases() {
		d, err := c.Describe()
		if err != nil {
			t.Fatal(err)
		}
		d.Source = ""
		b, err := d.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[string(b)]; ok {
			t.Errorf("%s and %s are the same model", c.Name, other)
		}
		seen[string(b)] = c.Name
	}
}
