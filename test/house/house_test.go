// Package house holds the picture that docs/architecture.md draws: which package may use
// which, in which words, and how large things may be.
package house

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/multi-registry-push/multi-registry-push/"
)

// file is a Go file of what ships.
type file struct {
	name string // from the root, with slashes
	text string
	tree *ast.File
	set  *token.FileSet
}

// room is the file's package, as the picture names it: internal/registry/auth is
// registry/auth, the root is main.
func (f file) room() string {
	folder := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(f.name)), "internal/")
	if folder == "." {
		return "main"
	}
	return folder
}

// files returns the Go files of the root package and of internal, without tests.
func files(t *testing.T) []file {
	t.Helper()
	var all []file
	add := func(path string) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		set := token.NewFileSet()
		tree, err := parser.ParseFile(set, path, b, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, file{name: filepath.ToSlash(name), text: string(b), tree: tree, set: set})
	}
	ships := func(name string) bool { return strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") }
	top, err := filepath.Glob(filepath.Join(root, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range top {
		if ships(path) {
			add(path)
		}
	}
	err = filepath.WalkDir(filepath.Join(root, "internal"), func(path string, _ fs.DirEntry, err error) error {
		if err == nil && ships(path) {
			add(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 100 {
		t.Fatalf("only %d files", len(all))
	}
	return all
}

// floors are the rooms from the bottom up. A room uses those below its own floor, and of
// its own floor only what beside names.
var floors = [][]string{
	{"redact", "retry", "suggest", "jsondoc"},
	{"usererror"},
	{"imageref"},
	{"image"},
	{"registry/transport", "registry/auth", "registry"},
	{"blobcache"},
	{"credentials", "source"},
	{"config"},
	{"publish"},
	{"report"},
	{"actions", "verify"},
	{"app"},
	{"main"},
	{"retry/clocktest"}, // for tests: nobody uses it
}

// beside are the arrows between rooms of one floor.
var beside = map[string][]string{
	"registry":           {"registry/transport", "registry/auth"},
	"registry/auth":      {"registry/transport"},
	"registry/transport": {},
}

// TestArrowsGoDown: no package uses one that stands above it.
func TestArrowsGoDown(t *testing.T) {
	floor := map[string]int{}
	for i, rooms := range floors {
		for _, room := range rooms {
			floor[room] = i
		}
	}
	for _, f := range files(t) {
		own, known := floor[f.room()]
		if !known {
			t.Errorf("%s: the picture has no room %s", f.name, f.room())
			continue
		}
		for _, i := range f.tree.Imports {
			path := strings.Trim(i.Path.Value, `"`)
			used, ours := strings.CutPrefix(path, module+"internal/")
			if !ours {
				continue
			}
			below, known := floor[used]
			if !known || below > own || below == own && !slices.Contains(beside[f.room()], used) {
				t.Errorf("%s uses %s, which does not stand below it", f.name, used)
			}
		}
	}
}

// TestErrorsHaveKinds: the packages that do not say things to people return errors of their own, with a
// kind of which usererror alone makes a code and a remedy.
func TestErrorsHaveKinds(t *testing.T) {
	kinds := []string{"imageref", "image", "registry", "registry/auth", "registry/transport", "blobcache", "source",
		"credentials"}
	for _, f := range files(t) {
		for _, i := range f.tree.Imports {
			if slices.Contains(kinds, f.room()) && strings.HasSuffix(i.Path.Value, `/usererror"`) {
				t.Errorf("%s uses usererror", f.name)
			}
		}
	}
}

// TestOnlyOneKnowsGitHub: no other package than actions names the runner's variables or
// uses its library.
func TestOnlyOneKnowsGitHub(t *testing.T) {
	variable := regexp.MustCompile(`^(GITHUB|RUNNER|ACTIONS|INPUT)_[A-Z_]*$`)
	for _, f := range files(t) {
		if f.room() == "actions" {
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if ok && literal.Kind == token.STRING && variable.MatchString(strings.Trim(literal.Value, "`\"")) {
				t.Errorf("%s names %s", f.set.Position(literal.Pos()), literal.Value)
			}
			return true
		})
		for _, i := range f.tree.Imports {
			if strings.Contains(i.Path.Value, "go-githubactions") {
				t.Errorf("%s uses %s", f.name, i.Path.Value)
			}
		}
	}
}

// TestNobodyReadsTheEnvironment: the environment comes in as a parameter, from main.
func TestNobodyReadsTheEnvironment(t *testing.T) {
	for _, f := range files(t) {
		if f.room() == "main" {
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && isName(s.X, "os") && slices.Contains([]string{"Getenv", "LookupEnv", "Environ"}, s.Sel.Name) {
				t.Errorf("%s reads the environment", f.set.Position(n.Pos()))
			}
			return true
		})
	}
}

func isName(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// TestWords: nobody uses the words that only we understood, tests included.
func TestWords(t *testing.T) {
	private := regexp.MustCompile(`\b(goods|shelf|weigh|bring|brings|surroundings|bought|announce)\b`)
	looked := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || filepath.Base(path) == "house_test.go" {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		looked++
		for i, line := range strings.Split(string(raw), "\n") {
			if word := private.FindString(line); word != "" {
				t.Errorf("%s:%d: %s", path, i+1, word)
			}
		}
		return nil
	})
	if err != nil || looked < 300 {
		t.Errorf("%d files: %v", looked, err)
	}
}

// Exceptions to the sizes below, each with its reason.
var (
	longLines     = map[string]string{}
	longFunctions = map[string]string{"catalogue": "a table: each code with its cause and remedy"}
)

// TestSizes: no line above 120 columns, no function above 60 lines.
func TestSizes(t *testing.T) {
	for _, f := range files(t) {
		for i, line := range strings.Split(f.text, "\n") {
			if width := len([]rune(strings.ReplaceAll(line, "\t", "    "))); width > 120 {
				if at := fmt.Sprintf("%s:%d", f.name, i+1); longLines[at] == "" {
					t.Errorf("%s has %d columns", at, width)
				}
			}
		}
		for _, d := range f.tree.Decls {
			function, ok := d.(*ast.FuncDecl)
			if !ok || function.Body == nil {
				continue
			}
			from, to := f.set.Position(function.Pos()).Line, f.set.Position(function.End()).Line
			if lines := to - from + 1; lines > 60 && longFunctions[function.Name.Name] == "" {
				t.Errorf("%s:%d: %s has %d lines", f.name, from, function.Name.Name, lines)
			}
		}
	}
}

// largeInterfaces are those of more than five methods, each with its reason.
var largeInterfaces = map[string]string{
	"Observer": "one listener is told all that goes on in a run; six small ones would be handed on together everywhere",
}

// contexts are the structs that hold a context, each with its reason.
var contexts = map[string]string{
	"reader":         "an io.Reader of the blob cache: Read takes no context",
	"blobBody":       "an io.Reader of a registry's answer: Read takes no context",
	"verifiedReader": "an io.Reader of a local blob: Read takes no context",
}

// TestShapes: no context in a struct, no interface of more than five methods, a doc.go in
// every package.
func TestShapes(t *testing.T) {
	documented, rooms := map[string]bool{}, map[string]bool{}
	for _, f := range files(t) {
		rooms[f.room()] = true
		if filepath.Base(f.name) == "doc.go" && f.tree.Doc != nil {
			documented[f.room()] = true
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			at := f.set.Position(n.Pos())
			switch shape := spec.Type.(type) {
			case *ast.StructType:
				for _, field := range shape.Fields.List {
					if s, ok := field.Type.(*ast.SelectorExpr); ok && isName(s.X, "context") && s.Sel.Name == "Context" &&
						contexts[spec.Name.Name] == "" {
						t.Errorf("%s: %s holds a context", at, spec.Name)
					}
				}
			case *ast.InterfaceType:
				if n := len(shape.Methods.List); n > 5 && largeInterfaces[spec.Name.Name] == "" {
					t.Errorf("%s: %s has %d methods", at, spec.Name, n)
				}
			}
			return true
		})
	}
	for room := range rooms {
		if room != "main" && !documented[room] {
			t.Errorf("internal/%s has no doc.go", room)
		}
	}
}
