package archtest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/gollm/gollm/engine/internal/testmodel"
	"github.com/gollm/gollm/gguf"
)

// edit changes a description of a tiny model to that of a variant: other
// metadata, and the tensors' shapes with it.
type edit struct{ *testmodel.Description }

func (e edit) architecture() string { return e.value("general.architecture").(string) }

func (e edit) value(key string) any {
	for _, p := range e.Metadata {
		if p.Key == key {
			return p.Value
		}
	}
	panic(fmt.Sprintf("archtest: no key %q in %s", key, e.Source))
}

// get returns one of the architecture's integers.
func (e edit) get(key string) int { return int(e.value(e.architecture() + "." + key).(uint32)) }

// set sets one of the architecture's keys: integers become uint32 and floats
// float32, as most keys are.
func (e edit) set(key string, value any) edit {
	switch v := value.(type) {
	case int:
		value = uint32(v)
	case float64:
		value = float32(v)
	}
	e.Set(e.architecture()+"."+key, value)
	return e
}

// unset removes some of the architecture's keys.
func (e edit) unset(keys ...string) edit {
	e.Delete(func(key string) bool {
		name, ok := strings.CutPrefix(key, e.architecture()+".")
		return ok && slices.Contains(keys, name)
	})
	return e
}

// drop removes the tensors whose names contain one of the given strings.
func (e edit) drop(parts ...string) edit {
	e.Tensors = slices.DeleteFunc(e.Tensors, func(t testmodel.Tensor) bool {
		return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(t.Name, p) })
	})
	return e
}

func (e edit) add(name string, dims ...int) edit {
	e.Tensors = append(e.Tensors, testmodel.Tensor{Name: name, Type: gguf.F32, Dims: dims})
	return e
}

// clean removes the biases and scales that few real files have.
func (e edit) clean() edit { return e.drop(".bias", ".scale", ".input_scale") }

// tie removes the output's own weights.
func (e edit) tie() edit {
	e.Tensors = slices.DeleteFunc(e.Tensors, func(t testmodel.Tensor) bool { return t.Name == "output.weight" })
	return e
}

// reshape gives the tensors of that name, in any layer, other dimensions.
func (e edit) reshape(name string, dims func(old []int) []int) {
	for i, t := range e.Tensors {
		if t.Name == name || strings.HasPrefix(t.Name, "blk.") && strings.HasSuffix(t.Name, "."+name) {
			e.Tensors[i].Dims = dims(slices.Clone(t.Dims))
		}
	}
}

// layers changes the number of layers: more repeat the last, and lists of a
// value a layer start over.
func (e edit) layers(n int) edit {
	old := e.get("block_count")
	prefix := fmt.Sprintf("blk.%d.", old-1)
	last := slices.Clone(e.Tensors)
	for i := old; i < n; i++ {
		for _, t := range last {
			if name, ok := strings.CutPrefix(t.Name, prefix); ok {
				e.add(fmt.Sprintf("blk.%d.%s", i, name), t.Dims...)
			}
		}
	}
	for i, p := range e.Metadata {
		v := reflect.ValueOf(p.Value)
		if v.Kind() != reflect.Slice || v.Len() != old || !strings.HasPrefix(p.Key, e.architecture()) {
			continue
		}
		list := reflect.MakeSlice(v.Type(), n, n)
		for j := range n {
			list.Index(j).Set(v.Index(j % old))
		}
		e.Metadata[i].Value = list.Interface()
	}
	return e.set("block_count", n)
}

// narrow changes the width of the model and of its feed-forward networks, for
// models of many layers. Heads are to be changed before, to another width in all.
func (e edit) narrow(width, ff int) edit {
	is := map[int]int{e.get("embedding_length"): width, e.get("feed_forward_length"): ff}
	for i, t := range e.Tensors {
		e.Tensors[i].Dims = slices.Clone(t.Dims)
		for j, n := range t.Dims {
			if to, ok := is[n]; ok {
				e.Tensors[i].Dims[j] = to
			}
		}
	}
	return e.set("embedding_length", width).set("feed_forward_length", ff)
}

// heads changes the number of query and KV heads and their width.
func (e edit) heads(heads, kvHeads, width int) edit {
	d, old := e.get("embedding_length"), e.get("attention.key_length")
	oldQ := old * e.get("attention.head_count")
	oldKV := old * e.get("attention.head_count_kv")
	e.set("attention.head_count", heads).set("attention.head_count_kv", kvHeads)
	for _, key := range []string{"attention.key_length", "attention.value_length", "attention.key_length_swa", "attention.value_length_swa", "rope.dimension_count", "rope.dimension_count_swa"} {
		e.set(key, width)
	}
	for name, columns := range map[string]int{"attn_q": heads * width, "attn_k": kvHeads * width, "attn_v": kvHeads * width, "attn_qkv": (heads + 2*kvHeads) * width} {
		e.reshape(name+".weight", func([]int) []int { return []int{d, columns} })
		e.reshape(name+".bias", func([]int) []int { return []int{columns} })
	}
	e.reshape("attn_output.weight", func([]int) []int { return []int{heads * width, d} })
	e.reshape("attn_sinks.weight", func([]int) []int { return []int{heads} })
	for name, n := range map[string]int{"attn_q_norm.weight": heads, "attn_k_norm.weight": kvHeads} {
		e.reshape(name, func(dims []int) []int {
			switch {
			case dims[0] == old: // a head's
				dims[0] = width
			case len(dims) == 1 && (dims[0] == oldQ || dims[0] == oldKV): // all heads' together
				dims[0] = n * width
			}
			if len(dims) == 2 { // each head's own
				dims[1] = n
			}
			return dims
		})
	}
	for _, name := range []string{"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"} {
		e.reshape(name, func([]int) []int { return []int{width / 2} })
	}
	return e
}

// turning changes how many columns of a head turn.
func (e edit) turning(n int) edit {
	for _, name := range []string{"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"} {
		e.reshape(name, func([]int) []int { return []int{n / 2} })
	}
	return e.set("rope.dimension_count", n).set("rope.dimension_count_swa", n)
}

// experts changes how many experts there are and how many a token uses.
func (e edit) experts(n, used int) edit {
	e.reshape("ffn_gate_inp.weight", func(d []int) []int { return []int{d[0], n} })
	e.reshape("ffn_gate_inp.bias", func([]int) []int { return []int{n} })
	for i, t := range e.Tensors {
		if strings.Contains(t.Name, "_exps.") {
			e.Tensors[i].Dims = append(slices.Clone(t.Dims[:len(t.Dims)-1]), n)
		}
	}
	return e.set("expert_count", n).set("expert_used_count", used)
}

// fuseQKV joins the projections to queries, keys and values.
func (e edit) fuseQKV() edit {
	for i := range e.get("block_count") {
		name := func(s string) string { return fmt.Sprintf("blk.%d.attn_%s", i, s) }
		d, columns := 0, 0
		for _, t := range e.Tensors {
			if slices.Contains([]string{name("q.weight"), name("k.weight"), name("v.weight")}, t.Name) {
				d = t.Dims[0]
				columns += t.Dims[1]
			}
		}
		e.drop(name("q."), name("k."), name("v."))
		e.add(name("qkv.weight"), d, columns).add(name("qkv.bias"), columns)
	}
	return e
}

// yarn stretches the context: by a factor, from the length of the training.
func (e edit) yarn(factor float64, original int) edit {
	return e.set("rope.scaling.type", "yarn").set("rope.scaling.factor", factor).set("rope.scaling.original_context_length", original)
}
