// Package decl reads the Objective-C declarations of messages.txt with darwinkit's parser, makes
// the Go table of them and holds them against darwinkit's generated bindings. It is used by
// `go generate` and by tests; nothing that ships imports it.
package decl

import (
	"bytes"
	"fmt"
	"go/format"
	"strings"

	"github.com/progrium/darwinkit/generate/declparse"
)

// A Decl is one parsed line of messages.txt.
type Decl struct {
	Owner    string
	Text     string // the declaration as written
	Selector string
	Class    bool
	Ret      Type
	Args     []Type
	Line     int
}

// Type is one type of a declaration: its objc.Kind by name, and the type's own name.
type Type struct{ Kind, Name string }

func (d Decl) String() string { return d.Owner + " | " + d.Text }

// Parse reads lines of "owner | declaration;"; '#' starts a comment line.
func Parse(text string) ([]Decl, error) {
	var list []Decl
	for i, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		d, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("messages.txt:%d: %w", i+1, err)
		}
		d.Line = i + 1
		list = append(list, d)
	}
	return list, nil
}

func parseLine(line string) (d Decl, err error) {
	owner, text, ok := strings.Cut(line, " | ")
	if !ok || !strings.HasSuffix(text, ";") {
		return d, fmt.Errorf("want \"owner | declaration;\", got %q", line)
	}
	d = Decl{Owner: owner, Text: text}
	src := strings.ReplaceAll(strings.TrimSuffix(text, ";"), "(oneway void)", "(void)")
	st, err := declparse.NewStringParser(src).Parse()
	if err != nil {
		return d, fmt.Errorf("%s: %w", text, err)
	}
	m := st.Method
	if m == nil {
		return d, fmt.Errorf("%s: not a method", text)
	}
	d.Selector, d.Class = m.Name(), m.TypeMethod
	if d.Ret, err = typeOf(m.ReturnType); err != nil {
		return d, fmt.Errorf("%s: result: %w", text, err)
	}
	for _, a := range m.Args {
		t, err := typeOf(a.Type)
		if err != nil {
			return d, fmt.Errorf("%s: argument %s: %w", text, a.Name, err)
		}
		d.Args = append(d.Args, t)
	}
	return d, nil
}

// scalars are the C types that are neither objects nor enumerations.
var scalars = map[string]string{
	"BOOL": "Bool", "NSUInteger": "UInteger", "uint64_t": "UInteger", "NSInteger": "Integer", "uint8_t": "Byte",
	"CFTimeInterval": "Double", "SEL": "Selector", "MTLSize": "Size", "NSRange": "Range",
	"MTLCommandBufferHandler": "Block", "instancetype": "Object", "id": "Object",
}

func typeOf(t declparse.TypeInfo) (Type, error) {
	name := t.Name
	if t.Func != nil {
		return Type{"Block", ""}, nil
	}
	if name == "id" && len(t.Params) == 1 {
		name = t.Params[0].Name
		if t.IsPtr {
			return Type{"ObjectArray", name}, nil
		}
		return Type{"Object", name}, nil
	}
	switch {
	case t.IsPtrPtr:
		return Type{"ObjectOut", name}, nil
	case t.IsPtr:
		switch name {
		case "void":
			return Type{"Pointer", name}, nil
		case "char":
			return Type{"CString", name}, nil
		case "NSUInteger":
			return Type{"UIntegerList", name}, nil
		case "MTLTimestamp":
			return Type{"Words", name}, nil
		case "id":
			return Type{"ObjectArray", name}, nil
		}
		return Type{"Object", name}, nil
	case name == "void":
		return Type{"Void", ""}, nil
	case scalars[name] != "":
		return Type{scalars[name], name}, nil
	case strings.HasPrefix(name, "MTL") || name == "NSStringEncoding":
		return Type{"UInteger", name}, nil
	}
	return Type{}, fmt.Errorf("unknown type %s", t)
}

// goNames gives every message its constant: the owner and the selector's first part, and the other
// parts where another message took that: LibraryNewFunctionWithName,
// LibraryNewFunctionWithNameConstantValuesError.
func goNames(list []Decl) []string {
	names := make([]string, len(list))
	taken := map[string]bool{}
	for i, d := range list {
		n := strings.TrimPrefix(d.Owner, "MTL")
		parts := strings.Split(strings.TrimSuffix(d.Selector, ":"), ":")
		for j, p := range parts {
			n += strings.ToUpper(p[:1]) + p[1:]
			if j == 0 && !taken[n] {
				break
			}
		}
		names[i], taken[n] = n, true
	}
	return names
}

// Generate writes the Go table.
func Generate(list []Decl) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("// Code generated from messages.txt by go generate; DO NOT EDIT.\n\npackage objc\n\nconst (\n")
	names := goNames(list)
	for i, n := range names {
		if i == 0 {
			n += " Message = iota"
		}
		b.WriteString(n + "\n")
	}
	b.WriteString("numMessages\n)\n\nvar messages = [numMessages]Decl{\n")
	typ := func(t Type) string {
		if t.Name == "" {
			return "{Kind: " + t.Kind + "}"
		}
		return fmt.Sprintf("{%s, %q}", t.Kind, t.Name)
	}
	for i, d := range list {
		fmt.Fprintf(&b, "%s: {Owner: %q, Selector: %q", names[i], d.Owner, d.Selector)
		if d.Class {
			b.WriteString(", Class: true")
		}
		if d.Ret.Kind != "Void" {
			fmt.Fprintf(&b, ", Ret: Type%s", typ(d.Ret))
		}
		if len(d.Args) > 0 {
			b.WriteString(", Args: []Type{")
			for i, a := range d.Args {
				if i > 0 {
					b.WriteString(", ")
				}
				b.WriteString(typ(a))
			}
			b.WriteString("}")
		}
		b.WriteString("},\n")
	}
	b.WriteString("}\n")
	return format.Source(b.Bytes())
}
