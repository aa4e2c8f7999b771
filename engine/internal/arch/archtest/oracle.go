package archtest

import (
	"bufio"
	"bytes"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gollm/gollm/gguf"
)

// An Oracle is llama.cpp, installed in a folder with its tools: it makes tiny
// models of every architecture and computes the right logits.
type Oracle string

// Models writes llama.cpp's own random models of the named architectures to
// dir, as NAME-dense.gguf and NAME-moe.gguf, and returns their paths.
func (o Oracle) Models(dir string, seed uint64, architectures []string) ([]string, error) {
	pattern := "^(" + strings.Join(architectures, "|") + ")$"
	cmd := exec.Command(filepath.Join(string(o), "tool"), "test-llama-archs", "-o", dir, "-s", fmt.Sprint(seed), "-a", pattern)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("test-llama-archs: %w: %s", err, lastLine(out))
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.gguf"))
	if err != nil {
		return nil, err
	}
	for _, p := range paths {
		if err := tame(p); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// tame rewrites the rotary factors of a random model. They divide angles: the
// random ones, some of them almost 0, make angles so large that single
// precision, in which llama.cpp reckons them, leaves nothing of the sine.
func tame(path string) error {
	f, err := gguf.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	out, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer out.Close()
	for _, t := range f.Tensors {
		if !strings.HasPrefix(t.Name, "rope_") || t.Type != gguf.F32 {
			continue
		}
		b := bytes.Clone(t.Data)
		for i := 0; i < len(b); i += 4 {
			v := math.Abs(float64(getF32(b[i:])))
			putF32(b[i:], float32(1+v))
		}
		if _, err := out.WriteAt(b, t.Offset); err != nil {
			return err
		}
	}
	return nil
}

// Logits returns the logits after each token, with all sums in float32.
func (o Oracle) Logits(model string, tokens []int32) ([][]float32, error) {
	ids := strings.Trim(fmt.Sprint(tokens), "[]")
	cmd := exec.Command(filepath.Join(string(o), "oracle-new"), "logits32", model, ids)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("oracle: logits of %s: %w: %s", filepath.Base(model), err, lastLine(stderr.Bytes()))
	}
	var rows [][]float32
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())[1:] // the first is the argmax
		row := make([]float32, len(fields))
		for i, s := range fields {
			v, err := strconv.ParseFloat(s, 32)
			if err != nil {
				return nil, fmt.Errorf("oracle: logits of %s: %w", filepath.Base(model), err)
			}
			row[i] = float32(v)
		}
		rows = append(rows, row)
	}
	if len(rows) != len(tokens) {
		return nil, fmt.Errorf("oracle: %d rows of logits for %d tokens", len(rows), len(tokens))
	}
	return rows, lines.Err()
}

func lastLine(b []byte) string {
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}
