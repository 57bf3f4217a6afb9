package actions

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const root = "../.."

// No other package of the program reads what the runner sets. What plays the runner
// itself, the demonstration and the tests, may.
func TestNobodyElseReadsTheRunnersVariables(t *testing.T) {
	variable := regexp.MustCompile(`^(INPUT|GITHUB|RUNNER|ACTIONS|GITEA|FORGEJO)_[A-Z_-]*=?$`)
	files := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && (name == "actions" || name == "demo" || name == "test" || name == "testdata" || strings.HasPrefix(name, ".") && path != root):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		files++
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if text, err := strconv.Unquote(literal.Value); err == nil && variable.MatchString(text) {
					t.Errorf("%s names %s", set.Position(literal.Pos()), text)
				}
			}
			return true
		})
		return nil
	})
	if err != nil || files < 50 {
		t.Fatalf("%d files, %v", files, err)
	}
}

// mostTemplateBytes bounds what the linker may keep of the template packages, which the
// library imports: their tables. Once AddStepSummaryTemplate can be reached, they are ten
// times that, and every exported method of the program is kept by its name.
const mostTemplateBytes = 64 << 10

func TestNoTemplateIsLinked(t *testing.T) {
	if testing.Short() {
		t.Skip("links the program")
	}
	binary := filepath.Join(t.TempDir(), "program")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	symbols, err := exec.CommandContext(t.Context(), "go", "tool", "nm", "-size", binary).Output()
	if err != nil {
		t.Fatal(err)
	}
	library, templates := false, 0
	for line := range strings.Lines(string(symbols)) {
		fields := strings.Fields(line)
		if len(fields) < 4 {
			continue
		}
		size, _ := strconv.Atoi(fields[1])
		name := strings.Join(fields[3:], " ")
		library = library || strings.HasPrefix(name, "github.com/sethvargo/go-githubactions.")
		for _, pkg := range []string{"text/template", "html/template"} {
			if rest, ok := strings.CutPrefix(name, pkg); ok && (rest[0] == '.' || rest[0] == '/') {
				templates += size
			}
			if strings.HasPrefix(name, pkg+".(*Template).Execute") {
				t.Errorf("%s is linked", name)
			}
		}
	}
	if !library {
		t.Error("the program does not use the library")
	}
	if t.Logf("%d bytes of templates are linked", templates); templates > mostTemplateBytes {
		t.Errorf("%d bytes of templates are linked", templates)
	}
}
