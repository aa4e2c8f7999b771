package msl

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sort"
	"strings"
)

// emitted is the text for clang and the way back from its lines and columns.
type emitted struct {
	text string
	cols map[place][]anchor
}

type place struct {
	file string
	line int
}

// anchor ties a column of the emitted text to a token of the source.
type anchor struct {
	col   int
	token token
}

// emit spells tokens with line markers, so that what clang says names the source's lines.
func emit(files []string, t []token) emitted {
	e := emitted{cols: map[place][]anchor{}}
	var b strings.Builder
	file, line, col := -1, 0, 1
	for i, x := range t {
		if x.text == "" {
			continue
		}
		if x.file != file || x.line < line || x.line > line+8 {
			if b.Len() > 0 && col > 1 {
				b.WriteByte('\n')
			}
			fmt.Fprintf(&b, "# %d %q\n", x.line, files[x.file])
			file, line, col = x.file, x.line, 1
		}
		for line < x.line {
			b.WriteByte('\n')
			line++
			col = 1
		}
		if x.kind == pragma {
			if col > 1 {
				fmt.Fprintf(&b, "\n# %d %q\n", x.line, files[x.file])
			}
			b.WriteString(x.text)
			fmt.Fprintf(&b, "\n# %d %q\n", x.line, files[x.file])
			col = 1
			continue
		}
		if col > 1 && (x.space || i > 0 && (wordy(t[i-1]) && wordy(x) || x.col == 0 || t[i-1].col == 0)) {
			b.WriteByte(' ')
			col++
		}
		if x.col > 0 {
			p := place{files[x.file], x.line}
			e.cols[p] = append(e.cols[p], anchor{col, x})
		}
		b.WriteString(x.text)
		col += len(x.text)
	}
	b.WriteByte('\n')
	e.text = b.String()
	return e
}

// What clang names otherwise than Metal in its messages.
var (
	metalWords  = strings.NewReplacer("const __global_device ", "const device ", "__global_device ", "device ", "const __global ", "constant ", "__global ", "constant ", "__local ", "threadgroup ", "*__private'", "*'", "__private ", "thread ", "__bf16", "bfloat")
	renamedWord = regexp.MustCompile(`\bmsl_(` + strings.Join(slices.Sorted(maps.Keys(renamed)), "|") + `)\b`)
)

// place gives clang's diagnostics the source's columns and Metal's words.
func (e *emitted) place(ds []diagnostic, texts map[string]string) {
	for i := range ds {
		d := &ds[i]
		as := e.cols[place{d.file, d.line}]
		name := strings.TrimPrefix(d.file, "include/")
		if len(as) > 0 {
			as = append([]anchor(nil), as...)
			sort.SliceStable(as, func(i, j int) bool { return as[i].col < as[j].col })
			best := as[0]
			for _, a := range as {
				if a.col <= d.col {
					best = a
				}
			}
			d.col = columnOf(lineOf(texts[name], d.line), best.token.spelling(), best.token.nth)
		}
		d.file, d.message = name, metalWords.Replace(renamedWord.ReplaceAllString(d.message, "$1"))
	}
}

// splats finds the operators that clang will not convert a scalar for, and the short initializers.
func (e *emitted) splats(ds []diagnostic) []splat {
	var at []splat
	for _, d := range ds {
		var want, have int
		if n, _ := fmt.Sscanf(d.message, fewComplaint, &want, &have); !d.isError() || n != 2 && !strings.HasPrefix(d.message, rankComplaint) {
			continue
		}
		for _, a := range e.cols[place{d.file, d.line}] {
			if a.col == d.col {
				at = append(at, splat{d.file, d.line, a.token.col, want - have})
				break
			}
		}
	}
	return at
}
