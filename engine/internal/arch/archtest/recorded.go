package archtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Seeds are those each case is recorded with.
var Seeds = []uint64{1, 2}

// root finds the repository's top folder from the working directory.
func root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("archtest: not inside the repository")
		}
		dir = up
	}
}

// file is where a case's logits are recorded: for each of Seeds the Recorded
// rows, little-endian float32. go run ./engine/internal/arch/record makes it.
func (c Case) file() (string, error) {
	root, err := root()
	return filepath.Join(root, "engine/internal/arch/testdata", c.Name+".f32"), err
}

// Logits returns what the oracle gave for a seed: Recorded rows.
func (c Case) Logits(seed uint64) ([][]float32, error) {
	path, err := c.file()
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	rows := len(Seeds) * len(Recorded)
	width := len(b) / 4 / rows
	if width == 0 || len(b) != 4*width*rows {
		return nil, fmt.Errorf("%s: has %d bytes, not %d rows", path, len(b), rows)
	}
	for i, s := range Seeds {
		if s != seed {
			continue
		}
		out := make([][]float32, len(Recorded))
		for j := range out {
			out[j] = make([]float32, width)
			for k := range width {
				out[j][k] = getF32(b[4*((i*len(Recorded)+j)*width+k):])
			}
		}
		return out, nil
	}
	return nil, fmt.Errorf("archtest: seed %d is not recorded", seed)
}

// Record writes the case's logits, for each of Seeds the Recorded rows.
func (c Case) Record(logits [][][]float32) error {
	path, err := c.file()
	if err != nil {
		return err
	}
	var b []byte
	for _, rows := range logits {
		for _, row := range rows {
			for _, v := range row {
				b = append(b, 0, 0, 0, 0)
				putF32(b[len(b)-4:], v)
			}
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o666)
}
