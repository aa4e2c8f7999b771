package msl

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// diagnostic is one message about the source.
type diagnostic struct {
	file      string
	line, col int
	severity  string // "error", "fatal error", "warning", "note"
	message   string
}

func (d diagnostic) isError() bool { return d.severity == "error" || d.severity == "fatal error" }

// diagIR is a message of the code generator's, which names the place in its text.
var diagIR = regexp.MustCompile(`(?m)^(fatal error|error|warning): (\S+:\d+:\d+): `)

var diagLine = regexp.MustCompile(`^(.*?):(\d+):(\d+): (fatal error|error|warning|note): (.*)$`)

// parseDiagnostics reads clang's messages, without the source lines it prints below each.
func parseDiagnostics(s string) []diagnostic {
	var ds []diagnostic
	for l := range strings.Lines(diagIR.ReplaceAllString(s, "$2: $1: ")) {
		m := diagLine.FindStringSubmatch(strings.TrimRight(l, "\r\n"))
		if m == nil {
			continue
		}
		line, _ := strconv.Atoi(m[2])
		col, _ := strconv.Atoi(m[3])
		ds = append(ds, diagnostic{m[1], line, col, m[4], m[5]})
	}
	return ds
}

// strictWarnings ask clang for the warnings that refusals reads.
var strictWarnings = []string{"-Wimplicit-float-conversion"}

// toBfloat is clang's warning of a conversion that Metal has no implicit form of. clang does not
// warn of a constant that bfloat holds exactly.
var toBfloat = regexp.MustCompile(`^implicit conversion .*: '(?:\w+ )*(\w+)' to '(?:\w+ )*(?:bfloat|__bf16)'`)

// refusals makes errors of those of clang's warnings, about the texts given and not the library,
// that are errors in Metal.
func refusals(ds []diagnostic, texts map[string]string) []diagnostic {
	var errs []diagnostic
	keep := false
	for _, d := range ds {
		if d.severity != "note" {
			m := toBfloat.FindStringSubmatch(d.message)
			_, ours := texts[strings.TrimPrefix(d.file, "include/")]
			if keep = m != nil && ours; keep {
				d.severity, d.message = "error", fmt.Sprintf("cannot implicitly convert '%s' to 'bfloat'", m[1])
			}
		}
		if keep {
			errs = append(errs, d)
		}
	}
	return errs
}

// CompileError is what a source that does not compile gives. Its text is Metal's: one line a
// diagnostic, and below each the source line with a caret.
type CompileError struct {
	diags []diagnostic
	texts map[string][]string
}

// Error renders the diagnostics as Metal prints them.
func (e *CompileError) Error() string {
	var b strings.Builder
	n := 0
	for _, d := range e.diags {
		if d.isError() {
			n++
		}
		fmt.Fprintf(&b, "%s:%d:%d: %s: %s\n", d.file, d.line, d.col, d.severity, d.message)
		if t := e.texts[d.file]; d.line >= 1 && d.line <= len(t) {
			l := t[d.line-1]
			fmt.Fprintln(&b, l)
			pad := []byte(l[:max(0, min(d.col-1, len(l)))])
			for i, c := range pad {
				if c != '\t' {
					pad[i] = ' '
				}
			}
			fmt.Fprintf(&b, "%s^\n", pad)
		}
	}
	s := "s"
	if n == 1 {
		s = ""
	}
	fmt.Fprintf(&b, "%d error%s generated.", n, s)
	return b.String()
}

// newCompileError keeps the errors with their notes, in the order of the source, each message once.
func newCompileError(ds []diagnostic, texts map[string]string) *CompileError {
	e := &CompileError{texts: map[string][]string{}}
	for f, t := range texts {
		e.texts[f] = strings.Split(t, "\n")
	}
	seen := map[diagnostic]bool{}
	keep := false
	for _, d := range ds {
		if d.severity != "note" {
			keep = d.isError() && !seen[d]
			seen[d] = true
		} else if _, ours := e.texts[d.file]; !ours {
			continue // a note that points into the emulator's own library
		}
		if keep {
			e.diags = append(e.diags, d)
		}
	}
	return e
}

// errorList collects the front end's own refusals.
type errorList struct {
	src   *source
	diags []diagnostic
}

func (l *errorList) add(t token, format string, a ...any) { l.put(t, "error", format, a...) }

// note adds to the error before it.
func (l *errorList) note(t token, format string, a ...any) { l.put(t, "note", format, a...) }

func (l *errorList) put(t token, severity, format string, a ...any) {
	l.diags = append(l.diags, diagnostic{l.src.files[t.file], t.line, -(t.nth + 1), severity, fmt.Sprintf(format, a...) + "\x00" + t.text})
}

// place turns the "nth token of this spelling" of the front end's refusals into columns.
func (l *errorList) place(texts map[string]string) []diagnostic {
	var errs [][]diagnostic // each with its notes
	for _, d := range l.diags {
		if msg, tok, ok := strings.Cut(d.message, "\x00"); ok {
			d.message = msg
			d.file = strings.TrimPrefix(d.file, "include/")
			d.col = columnOf(lineOf(texts[d.file], d.line), tok, -d.col-1)
		}
		if n := len(errs); n > 0 && d.severity == "note" {
			errs[n-1] = append(errs[n-1], d)
		} else {
			errs = append(errs, []diagnostic{d})
		}
	}
	slices.SortStableFunc(errs, func(a, b []diagnostic) int {
		if c := cmp.Compare(a[0].line, b[0].line); a[0].file == b[0].file {
			return c
		}
		if a[0].file == sourceName {
			return -1
		}
		return 1
	})
	l.diags = slices.Concat(errs...)
	return l.diags
}

func lineOf(text string, n int) string {
	for ; n > 1; n-- {
		_, rest, ok := strings.Cut(text, "\n")
		if !ok {
			return ""
		}
		text = rest
	}
	l, _, _ := strings.Cut(text, "\n")
	return l
}

// columnOf finds the nth token of a spelling in a source line; a token a macro made has none, and
// stands where the line begins.
func columnOf(line, spelling string, nth int) int {
	for i := 0; i < len(line); {
		if line[i] == ' ' || line[i] == '\t' {
			i++
			continue
		}
		n, _ := scan(line[i:])
		if line[i:i+n] == spelling {
			if nth == 0 {
				return i + 1
			}
			nth--
		}
		i += n
	}
	return len(line) - len(strings.TrimLeft(line, " \t")) + 1
}
