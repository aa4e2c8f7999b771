package quantize

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"

	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/gguf/quant"
	"golang.org/x/sync/errgroup"
)

const (
	// slabValues are the values encoded between two writes: the memory the work takes, with a
	// row for each worker, and the grain of progress.
	slabValues = 1 << 22
	// chunkValues are the values a worker takes at a time.
	chunkValues = 1 << 15
)

// quantizationVersion is GGML_QNT_VERSION: the layouts this package writes.
const quantizationVersion = 2

// Write writes the quantised model to path, on all processors, in memory that
// does not grow with the model. progress, which may be nil, is told the bytes of
// the model that are done, of all.
//
// The file appears complete or not at all: on an error, of the model's disk, too, and when
// ctx ends, what was at path is untouched. To write to the model itself is refused.
func (p *Plan) Write(ctx context.Context, path string, progress func(done, total int64)) error {
	if err := p.write(ctx, path, progress); err != nil {
		return fmt.Errorf("quantize %s to %s: %w", p.File.Name(), p.Mixture.Name, err)
	}
	return nil
}

func (p *Plan) write(ctx context.Context, path string, progress func(done, total int64)) error {
	if out, err := os.Stat(path); err == nil {
		for _, part := range p.File.Paths() {
			if in, err := os.Stat(part); err == nil && os.SameFile(in, out) {
				return fmt.Errorf("%s is the model itself: write to another file", path)
			}
		}
	}
	w, err := gguf.Create(path)
	if err != nil {
		return err
	}
	defer w.Abort()
	if err := w.CopyMetadata(p.File); err != nil {
		return err
	}
	if err := w.Set("general.quantization_version", uint32(quantizationVersion)); err != nil {
		return err
	}
	if err := w.Set("general.file_type", p.Mixture.FileType); err != nil {
		return err
	}
	for _, a := range p.Tensors {
		if err := w.Declare(a.Name, a.Target, a.Dims...); err != nil {
			return err
		}
	}
	c := converter{w: w, workers: runtime.GOMAXPROCS(0)}
	c.rows = make([][]float32, c.workers)
	var done int64
	total, _ := p.Size()
	for _, a := range p.Tensors {
		tell := func(n int) {
			done += int64(n)
			if progress != nil {
				progress(done, total)
			}
		}
		if err := gguf.Guard(func() error { return c.convert(ctx, a, tell) }); err != nil {
			return err
		}
	}
	return w.Commit()
}

// converter holds what is used again from tensor to tensor.
type converter struct {
	w       *gguf.Writer
	workers int
	out     []byte      // an encoded slab
	rows    [][]float32 // a decoded row for each worker
}

// convert writes a tensor in its new type, in slabs of whole rows. done is told the
// bytes read of each.
func (c *converter) convert(ctx context.Context, a Assignment, done func(bytes int)) error {
	slab := max(1, slabValues/a.Cols())
	size := a.Target.RowBytes(a.Cols())
	for first := 0; first < a.Rows(); first += slab {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(slab, a.Rows()-first)
		out := a.Data[first*a.RowBytes() : (first+n)*a.RowBytes()]
		if a.Target != a.Type {
			c.out = grow(c.out, n*size)
			out = c.out
			if err := c.encode(ctx, out, a, first, n); err != nil {
				return err
			}
		}
		if _, err := c.w.Write(out); err != nil {
			return err
		}
		done(n * a.RowBytes())
	}
	return nil
}

// encode encodes n rows of a tensor from first on, by all workers.
func (c *converter) encode(ctx context.Context, out []byte, a Assignment, first, n int) error {
	decode, ok := quant.Decoder(a.Type)
	if !ok {
		return fmt.Errorf("tensor %q: cannot read %v", a.Name, a.Type)
	}
	encode, ok := quant.Encoder(a.Target)
	if !ok {
		return fmt.Errorf("tensor %q: cannot write %v", a.Name, a.Target)
	}
	size := a.Target.RowBytes(a.Cols())
	chunk := max(1, chunkValues/a.Cols())
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	work := func(row []float32) error {
		for {
			begin := int(next.Add(int64(chunk))) - chunk
			if begin >= n {
				return nil
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			for i := begin; i < min(begin+chunk, n); i++ {
				decode(row, a.Row(first+i))
				if err := quant.CheckValues(a.Target, row); err != nil {
					return fmt.Errorf("tensor %q, row %d: %w", a.Name, first+i, err)
				}
				encode(out[i*size:(i+1)*size], row)
			}
		}
	}
	for worker := range c.workers {
		c.rows[worker] = grow(c.rows[worker], a.Cols())
		g.Go(func() error {
			return gguf.Guard(func() error { return work(c.rows[worker]) })
		})
	}
	return g.Wait()
}

// grow returns s with length n, in new memory if need be.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
