package shaders

import "strings"

// Type is a tensor type the weight kernels read.
type Type uint8

const (
	F32 Type = iota
	F16
	BF16
	Q4_0
	Q4_1
	Q5_0
	Q5_1
	Q8_0
	Q2_K
	Q3_K
	Q4_K
	Q5_K
	Q6_K
	IQ4_NL
	IQ4_XS
	MXFP4
)

// Types lists them all.
var Types = [...]Type{F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, MXFP4}

// layouts has for each type its name in a kernel's host_name, values and bytes of a block, and what blocks.h says
// of it: values of a slice, and rows a simdgroup of matvec takes at once.
var layouts = [...]struct {
	name                      string
	block, bytes, slice, rows int
}{
	F32:    {"f32", 1, 4, 4, 2},
	F16:    {"f16", 1, 2, 8, 2},
	BF16:   {"bf16", 1, 2, 8, 2},
	Q4_0:   {"q4_0", 32, 18, 16, 4},
	Q4_1:   {"q4_1", 32, 20, 16, 4},
	Q5_0:   {"q5_0", 32, 22, 16, 4},
	Q5_1:   {"q5_1", 32, 24, 16, 4},
	Q8_0:   {"q8_0", 32, 34, 8, 4},
	Q2_K:   {"q2_K", 256, 84, 32, 4},
	Q3_K:   {"q3_K", 256, 110, 32, 2},
	Q4_K:   {"q4_K", 256, 144, 32, 4},
	Q5_K:   {"q5_K", 256, 176, 32, 2},
	Q6_K:   {"q6_K", 256, 210, 32, 2},
	IQ4_NL: {"iq4_nl", 32, 18, 16, 4},
	IQ4_XS: {"iq4_xs", 256, 136, 32, 4},
	MXFP4:  {"mxfp4", 32, 17, 16, 4},
}

// TypeNamed finds a type by GGUF's name of it ("Q4_K"); false if the kernels do not read it.
func TypeNamed(name string) (Type, bool) {
	for t := range Types {
		if Type(t).String() == name {
			return Type(t), true
		}
	}
	return 0, false
}

// String is GGUF's name of the type.
func (t Type) String() string { return strings.ToUpper(layouts[t].name) }

// BlockSize is the values in a block; a row is a whole number of blocks.
func (t Type) BlockSize() int { return layouts[t].block }

// RowBytes is the bytes of a row of width values.
func (t Type) RowBytes(width int) int { return width / layouts[t].block * layouts[t].bytes }

// Macros are the preprocessor macros that leave all but these types out of a source.
func Macros(types ...Type) map[string]string {
	m := map[string]string{"ONLY_TYPES": "1"}
	for _, t := range types {
		m["WITH_"+t.String()] = "1"
	}
	return m
}
