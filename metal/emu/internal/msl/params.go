package msl

import (
	"strings"

	"github.com/gollm/gollm/metal/emu/internal/kernel"
)

// builtins are the attributes that give a kernel its place, with the number of components at most.
var builtins = map[string]int{
	"thread_position_in_grid": 3, "threadgroup_position_in_grid": 3, "thread_position_in_threadgroup": 3,
	"threads_per_threadgroup": 3, "threads_per_grid": 3, "threadgroups_per_grid": 3, "dispatch_threads_per_threadgroup": 3,
	"grid_origin": 3, "grid_size": 3,
	"thread_index_in_threadgroup": 1, "thread_index_in_simdgroup": 1, "simdgroup_index_in_threadgroup": 1,
	"simdgroups_per_threadgroup": 1, "threads_per_simdgroup": 1, "thread_execution_width": 1,
	"dispatch_simdgroups_per_threadgroup": 1, "thread_index_in_quadgroup": 1, "quadgroup_index_in_threadgroup": 1,
	"quadgroups_per_threadgroup": 1, "dispatch_quadgroups_per_threadgroup": 1,
}

// readParams reads a kernel's parameters and gives indices to those that have none: the lowest free
// one, in the order of the declaration, as Metal does.
func (u *unit) readParams(d *decl) []param {
	var ps []param
	used := map[kernel.ArgKind]map[int]bool{kernel.ArgBuffer: {}, kernel.ArgThreadgroup: {}}
	table := func(k kernel.ArgKind) kernel.ArgKind {
		if k == kernel.ArgConstant {
			return kernel.ArgBuffer
		}
		return k
	}
	parts := split(u.src.tokens[d.parLo:d.parHi])
	for _, part := range parts {
		bare := without(part)
		if len(bare) == 0 || len(bare) == 1 && bare[0].is("void") {
			continue
		}
		p := param{Index: -1, tok: bare[0]}
		space, indirect, readonly := "", false, false
		name := -1
		for i := 0; i < len(bare); i++ {
			x := bare[i]
			switch {
			case x.is("device") || x.is("constant") || x.is("threadgroup") || x.is("thread") || x.is("threadgroup_imageblock") || x.is("ray_data") || x.is("object_data"):
				space = x.text
			case x.is("const") && !indirect:
				readonly = true
			case x.is("*") || x.is("&"):
				indirect = true
			case x.is("<"):
				if j := matchAngle(bare, i); j > 0 {
					i = j
				}
			case x.is("["):
				if j := match(bare, i); j > 0 {
					i = j
				}
			case x.kind == ident && !x.is("const") && !x.is("restrict") && !x.is("volatile") && !x.is("__restrict"):
				name = i
			}
		}
		if name < 0 {
			u.errs.add(bare[0], "kernel parameter has no name")
			continue
		}
		p.Name = bare[name].text
		var ty []token
		for i, x := range bare[:name] {
			if x.is("device") || x.is("constant") || x.is("threadgroup") || x.is("const") || x.is("volatile") || x.is("restrict") || x.is("__restrict") || i == name-1 && (x.is("*") || x.is("&")) {
				continue
			}
			ty = append(ty, x)
		}
		for len(ty) > 0 && (ty[len(ty)-1].is("*") || ty[len(ty)-1].is("&")) {
			ty = ty[:len(ty)-1]
		}
		p.Type = strings.TrimSpace(join(ty))
		if indirect {
			switch space {
			case "device":
				p.Kind, p.Access = kernel.ArgBuffer, kernel.ReadWrite
				if readonly {
					p.Access = kernel.Read
				}
			case "constant":
				p.Kind, p.Access = kernel.ArgConstant, kernel.Read
			case "threadgroup":
				p.Kind, p.Access = kernel.ArgThreadgroup, kernel.ReadWrite
			default:
				u.errs.add(bare[name], "pointer or reference parameter '%s' of a kernel must be in the device, constant or threadgroup address space", p.Name)
				continue
			}
		}
		for _, a := range attributes(part) {
			switch {
			case a.name == "buffer" || a.name == "threadgroup":
				n, err := u.eval(a.args, nil)
				if err != nil {
					u.errs.add(a.tok, "'%s' attribute requires an integer constant: %v", a.name, err)
					continue
				}
				want := kernel.ArgBuffer
				if a.name == "threadgroup" {
					want = kernel.ArgThreadgroup
				}
				if p.Kind == 0 || table(p.Kind) != want {
					u.errs.add(a.tok, "'%s' attribute cannot be applied to parameter '%s'", a.name, p.Name)
					continue
				}
				if n < 0 || n >= kernel.MaxBuffers {
					u.errs.add(a.tok, "'%s' attribute parameter is out of bounds: must be between 0 and %d", a.name, kernel.MaxBuffers-1)
					continue
				}
				if used[want][int(n)] {
					u.errs.add(a.tok, "cannot reserve '%s' resource location at index %d", a.name, n)
				}
				used[want][int(n)] = true
				p.Index = int(n)
			case a.name == "function_constant":
				p.Condition = join(a.args)
			case builtins[a.name] > 0:
				p.Builtin = a.name
			case a.name == "texture" || a.name == "sampler":
				u.errs.add(a.tok, "textures and samplers are not emulated")
			}
		}
		if p.Kind == 0 && p.Builtin == "" {
			u.errs.add(bare[name], "invalid type '%s' for input declaration in a kernel function: parameter '%s' has no address space and no attribute", p.Type, p.Name)
			continue
		}
		ps = append(ps, p)
	}
	if u.opts.Strict {
		u.inputs(d, ps)
	}
	for i := range ps {
		if p := &ps[i]; p.Kind != 0 && p.Index < 0 {
			n := 0
			for used[table(p.Kind)][n] {
				n++
			}
			if n >= kernel.MaxBuffers {
				u.errs.add(u.src.tokens[d.name], "too many buffer arguments: at most %d", kernel.MaxBuffers)
			}
			used[table(p.Kind)][n] = true
			p.Index = n
		}
	}
	return ps
}
