package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"maps"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
)

func sorted(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// bound is the relative error allowed: of the largest difference to the root mean square of the
// reference.
const bound = 1e-5

// result is one kernel run against its reference.
type result struct {
	name, shape string
	err         float64
}

// runAll runs the kernels that have a reference.
func (j *judge) runAll(seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 7))
	fmt.Fprintf(j.out, "| kernel | shape | relative error | |\n| --- | --- | ---: | --- |\n")
	var errs []error
	for _, f := range []func(*rand.Rand) ([]result, error){j.matVec, j.rmsNorm, j.rope, j.softMax} {
		rs, err := f(r)
		if err != nil {
			errs = append(errs, err)
			fmt.Fprintf(j.out, "| | | | %v |\n", err)
		}
		for _, x := range rs {
			verdict := "right"
			if !(x.err <= bound) { // NaN is wrong
				verdict = "WRONG"
				errs = append(errs, fmt.Errorf("%s, %s: relative error %g", x.name, x.shape, x.err))
			}
			fmt.Fprintf(j.out, "| %s | %s | %.1e | %s |\n", x.name, x.shape, x.err, verdict)
			log.Printf("%s, %s: %.1e %s", x.name, x.shape, x.err, verdict)
		}
	}
	return errors.Join(errs...)
}

// compare gives the largest difference over the root mean square of the reference.
func compare(got []float32, want []float64) float64 {
	worst, sum := 0.0, 0.0
	for i, w := range want {
		d := math.Abs(float64(got[i]) - w)
		if d != d {
			return d
		}
		worst, sum = max(worst, d), sum+w*w
	}
	return worst / math.Sqrt(sum/float64(len(want)))
}

func encode(v any) []byte {
	b, err := binary.Append(nil, binary.LittleEndian, v)
	if err != nil {
		panic(err) // fixed-size values only
	}
	return b
}

func floats(b []byte) []float32 {
	v := make([]float32, len(b)/4)
	if err := binary.Read(bytes.NewReader(b), binary.LittleEndian, v); err != nil {
		panic(err)
	}
	return v
}

func poison(n int) []byte { return bytes.Repeat([]byte{0xff}, n) }

func (j *judge) dispatch(k kernel.Kernel, groups, threads [3]int, tg int, buffers ...[]byte) error {
	d := &kernel.Dispatch{Kernel: k, Threadgroups: groups, ThreadsPerThreadgroup: threads}
	for i, b := range buffers {
		d.Buffers[i] = kernel.Binding{Memory: b, Set: true, Label: fmt.Sprint("buffer ", i)}
	}
	d.ThreadgroupMemory[0] = tg
	return j.executor.Run(context.Background(), d)
}

// half is a random number a half can hold exactly, and its bits.
func half(r *rand.Rand) (float64, uint16) {
	m, e := r.Uint32N(1024), 8+r.Uint32N(4)
	return math.Ldexp(1+float64(m)/1024, int(e)-15), uint16(e<<10 | m)
}

// quantized is a type of weights: random blocks and their values.
type quantized struct {
	name, define   string
	weights, bytes int // of a block
	rowsPerGroup   bool
	threadgroup    bool
	block          func(r *rand.Rand, b []byte) []float64
}

func (j *judge) matVec(r *rand.Rand) ([]result, error) {
	var rs []result
	for _, q := range []quantized{
		{"q4_0", "Q4_0", 32, 18, true, false, blockQ4_0},
		{"q8_0", "Q8_0", 32, 34, false, true, blockQ8_0},
		{"q4_K", "Q4_K", 256, 144, true, false, blockQ4_K},
		{"q6_K", "Q6_K", 256, 210, true, false, blockQ6_K},
	} {
		nr0, err := j.define("N_R0_" + q.define)
		if err != nil {
			return rs, err
		}
		nsg, err := j.define("N_SG_" + q.define)
		if err != nil {
			return rs, err
		}
		k, err := j.kernel("mul_mv.metal", "kernel_mul_mv_"+q.name+"_f32", map[string]int{"FC_mul_mv_nsg": nsg, "FC_mul_mv_nxpsg": 1, "FC_mul_mv_ne12": 1, "FC_mul_mv_r2": 1, "FC_mul_mv_r3": 1})
		if err != nil {
			return rs, err
		}
		for _, s := range [][3]int{{256, 1, 1}, {4096, 64, 1}, {2048, 37, 3}} { // columns, rows, vectors
			cols, rows, n := s[0], s[1], s[2]
			nb := cols / q.weights * q.bytes
			// Some of these kernels read the weights of rows past the last when the number is odd.
			pad := (rows + nr0*nsg - 1) / (nr0 * nsg) * nr0 * nsg
			w := make([]byte, pad*nb)
			values := make([]float64, 0, pad*cols)
			for i := 0; i < len(w); i += q.bytes {
				values = append(values, q.block(r, w[i:i+q.bytes])...)
			}
			x := make([]float32, cols*n)
			for i := range x {
				x[i] = float32(r.NormFloat64())
			}
			want := make([]float64, rows*n)
			for v := range n {
				for i := range rows {
					for c := range cols {
						want[v*rows+i] += values[i*cols+c] * float64(x[v*cols+c])
					}
				}
			}
			args := encode(struct {
				Ne00, Ne01, Ne02       int32
				_                      int32
				Nb00, Nb01, Nb02, Nb03 uint64
				Ne10, Ne11, Ne12       int32
				_                      int32
				Nb10, Nb11, Nb12, Nb13 uint64
				Ne0, Ne1, Nr0          int32
				R2, R3                 int16
			}{int32(cols), int32(rows), 1, 0, uint64(q.bytes), uint64(nb), uint64(nb * rows), uint64(nb * rows),
				int32(cols), int32(n), 1, 0, 4, uint64(4 * cols), uint64(4 * cols * n), uint64(4 * cols * n), int32(rows), int32(n), int32(nr0), 1, 1})
			per := nr0
			if q.rowsPerGroup {
				per *= nsg
			}
			tg := 0
			if q.threadgroup {
				tg = 32 * 4 * nr0
			}
			y := poison(4 * rows * n)
			if err := j.dispatch(k, [3]int{(rows + per - 1) / per, n, 1}, [3]int{32, nsg, 1}, max(tg, 16), args, w, encode(x), y); err != nil {
				return rs, err
			}
			rs = append(rs, result{k.Name(), fmt.Sprintf("%d×%d · %d", rows, cols, n), compare(floats(y), want)})
		}
	}
	return rs, nil
}

func (j *judge) rmsNorm(r *rand.Rand) ([]result, error) {
	var rs []result
	for _, c := range []struct {
		name string
		vec  int
		cols int
	}{{"kernel_rms_norm_f32", 1, 333}, {"kernel_rms_norm_f32_4", 4, 4096}, {"kernel_rms_norm_mul_f32_4", 4, 640}} {
		k, err := j.kernel("norm.metal", c.name, nil)
		if err != nil {
			return rs, err
		}
		const rows, eps = 5, 1e-5
		x, g := make([]float32, rows*c.cols), make([]float32, c.cols)
		want := make([]float64, len(x))
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		for i := range g {
			g[i] = float32(r.NormFloat64())
		}
		for i := range rows {
			sum := 0.0
			for c0 := range c.cols {
				v := float64(x[i*c.cols+c0])
				sum += v * v
			}
			scale := 1 / math.Sqrt(sum/float64(c.cols)+eps)
			for c0 := range c.cols {
				f := 1.0
				if c.name == "kernel_rms_norm_mul_f32_4" {
					f = float64(g[c0])
				}
				want[i*c.cols+c0] = float64(x[i*c.cols+c0]) * scale * f
			}
		}
		nb := uint64(4 * c.cols)
		all := nb * rows
		args := encode(struct {
			Ne00, Ne00t      int32
			Nb1, Nb2, Nb3    uint64
			Eps              float32
			Nef1, Nef2, Nef3 [3]int32
			Nbf1, Nbf2, Nbf3 [3]uint64
			Scale            float32
			_                int32
		}{int32(c.cols), int32(c.cols / c.vec), nb, all, all, eps, [3]int32{rows, 1, 1}, [3]int32{1, 1, 1}, [3]int32{1, 1, 1}, [3]uint64{nb, nb, nb}, [3]uint64{all, nb, nb}, [3]uint64{all, nb, nb}, 0, 0})
		threads := min(1024, (c.cols/c.vec+31)/32*32)
		y := poison(len(x) * 4)
		if err := j.dispatch(k, [3]int{rows, 1, 1}, [3]int{threads, 1, 1}, 128, args, encode(x), encode(g), encode(g), y); err != nil {
			return rs, err
		}
		rs = append(rs, result{c.name, fmt.Sprintf("%d×%d", rows, c.cols), compare(floats(y), want)})
	}
	return rs, nil
}

func (j *judge) rope(r *rand.Rand) ([]result, error) {
	var rs []result
	for _, c := range []struct {
		name string
		neox bool
	}{{"kernel_rope_norm_f32", false}, {"kernel_rope_neox_f32", true}} {
		k, err := j.kernel("rope.metal", c.name, nil)
		if err != nil {
			return rs, err
		}
		const dims, rot, heads, tokens, base = 128, 96, 3, 7, 10000
		x, pos := make([]float32, dims*heads*tokens), make([]int32, tokens)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		for i := range pos {
			pos[i] = r.Int32N(16) // the kernel's angles are floats: their error grows with the position
		}
		want := make([]float64, len(x))
		for i := range x {
			want[i] = float64(x[i])
		}
		for t := range tokens {
			for h := range heads {
				row := (t*heads + h) * dims
				for p := range rot / 2 {
					theta := float64(pos[t]) * math.Pow(base, -2*float64(p)/rot)
					a, b := row+2*p, row+2*p+1
					if c.neox {
						a, b = row+p, row+p+rot/2
					}
					s, cs := math.Sincos(theta)
					want[a], want[b] = float64(x[a])*cs-float64(x[b])*s, float64(x[a])*s+float64(x[b])*cs
				}
			}
		}
		nb := [4]uint64{4, 4 * dims, 4 * dims * heads, 4 * dims * heads * tokens}
		ne := [4]int32{dims, heads, tokens, 1}
		args := encode(struct {
			Ne0                      [4]int32
			Nb0                      [4]uint64
			Ne                       [4]int32
			Nb                       [4]uint64
			Past, Dims, Offs, CtxOrg int32
			Base, Scale, Ext, Attn   float32
			Fast, Slow               float32
			Sect                     [4]int32
			Src2, Inplace            bool
			_                        [6]byte
		}{ne, nb, ne, nb, 0, rot, 0, 4096, base, 1, 0, 1, 32, 1, [4]int32{}, false, false, [6]byte{}})
		y := poison(len(x) * 4)
		xb := encode(x)
		if err := j.dispatch(k, [3]int{heads, tokens, 1}, [3]int{64, 1, 1}, 0, args, xb, encode(pos), xb, y); err != nil {
			return rs, err
		}
		rs = append(rs, result{c.name, fmt.Sprintf("%d of %d, %d heads, %d tokens", rot, dims, heads, tokens), compare(floats(y), want)})
	}
	return rs, nil
}

func (j *judge) softMax(r *rand.Rand) ([]result, error) {
	var rs []result
	for _, c := range []struct {
		name    string
		cols    int
		threads int
	}{{"kernel_soft_max_f32", 77, 32}, {"kernel_soft_max_f32", 1001, 256}, {"kernel_soft_max_f32_4", 1024, 256}} {
		k, err := j.kernel("softmax.metal", c.name, nil)
		if err != nil {
			return rs, err
		}
		const rows, heads, scale, maxBias = 5, 3, 0.125, 8.0
		log2 := 1 << int(math.Floor(math.Log2(heads)))
		m0, m1 := math.Pow(2, -maxBias/float64(log2)), math.Pow(2, -maxBias/2/float64(log2))
		x, mask := make([]float32, rows*heads*c.cols), make([]float32, rows*c.cols)
		for i := range x {
			x[i] = float32(10 * r.NormFloat64())
		}
		for i := range mask {
			mask[i] = float32(-5 * r.Float64())
		}
		want := make([]float64, len(x))
		for h := range heads {
			slope := math.Pow(m0, float64(h+1))
			if h >= log2 {
				slope = math.Pow(m1, float64(2*(h-log2)+1))
			}
			for i := range rows {
				row := (h*rows + i) * c.cols
				top, sum := math.Inf(-1), 0.0
				for k := range c.cols {
					want[row+k] = float64(x[row+k])*scale + slope*float64(mask[i*c.cols+k])
					top = max(top, want[row+k])
				}
				for k := range c.cols {
					want[row+k] = math.Exp(want[row+k] - top)
					sum += want[row+k]
				}
				for k := range c.cols {
					want[row+k] /= sum
				}
			}
		}
		nb, all := uint64(4*c.cols), uint64(4*c.cols*rows)
		args := encode(struct {
			Ne00, Ne01, Ne02    int32
			_                   int32
			Nb01, Nb02, Nb03    uint64
			Ne11, Ne12, Ne13    int32
			_                   int32
			Nb11, Nb12, Nb13    uint64
			Nb1, Nb2, Nb3       uint64
			Scale, Bias, M0, M1 float32
			HeadLog2            int32
			_                   int32
		}{int32(c.cols), rows, heads, 0, nb, all, all * heads, rows, 1, 1, 0, nb, all, all, nb, all, all * heads, scale, maxBias, float32(m0), float32(m1), int32(log2), 0})
		y := poison(len(x) * 4)
		xb := encode(x)
		if err := j.dispatch(k, [3]int{rows, heads, 1}, [3]int{c.threads, 1, 1}, 128, args, xb, encode(mask), xb, y); err != nil {
			return rs, err
		}
		rs = append(rs, result{c.name, fmt.Sprintf("%d×%d, %d heads, mask, ALiBi", rows, c.cols, heads), compare(floats(y), want)})
	}
	return rs, nil
}
