// Package emu is a Mac's GPU for machines without one: it gives package metal a Device on Linux, so
// that programs and kernels for Metal can be tested there.
//
// The emulator sits where objc_msgSend would be. It decodes the very words package metal sends,
// checks them (selectors, argument types, object lifetimes, autorelease pools, Metal's rules about
// encoding), compiles the Metal Shading Language with clang and runs the kernels on the CPU. What a
// program does wrong is reported with the rule's name; what it gets wrong only by luck (an order Metal
// does not promise, memory never written) is made to go wrong.
//
//	func TestAdd(t *testing.T) {
//		dev := emu.Test(t, emu.Options{}).Device()
//		lib, err := dev.NewLibrary(source, metal.CompileOptions{})
//		…
//	}
//
// docs/METAL.md lists what is emulated, what is refused and what is not modelled.
//
// A program that imports this package is linked dynamically with the C library, because that is how
// Go functions become C functions without cgo (github.com/ebitengine/purego).
package emu
