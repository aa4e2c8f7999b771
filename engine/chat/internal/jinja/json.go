package jinja

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// DecodeJSON reads one JSON value as Python's json.loads does: objects keep the
// order of their keys, integers stay apart from floats.
func DecodeJSON(b []byte) (Value, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	v, err := decodeJSON(d, 0)
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("data after the JSON value")
	}
	return v, nil
}

func decodeJSON(d *json.Decoder, depth int) (Value, error) {
	if depth > maxNest {
		return nil, errors.New("JSON nested too deeply")
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch x := t.(type) {
	case json.Delim:
		if x == '[' {
			l := &List{}
			for d.More() {
				v, err := decodeJSON(d, depth+1)
				if err != nil {
					return nil, err
				}
				l.Items = append(l.Items, v)
			}
			_, err := d.Token()
			return l, err
		}
		o := &Dict{}
		for d.More() {
			k, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := decodeJSON(d, depth+1)
			if err != nil {
				return nil, err
			}
			o.Set(k.(string), v)
		}
		_, err := d.Token()
		return o, err
	case json.Number:
		return decodeNumber(string(x))
	}
	return t, nil
}

func decodeNumber(s string) (Value, error) {
	if strings.ContainsAny(s, ".eE") {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil && !math.IsInf(f, 0) {
			return nil, err
		}
		return f, nil
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return i, nil
	}
	i, ok := new(big.Int), len(s) <= maxDigits
	if ok {
		_, ok = i.SetString(s, 10)
	}
	if !ok || i.BitLen() > maxBits {
		return nil, fmt.Errorf("JSON number of %d digits", len(s))
	}
	return normInt(i), nil
}

// EncodeJSON writes a value made of what JSON has.
func EncodeJSON(v Value) (b []byte, err error) {
	r := newRun(LimitsFor(64 << 20))
	defer rescue(&r.line, &err)
	w := jsonWriter{printer: printer{r: r}, item: ",", key: ":"}
	w.write(v, 0)
	return []byte(w.b.String()), nil
}

// jsonWriter writes values as Python's json.dumps does.
type jsonWriter struct {
	printer
	indent    string // "" for one line; set also sets pretty
	pretty    bool
	item, key string // separators
	ascii     bool
	sort      bool
}

func (w *jsonWriter) newline(depth int) {
	if !w.pretty {
		return
	}
	w.b.WriteByte('\n')
	for range depth {
		w.b.WriteString(w.indent)
	}
}

func (w *jsonWriter) write(v Value, depth int) {
	w.r.step(1)
	w.r.enter()
	defer w.r.leave()
	w.room()
	switch x := v.(type) {
	case nil:
		w.b.WriteString("null")
	case bool:
		w.b.WriteString(strconv.FormatBool(x))
	case int64, *big.Int:
		w.b.WriteString(w.r.str(x))
	case float64:
		w.b.WriteString(jsonFloat(x))
	case string:
		w.text(x)
	case Markup:
		w.text(string(x))
	case *List:
		w.array(x.Items, depth)
	case *Tuple:
		w.array(x.Items, depth)
	case *Dict:
		w.object(x, depth)
	default:
		fail("Object of type %s is not JSON serializable", typeName(v))
	}
}

func jsonFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return floatText(f)
}

func (w *jsonWriter) array(items []Value, depth int) {
	w.b.WriteByte('[')
	for i, e := range items {
		if i > 0 {
			w.b.WriteString(w.item)
		}
		w.newline(depth + 1)
		w.write(e, depth+1)
	}
	if len(items) > 0 {
		w.newline(depth)
	}
	w.b.WriteByte(']')
}

func (w *jsonWriter) object(d *Dict, depth int) {
	order := make([]int, d.Len())
	w.r.slots(len(order))
	for i := range order {
		order[i] = i
	}
	if w.sort {
		w.r.sort(order, false, func(i int) Value { return d.keys[i] })
	}
	w.b.WriteByte('{')
	for n, i := range order {
		if n > 0 {
			w.b.WriteString(w.item)
		}
		w.newline(depth + 1)
		switch k := d.keys[i].(type) {
		case string:
			w.text(k)
		case Markup:
			w.text(string(k))
		case nil, bool, int64, *big.Int, float64:
			w.b.WriteByte('"')
			w.write(k, depth+1)
			w.b.WriteByte('"')
		default:
			fail("keys must be str, int, float, bool or None, not %s", typeName(k))
		}
		w.b.WriteString(w.key)
		w.write(d.vals[i], depth+1)
	}
	if d.Len() > 0 {
		w.newline(depth)
	}
	w.b.WriteByte('}')
}

func (w *jsonWriter) text(s string) {
	w.r.scan(len(s))
	b := &w.b
	b.WriteByte('"')
	start := 0 // of the bytes that stand for themselves
	for i, c := range s {
		if c >= ' ' && c != '"' && c != '\\' && (c < 0x7f || !w.ascii) {
			continue
		}
		b.WriteString(s[start:i])
		start = i + len(string(c))
		switch c {
		case '"', '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		case '\b':
			b.WriteString(`\b`)
		case '\f':
			b.WriteString(`\f`)
		default:
			if c >= 0x10000 {
				c -= 0x10000
				writeHex(b, `\u`, 0xd800+c>>10, 4)
				c = 0xdc00 + c&0x3ff
			}
			writeHex(b, `\u`, c, 4)
		}
	}
	b.WriteString(s[start:])
	b.WriteByte('"')
	w.room()
}
