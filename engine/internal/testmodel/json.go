package testmodel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"

	"github.com/gollm/gollm/gguf"
)

// The JSON of a description has a line for each pair and tensor, so that a
// difference between two of them can be read:
//
//	{
//	"source": "…",
//	"metadata": [
//	{"key":"llama.block_count","kind":"uint32","value":2},
//	{"key":"xielu.beta","kind":"[]float32","value":[0],"repeat":512}
//	],
//	"tensors": [
//	{"name":"output.weight","type":"F32","dims":[256,128]}
//	]}
//
// Pairs are as gguf.Pair writes them. "repeat" says that the array is its one
// element that many times.

type jsonTensor struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Dims []int  `json:"dims"`
}

// Encode returns the JSON of d, a line for each pair and tensor.
func (d *Description) Encode() ([]byte, error) {
	var out bytes.Buffer
	line := func(v any) error {
		enc := json.NewEncoder(&out) // which ends the line
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	}
	between := func(i int) {
		if i > 0 { // the comma goes before the line's end
			out.Truncate(out.Len() - 1)
			out.WriteString(",\n")
		}
	}
	out.WriteString("{\n\"source\": ")
	if err := line(d.Source); err != nil {
		return nil, err
	}
	out.Truncate(out.Len() - 1)
	out.WriteString(",\n\"metadata\": [\n")
	for i, p := range d.Metadata {
		between(i)
		v, n := shorten(p.Value)
		b, err := gguf.Pair{Key: p.Key, Value: v}.MarshalJSON()
		if err != nil {
			return nil, err
		}
		if n > 0 {
			b = fmt.Appendf(b[:len(b)-1], `,"repeat":%d}`, n)
		}
		out.Write(append(b, '\n'))
	}
	out.WriteString("],\n\"tensors\": [\n")
	for i, t := range d.Tensors {
		between(i)
		if err := line(jsonTensor{t.Name, t.Type.String(), t.Dims}); err != nil {
			return nil, err
		}
	}
	out.WriteString("]}\n")
	return out.Bytes(), nil
}

// shorten returns the first element of an array whose elements are all the same,
// and their number; of another value itself and 0.
func shorten(v any) (any, int) {
	array := reflect.ValueOf(v)
	if array.Kind() != reflect.Slice || array.Len() < 4 {
		return v, 0
	}
	first := array.Index(0).Interface()
	for i := range array.Len() {
		if !reflect.DeepEqual(array.Index(i).Interface(), first) {
			return v, 0
		}
	}
	return array.Slice(0, 1).Interface(), array.Len()
}

// maxRepeat bounds what a line of JSON can ask for.
const maxRepeat = 1 << 20

// UnmarshalJSON reads what Encode writes.
func (d *Description) UnmarshalJSON(b []byte) error {
	var in struct {
		Source   string
		Metadata []json.RawMessage
		Tensors  []jsonTensor
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*d = Description{Source: in.Source}
	for _, raw := range in.Metadata {
		var p gguf.Pair
		var short struct{ Repeat int }
		if err := json.Unmarshal(raw, &p); err != nil {
			return err
		}
		if err := json.Unmarshal(raw, &short); err != nil {
			return err
		}
		if n := short.Repeat; n != 0 {
			array := reflect.ValueOf(p.Value)
			if array.Kind() != reflect.Slice || array.Len() != 1 || n < 0 || n > maxRepeat {
				return fmt.Errorf("key %q: a repeat of %d, which is for arrays of one element and up to %d", p.Key, n, maxRepeat)
			}
			all := reflect.MakeSlice(array.Type(), n, n)
			for i := range n {
				all.Index(i).Set(array.Index(0))
			}
			p.Value = all.Interface()
		}
		d.Metadata = append(d.Metadata, p)
	}
	for _, t := range in.Tensors {
		typ, err := gguf.ParseType(t.Type)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		d.Tensors = append(d.Tensors, Tensor{t.Name, typ, t.Dims})
	}
	return nil
}

// Load reads a description from a file of JSON.
func Load(path string) (*Description, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("testmodel: %w", err)
	}
	d := new(Description)
	if err := json.Unmarshal(b, d); err != nil {
		return nil, fmt.Errorf("testmodel: %s: %w", path, err)
	}
	return d, nil
}
