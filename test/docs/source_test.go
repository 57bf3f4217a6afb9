package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// tests are the test functions of a folder, and what they use.
type tests struct {
	names []string                   // in the order of files and lines
	funcs map[string]*ast.FuncDecl   // by name; a method under its own name
	uses  map[string]map[string]bool // names and PATH.Name, by function or variable
}

// parseTests reads the test files of a folder.
func parseTests(t *testing.T, folder string) tests {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: no tests (%v)", folder, err)
	}
	all := tests{funcs: map[string]*ast.FuncDecl{}, uses: map[string]map[string]bool{}}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		paths := imports(file)
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				name := d.Name.Name
				all.uses[name] = used(d, paths, all.uses[name])
				all.funcs[name] = d
				if strings.HasPrefix(name, "Test") && name != "TestMain" && d.Recv == nil {
					all.names = append(all.names, name)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if v, ok := s.(*ast.ValueSpec); ok {
						for _, n := range v.Names {
							all.uses[n.Name] = used(v, paths, nil)
						}
					}
				}
			}
		}
	}
	return all
}

// imports returns the paths of a file's imports by the names that it has for them.
func imports(file *ast.File) map[string]string {
	paths := map[string]string{}
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		name := path[strings.LastIndexByte(path, '/')+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		paths[name] = path
	}
	return paths
}

// used adds what a declaration names to into: names of its own package, and PATH.Name of others.
func used(node ast.Node, paths map[string]string, into map[string]bool) map[string]bool {
	if into == nil {
		into = map[string]bool{}
	}
	ast.Inspect(node, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && paths[x.Name] != "" {
				into[paths[x.Name]+"."+n.Sel.Name] = true
				return false
			}
		case *ast.Ident:
			into[n.Name] = true
		}
		return true
	})
	return into
}

// reached returns what a function names, and what the functions and variables of its package that it
// names do.
func (ts tests) reached(name string) map[string]bool {
	all, todo := map[string]bool{}, []string{name}
	done := map[string]bool{name: true}
	for len(todo) > 0 {
		next := todo[0]
		todo = todo[1:]
		for use := range ts.uses[next] {
			all[use] = true
			if !done[use] && ts.uses[use] != nil {
				done[use] = true
				todo = append(todo, use)
			}
		}
	}
	return all
}

// all returns what any test names.
func (ts tests) all() map[string]bool {
	all := map[string]bool{}
	for _, uses := range ts.uses {
		for use := range uses {
			all[use] = true
		}
	}
	return all
}

// says returns the first sentence of a test's comment behind a colon, empty if it has none.
func (ts tests) says(name string) string { return sentence(ts.funcs[name].Doc, name) }

// mustSay is says for a test that has to be there.
func (ts tests) mustSay(t *testing.T, name string) string {
	t.Helper()
	if ts.funcs[name] == nil {
		t.Fatalf("there is no test %s", name)
	}
	return ts.says(name)
}

// sentence returns the first sentence of a comment, without the name that it begins with.
func sentence(doc *ast.CommentGroup, name string) string {
	text := strings.Join(strings.Fields(doc.Text()), " ")
	text = strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(text, name), ":"))
	for i := range text {
		if text[i] == '.' && (i+1 == len(text) || text[i+1] == ' ' && i+2 < len(text) && unicode.IsUpper(rune(text[i+2]))) {
			text = text[:i]
			break
		}
	}
	if text == "" {
		return ""
	}
	return ": " + strings.ReplaceAll(text, "|", "\\|")
}

// values returns the string literals behind a key in a function's composite literals.
func (ts tests) values(function, key string) []string {
	var values []string
	ast.Inspect(ts.funcs[function], func(n ast.Node) bool {
		pair, ok := n.(*ast.KeyValueExpr)
		if !ok {
			return true
		}
		if k, ok := pair.Key.(*ast.Ident); ok && k.Name == key {
			if literal, ok := pair.Value.(*ast.BasicLit); ok {
				if s, err := strconv.Unquote(literal.Value); err == nil {
					values = append(values, s)
				}
			}
		}
		return true
	})
	return values
}

// standIns returns the exported types of test/standins with what their comments say.
func standIns(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "test", "standins", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.TYPE && g.Doc != nil && len(g.Specs) == 1 {
				name := g.Specs[0].(*ast.TypeSpec).Name.Name
				if ast.IsExported(name) {
					found[name] = strings.TrimPrefix(sentence(g.Doc, name+" is"), ": ")
				}
			}
		}
	}
	return found
}
