package metal

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gollm/gollm/metal/internal/objc"
)

// wordsOf is how many words a message's arguments take, MTLSize left out: SendSizes takes those apart.
func wordsOf(d *objc.Decl) (n int) {
	for _, a := range d.Args {
		switch a.Kind {
		case objc.Size:
		case objc.Range:
			n += 2
		default:
			n++
		}
	}
	return n
}

// Every message is sent with as many words as it declares, and every declared message is sent.
func TestMessagesAreSentAsDeclared(t *testing.T) {
	byName := map[string]objc.Message{}
	names := constantNames(t)
	for i, n := range names {
		byName[n] = objc.Message(i)
	}
	used := map[string]bool{}
	var files []string
	for _, glob := range []string{"*.go", "internal/objc/*.go"} {
		list, err := filepath.Glob(glob)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, list...)
	}
	sends := 0
	fset := token.NewFileSet()
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || strings.HasSuffix(file, "messages.go") {
			continue
		}
		f, err := parser.ParseFile(fset, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				if _, known := byName[id.Name]; known {
					used[id.Name] = true
				}
			}
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 2 {
				return true
			}
			fun, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || call.Ellipsis.IsValid() {
				return true
			}
			fixed, ok := map[string]int{"Send": 2, "Bool": 2, "SendSizes": 4}[fun.Sel.Name]
			if !ok {
				return true
			}
			name := ""
			switch a := call.Args[0].(type) {
			case *ast.SelectorExpr:
				name = a.Sel.Name
			case *ast.Ident:
				name = a.Name
			}
			m, known := byName[name]
			if !known {
				return true // a parameter, not a constant
			}
			sends++
			if got, want := len(call.Args)-fixed, wordsOf(m.Decl()); got != want {
				t.Errorf("%s: %s is sent with %d words, it declares %d", fset.Position(call.Pos()), m, got, want)
			}
			return true
		})
	}
	for n, m := range byName {
		if !used[n] {
			t.Errorf("%s is declared and never sent", m)
		}
	}
	if sends < 100 {
		t.Errorf("only %d sends found", sends)
	}
}

// constantNames reads the names of the message constants in order.
func constantNames(t *testing.T) (names []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "internal/objc/messages.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range f.Decls[0].(*ast.GenDecl).Specs {
		names = append(names, s.(*ast.ValueSpec).Names[0].Name)
	}
	return names[:objc.Messages]
}

// A Linux program that uses this package without the emulator must stay a static binary, which what
// loads C libraries would end.
func TestNothingDynamicOnLinux(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", ".")
	cmd.Env = append(cmd.Environ(), "GOOS=linux", "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), "purego") || !strings.Contains(string(out), "gollm/metal/internal/objc") {
		t.Errorf("dependencies:\n%s", out)
	}
}
