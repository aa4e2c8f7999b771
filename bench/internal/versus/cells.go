package main

import (
	"fmt"
	"strconv"
	"strings"
)

// cell is a place in the table.
type cell struct {
	model   model
	test    test
	threads int
}

// test is what llama-bench calls pp (tokens of a prompt, read at once) or tg (tokens
// generated one by one, from an empty context).
type test struct {
	generate bool
	tokens   int
}

func (t test) String() string {
	if t.generate {
		return fmt.Sprintf("tg%d", t.tokens)
	}
	return fmt.Sprintf("pp%d", t.tokens)
}

// String is the cell's name: smollm2-135m-q4_0/tg64/2.
func (c cell) String() string { return fmt.Sprintf("%s/%s/%d", c.model.name, c.test, c.threads) }

var tests = []test{{true, 64}, {false, 512}}

// cells are all there are, in the table's order.
func cells(threads []int) (all []cell) {
	for _, m := range models {
		for _, t := range tests {
			for _, n := range threads {
				all = append(all, cell{m, t, n})
			}
		}
	}
	return all
}

// parseThreads reads numbers with commas between; each counts once.
func parseThreads(list string) (counts []int, err error) {
	seen := map[int]bool{}
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("-threads %s: %q is no number of threads", list, text)
		}
		if !seen[n] {
			counts = append(counts, n)
		}
		seen[n] = true
	}
	return counts, nil
}
