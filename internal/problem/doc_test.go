package problem

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

//go:generate go test . -run ^TestErrorsPage$ -update

var update = flag.Bool("update", false, "write docs/errors.md anew")

const page = "../../docs/errors.md"

// TestErrorsPage keeps docs/errors.md and the code together: the page lists every code
// with its cause, its remedy, and the messages that the code can print under it.
func TestErrorsPage(t *testing.T) {
	messages, _ := survey(t)
	var b strings.Builder
	b.WriteString(`# Errors

<!-- Made from internal/problem and the calls of problem.New by "go generate ./internal/problem". -->

Every error ends with a code in brackets, such as ` + "`[wrong-credentials]`" + `. Look the code up here. In the messages
below, … stands for what differs from case to case: the registry, the repository, a file, a digest, the registry's own answer.

`)
	for _, e := range Catalogue() {
		fmt.Fprintf(&b, "- [%s](#%s)\n", e.Code, e.Code)
	}
	for _, e := range Catalogue() {
		fmt.Fprintf(&b, "\n## %s\n\n**Cause.** %s\n\n**What to do.** %s\n", e.Code, e.Cause, e.Remedy)
		if len(messages[e.Code]) > 0 {
			b.WriteString("\n**Messages.**\n\n")
			for _, m := range messages[e.Code] {
				b.WriteString("- " + codeSpan(m) + "\n")
			}
		}
	}
	if *update {
		if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Errorf("%s is not what the code says: run go generate ./internal/problem\n%s", page, difference(string(got), b.String()))
	}
}

// TestEveryCodeIsExplainedAndUsed: no code without an entry, no entry without a use.
func TestEveryCodeIsExplainedAndUsed(t *testing.T) {
	_, used := survey(t)
	explained := map[Code]bool{}
	for _, e := range Catalogue() {
		if explained[e.Code] {
			t.Errorf("%s has two entries", e.Code)
		}
		explained[e.Code] = true
		if !strings.HasSuffix(e.Cause, ".") || !strings.HasSuffix(e.Remedy, ".") {
			t.Errorf("%s: cause and remedy are sentences", e.Code)
		}
	}
	for name, code := range constants(t) {
		if !explained[code] {
			t.Errorf("%s (%s) has no entry in Catalogue", name, code)
		}
		if !used[code] {
			t.Errorf("%s (%s) is used nowhere", name, code)
		}
	}
}

// constants returns the codes by the names of their constants.
func constants(t *testing.T) map[string]Code {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]Code{}
	ast.Inspect(f, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == 1 {
			if text, ok := literal(v.Values[0]); ok {
				out[v.Names[0].Name] = Code(text)
			}
		}
		return true
	})
	if len(out) == 0 {
		t.Fatal("codes.go has no constants")
	}
	return out
}

// site is a place that makes a problem: code and what of problem.New, or, when they come
// in as parameters of the function around, which parameters those are.
type site struct {
	code      Code
	codeParam int // -1: none
	whatParam int
}

// survey reads the program's source for the messages under each code, and for the codes
// that are used at all.
func survey(t *testing.T) (messages map[Code][]string, used map[Code]bool) {
	t.Helper()
	s := &surveyor{codes: constants(t), messages: map[Code][]string{}, used: map[Code]bool{}}
	packages := map[string][]*ast.File{}
	files := token.NewFileSet()
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == "test" || name == "testdata" || name == "demo" || name != ".." && strings.HasPrefix(name, ".") && path != "../.." {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || filepath.Base(filepath.Dir(path)) == "problem" {
			return nil
		}
		f, err := parser.ParseFile(files, path, nil, 0)
		if err == nil {
			packages[filepath.Dir(path)] = append(packages[filepath.Dir(path)], f)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, files := range packages {
		s.survey(files)
	}
	for code := range s.messages {
		slices.Sort(s.messages[code])
		s.messages[code] = slices.Compact(s.messages[code])
	}
	return s.messages, s.used
}

type surveyor struct {
	codes    map[string]Code
	messages map[Code][]string
	used     map[Code]bool
}

// survey reads one package: first the calls of problem.New, then the calls of those of
// its functions that pass their parameters on to one.
func (s *surveyor) survey(files []*ast.File) {
	wrappers := map[string]site{}
	each(files, func(f *ast.FuncDecl, call *ast.CallExpr) {
		if !isSelector(call.Fun, "problem", "New") || len(call.Args) < 3 {
			return
		}
		w := site{codeParam: param(f, call.Args[0]), whatParam: -1}
		w.code, _ = s.code(call.Args[0])
		what := call.Args[2]
		if inner, ok := what.(*ast.CallExpr); ok && isSelector(inner.Fun, "fmt", "Sprintf") && param(f, inner.Args[0]) >= 0 {
			what = inner.Args[0]
		}
		if w.whatParam = param(f, what); w.whatParam >= 0 || w.codeParam >= 0 {
			wrappers[f.Name.Name] = w
			if w.whatParam >= 0 {
				return
			}
		}
		s.note(w.code, text(call.Args[2]))
	})
	each(files, func(_ *ast.FuncDecl, call *ast.CallExpr) {
		w, ok := wrappers[called(call)]
		if !ok || max(w.codeParam, w.whatParam) >= len(call.Args) {
			return
		}
		code := w.code
		if w.codeParam >= 0 {
			code, _ = s.code(call.Args[w.codeParam])
		}
		if w.whatParam >= 0 {
			s.note(code, text(call.Args[w.whatParam]))
		}
	})
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			if e, ok := n.(ast.Expr); ok {
				if code, ok := s.code(e); ok {
					s.used[code] = true
				}
			}
			return true
		})
	}
}

var verb = regexp.MustCompile(`%[-+# 0-9.*\[\]]*[a-zA-Z]`)

func (s *surveyor) note(code Code, message string) {
	message = strings.ReplaceAll(verb.ReplaceAllString(message, "…"), "%%", "%")
	if code != "" && strings.Trim(message, "… :") != "" {
		s.messages[code] = append(s.messages[code], message)
	}
}

func (s *surveyor) code(e ast.Expr) (Code, bool) {
	if sel, ok := e.(*ast.SelectorExpr); ok && isSelector(e, "problem", sel.Sel.Name) {
		code, ok := s.codes[sel.Sel.Name]
		return code, ok
	}
	return "", false
}

// text renders what is known of a string expression.
func text(e ast.Expr) string {
	if s, ok := literal(e); ok {
		return s
	}
	switch e := e.(type) {
	case *ast.BinaryExpr:
		return text(e.X) + text(e.Y)
	case *ast.ParenExpr:
		return text(e.X)
	case *ast.CallExpr:
		if isSelector(e.Fun, "fmt", "Sprintf") {
			return text(e.Args[0])
		}
	}
	return "…"
}

func literal(e ast.Expr) (string, bool) {
	if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
		s, err := strconv.Unquote(lit.Value)
		return s, err == nil
	}
	return "", false
}

func isSelector(e ast.Expr, pkg, name string) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != name {
		return false
	}
	id, ok := sel.X.(*ast.Ident)
	return ok && id.Name == pkg
}

// called is the name of the function or method that is called.
func called(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// param returns which parameter of f the expression is, or -1.
func param(f *ast.FuncDecl, e ast.Expr) int {
	id, ok := e.(*ast.Ident)
	if !ok {
		return -1
	}
	i := 0
	for _, field := range f.Type.Params.List {
		for _, name := range field.Names {
			if name.Name == id.Name {
				return i
			}
			i++
		}
	}
	return -1
}

func each(files []*ast.File, visit func(*ast.FuncDecl, *ast.CallExpr)) {
	for _, f := range files {
		for _, d := range f.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
				ast.Inspect(f.Body, func(n ast.Node) bool {
					if call, ok := n.(*ast.CallExpr); ok {
						visit(f, call)
					}
					return true
				})
			}
		}
	}
}

func codeSpan(s string) string {
	if strings.Contains(s, "`") {
		return "`` " + s + " ``"
	}
	return "`" + s + "`"
}

// difference shows the lines that only one of two texts has.
func difference(a, b string) string {
	left, right := strings.Split(a, "\n"), strings.Split(b, "\n")
	var out strings.Builder
	for _, l := range left {
		if !slices.Contains(right, l) {
			out.WriteString("- " + l + "\n")
		}
	}
	for _, l := range right {
		if !slices.Contains(left, l) {
			out.WriteString("+ " + l + "\n")
		}
	}
	return out.String()
}
