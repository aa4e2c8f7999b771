package msl

import "sort"

// findUses notes for each kernel which function constants it may read: those its text names,
// directly or through the functions, constants and types it names.
func (u *unit) findUses() {
	t := u.src.tokens
	byName := map[string][]*decl{}
	for _, d := range u.decls {
		if d.instantiation {
			continue
		}
		if d.name >= 0 {
			byName[t[d.name].text] = append(byName[t[d.name].text], d)
			continue
		}
		for i := d.lo; i+1 < d.hi; i++ { // a struct: its methods belong to its name
			if t[i].kind == ident && (t[i].is("struct") || t[i].is("class")) {
				byName[t[i+1].text] = append(byName[t[i+1].text], d)
			}
		}
	}
	index := map[string]int{}
	for _, c := range u.constants {
		index[c.Name] = c.Index
	}
	var walk func(d *decl, seen map[*decl]bool, found map[int]bool)
	visit := func(toks []token, seen map[*decl]bool, found map[int]bool) {
		for _, x := range toks {
			if x.kind != ident {
				continue
			}
			if i, ok := index[x.text]; ok {
				found[i] = true
			}
			for _, d := range byName[x.text] {
				walk(d, seen, found)
			}
		}
	}
	walk = func(d *decl, seen map[*decl]bool, found map[int]bool) {
		if seen[d] {
			return
		}
		seen[d] = true
		visit(t[d.lo:d.hi], seen, found)
	}
	for _, e := range u.entries {
		found := map[int]bool{}
		seen := map[*decl]bool{}
		visit(lex(e.Expr).tokens, seen, found)
		for _, p := range e.Params {
			if p.Condition != "" {
				visit(lex(p.Condition).tokens, seen, found)
			}
		}
		e.Uses = nil
		for i := range found {
			e.Uses = append(e.Uses, i)
		}
		sort.Ints(e.Uses)
	}
}
