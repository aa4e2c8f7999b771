package gguf

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The keys that llama-gguf-split gives each part of a split model. The other
// metadata is in the first part only.
const (
	keySplitNo      = "split.no"            // uint16: index of this part
	keySplitCount   = "split.count"         // uint16: number of parts
	keySplitTensors = "split.tensors.count" // int32: tensors in all parts together
)

// IsSplitKey reports whether key describes how the model was split into files.
// Who writes a model anew leaves such keys out.
func IsSplitKey(key string) bool {
	return key == keySplitNo || key == keySplitCount || key == keySplitTensors
}

// SplitPath returns the name of part i, counted from 0, of n.
func SplitPath(prefix string, i, n int) string {
	return fmt.Sprintf("%s-%05d-of-%05d.gguf", prefix, i+1, n)
}

// ParseSplitPath is the inverse of SplitPath. It reports false for a path that
// is not named as a part of a split model.
func ParseSplitPath(path string) (prefix string, i, n int, ok bool) {
	const tail = len("-00001-of-00001.gguf")
	if len(path) <= tail {
		return "", 0, 0, false
	}
	prefix, rest := path[:len(path)-tail], path[len(path)-tail:]
	i, err1 := strconv.Atoi(rest[1:6])
	n, err2 := strconv.Atoi(rest[10:15])
	if err1 != nil || err2 != nil || i < 1 || i > n || strings.HasSuffix(prefix, "/") || SplitPath(prefix, i-1, n) != path {
		return "", 0, 0, false
	}
	return prefix, i - 1, n, true
}

// joinParts returns the whole model of which f is a part: f itself when it is
// no split model. On an error f is still the caller's to close.
func (f *File) joinParts() (*File, error) {
	count, err := GetOr(f, keySplitCount, 0)
	if err != nil {
		return nil, err
	}
	if count <= 1 {
		return f, nil
	}
	no, err := Get[int](f, keySplitNo)
	if err != nil {
		return nil, err
	}
	prefix, i, n, ok := ParseSplitPath(f.name)
	if !ok {
		return nil, fmt.Errorf("gguf: %s: is part %d of %d of a split model, but is not named -%05d-of-%05d.gguf, so the other parts cannot be found", f.name, no+1, count, no+1, count)
	}
	if i != no || n != count {
		return nil, fmt.Errorf("gguf: %s: is part %d of %d of a split model by its metadata (%s, %s), not as its name says", f.name, no+1, count, keySplitNo, keySplitCount)
	}
	var parts []*File
	closeOthers := func() {
		for _, p := range parts {
			if p != f {
				p.Close()
			}
		}
	}
	for i := range count {
		p := f
		if i != no {
			path := SplitPath(prefix, i, count)
			if p, err = openPart(path); err != nil {
				closeOthers()
				return nil, fmt.Errorf("%w (part %d of the %d of %s)", err, i+1, count, f.name)
			}
		}
		parts = append(parts, p)
		if err := checkPart(p, i, count); err != nil {
			closeOthers()
			return nil, err
		}
	}
	whole, err := merge(f.name, parts)
	if err != nil {
		closeOthers()
		return nil, err
	}
	return whole, nil
}

// checkPart checks that p says of itself that it is part i of count.
func checkPart(p *File, i, count int) error {
	for _, want := range []struct {
		key   string
		value int
	}{{keySplitNo, i}, {keySplitCount, count}} {
		v, err := Get[int](p, want.key)
		if err != nil {
			return err
		}
		if v != want.value {
			return fmt.Errorf("gguf: %s: key %q is %d, want %d: the files are not parts of one model", p.name, want.key, v, want.value)
		}
	}
	return nil
}

// merge joins the parts' directories under the first part's metadata.
func merge(name string, parts []*File) (*File, error) {
	first := parts[0]
	whole := &File{
		Version: first.Version, Alignment: first.Alignment, Pairs: first.Pairs,
		name: name, keys: first.keys, tensors: first.tensors,
	}
	for i, p := range parts {
		for _, t := range p.Tensors {
			if other := whole.tensors[t.Name]; other != nil && other != t {
				return nil, fmt.Errorf("gguf: %s: tensor %q is also in part %d of the model, %s", p.name, t.Name, other.Part+1, parts[other.Part].name)
			}
			t.Part = i
			whole.tensors[t.Name] = t
		}
		whole.Tensors = append(whole.Tensors, p.Tensors...)
		whole.parts = append(whole.parts, p.parts...)
	}
	for i, p := range parts {
		total, err := Get[int](p, keySplitTensors)
		if i > 0 && errors.Is(err, ErrNoKey) {
			continue // the first part's word is enough
		}
		if err != nil {
			return nil, err
		}
		if total != len(whole.Tensors) {
			return nil, fmt.Errorf("gguf: %s: key %q is %d, but the %d parts hold %d tensors", p.name, keySplitTensors, total, len(parts), len(whole.Tensors))
		}
	}
	return whole, nil
}
