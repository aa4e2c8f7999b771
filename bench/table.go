package bench

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
)

// Formats lists what NewTable can write.
func Formats() []string { return []string{"md", "csv", "json", "jsonl", "sql"} }

// A Table writes results in one of llama-bench's formats, a row at a time.
type Table interface {
	Add(*Result) error
	// Close ends the table; it does not close the writer.
	Close() error
}

// NewTable begins a table in the given format on w.
func NewTable(format string, w io.Writer) (Table, error) {
	p := &printer{w: w}
	switch format {
	case "md":
		return &markdown{printer: p}, nil
	case "csv":
		return &commas{w: csv.NewWriter(w)}, nil
	case "json":
		return &jsonArray{printer: p}, nil
	case "jsonl":
		return &jsonLines{enc: json.NewEncoder(w)}, nil
	case "sql":
		return &sql{printer: p}, nil
	}
	return nil, fmt.Errorf("bench: unknown table format %q (have %s)", format, strings.Join(Formats(), ", "))
}

// column is a column of the md table.
type column struct {
	name  string
	width int // negative for text on the left
	value func(*Result) string
}

var columns = []column{
	{"model", -30, func(r *Result) string { return r.Model }},
	{"size", 10, func(r *Result) string { return byteSize(r.Size) }},
	{"params", 10, func(r *Result) string { return count(r.Parameters) }},
	{"backend", -10, func(r *Result) string { return r.Backend }},
	{"ngl", 3, func(r *Result) string { return strconv.Itoa(r.GPULayers) }},
	{"threads", 7, func(r *Result) string { return strconv.Itoa(r.Threads) }},
	{"n_batch", 7, func(r *Result) string { return strconv.Itoa(r.Batch) }},
	{"type_k", 6, func(r *Result) string { return r.KeyType }},
	{"type_v", 6, func(r *Result) string { return r.ValueType }},
	{"test", 15, func(r *Result) string { return r.Test().String() }},
	{"t/s", 20, func(r *Result) string { return fmt.Sprintf("%.2f ± %.2f", r.AvgTS, r.StddevTS) }},
	{"of memory", 9, func(r *Result) string {
		if r.Share == 0 {
			return ""
		}
		return fmt.Sprintf("%.0f %%", 100*r.Share)
	}},
}

// defaultBatch and defaultCache are the batch size and the cache's type that need
// no column.
const (
	defaultBatch = 512
	defaultCache = "f16"
)

// shown reports whether a column says something in a table that begins with r.
func (c column) shown(r *Result) bool {
	switch c.name {
	case "ngl":
		return r.GPULayers > 0
	case "n_batch":
		return r.Batch != defaultBatch
	case "type_k", "type_v":
		return r.KeyType != defaultCache || r.ValueType != defaultCache
	}
	return true
}

type markdown struct {
	*printer
	columns []column
	commit  string
}

func (m *markdown) Add(r *Result) error {
	if m.columns == nil {
		for _, c := range columns {
			if c.shown(r) {
				m.columns = append(m.columns, c)
			}
		}
		m.commit = r.Commit
		var rule []string
		for _, c := range m.columns {
			dashes := strings.Repeat("-", max(c.width, -c.width)-1)
			if c.width > 0 {
				rule = append(rule, dashes+":")
			} else {
				rule = append(rule, dashes+"-")
			}
		}
		m.row(func(c column) string { return c.name })
		m.line("| %s |", strings.Join(rule, " | "))
	}
	m.row(func(c column) string { return c.value(r) })
	return m.err
}

func (m *markdown) row(cell func(column) string) {
	var cells []string
	for _, c := range m.columns {
		cells = append(cells, fmt.Sprintf("%*s", c.width, cell(c)))
	}
	m.line("| %s |", strings.Join(cells, " | "))
}

func (m *markdown) Close() error {
	if m.columns != nil {
		m.line("")
		m.line("build: gollm %s", m.commit)
	}
	return m.err
}

// byteSize writes a size as llama-bench does.
func byteSize(n int64) string {
	if n < 1<<30 {
		return fmt.Sprintf("%.2f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
}

func count(n int64) string {
	if n < 1e9 {
		return fmt.Sprintf("%.2f M", float64(n)/1e6)
	}
	return fmt.Sprintf("%.2f B", float64(n)/1e9)
}

// field is a column of the other formats: a field of Result.
type field struct {
	name   string
	number string // "", or the SQL type of numbers
	value  func(*Result) string
}

// fields are all of Result but the samples, and what llama-bench does not have.
func fields() []field {
	var out []field
	t := reflect.TypeFor[Result]()
	for i := range t.NumField() {
		f := field{name: t.Field(i).Tag.Get("json")}
		if strings.HasSuffix(f.name, ",omitempty") {
			continue
		}
		switch t.Field(i).Type.Kind() {
		case reflect.Slice:
			continue
		case reflect.Int, reflect.Int64:
			f.number = "INTEGER"
			f.value = func(r *Result) string { return strconv.FormatInt(reflect.ValueOf(r).Elem().Field(i).Int(), 10) }
		case reflect.Bool:
			f.number = "INTEGER"
			f.value = func(r *Result) string {
				if reflect.ValueOf(r).Elem().Field(i).Bool() {
					return "1"
				}
				return "0"
			}
		case reflect.Float64:
			f.number = "REAL"
			f.value = func(r *Result) string {
				return strconv.FormatFloat(reflect.ValueOf(r).Elem().Field(i).Float(), 'f', 6, 64)
			}
		default:
			f.value = func(r *Result) string { return reflect.ValueOf(r).Elem().Field(i).String() }
		}
		out = append(out, f)
	}
	return out
}

type commas struct {
	w     *csv.Writer
	begun bool
}

func (c *commas) Add(r *Result) error {
	var names, values []string
	for _, f := range fields() {
		names, values = append(names, f.name), append(values, f.value(r))
	}
	if !c.begun {
		c.begun = true
		c.w.Write(names)
	}
	c.w.Write(values)
	c.w.Flush()
	return c.w.Error()
}

func (c *commas) Close() error { return c.w.Error() }

type jsonArray struct {
	*printer
	rows int
}

func (j *jsonArray) Add(r *Result) error {
	b, err := json.MarshalIndent(r, "  ", "  ")
	if err != nil {
		return err
	}
	before := ",\n  "
	if j.rows == 0 {
		before = "[\n  "
	}
	j.rows++
	if j.err == nil {
		_, j.err = fmt.Fprintf(j.w, "%s%s", before, b)
	}
	return j.err
}

func (j *jsonArray) Close() error {
	if j.rows == 0 {
		j.line("[]")
	} else {
		j.line("\n]")
	}
	return j.err
}

type jsonLines struct{ enc *json.Encoder }

func (j *jsonLines) Add(r *Result) error { return j.enc.Encode(r) }
func (j *jsonLines) Close() error        { return nil }

type sql struct {
	*printer
	begun bool
}

func (s *sql) Add(r *Result) error {
	var defs, names, values []string
	for _, f := range fields() {
		typ, value := f.number, f.value(r)
		if typ == "" {
			typ, value = "TEXT", "'"+strings.ReplaceAll(value, "'", "''")+"'"
		}
		defs, names, values = append(defs, "  "+f.name+" "+typ), append(names, f.name), append(values, value)
	}
	if !s.begun {
		s.begun = true
		s.line("CREATE TABLE IF NOT EXISTS llama_bench (\n%s\n);\n", strings.Join(defs, ",\n"))
	}
	s.line("INSERT INTO llama_bench (%s) VALUES (%s);", strings.Join(names, ", "), strings.Join(values, ", "))
	return s.err
}

func (s *sql) Close() error { return s.err }
