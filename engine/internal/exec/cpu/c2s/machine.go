package main

import "regexp"

// machine is what c2s knows of an instruction set.
type machine struct {
	triple string
	flags  []string
	// Registers of preserve_none arguments in clang 19, in order.
	ints, floats       []string
	moveInt, moveFloat string // Go's instructions that load them
	forbidden          *regexp.Regexp
	wide, wideNeeds    *regexp.Regexp // code that matches wide must match wideNeeds too
	comment            string
}

var machines = map[string]machine{
	"amd64": {
		triple:    "x86_64-unknown-linux-gnu",
		flags:     []string{"-mno-red-zone", "-fPIE"},
		ints:      []string{"R12", "R13", "R14", "R15", "DI", "SI", "DX", "CX", "R8", "R9", "R11", "AX"},
		floats:    []string{"X0", "X1", "X2", "X3"},
		moveInt:   "MOVQ",
		moveFloat: "MOVSS",
		forbidden: regexp.MustCompile(`%[re]?[sb]pl?\b|^(push|pop|call|leave|enter)`),
		wide:      regexp.MustCompile(`%[yz]mm`),
		wideNeeds: regexp.MustCompile(`^vzeroupper`),
		comment:   "#",
	},
	"arm64": {
		triple:    "aarch64-unknown-linux-gnu",
		flags:     []string{"-ffixed-x18", "-ffixed-x27", "-ffixed-x28", "-mcmodel=tiny", "-fno-pic"},
		ints:      []string{"R20", "R21", "R22", "R23", "R24", "R25", "R26", "R0", "R1", "R2", "R3"},
		floats:    []string{"F0", "F1", "F2", "F3"},
		moveInt:   "MOVD",
		moveFloat: "FMOVS",
		forbidden: regexp.MustCompile(`\b(w?sp|[xw](18|27|28|29|30)|fp|lr)\b|^(bl|blr|br)\b`),
		comment:   "//",
	},
}

// common are the flags of both. Loops are unrolled where a kernel says so:
// clang's own unrolling runs out of registers, and there is no stack to spill to.
var common = []string{
	"-O3", "-ffreestanding", "-fno-builtin", "-fomit-frame-pointer", "-fno-stack-protector",
	"-fno-asynchronous-unwind-tables", "-fno-jump-tables", "-fvisibility=hidden", "-fno-unroll-loops",
	"-ffunction-sections", "-fno-ident", "-Wall", "-Werror",
}

// goTypes are the types arguments may have.
var goTypes = map[string]string{
	"float *": "*float32", "uint8_t *": "*byte", "int8_t *": "*int8", "int16_t *": "*int16", "uint16_t *": "*uint16",
	"int32_t *": "*int32", "act_t *": "*Act", "column_t *": "*Column", "int64_t": "int", "float": "float32",
}
