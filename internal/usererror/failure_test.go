package usererror

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// told are the packages whose errors have kinds, the type of these, and what is told of each.
var told = map[string]struct {
	kind  string
	kinds map[string]explanation
}{
	"registry":    {"Kind", registryKinds},
	"blobcache":   {"Kind", nil},
	"imageref":    {"Kind", nil},
	"source":      {"ErrorKind", sourceKinds},
	"credentials": {"ErrorKind", nil},
}

// TestEveryKindHasACode: what packages tell apart, people are told, and no more; and all of
// it can happen.
func TestEveryKindHasACode(t *testing.T) {
	explained := map[Code]bool{}
	for _, e := range catalogue() {
		explained[e.Code] = true
	}
	from := map[string]string{}
	for name, of := range told {
		declared := declaredIn(t, name, of.kind)
		for kind := range declared {
			if code := explain(kind).code; !explained[code] {
				t.Errorf("%s: kind %q has the code %q, which is none", name, kind, code)
			}
		}
		for kind := range of.kinds {
			if !declared[kind] {
				t.Errorf("%s has no kind %q", name, kind)
			}
			if from[kind] != "" {
				t.Errorf("%s and %s have a kind %q", name, from[kind], kind)
			}
			from[kind] = name
		}
	}
}

// TestEveryRuleHasARemedy: so do the rules for references, and the hints for logins.
func TestEveryRuleHasARemedy(t *testing.T) {
	for _, of := range []struct {
		room, typ string
		remedies  map[string]string
	}{{"imageref", "Rule", rules}, {"credentials", "HintName", hints}} {
		declared := declaredIn(t, of.room, of.typ)
		for name := range declared {
			if of.remedies[name] == "" {
				t.Errorf("%s: %q has no remedy", of.room, name)
			}
		}
		for name := range of.remedies {
			if !declared[name] {
				t.Errorf("%s has no %s %q", of.room, of.typ, name)
			}
		}
	}
}

// declaredIn returns the constants of a type in a package below internal. Each must be used there.
func declaredIn(t *testing.T, name, typ string) map[string]bool {
	t.Helper()
	paths, err := filepath.Glob("../" + name + "/*.go")
	if err != nil {
		t.Fatal(err)
	}
	values, uses := map[string]string{}, map[string]int{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				if of, ok := n.Type.(*ast.Ident); ok && of.Name == typ && len(n.Values) == 1 {
					values[n.Names[0].Name], _ = literal(n.Values[0])
				}
			case *ast.Ident:
				uses[n.Name]++
			}
			return true
		})
	}
	declared := map[string]bool{}
	for constant, value := range values {
		if declared[value] = true; uses[constant] < 2 {
			t.Errorf("%s: nobody makes an error of %s", name, constant)
		}
	}
	if len(declared) == 0 {
		t.Fatalf("%s has no constants of the type %s", name, typ)
	}
	return declared
}
