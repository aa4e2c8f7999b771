package shaders_test

import (
	"encoding/binary"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/gollm/gollm/gguf"
	"github.com/gollm/gollm/metal"
	"github.com/gollm/gollm/shaders"
)

// TestParams holds every "struct …Params" of the sources against its Go mirror: the same fields, by name,
// type and order.
func TestParams(t *testing.T) {
	seen := map[string]bool{}
	structs := regexp.MustCompile(`(?s)struct (\w+Params) \{(.*?)\n\}`)
	field := regexp.MustCompile(`^\s*(uint|int|float) (\w+);`)
	for _, name := range shaders.Names() {
		source, err := shaders.Source(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range structs.FindAllStringSubmatch(source, -1) {
			seen[m[1]] = true
			mirror, ok := mirrors[m[1]]
			if !ok {
				t.Errorf("%s: %s has no mirror in Go", name, m[1])
				continue
			}
			var want, got []string
			typ := reflect.TypeOf(mirror)
			for i := range typ.NumField() {
				f := typ.Field(i)
				want = append(want, map[reflect.Kind]string{reflect.Uint32: "uint", reflect.Int32: "int", reflect.Float32: "float"}[f.Type.Kind()]+" "+snake(f.Name))
			}
			for line := range strings.Lines(m[2]) {
				line = strings.TrimSpace(line)
				if line == "" || strings.HasPrefix(line, "//") {
					continue
				}
				f := field.FindStringSubmatch(line)
				if f == nil {
					t.Errorf("%s: %s: %q is not a scalar of 4 bytes", name, m[1], line)
					continue
				}
				got = append(got, f[1]+" "+f[2])
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %s has %q, its mirror %q", name, m[1], got, want)
			}
			if size := binary.Size(mirror); size != 4*len(got) || uintptr(size) != typ.Size() {
				t.Errorf("%s: mirror of %d bytes, %d fields", m[1], typ.Size(), len(got))
			}
		}
	}
	for name := range mirrors {
		if !seen[name] {
			t.Errorf("%s: no source has it", name)
		}
	}
}

// snake is RowBytes as row_bytes, KVHeads as kv_heads.
func snake(name string) string {
	var b strings.Builder
	for i, c := range name {
		if unicode.IsUpper(c) && i > 0 && (unicode.IsLower(rune(name[i-1])) || i+1 < len(name) && unicode.IsLower(rune(name[i+1]))) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}

func TestTypes(t *testing.T) {
	for _, typ := range shaders.Types {
		ft, err := gguf.ParseType(typ.String())
		if err != nil {
			t.Fatal(err)
		}
		if typ.BlockSize() != ft.BlockSize() || typ.RowBytes(1024) != ft.RowBytes(1024) {
			t.Errorf("%s: %d, %d bytes; the file's has %d, %d", typ, typ.BlockSize(), typ.RowBytes(1024), ft.BlockSize(), ft.RowBytes(1024))
		}
		if found, ok := shaders.TypeNamed(ft.String()); !ok || found != typ {
			t.Errorf("TypeNamed(%s) = %v, %t", ft, found, ok)
		}
	}
	if _, ok := shaders.TypeNamed("IQ2_XXS"); ok {
		t.Error("IQ2_XXS")
	}
}

func TestSource(t *testing.T) {
	source, err := shaders.Source("matvec")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(source, "#include <metal_stdlib>"); n != 1 {
		t.Errorf("common.h is there %d times", n)
	}
	if strings.Contains(source, `#include "`) || strings.Contains(source, "#pragma once") {
		t.Error("an include or a #pragma once is left")
	}
	if _, err := shaders.Source("nosuch"); err == nil || !strings.Contains(err.Error(), "nosuch.metal") {
		t.Errorf("nosuch: %v", err)
	}
}

// TestMacros compiles a source for some types: the others' kernels are not there.
func TestMacros(t *testing.T) {
	d := newDevice(t, 1)
	source, err := shaders.Source("matvec_qkv")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		types []shaders.Type
		want  []string
	}{
		{[]shaders.Type{shaders.F16}, []string{"matvec_qkv_f16", "matvec_qkv_n_f16"}},
		{[]shaders.Type{shaders.Q6_K, shaders.Q4_K}, []string{
			"matvec_qkv_n_q4_K", "matvec_qkv_n_q4_K_q6_K", "matvec_qkv_n_q6_K", "matvec_qkv_q4_K", "matvec_qkv_q4_K_q6_K", "matvec_qkv_q6_K",
		}},
	} {
		lib, err := d.NewLibrary(source, metal.CompileOptions{Language: metal.MSL3_0, Macros: shaders.Macros(c.types...)})
		if err != nil {
			t.Fatal(err)
		}
		names := lib.Names()
		slices.Sort(names)
		if !slices.Equal(names, c.want) {
			t.Errorf("%v: %q, want %q", c.types, names, c.want)
		}
		lib.Release()
	}
}
