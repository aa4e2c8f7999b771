package emu_test

import (
	"encoding/binary"
	"fmt"
	"log"
	"math"

	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/metal/emu"
)

const source = `
#include <metal_stdlib>
using namespace metal;

kernel void square(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
	x[i] = x[i] * x[i];
}
`

// A kernel is compiled and run on a machine without Metal. In a test, emu.Test does what Open and
// Close do here, and fails the test for whatever Close returns.
func Example() {
	m, err := emu.Open(emu.Options{})
	if err != nil {
		log.Fatal(err)
	}
	x, err := squares(m.Device(), []float32{1, 2, 3}, 3)
	fmt.Println(x, err)
	fmt.Println(m.Close()) // nil: no rule broken, nothing leaked
	// Output:
	// [1 4 9] <nil>
	// <nil>
}

// What a program does wrong has a name: here the grid is larger than the buffer.
func Example_violation() {
	m, err := emu.Open(emu.Options{Seed: 1, Workers: 1})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := squares(m.Device(), []float32{1, 2, 3}, 4); err == nil {
		log.Fatal("the access outside the buffer was not found")
	}
	for _, v := range m.TakeViolations() {
		fmt.Println(v.Rule == emu.BufferBounds, v.Rule)
	}
	fmt.Println(m.Close())
	// Output:
	// true buffer-bounds
	// <nil>
}

// squares squares x on a GPU, in a grid of n threads. It is the program under test: nothing in it
// knows of the emulator.
func squares(d *metal.Device, x []float32, n int) ([]float32, error) {
	lib, err := d.NewLibrary(source, metal.CompileOptions{Language: metal.MSL3_0})
	if err != nil {
		return nil, err
	}
	defer lib.Release()
	fn, err := lib.Function("square", nil)
	if err != nil {
		return nil, err
	}
	defer fn.Release()
	square, err := d.NewPipeline(fn, metal.PipelineOptions{Label: "square"})
	if err != nil {
		return nil, err
	}
	defer square.Release()
	buf, err := d.NewBuffer(4*len(x), metal.Shared)
	if err != nil {
		return nil, err
	}
	defer buf.Release()
	for i, v := range x {
		binary.LittleEndian.PutUint32(buf.Bytes()[4*i:], math.Float32bits(v))
	}
	queue, err := d.NewQueue(metal.QueueOptions{})
	if err != nil {
		return nil, err
	}
	defer queue.Release()
	cb, err := queue.CommandBuffer()
	if err != nil {
		return nil, err
	}
	defer cb.Release()
	if err := cb.Compute(metal.ComputeOptions{}, func(e *metal.ComputeEncoder) error {
		e.SetPipeline(square)
		e.SetBuffer(0, buf, 0)
		e.DispatchThreads(metal.Size{Width: n, Height: 1, Depth: 1}, metal.Size{Width: n, Height: 1, Depth: 1})
		return nil
	}); err != nil {
		return nil, err
	}
	if err := cb.Commit(); err != nil {
		return nil, err
	}
	if err := cb.Wait(); err != nil {
		return nil, err
	}
	for i := range x {
		x[i] = math.Float32frombits(binary.LittleEndian.Uint32(buf.Bytes()[4*i:]))
	}
	return x, nil
}
