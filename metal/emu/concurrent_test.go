package emu

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gollm/gollm/metal"
)

// Many goroutines share a device, its pipelines and two queues: compiling, allocating, encoding,
// waiting, with handlers on the queues' threads. Run it under the race detector.
func TestManyGoroutines(t *testing.T) {
	m := fake(t, Options{})
	d := m.Device()
	l := fakes(t, d)
	add := pipe(t, l, d, "add", nil, metal.PipelineOptions{})
	queues := [2]*metal.Queue{newQueue(t, d, metal.QueueOptions{MaxCommandBuffers: 3}), newQueue(t, d, metal.QueueOptions{Unretained: true})}
	var handled atomic.Int32
	work := func(g int) error {
		a, err := d.NewBuffer(16, metal.Shared)
		if err != nil {
			return err
		}
		defer a.Release()
		lib, err := d.NewLibrary("scale", metal.CompileOptions{})
		if err != nil {
			return err
		}
		defer lib.Release()
		for i := range 10 {
			copy(a.Bytes(), []byte{0, 0, 0x80, 0x3f}) // 1
			cb, err := queues[(g+i)%2].CommandBuffer()
			if err != nil {
				return err
			}
			if i%3 == 0 {
				cb.OnCompleted(func(cb *metal.CommandBuffer) {
					if cb.Status() == metal.Completed {
						handled.Add(1)
					}
				})
			}
			if err := cb.Compute(metal.ComputeOptions{}, func(e *metal.ComputeEncoder) error {
				e.SetPipeline(add)
				e.SetBuffers(0, metal.Binding{Buffer: a}, metal.Binding{Buffer: a}, metal.Binding{Buffer: a})
				e.DispatchThreads(one, one)
				e.Barrier()
				e.DispatchThreads(one, one)
				return nil
			}); err != nil {
				return err
			}
			if err := cb.Commit(); err != nil {
				return err
			}
			if err := cb.Wait(); err != nil {
				return err
			}
			if v := floats(a)[0]; v != 4 {
				return fmt.Errorf("1+1, and again, is %g", v)
			}
			cb.Release()
		}
		return nil
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			if err := work(g); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := handled.Load(); n != 8*4 {
		t.Errorf("%d handlers ran, want %d", n, 8*4)
	}
}

// TestKernelsArePreparedTogether: two kernels of a library are compiled at the same time.
func TestKernelsArePreparedTogether(t *testing.T) {
	d := fake(t, Options{}).Device()
	l := fakes(t, d)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			f, err := l.Function("paired", metal.Constants{1: true})
			if err != nil {
				t.Error(err)
				return
			}
			f.Release()
		})
	}
	wg.Wait()
}

// TestFullQueueWaitsForOthers: who finds a queue full of command buffers that others encode waits
// until these commit one.
func TestFullQueueWaitsForOthers(t *testing.T) {
	m := fake(t, Options{})
	q := newQueue(t, m.Device(), metal.QueueOptions{MaxCommandBuffers: 2})
	var mine [2]*metal.CommandBuffer
	for i := range mine {
		mine[i] = must[*metal.CommandBuffer](t)(q.CommandBuffer())
		defer mine[i].Release()
	}
	before := m.Stats().Messages
	made := make(chan error)
	go func() {
		cb, err := q.CommandBuffer()
		if err == nil {
			cb.Release()
		}
		made <- err
	}()
	for m.Stats().Messages == before { // until it asks
		time.Sleep(time.Millisecond)
	}
	if err := mine[0].Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-made; err != nil {
		t.Error(err)
	}
}
