package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"strconv"
)

// rival is a program that is measured. parse finds the speed, in tokens a second,
// in what its command prints.
type rival struct {
	name    string
	command func(path string, c cell) []string
	parse   func(out string, c cell) (float64, error)
}

// ours is the rival that the others are compared with.
const ours = "gollm"

// rivals are gollm and the two builds of llama.cpp that the oracle's installer
// fetches: Debian's tools, and a library that is built another way and reads prompts
// faster on some machines.
func rivals(gollm, oracle string) []rival {
	bench := func(program ...string) func(string, cell) []string {
		return func(path string, c cell) []string {
			p, n := 0, c.test.tokens
			if !c.test.generate {
				p, n = n, p
			}
			return append(program, "-m", path, "-t", strconv.Itoa(c.threads),
				"-p", strconv.Itoa(p), "-n", strconv.Itoa(n), "-r", "1", "-o", "jsonl")
		}
	}
	return []rival{
		{ours, bench(gollm, "bench"), parseBench},
		{"llama.cpp tools", bench(filepath.Join(oracle, "tool"), "llama-bench"), parseBench},
		{"llama.cpp library", func(path string, c cell) []string {
			// It reads a prompt and then generates; one token is the least it reads.
			p, n := 1, c.test.tokens
			if !c.test.generate {
				p, n = n, 1
			}
			return []string{filepath.Join(oracle, "oracle"), "speed", path, strconv.Itoa(p), strconv.Itoa(n), strconv.Itoa(c.threads)}
		}, parseSpeed},
	}
}

func (r rival) run(ctx context.Context, path string, c cell) (float64, error) {
	command := r.command(path, c)
	out, err := output(ctx, command[0], command[1:]...)
	if err != nil {
		return 0, err
	}
	speed, err := r.parse(out, c)
	if err == nil && !(speed > 0 && speed < math.Inf(1)) {
		err = fmt.Errorf("a speed of %v", speed)
	}
	return speed, err
}

// parseBench reads the one line of llama-bench's format jsonl, which gollm bench has
// too.
func parseBench(out string, c cell) (float64, error) {
	var line struct {
		Prompt  int     `json:"n_prompt"`
		Gen     int     `json:"n_gen"`
		Threads int     `json:"n_threads"`
		Speed   float64 `json:"avg_ts"`
	}
	d := json.NewDecoder(bytes.NewReader([]byte(out)))
	if err := d.Decode(&line); err != nil {
		return 0, fmt.Errorf("its output is not of the format jsonl: %w", err)
	}
	if d.More() {
		return 0, fmt.Errorf("it measured more than one test: %s", out)
	}
	measured := cell{c.model, test{line.Gen > 0, line.Prompt + line.Gen}, line.Threads}
	if measured.String() != c.String() {
		return 0, fmt.Errorf("it measured %s", measured)
	}
	return line.Speed, nil
}

// pp512 96.03 t/s  tg64 73.11 t/s  (1 threads)
var speedLine = regexp.MustCompile(`^pp(\d+) (\S+) t/s  tg(\d+) (\S+) t/s  \((\d+) threads\)\n$`)

// parseSpeed reads what the oracle's command speed prints.
func parseSpeed(out string, c cell) (float64, error) {
	m := speedLine.FindStringSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("its output is not that of speed: %q", out)
	}
	tokens, speed := m[1], m[2]
	if c.test.generate {
		tokens, speed = m[3], m[4]
	}
	if tokens != strconv.Itoa(c.test.tokens) || m[5] != strconv.Itoa(c.threads) {
		return 0, fmt.Errorf("it measured something else: %s", out)
	}
	return strconv.ParseFloat(speed, 64)
}
