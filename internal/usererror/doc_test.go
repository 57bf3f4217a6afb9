package usererror

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

//go:generate go test . -run ^TestErrorsPage$ -update

var update = flag.Bool("update", false, "write docs/errors.md anew")

const page = "../../docs/errors.md"

// TestErrorsPage keeps docs/errors.md and the code together: the page lists every code
// with its cause, its remedy, and the messages that the code can print under it.
func TestErrorsPage(t *testing.T) {
	found := survey(t)
	var b strings.Builder
	b.WriteString(`# Errors

<!-- Made from internal/usererror, the calls of usererror.New and the errors with a Kind by "go generate ./internal/usererror". -->

Every error ends with a code in brackets, such as ` + "`[wrong-credentials]`" + `. Look the code up here. In the messages
below, … stands for what differs from case to case: the registry, the repository, a file, a digest, the registry's own answer.

`)
	for _, e := range catalogue() {
		fmt.Fprintf(&b, "- [%s](#%s)\n", e.Code, e.Code)
	}
	for _, e := range catalogue() {
		fmt.Fprintf(&b, "\n## %s\n\n**Cause.** %s\n\n**What to do.** %s\n", e.Code, e.Cause, e.Remedy)
		b.WriteString("\n**Messages.**\n\n")
		if found.diagnosed[e.Code] {
			b.WriteString("- `REGISTRY/REPOSITORY: …: …`: [what was being done](#what-was-being-done), and what came of it\n")
		}
		for _, m := range found.messages[e.Code] {
			b.WriteString("- " + codeSpan(m) + "\n")
		}
		if len(found.messages[e.Code]) == 0 && !found.diagnosed[e.Code] {
			t.Errorf("no message of %s is known", e.Code)
		}
	}
	b.WriteString("\n## What was being done\n\nBehind the repository, messages about requests say which one it was:\n\n")
	for _, doing := range found.doings {
		b.WriteString("- " + codeSpan(doing) + "\n")
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
		t.Errorf("%s is not what the code says: run go generate ./internal/usererror\n%s", page, difference(string(got), b.String()))
	}
}

// TestEveryCodeIsExplainedAndUsed: no code without an entry, no entry without a use.
func TestEveryCodeIsExplainedAndUsed(t *testing.T) {
	used := survey(t).used
	explained := map[Code]bool{}
	for _, e := range catalogue() {
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
			t.Errorf("%s (%s) has no entry in catalogue", name, code)
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

// survey reads the program's source.
func survey(t *testing.T) *surveyor {
	t.Helper()
	s := newSurveyor(constants(t))
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
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || filepath.Base(filepath.Dir(path)) == "usererror" {
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
	// New makes these of problems of any kind.
	s.used[TooManyFiles], s.messages[TooManyFiles] = true, []string{"…: too many open files"}
	for code := range s.messages {
		s.messages[code] = sorted(s.messages[code])
	}
	s.doings = sorted(s.doings)
	return s
}

func sorted(all []string) []string {
	slices.Sort(all)
	return slices.Compact(all)
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
