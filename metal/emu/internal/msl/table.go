package msl

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// readTable fills in the sizes that only clang knows.
func (l *library) readTable(obj string) error {
	if strings.HasSuffix(obj, ".ll") {
		return l.readTableText(obj)
	}
	f, err := elf.Open(obj)
	if err != nil {
		return fmt.Errorf("msl: %s: %w", obj, err)
	}
	defer f.Close()
	syms, err := f.Symbols()
	if dyn, derr := f.DynamicSymbols(); derr == nil {
		syms, err = append(syms, dyn...), nil
	}
	if err != nil {
		return fmt.Errorf("msl: %s: %w", obj, err)
	}
	for _, s := range syms {
		if s.Name != "msl_table" || int(s.Section) >= len(f.Sections) || s.Section == elf.SHN_UNDEF {
			continue
		}
		sec := f.Sections[s.Section]
		data, err := sec.Data()
		if err != nil {
			return fmt.Errorf("msl: %s: %w", obj, err)
		}
		off := s.Value
		if f.Type == elf.ET_DYN {
			off -= sec.Addr
		}
		data = data[min(off, uint64(len(data))):]
		l.fillTable(func() int {
			if len(data) < 4 {
				return 0
			}
			n := int(binary.LittleEndian.Uint32(data))
			data = data[4:]
			return n
		})
		return nil
	}
	return fmt.Errorf("msl: %s has no table of sizes", obj)
}

// fillTable gives the entries the numbers of the table, in its order.
func (l *library) fillTable(next func() int) {
	for _, e := range l.Entries {
		e.StaticTG = next()
		for i := range e.Params {
			e.Params[i].ElemSize, e.Params[i].ElemAlign = next(), next()
		}
	}
}

var (
	irTable = regexp.MustCompile(`(?m)^@msl_table = .*$`)
	irWord  = regexp.MustCompile(`\bi32 (\d+)`)
)

// readTableText reads the table from LLVM assembler text.
func (l *library) readTableText(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("msl: %w", err)
	}
	line := irTable.Find(b)
	if line == nil {
		return fmt.Errorf("msl: %s has no table of sizes", path)
	}
	words := irWord.FindAllSubmatch(line, -1)
	l.fillTable(func() int {
		if len(words) == 0 {
			return 0
		}
		n, _ := strconv.Atoi(string(words[0][1]))
		words = words[1:]
		return n
	})
	return nil
}
