package shaders

import (
	"regexp"
	"strconv"
	"testing"
)

// TestLayouts holds the catalogue's layouts against the enums of blocks.h, on which grids and sizes rest.
func TestLayouts(t *testing.T) {
	text, err := files.ReadFile("blocks.h")
	if err != nil {
		t.Fatal(err)
	}
	enums := map[string]map[string]int{}
	structs := regexp.MustCompile(`(?m)^struct (\w+)(?: : (\w+))? \{\n(?:  enum \{ (.*) \};)?`)
	field := regexp.MustCompile(`(\w+) = (\d+)`)
	for _, m := range structs.FindAllStringSubmatch(string(text), -1) {
		e := map[string]int{}
		for k, v := range enums[m[2]] {
			e[k] = v
		}
		for _, f := range field.FindAllStringSubmatch(m[3], -1) {
			e[f[1]], _ = strconv.Atoi(f[2])
		}
		enums[m[1]] = e
	}
	for typ, l := range layouts {
		name := Type(typ).String()
		e := enums[name]
		block, bytes := l.block, l.bytes
		if block == 1 { // the kernels' block of a plain type is 16 bytes
			block, bytes = 16/l.bytes, 16
		}
		if e["block"] != block || e["bytes"] != bytes || e["values"] != l.slice || e["rows"] != l.rows {
			t.Errorf("%s: blocks.h has %v, the catalogue block %d, bytes %d, values %d, rows %d", name, e, block, bytes, l.slice, l.rows)
		}
		if e["values"]%(4*max(e["runs"], 1)) != 0 || e["runs"]%max(e["scales"], 1) != 0 {
			t.Errorf("%s: %v: runs are not whole float4s, or scales not whole runs", name, e)
		}
	}
}
