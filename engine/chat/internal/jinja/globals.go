package jinja

import (
	"math"
	"strconv"
	"strings"
)

// globals are the functions every template knows.
var globals = map[string]Value{
	"range": &function{"range", rangeFunc},
	"dict": &function{"dict", func(r *run, a callArgs) Value {
		d := &Dict{}
		r.update(d, a)
		return d
	}},
	"namespace": &function{"namespace", func(r *run, a callArgs) Value {
		d := &Dict{}
		r.update(d, a)
		return &namespace{d}
	}},
	"cycler": &function{"cycler", cycler},
	"joiner": &function{"joiner", joiner},
	"raise_exception": &function{"raise_exception", func(r *run, a callArgs) Value {
		v := one("raise_exception", "message", a)
		panic(&Error{Line: r.line, Msg: r.str(v), Raised: true})
	}},
	"strftime_now": &function{"strftime_now", func(r *run, a callArgs) Value {
		s, ok := text(one("strftime_now", "format", a))
		if !ok {
			fail("strftime() argument 1 must be str")
		}
		r.allocTimes(16, len(s))
		return r.strftime(s)
	}},
}

// one returns the only argument of a function.
func one(fn, param string, a callArgs) Value {
	if len(a.pos) == 1 && len(a.kw) == 0 {
		return a.pos[0]
	}
	if len(a.pos) != 0 || len(a.kw) != 1 || a.kw[0].name != param {
		fail("%s() takes one argument, %s", fn, param)
	}
	return a.kw[0].v
}

// maxRange is the length limit of jinja2's sandbox.
const maxRange = 100000

func rangeFunc(r *run, a callArgs) Value {
	if len(a.kw) > 0 || len(a.pos) < 1 || len(a.pos) > 3 {
		fail("range expected 1 to 3 arguments, got %d", len(a.pos)+len(a.kw))
	}
	n := [3]int64{0, 0, 1}
	for i, v := range a.pos {
		defined(v)
		x, ok := integer(v)
		if !ok {
			fail("'%s' object cannot be interpreted as an integer", typeName(v))
		}
		if x > math.MaxInt64/4 || x < math.MinInt64/4 {
			fail("Range too big.")
		}
		n[i] = x
	}
	start, stop, step := n[0], n[1], n[2]
	if len(a.pos) == 1 {
		start, stop = 0, n[0]
	}
	var size int64
	switch {
	case step == 0:
		fail("range() arg 3 must not be zero")
	case step > 0 && start < stop:
		size = (stop-start-1)/step + 1
	case step < 0 && start > stop:
		size = (start-stop-1)/-step + 1
	}
	if size > maxRange {
		fail("Range too big. The sandbox blocks ranges larger than MAX_RANGE (%d).", maxRange)
	}
	return &span{start: start, stop: stop, step: step, n: size}
}

func cycler(r *run, a callArgs) Value {
	if len(a.pos) == 0 {
		fail("at least one item has to be provided")
	}
	at := 0
	return &object{attr: func(name string) (Value, bool) {
		switch name {
		case "current":
			return a.pos[at], true
		case "next":
			return &function{name, func(*run, callArgs) Value {
				v := a.pos[at]
				at = (at + 1) % len(a.pos)
				return v
			}}, true
		case "reset":
			return &function{name, func(*run, callArgs) Value {
				at = 0
				return nil
			}}, true
		}
		return nil, false
	}}
}

func joiner(r *run, a callArgs) Value {
	sep := Value(", ")
	if len(a.pos)+len(a.kw) > 0 {
		sep = one("joiner", "sep", a)
	}
	used := false
	return &object{call: func(*run, callArgs) Value {
		if !used {
			used = true
			return ""
		}
		return sep
	}}
}

// strftime formats the time of the rendering as C does in its own locale.
func (r *run) strftime(format string) string {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		c := format[i]
		if c != '%' || i+1 == len(format) {
			b.WriteByte(c)
			continue
		}
		i++
		plain := format[i] == '-' && i+1 < len(format) // GNU: no padding
		if plain {
			i++
		}
		s, ok := r.timeField(format[i])
		if !ok {
			s = format[i-1 : i+1]
			if plain {
				s = format[i-2 : i+1]
			}
		} else if plain {
			if t := strings.TrimLeft(s, "0 "); t != "" {
				s = t
			} else {
				s = "0"
			}
		}
		b.WriteString(s)
	}
	return b.String()
}

// timeLayouts has Go's layout for a field of strftime.
var timeLayouts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'h': "Jan", 'B': "January",
	'c': "Mon Jan _2 15:04:05 2006", 'd': "02", 'D': "01/02/06", 'e': "_2",
	'F': "2006-01-02", 'H': "15", 'I': "03", 'j': "002", 'm': "01", 'M': "04",
	'p': "PM", 'r': "03:04:05 PM", 'R': "15:04", 'S': "05", 'T': "15:04:05",
	'x': "01/02/06", 'X': "15:04:05", 'y': "06", 'Y': "2006",
}

func (r *run) timeField(c byte) (string, bool) {
	t := r.now
	if layout, ok := timeLayouts[c]; ok {
		return t.Format(layout), true
	}
	two := func(n int) string { return strconv.Itoa(n/10) + strconv.Itoa(n%10) }
	weekday := int(t.Weekday())
	switch c {
	case '%':
		return "%", true
	case 'n':
		return "\n", true
	case 't':
		return "\t", true
	case 'C':
		return two(t.Year() / 100), true
	case 'f':
		return t.Format(".000000")[1:], true
	case 's':
		return strconv.FormatInt(t.Unix(), 10), true
	case 'u':
		return strconv.Itoa((weekday+6)%7 + 1), true
	case 'w':
		return strconv.Itoa(weekday), true
	case 'U':
		return two((t.YearDay() + 6 - weekday) / 7), true
	case 'W':
		return two((t.YearDay() + 6 - (weekday+6)%7) / 7), true
	case 'V':
		_, week := t.ISOWeek()
		return two(week), true
	case 'G':
		year, _ := t.ISOWeek()
		return strconv.Itoa(year), true
	case 'z', 'Z': // Python's datetime.now() has no time zone
		return "", true
	}
	return "", false
}
