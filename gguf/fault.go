package gguf

import (
	"fmt"
	"runtime/debug"
)

// Guard calls f, which reads the mapped pages of a File, and makes an error of a
// fault there: the file was cut off, or its disk fails, while it is mapped. It guards the
// goroutine that calls it, not those that f starts. f must not hold what only
// its return gives back: it is left where it faults.
func Guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			if err = Fault(r); err == nil {
				panic(r)
			}
		}
	}()
	return f()
}

// Fault is for goroutines that recover by themselves, with debug.SetPanicOnFault
// set: it returns the error of a recovered fault in mapped pages, nil if r is any other panic.
func Fault(r any) error {
	// The runtime has no name for the type. A nil pointer's panic has no address.
	fault, ok := r.(interface {
		error
		Addr() uintptr
	})
	if !ok {
		return nil
	}
	return fmt.Errorf("the model's file can no longer be read (cut off, or its disk fails): %w", fault)
}
