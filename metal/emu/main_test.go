package emu

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// TestMain leaves out the examples, which run kernels, where kernels cannot be compiled, and says so;
// with CI set that is a failure.
func TestMain(m *testing.M) {
	flag.Parse()
	missing := CanCompile()
	if missing != nil {
		if err := flag.Set("test.skip", "^Example"); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	if missing != nil {
		fmt.Println("NOT TESTED: examples that run kernels:", missing)
		if os.Getenv("CI") != "" && code == 0 {
			code = 1
		}
	}
	os.Exit(code)
}
