package arch

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gollm/gollm/engine/internal/exec/ref"
	"github.com/gollm/gollm/engine/internal/kv"
	"github.com/gollm/gollm/engine/internal/program"
	"github.com/gollm/gollm/gguf"
)

func oracleLogits(t *testing.T, model string, ids []int32) [][]float32 {
	s := strings.Trim(fmt.Sprint(ids), "[]")
	cache := "/tmp/famB.d/cache-" + strings.ReplaceAll(model, "/", "_") + fmt.Sprintf("-%d", len(ids))
	out, err := os.ReadFile(cache)
	if err != nil {
		out, err = exec.Command("/tmp/oracle/oracle-new", "logits", model, s).Output()
		if err != nil {
			t.Fatal(err)
		}
		os.WriteFile(cache, out, 0o666)
	}
	var rows [][]float32
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		var row []float32
		for _, f := range strings.Fields(line)[1:] {
			v, err := strconv.ParseFloat(f, 32)
			if err != nil {
				t.Fatal(err)
			}
			row = append(row, float32(v))
		}
		rows = append(rows, row)
	}
	return rows
}

func ourLogits(t *testing.T, model string, ids []int32, typ gguf.Type, batch int) [][]float32 {
	f, err := gguf.Open(model)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := Load(f)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Program(m, Options{Context: len(ids)}, false)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := kv.New(p.KV, typ, len(ids))
	if err != nil {
		t.Fatal(err)
	}
	e := ref.New(0)
	defer e.Close()
	r, err := e.Compile(p, pool.Memory(), program.Limits{Tokens: batch, Outputs: batch})
	if err != nil {
		t.Fatal(err)
	}
	seq := pool.NewSequence(0)
	var rows [][]float32
	start := time.Now()
	for at := 0; at < len(ids); at += batch {
		n := min(batch, len(ids)-at)
		if err := seq.Grow(n); err != nil {
			t.Fatal(err)
		}
		s := &program.Step{Tokens: ids[at : at+n], Tables: [][]int32{seq.Table()}}
		for i := range n {
			s.Positions = append(s.Positions, int32(at+i))
			s.Sequences = append(s.Sequences, 0)
			s.Outputs = append(s.Outputs, int32(i))
		}
		if err := r.Run(s); err != nil {
			t.Fatal(err)
		}
		v := m.Common().Vocab
		for i := range n {
			rows = append(rows, append([]float32(nil), r.Result()[i*v:(i+1)*v]...))
		}
	}
	t.Logf("%.1f tokens/s (batch %d)", float64(len(ids))/time.Since(start).Seconds(), batch)
	return rows
}

func argmax(v []float32) int {
	b := 0
	for i := range v {
		if v[i] > v[b] {
			b = i
		}
	}
	return b
}

func compare(t *testing.T, want, got [][]float32) {
	var kl, worst, big, maxd float64
	same := 0
	for i := range want {
		var d2, n2 float64
		for j := range want[i] {
			d := float64(got[i][j] - want[i][j])
			d2 += d * d
			n2 += float64(want[i][j]) * float64(want[i][j])
			maxd = max(maxd, math.Abs(d))
			big = max(big, math.Abs(float64(want[i][j])))
			if math.IsNaN(d) {
				t.Fatal("NaN")
			}
		}
		worst = max(worst, math.Sqrt(d2/n2))
		if argmax(want[i]) == argmax(got[i]) {
			same++
		}
		kl += klDiv(want[i], got[i]) / float64(len(want))
	}
	t.Logf("rel %.2e  maxdiff %.2e (largest %.1f) kl %.2e same %d/%d", worst, maxd, big, kl, same, len(want))
}

func klDiv(p, q []float32) float64 {
	lse := func(v []float32) float64 {
		m := float64(v[argmax(v)])
		s := 0.0
		for _, x := range v {
			s += math.Exp(float64(x) - m)
		}
		return m + math.Log(s)
	}
	a, b := lse(p), lse(q)
	s := 0.0
	for i := range p {
		lp, lq := float64(p[i])-a, float64(q[i])-b
		s += math.Exp(lp) * (lp - lq)
	}
	return s
}

func TestScratchTiny(t *testing.T) {
	files, _ := filepath.Glob("/tmp/famB.d/s[0-9]/" + os.Getenv("FAM") + "*.gguf")
	for _, f := range files {
		for _, n := range []int{16, 100} {
			t.Run(filepath.Base(filepath.Dir(f))+"/"+filepath.Base(f)+fmt.Sprint(n), func(t *testing.T) {
				ids := make([]int32, n)
				for i := range ids {
					ids[i] = int32((i*37 + 11) % 128)
				}
				want := oracleLogits(t, f, ids)
				compare(t, want, ourLogits(t, f, ids, gguf.F16, 7))
			})
		}
	}
}
