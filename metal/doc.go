// Package metal is Metal compute for Go: devices, buffers, kernels and command buffers of Apple's
// GPUs, without cgo.
//
// Objects are Go values around Metal's; Release gives one up, and may be called again without harm.
// An object must not be used after its Release, and what a committed command buffer uses must not be
// released before it has completed unless the queue retains references (the default).
//
// Work is encoded inside functions (CommandBuffer.Compute, CommandBuffer.Blit). That is what makes
// two of Metal's rules impossible to break: an encoder ends exactly once, and every autorelease pool
// is drained on the OS thread it was opened on, because the goroutine is locked to the thread while the
// function runs.
//
// To add two slices, errors and labels left out:
//
//	const source = `kernel void add(device const float *a [[buffer(0)]], device float *b [[buffer(1)]],
//		uint i [[thread_position_in_grid]]) { b[i] += a[i]; }`
//
//	dev, err := metal.Open()
//	lib, err := dev.NewLibrary(source, metal.CompileOptions{})
//	fn, err := lib.Function("add", nil)
//	add, err := dev.NewPipeline(fn, metal.PipelineOptions{})
//	a, err := dev.NewBuffer(4*n, metal.Shared) // a.Bytes() is its memory: fill it
//	b, err := dev.NewBuffer(4*n, metal.Shared)
//	queue, err := dev.NewQueue(metal.QueueOptions{})
//
//	cb, err := queue.CommandBuffer()
//	err = cb.Compute(metal.ComputeOptions{}, func(e *metal.ComputeEncoder) error {
//		e.SetPipeline(add)
//		e.SetBuffers(0, metal.Binding{Buffer: a}, metal.Binding{Buffer: b})
//		grid := metal.Size{Width: n, Height: 1, Depth: 1}
//		e.DispatchThreads(grid, metal.Size{Width: min(n, add.MaxThreads()), Height: 1, Depth: 1})
//		return nil
//	})
//	err = cb.Commit()
//	err = cb.Wait() // now b.Bytes() holds the sums
//	cb.Release()
//
// Unlike Metal's, an encoder is concurrent unless told otherwise: its dispatches run at the same time and in
// any order, but for [ComputeEncoder.Barrier] between them. [ComputeOptions] with Serial set has them
// wait for each other.
//
// Encoding allocates nothing and sends each message by a plain C call. The package checks what its
// own memory depends on and leaves Metal's rules to Metal: run a program's tests on package emu, or
// on a Mac with MTL_DEBUG_LAYER=1, to have them checked.
//
// Concurrency: a CommandBuffer and its encoders belong to one goroutine at a time. Everything else may
// be used by many, but Release comes last.
//
// macOS 13 or newer on Apple silicon is meant; what needs a newer system says so and fails with
// ErrNotSupported on an older one. On a system without Metal, Open fails with ErrUnavailable; package emu gives a Device there that
// takes the very same messages.
package metal
