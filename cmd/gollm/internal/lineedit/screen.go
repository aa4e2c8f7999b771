package lineedit

import (
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// columns returns how many columns a character takes.
func columns(r rune) int {
	switch {
	case r == '\n':
		return 1 // a place to stand on
	case r == '\t':
		return len(tabShown)
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// tabShown is what a tab is shown as.
const tabShown = "    "

// page is a message laid out in rows.
type page struct {
	rows     []string
	widths   []int // of rows, in columns
	row, col int   // of the cursor
}

// layout puts text into rows of at most most columns. The cursor stands before
// text[cursor].
func layout(prompt, more string, text []rune, cursor, most int) page {
	var p page
	var row strings.Builder
	col := 0
	begin := func(prefix string) {
		row.WriteString(prefix)
		col += len(prefix)
	}
	finish := func() {
		p.rows, p.widths = append(p.rows, row.String()), append(p.widths, col)
		row.Reset()
		col = 0
	}
	begin(prompt)
	for i, r := range text {
		n := columns(r)
		if r == '\n' {
			n = 0
		}
		// The cursor, too, needs a column to stand in.
		if col > 0 && (col+n > most || i == cursor && col >= most) {
			finish()
		}
		if i == cursor {
			p.row, p.col = len(p.rows), col
		}
		switch r {
		case '\n':
			finish()
			begin(more)
		case '\t':
			row.WriteString(tabShown)
		default:
			row.WriteRune(r)
		}
		col += n
	}
	if cursor >= len(text) {
		if col >= most {
			finish()
		}
		p.row, p.col = len(p.rows), col
	}
	finish()
	return p
}

// screen is what was last shown of a page.
type screen struct {
	widths   []int // of the rows shown
	row, col int   // of the cursor, from the first row shown
}

// update returns what shows p in place of what is shown, in a window of
// the given size. Where p is higher than the window, the rows about the
// cursor are shown.
func (s *screen) update(p page, width, height int) string {
	// A narrower window has broken the rows that were wider.
	above := s.col / width
	for _, w := range s.widths[:min(s.row, len(s.widths))] {
		above += max(1, (w+width-1)/width)
	}
	top := max(0, min(p.row-height/2, len(p.rows)-height))
	bottom := min(len(p.rows), top+height)

	var b strings.Builder
	if above > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", above)
	}
	b.WriteString("\r\x1b[J")
	b.WriteString(strings.Join(p.rows[top:bottom], "\r\n"))
	if n := bottom - 1 - p.row; n > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", n)
	}
	b.WriteString("\r")
	if p.col > 0 {
		fmt.Fprintf(&b, "\x1b[%dC", p.col)
	}
	*s = screen{p.widths[top:bottom], p.row - top, p.col}
	return b.String()
}
