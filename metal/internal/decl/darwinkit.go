package decl

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Bindings are the messages darwinkit's generated Go bindings send: by owner, + or -, and selector.
type Bindings map[string]Binding

// Binding is one of them: the Go types of the wrapper's parameters and result.
type Binding struct {
	Args []string
	Ret  string // "" for void
}

func key(owner string, class bool, selector string) string {
	if class {
		return "+[" + owner + " " + selector + "]"
	}
	return "-[" + owner + " " + selector + "]"
}

// Load reads the bindings in a module's folder: macos/metal and macos/foundation.
func Load(dir string) (Bindings, error) {
	all := Bindings{}
	for pkg, prefix := range map[string]string{"metal": "MTL", "foundation": "NS"} {
		files, err := filepath.Glob(filepath.Join(dir, "macos", pkg, "*.gen.go"))
		if err != nil || len(files) == 0 {
			return nil, fmt.Errorf("bindings of %s: %w", pkg, fs.ErrNotExist)
		}
		for _, f := range files {
			file, err := parser.ParseFile(token.NewFileSet(), f, nil, 0)
			if err != nil {
				return nil, err
			}
			for _, d := range file.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv != nil {
					all.add(fn, prefix)
				}
			}
		}
	}
	return all, nil
}

// add records a wrapper: a method whose body sends a message with objc.Call.
func (b Bindings) add(fn *ast.FuncDecl, prefix string) {
	var selector string
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) < 2 || !strings.HasPrefix(types.ExprString(call.Fun), "objc.Call[") {
			return true
		}
		sel, ok := call.Args[1].(*ast.CallExpr)
		if ok && types.ExprString(sel.Fun) == "objc.Sel" {
			selector, _ = strconv.Unquote(sel.Args[0].(*ast.BasicLit).Value)
		}
		return false
	})
	if selector == "" {
		return
	}
	recv := types.ExprString(fn.Recv.List[0].Type)
	name, class := strings.CutPrefix(recv, "_")
	owner := prefix + strings.TrimSuffix(strings.TrimSuffix(name, "Class"), "Object")
	if !class {
		owner = prefix + strings.TrimSuffix(name, "Object")
	}
	var w Binding
	for _, p := range fn.Type.Params.List {
		for range max(1, len(p.Names)) {
			w.Args = append(w.Args, types.ExprString(p.Type))
		}
	}
	if r := fn.Type.Results; r != nil {
		w.Ret = types.ExprString(r.List[0].Type)
	}
	k := key(owner, class, selector)
	// A message with an object argument may have two wrappers, of which one takes any object: the other
	// counts.
	if old, ok := b[k]; !ok || slices.Contains(old.Args, "objc.IObject") {
		b[k] = w
	}
}

// inherited are owners whose messages darwinkit declares with those who inherit them.
var inherited = map[string][]string{
	"NSObject": {"MTLCompileOptions", "NSString"},
}

// Find looks a declaration up.
func (b Bindings) Find(d Decl) (Binding, bool) {
	for _, o := range append([]string{d.Owner}, inherited[d.Owner]...) {
		if w, ok := b[key(o, d.Class, d.Selector)]; ok {
			return w, true
		}
	}
	return Binding{}, false
}

// Check holds a declaration against its binding: every argument, and the result.
func Check(d Decl, w Binding) error {
	if len(d.Args) != len(w.Args) {
		return fmt.Errorf("%s: %d arguments, the binding has %d", d, len(d.Args), len(w.Args))
	}
	for i, a := range d.Args {
		if !matches(a, d.Owner, w.Args[i]) {
			return fmt.Errorf("%s: argument %d is %s, the binding has %s", d, i+1, a.Name, w.Args[i])
		}
	}
	if !matches(d.Ret, d.Owner, w.Ret) {
		return fmt.Errorf("%s: result is %s, the binding has %q", d, d.Ret.Name, w.Ret)
	}
	return nil
}

// plain are the Go types of C types; a type with several was bound in several ways.
var plain = map[string][]string{
	"BOOL": {"bool"}, "NSUInteger": {"uint"}, "uint64_t": {"uint64"}, "NSInteger": {"int"}, "uint8_t": {"uint8"},
	"CFTimeInterval": {"corefoundation.TimeInterval"}, "SEL": {"objc.Selector"}, "MTLSize": {"Size"},
	"NSRange": {"foundation.Range", "Range"}, "NSString": {"string", "String", "ErrorDomain"},
	"NSArray":      {"foundation.Array", "Array"},
	"NSDictionary": {"foundation.Dictionary", "Dictionary"},
	"NSURL":        {"foundation.URL", "foundation.IURL", "URL"},
	"NSError":      {"foundation.Error", "Error"},
	"NSData":       {"[]byte", "foundation.Data"},
	"char":         {"*uint8"},
	"id":           {"objc.Object", "objc.IObject"},

	"NSStringEncoding": {"StringEncoding"},
}

// matches tells whether a declared type is bound as the Go type g.
func matches(t Type, owner, g string) bool {
	short := strings.TrimPrefix(strings.TrimPrefix(t.Name, "MTL"), "NS")
	switch t.Kind {
	case "Void":
		return g == ""
	case "Pointer":
		return g == "unsafe.Pointer"
	case "ObjectOut":
		return g == "unsafe.Pointer" || g == "*Autoreleased"+short
	case "ObjectArray", "UIntegerList":
		// darwinkit wraps C arrays as one object, or as a pointer to one word.
		return g == "unsafe.Pointer" || g == "*uint" || g == short+"Object" || g == "P"+short || g == "objc.Object" || g == "*objc.Object" || g == "objc.IObject"
	case "Words":
		return g == "*"+short
	case "Block":
		return strings.HasPrefix(g, "func(") || g == short
	}
	for _, p := range plain[t.Name] {
		if g == p {
			return true
		}
	}
	switch t.Kind {
	case "Object":
		// An NSArray or NSDictionary with element types, an object by class or by protocol.
		switch t.Name {
		case "NSArray":
			return strings.HasPrefix(g, "[]")
		case "NSDictionary":
			return strings.HasPrefix(g, "map[")
		case "instancetype":
			return g != "" && !strings.Contains(g, ".") // of whatever class was asked
		}
		return g == short || g == "I"+short || g == short+"Object" || g == "P"+short
	case "UInteger":
		return g == short // an enumeration
	}
	return false
}
