package kerneltest

import "github.com/gollm/gollm/shaders"

func copyCases() (list []Case) {
	for _, s := range []struct {
		name                      string
		rows, stride, from, width int
	}{{"one_value", 1, 1, 0, 1}, {"first_columns", 3, 700, 0, 300}, {"last_columns", 3, 700, 401, 299}, {"one_row", 1, 1536, 512, 1000}} {
		list = append(list, Case{Op: "copy", Name: "columns_" + s.name, run: func(t *trial) {
			x, out := t.normal(s.rows*s.stride), t.alloc(4*s.rows*s.width)
			t.launch(step{shaders.CopyColumns(s.rows, s.stride, s.from, s.width), map[int]memory{shaders.CopyX: t.floats(x), shaders.CopyOut: out}})
			var want []float32
			for i := range s.rows {
				want = append(want, x[i*s.stride+s.from:][:s.width]...)
			}
			same(t, "the copy", out.floats(), want)
		}})
	}
	for _, s := range []struct {
		name               string
		height, rows, wide int
	}{{"one_value", 1, 1, 1}, {"some", 9, 4, 257}, {"the_same_again", 2, 7, 64}} {
		list = append(list, Case{Op: "copy", Name: "rows_" + s.name, run: func(t *trial) {
			x, out := t.normal(s.height*s.wide), t.alloc(4*s.rows*s.wide)
			var numbers []int32
			var want []float32
			for i := range s.rows {
				n := t.rng.IntN(s.height)
				if i == 0 {
					n = s.height - 1
				}
				numbers, want = append(numbers, int32(n)), append(want, x[n*s.wide:][:s.wide]...)
			}
			t.launch(step{shaders.CopyRows(s.rows, s.wide), map[int]memory{shaders.CopyX: t.floats(x), shaders.CopyOut: out, shaders.CopyRowNumbers: t.ints(numbers)}})
			same(t, "the copy", out.floats(), want)
		}})
	}
	return list
}
