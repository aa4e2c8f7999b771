package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/gollm/gollm/gguf"
	"github.com/urfave/cli/v3"
)

// fileInfo is what info says of a model; its JSON is the form of --json.
type fileInfo struct {
	File      string        `json:"file"`
	Parts     []string      `json:"parts"` // the files it is in, in order
	Version   int           `json:"version"`
	Size      int64         `json:"size"` // bytes of all parts
	Alignment int           `json:"alignment"`
	Metadata  []gguf.Pair   `json:"metadata"`
	Tensors   []tensorInfo  `json:"tensors"`
	Types     []typeSummary `json:"types"` // by bytes, most first
	// Values and Bytes are of all tensors together.
	Values        int     `json:"values"`
	Bytes         int     `json:"bytes"`
	BitsPerWeight float64 `json:"bits_per_weight"`
}

type tensorInfo struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Dims   []int  `json:"dims"` // fastest varying first
	Bytes  int    `json:"bytes"`
	Part   int    `json:"part"`   // index in Parts
	Offset int64  `json:"offset"` // in the part
}

type typeSummary struct {
	Type    string `json:"type"`
	Tensors int    `json:"tensors"`
	Values  int    `json:"values"`
	Bytes   int    `json:"bytes"`
}

func infoCommand() *cli.Command {
	return &cli.Command{
		Name:      "info",
		Usage:     "print what is in a model file",
		ArgsUsage: "FILE",
		Flags:     []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print everything, as JSON"}},
		Action: func(_ context.Context, c *cli.Command) error {
			path, err := oneArgument(c)
			if err != nil {
				return err
			}
			return printInfo(c.Root().Writer, path, c.Bool("json"))
		},
	}
}

// printInfo prints what is in the model file at path: for people, with long
// strings and arrays shortened, or the whole of it as JSON.
func printInfo(w io.Writer, path string, asJSON bool) error {
	f, err := gguf.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info := describe(f)
	if !asJSON {
		return info.print(w)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(info)
}

func describe(f *gguf.File) *fileInfo {
	info := &fileInfo{
		File: f.Name(), Parts: f.Paths(), Version: f.Version, Size: f.Size(), Alignment: f.Alignment,
		Metadata: f.Pairs, Tensors: []tensorInfo{}, Types: []typeSummary{},
	}
	if info.Metadata == nil {
		info.Metadata = []gguf.Pair{}
	}
	types := map[gguf.Type]*typeSummary{}
	for _, t := range f.Tensors {
		info.Tensors = append(info.Tensors, tensorInfo{t.Name, t.Type.String(), t.Dims, len(t.Data), t.Part, t.Offset})
		s := types[t.Type]
		if s == nil {
			s = &typeSummary{Type: t.Type.String()}
			types[t.Type] = s
		}
		s.Tensors++
		s.Values += t.Elements()
		s.Bytes += len(t.Data)
		info.Values += t.Elements()
		info.Bytes += len(t.Data)
	}
	for _, s := range types {
		info.Types = append(info.Types, *s)
	}
	slices.SortFunc(info.Types, func(a, b typeSummary) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Type, b.Type))
	})
	if info.Values > 0 {
		info.BitsPerWeight = 8 * float64(info.Bytes) / float64(info.Values)
	}
	return info
}

func (i *fileInfo) print(w io.Writer) error {
	// A table is aligned over all of its lines, so each gets its own writer.
	out := &strings.Builder{}
	table := func(lines func(t io.Writer)) {
		t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		lines(t)
		t.Flush()
	}
	fmt.Fprintf(out, "%s: GGUF version %d, %s bytes, alignment %d\n", i.File, i.Version, group(i.Size), i.Alignment)
	if len(i.Parts) > 1 {
		for n, p := range i.Parts {
			fmt.Fprintf(out, "  part %d: %s\n", n+1, p)
		}
	}

	fmt.Fprintf(out, "\nmetadata: %d\n", len(i.Metadata))
	table(func(t io.Writer) {
		for _, p := range i.Metadata {
			fmt.Fprintf(t, "  %s\t%s\t%s\n", plain(p.Key), kindName(p.Value), short(p.Value, 60))
		}
	})

	fmt.Fprintf(out, "\ntensors: %d\n", len(i.Tensors))
	table(func(t io.Writer) {
		for _, s := range i.Tensors {
			dims := make([]string, len(s.Dims))
			for n, d := range s.Dims {
				dims[n] = strconv.Itoa(d)
			}
			fmt.Fprintf(t, "  %s\t%s\t%s\t%s bytes", plain(s.Name), s.Type, strings.Join(dims, " × "), group(s.Bytes))
			if len(i.Parts) > 1 {
				fmt.Fprintf(t, "\tpart %d", s.Part+1)
			}
			fmt.Fprintln(t)
		}
	})

	fmt.Fprintf(out, "\ntypes: %d\n", len(i.Types))
	table(func(t io.Writer) {
		for _, s := range i.Types {
			fmt.Fprintf(t, "  %s\t%s\t%s values\t%s bytes\n", s.Type, tensors(s.Tensors), group(s.Values), group(s.Bytes))
		}
	})
	fmt.Fprintf(out, "\n%s values in %s bytes: %.2f bits per weight\n", group(i.Values), group(i.Bytes), i.BitsPerWeight)
	_, err := io.WriteString(w, out.String())
	return err
}

func tensors(n int) string {
	if n == 1 {
		return "1 tensor"
	}
	return group(n) + " tensors"
}

// group writes a number with a comma every three digits.
func group[T int | int64](n T) string {
	s := strconv.FormatInt(int64(n), 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// plain is a name as it is, or in quotes when it would do something to a terminal.
func plain(name string) string {
	if q := strconv.Quote(name); q != `"`+name+`"` {
		return q
	}
	return name
}

// kindName is "uint32", "string[512]", "array[2]".
func kindName(v any) string {
	kind, elem, _ := gguf.KindOf(v)
	if kind == gguf.KindArray {
		return fmt.Sprintf("%v[%d]", elem, reflect.ValueOf(v).Len())
	}
	return kind.String()
}

// short writes a value in about width characters.
func short(v any, width int) string {
	switch v := v.(type) {
	case string:
		if utf8.RuneCountInString(v) <= width {
			return strconv.Quote(v)
		}
		return fmt.Sprintf("%q… (%s bytes)", string([]rune(v)[:width]), group(len(v)))
	case float32:
		return strconv.FormatFloat(float64(v), 'g', -1, 32)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	if kind, _, _ := gguf.KindOf(v); kind != gguf.KindArray {
		return fmt.Sprint(v)
	}
	var list []string
	array := reflect.ValueOf(v)
	for i, room := 0, width; i < array.Len(); i++ {
		s := short(array.Index(i).Interface(), min(room, 20))
		if room -= utf8.RuneCountInString(s) + 2; room < 0 {
			list = append(list, "…")
			break
		}
		list = append(list, s)
	}
	return "[" + strings.Join(list, ", ") + "]"
}
