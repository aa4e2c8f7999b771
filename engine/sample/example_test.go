package sample_test

import (
	"fmt"

	"github.com/gollm/gollm/engine/sample"
)

func Example() {
	p := sample.Default()
	p.Temperature = 0 // greedy
	p.RepeatPenalty = 2
	s, err := sample.New(p)
	if err != nil {
		panic(err)
	}
	for range 2 {
		id, err := s.Sample([]float32{0.5, 2, 1.5})
		if err != nil {
			panic(err)
		}
		s.Accept(id) // from now on this token is penalised
		fmt.Println(id)
	}
	// Output:
	// 1
	// 2
}
