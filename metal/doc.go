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
//	dev, err := metal.Open()
//	lib, err := dev.NewLibrary(source, metal.CompileOptions{})
//	fn, err := lib.Function("add", nil)
//	add, err := dev.NewPipeline(fn, metal.PipelineOptions{})
//	queue, err := dev.NewQueue(metal.QueueOptions{})
//	cb, err := queue.CommandBuffer()
//	err = cb.Compute(metal.ComputeOptions{}, func(e *metal.ComputeEncoder) error {
//		e.SetPipeline(add)
//		e.SetBuffer(0, a, 0)
//		e.SetBuffer(1, b, 0)
//		e.DispatchThreads(metal.Size{n, 1, 1}, metal.Size{256, 1, 1})
//		return nil
//	})
//	err = cb.Commit()
//	err = cb.Wait()
//
// Encoding allocates nothing and sends each message by a plain C call. The package checks what its
// own memory depends on and leaves Metal's rules to Metal: run a program's tests on package emu, or
// on a Mac with MTL_DEBUG_LAYER=1, to have them checked.
//
// Concurrency: a Device, Queue, Library, Pipeline, ResidencySet and SharedEvent may be used by many
// goroutines. A CommandBuffer and its encoders belong to one at a time.
//
// On a system without Metal, Open fails with ErrUnavailable; package emu gives a Device there that
// takes the very same messages.
package metal
