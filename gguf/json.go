package gguf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// jsonValue is a metadata value in JSON. Kind is "uint32", "string" and so on, and
// for arrays "[]uint32"; the elements of an "[]array" are jsonValues.
type jsonValue struct {
	Kind  string          `json:"kind"`
	Value json.RawMessage `json:"value"`
}

// MarshalJSON writes the pair as {"key": …, "kind": "uint32", "value": …}. The
// kind of an array is "[]string" and so on, that of an array of arrays "[]array",
// with a kind and value for each element. UnmarshalJSON reads the same pair back,
// but for bytes of strings that are not UTF-8, which become U+FFFD. Floats that JSON
// has no number for are the strings "NaN", "+Inf" and "-Inf".
func (p Pair) MarshalJSON() ([]byte, error) {
	v, err := toJSON(p.Value)
	if err != nil {
		return nil, fmt.Errorf("gguf: key %q: %w", p.Key, err)
	}
	return marshal(struct {
		Key string `json:"key"`
		jsonValue
	}{p.Key, v})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (p *Pair) UnmarshalJSON(b []byte) error {
	var in struct {
		Key string `json:"key"`
		jsonValue
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return fmt.Errorf("gguf: metadata pair: %w", err)
	}
	v, err := fromJSON(in.jsonValue)
	if err != nil {
		return fmt.Errorf("gguf: key %q: %w", in.Key, err)
	}
	*p = Pair{in.Key, v}
	return nil
}

// marshal is json.Marshal that leaves <, > and & as they are: tokens are full of them.
func marshal(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
}

func toJSON(v any) (jsonValue, error) {
	kind, elem, ok := KindOf(v)
	if !ok {
		return jsonValue{}, fmt.Errorf("a %T is no metadata value", v)
	}
	out := jsonValue{Kind: kind.String()}
	if kind == KindArray {
		out.Kind = "[]" + elem.String()
	}
	var form any = v
	switch v := v.(type) {
	case float32:
		form = floatToJSON(v)
	case float64:
		form = floatToJSON(v)
	case []float32:
		form = each(v, floatToJSON)
	case []float64:
		form = each(v, floatToJSON)
	case []uint8: // encoding/json would write base64
		form = each(v, func(b uint8) any { return b })
	case []any:
		list := make([]jsonValue, len(v))
		for i, a := range v {
			var err error
			if list[i], err = toJSON(a); err != nil {
				return jsonValue{}, fmt.Errorf("element %d: %w", i, err)
			}
		}
		form = list
	}
	var err error
	out.Value, err = marshal(form)
	return out, err
}

func each[T any](list []T, f func(T) any) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = f(v)
	}
	return out
}

func floatToJSON[T float32 | float64](v T) any {
	if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	return v
}

// jsonFloat reads a float as floatToJSON writes it.
type jsonFloat[T float32 | float64] struct{ v T }

func (f *jsonFloat[T]) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) != nil {
		return json.Unmarshal(b, &f.v)
	}
	v, err := strconv.ParseFloat(s, 64)
	f.v = T(v)
	return err
}

func fromJSON(in jsonValue) (any, error) {
	switch in.Kind {
	case "uint8":
		return decode[uint8](in)
	case "int8":
		return decode[int8](in)
	case "uint16":
		return decode[uint16](in)
	case "int16":
		return decode[int16](in)
	case "uint32":
		return decode[uint32](in)
	case "int32":
		return decode[int32](in)
	case "uint64":
		return decode[uint64](in)
	case "int64":
		return decode[int64](in)
	case "bool":
		return decode[bool](in)
	case "string":
		return decode[string](in)
	case "float32":
		v, err := decode[jsonFloat[float32]](in)
		return v.v, err
	case "float64":
		v, err := decode[jsonFloat[float64]](in)
		return v.v, err
	case "[]uint8":
		return decode[[]uint8](in)
	case "[]int8":
		return decode[[]int8](in)
	case "[]uint16":
		return decode[[]uint16](in)
	case "[]int16":
		return decode[[]int16](in)
	case "[]uint32":
		return decode[[]uint32](in)
	case "[]int32":
		return decode[[]int32](in)
	case "[]uint64":
		return decode[[]uint64](in)
	case "[]int64":
		return decode[[]int64](in)
	case "[]bool":
		return decode[[]bool](in)
	case "[]string":
		return decode[[]string](in)
	case "[]float32":
		return floats[float32](in)
	case "[]float64":
		return floats[float64](in)
	case "[]array":
		list, err := decode[[]jsonValue](in)
		if err != nil {
			return nil, err
		}
		arrays := make([]any, len(list))
		for i, a := range list {
			if arrays[i], err = fromJSON(a); err != nil {
				return nil, fmt.Errorf("element %d: %w", i, err)
			}
		}
		return arrays, nil
	}
	return nil, fmt.Errorf("kind %q is unknown", in.Kind)
}

func decode[T any](in jsonValue) (T, error) {
	var v *T
	if err := json.Unmarshal(in.Value, &v); err != nil {
		return *new(T), fmt.Errorf("%s: %w", in.Kind, err)
	}
	if v == nil {
		return *new(T), fmt.Errorf("%s: has no value", in.Kind)
	}
	return *v, nil
}

func floats[T float32 | float64](in jsonValue) ([]T, error) {
	list, err := decode[[]jsonFloat[T]](in)
	if err != nil {
		return nil, err
	}
	out := make([]T, len(list))
	for i, v := range list {
		out[i] = v.v
	}
	return out, nil
}
