package program

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/gollm/gollm/gguf"
)

// Dump writes the program as text, an op a line: what it writes, its name, and
// its fields. It is for people and golden tests.
func (p *Program) Dump(w io.Writer) error {
	for i, op := range p.Ops {
		var outs []string
		for _, t := range op.Writes() {
			outs = append(outs, fmt.Sprintf("t%d%s", t.id, p.Info(t)))
		}
		v := reflect.ValueOf(op).Elem()
		var fields []string
		for j := range v.NumField() {
			if t, ok := v.Field(j).Interface().(Tensor); ok && slices.Contains(op.Writes(), t) {
				continue
			}
			name, s := strings.ToLower(v.Type().Field(j).Name), p.field(v.Field(j).Interface())
			if s == "" && name == "layer" { // of values that are 0, the one that says something
				s = "0"
			}
			if s != "" {
				fields = append(fields, name+"="+s)
			}
		}
		if _, err := fmt.Fprintf(w, "%4d %-24s %s %s\n", i, strings.Join(outs, " "), v.Type().Name(), strings.Join(fields, " ")); err != nil {
			return err
		}
	}
	return nil
}

func (p *Program) field(v any) string {
	switch v := v.(type) {
	case Tensor:
		return fmt.Sprintf("t%d", v.id)
	case *gguf.Tensor:
		if v == nil {
			return ""
		}
		return fmt.Sprintf("%s:%s%v", v.Name, v.Type, v.Dims)
	case Linear:
		return strings.TrimRight(p.field(v.Weight)+"+"+p.field(v.Bias)+"+"+p.field(v.Scale), "+")
	case Norm:
		return fmt.Sprintf("%s+%s,eps=%g", p.field(v.Weight), p.field(v.Bias), v.Eps)
	case *Rope:
		return fmt.Sprintf("{dims=%d base=%g scale=%g}", v.Dims, v.Base, v.FreqScale)
	case fmt.Stringer:
		return v.String()
	}
	if reflect.ValueOf(v).IsZero() {
		return ""
	}
	return fmt.Sprint(v)
}
