package simt

import (
	"debug/dwarf"
	"debug/elf"
	"fmt"
	"path/filepath"
	"strings"
)

// line finds the source line of an address in the object, "" if the line table has none.
func (o *object) line(pc uint64) string {
	if pc == 0 {
		return ""
	}
	f, err := elf.Open(o.path)
	if err != nil {
		return ""
	}
	defer f.Close()
	syms, err := f.DynamicSymbols()
	if err != nil {
		return ""
	}
	var base uint64
	for _, s := range syms {
		if s.Name == "rt_run" {
			base = uint64(o.run) - s.Value
		}
	}
	dw, err := f.DWARF()
	if err != nil {
		return ""
	}
	r := dw.Reader()
	for {
		cu, err := r.Next()
		if err != nil || cu == nil {
			return ""
		}
		lr, err := dw.LineReader(cu)
		if err != nil || lr == nil {
			r.SkipChildren()
			continue
		}
		if file, line, ok := seek(lr, pc-base-1); ok {
			if inLibrary(file) {
				file, line = outside(dw, r, lr.Files(), pc-base-1, file, line)
			}
			return fmt.Sprintf("%s:%d", filepath.Base(file), line)
		}
		r.SkipChildren()
	}
}

// seek reads one line table.
func seek(r *dwarf.LineReader, pc uint64) (string, int, bool) {
	var e dwarf.LineEntry
	if err := r.SeekPC(pc, &e); err != nil || e.File == nil {
		return "", 0, false
	}
	return e.File.Name, e.Line, true
}

// inLibrary tells the Metal library's text from the kernels'.
func inLibrary(file string) bool {
	return strings.HasPrefix(filepath.Base(file), Target().Name) && strings.HasSuffix(file, ".h")
}

// outside finds the innermost call at pc that is not in the library itself, among the functions
// that were inlined. r stands behind the unit's own entry.
func outside(dw *dwarf.Data, r *dwarf.Reader, files []*dwarf.LineFile, pc uint64, file string, line int) (string, int) {
	for depth := 1; depth > 0; {
		e, err := r.Next()
		if err != nil || e == nil {
			break
		}
		if e.Tag == 0 {
			depth--
			continue
		}
		if e.Children {
			depth++
		}
		if e.Tag != dwarf.TagInlinedSubroutine {
			continue
		}
		ranges, err := dw.Ranges(e)
		n, _ := e.Val(dwarf.AttrCallFile).(int64)
		at, _ := e.Val(dwarf.AttrCallLine).(int64)
		for _, x := range ranges {
			// Inner calls come after outer ones, and those of the kernel's text before the library's.
			if err == nil && pc >= x[0] && pc < x[1] && n > 0 && int(n) < len(files) && files[n] != nil && !inLibrary(files[n].Name) {
				file, line = files[n].Name, int(at)
			}
		}
	}
	return file, line
}
