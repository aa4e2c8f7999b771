package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// round is one round of a cell: tokens a second by the names of the rivals.
type round struct {
	Cell  string             `json:"cell"`
	Speed map[string]float64 `json:"speed"`
}

// readRounds reads the state file; none is no rounds.
func readRounds(path string) (all []round, err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	for d.More() {
		var r round
		if err := d.Decode(&r); err != nil {
			return nil, fmt.Errorf("read %s: round %d: %w", path, len(all)+1, err)
		}
		all = append(all, r)
	}
	return all, nil
}

// keep appends a round to the state file.
func keep(path string, r round) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	return errors.Join(err, f.Close())
}

// forget removes a cell's rounds from the state file.
func forget(path string, c cell) error {
	all, err := readRounds(path)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	for _, r := range all {
		if r.Cell != c.String() {
			if err := e.Encode(r); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(path, b.Bytes(), 0o666)
}

// median of some numbers; of none, 0.
func median(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	x = slices.Sorted(slices.Values(x))
	n := len(x)
	return (x[(n-1)/2] + x[n/2]) / 2
}

// row is a line of the table.
type row struct {
	cell   cell
	rounds int
	speed  map[string]float64 // medians
	ratio  float64            // of ours to the fastest other
}

// rows are the cells that were measured.
func rows(cells []cell, all []round) (out []row) {
	for _, c := range cells {
		speeds := map[string][]float64{}
		r := row{cell: c, speed: map[string]float64{}}
		for _, x := range all {
			if x.Cell == c.String() {
				r.rounds++
				for name, v := range x.Speed {
					speeds[name] = append(speeds[name], v)
				}
			}
		}
		if r.rounds == 0 {
			continue
		}
		best := 0.0
		for name, v := range speeds {
			r.speed[name] = median(v)
			if name != ours {
				best = max(best, r.speed[name])
			}
		}
		if best > 0 {
			r.ratio = r.speed[ours] / best
		}
		out = append(out, r)
	}
	return out
}

// writeTable writes the rows for people.
func writeTable(w io.Writer, cells []cell, all []round) error {
	var names []string
	for _, r := range rivals("", "") {
		names = append(names, r.name)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "| model | test | threads | %s | ratio | rounds |\n", strings.Join(names, " | "))
	b.WriteString("|---|---|--:|" + strings.Repeat("--:|", len(names)) + "--:|--:|\n")
	for _, r := range rows(cells, all) {
		fmt.Fprintf(&b, "| %s | %s | %d |", r.cell.model.title, r.cell.test, r.cell.threads)
		for _, name := range names {
			fmt.Fprintf(&b, " %.1f |", r.speed[name])
		}
		fmt.Fprintf(&b, " **%.2f** | %d |\n", r.ratio, r.rounds)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
