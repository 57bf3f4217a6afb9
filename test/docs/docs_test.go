// Package docs checks what people copy and read: workflows, recipes, tables, links.
package docs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/rhysd/actionlint"

	"github.com/multi-registry-push/multi-registry-push/internal/app"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
)

const root = "../.."

// workflow is a workflow in the repository: a file, or a block in a page.
type workflow struct {
	name string // path, and the block's line in a page
	text []byte
}

// workflows returns every workflow: our own, the recipes, those of tests, and whole ones
// in pages.
func workflows(t *testing.T) []workflow {
	t.Helper()
	var all []workflow
	for _, pattern := range []string{".github/workflows/*.yml", "docs/recipes/*.yml", "testdata/workflows/*.yml"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if filepath.Base(path) != "gitlab-ci.yml" {
				all = append(all, workflow{path, read(t, path)})
			}
		}
	}
	for _, page := range pages(t) {
		for _, block := range blocks(page, string(read(t, page)), "yaml", "yml") {
			if regexp.MustCompile(`(?m)^on:`).Match(block.text) {
				all = append(all, block)
			}
		}
	}
	for i := range all { // Forgejo's name GitHub's actions by their address
		all[i].text = bytes.ReplaceAll(all[i].text, []byte("uses: https://github.com/"), []byte("uses: "))
	}
	if len(all) < 10 {
		t.Fatalf("only %d workflows found", len(all))
	}
	return all
}

// pages returns the repository's Markdown, golden files aside.
func pages(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", ".github/*.md"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, paths...)
	}
	return all
}

// blocks returns the fenced blocks of the languages.
func blocks(name, text string, languages ...string) []workflow {
	var all []workflow
	var open *workflow
	for i, line := range strings.Split(text, "\n") {
		language, fence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case open != nil && fence:
			all = append(all, *open)
			open = nil
		case open != nil:
			open.text = append(open.text, line+"\n"...)
		case fence && slices.Contains(languages, language):
			open = &workflow{name: fmt.Sprintf("%s:%d", name, i+1)}
		}
	}
	return all
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestActionlint: actionlint accepts every workflow.
func TestActionlint(t *testing.T) {
	linter, err := actionlint.NewLinter(io.Discard, &actionlint.LinterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	project, err := actionlint.NewProject(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range workflows(t) {
		found, err := linter.Lint(w.name, w.text, project)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range found {
			t.Errorf("%s:%d:%d: %s [%s]", w.name, e.Line, e.Column, e.Message, e.Kind)
		}
	}
}

// parsed is what the tests below look at in a workflow.
type parsed struct {
	On          any
	Permissions any
	Concurrency any
	Env         map[string]string
	Jobs        map[string]struct {
		Permissions any
		Concurrency any
		Env         map[string]string
		Uses        string
		Needs       any
		Container   any
		Services    map[string]struct{ Image string }
		Steps       []step
	}
}

// step is a step of a job.
type step struct {
	ID   string
	Uses string
	Run  string
	Env  map[string]string
	With map[string]any
}

func parse(t *testing.T, w workflow) parsed {
	t.Helper()
	var p parsed
	if err := yaml.Unmarshal(w.text, &p); err != nil {
		t.Fatalf("%s: %v", w.name, err)
	}
	return p
}

func ours(uses string) bool {
	return uses == "./" || strings.HasPrefix(uses, "multi-registry-push/multi-registry-push@") ||
		strings.HasPrefix(uses, "multi-registry-push/multi-registry-push/native@")
}

var expression = regexp.MustCompile(`(?s)\$\{\{.*?\}\}`)

// TestStepsOnAFork runs our step of every workflow as a pull request from a fork has it:
// every secret and variable empty, no OIDC token. The inputs must be right, and since
// nothing has credentials, nothing is sent and the step is green.
func TestStepsOnAFork(t *testing.T) {
	definition := read(t, filepath.Join(root, "action.yml"))
	steps := 0
	for _, w := range workflows(t) {
		if strings.Contains(w.name, "testdata/workflows") || strings.Contains(w.name, ".github/workflows/ci.yml") {
			continue // they publish to registries that need no credentials
		}
		for name, job := range parse(t, w).Jobs {
			for i, step := range job.Steps {
				if !ours(step.Uses) {
					continue
				}
				steps++
				t.Run(fmt.Sprintf("%s/%s/%d", strings.TrimPrefix(w.name, root+"/"), name, i), func(t *testing.T) {
					temp := t.TempDir()
					event := filepath.Join(temp, "event.json")
					if err := os.WriteFile(event, []byte(`{"pull_request":{"head":{"repo":{"id":2,"full_name":"fork/app"}},"base":{"repo":{"id":1,"full_name":"acme/app"}}}}`), 0o600); err != nil {
						t.Fatal(err)
					}
					output := filepath.Join(temp, "output")
					if err := os.WriteFile(output, nil, 0o600); err != nil {
						t.Fatal(err)
					}
					environ := []string{
						"GITHUB_ACTIONS=true", "GITHUB_OUTPUT=" + output, "GITHUB_SERVER_URL=https://github.com", "GITHUB_ACTOR=stranger", "GITHUB_REPOSITORY=acme/app",
						"GITHUB_EVENT_NAME=pull_request", "GITHUB_EVENT_PATH=" + event, "HOME=" + temp, "INPUT_GITHUB-TOKEN=",
					}
					for key, value := range step.With {
						environ = append(environ, "INPUT_"+strings.ToUpper(key)+"="+onAFork(fmt.Sprint(value)))
					}
					var out bytes.Buffer
					status := app.Main(context.Background(), app.Env{Environ: environ, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Definition: definition})
					if status != 0 || !strings.Contains(out.String(), "Nothing was published") {
						t.Errorf("exit status %d:\n%s", status, out.String())
					}
				})
			}
		}
	}
	if steps < 10 {
		t.Errorf("only %d steps of ours found", steps)
	}
}

// onAFork fills in what the runner would. Tags computed by docker/metadata-action are
// there on a fork, too.
func onAFork(value string) string {
	return expression.ReplaceAllStringFunc(value, func(e string) string {
		switch {
		case strings.Contains(e, "toJSON(steps."):
			image := strings.Split(e, ".")[1] // the step that made the tags
			return fmt.Sprintf(`"ghcr.io/acme/%s:pr-7\ndocker.io/acme/%[1]s:pr-7"`, image)
		case strings.Contains(e, "version"):
			return "1.2.0"
		case strings.Contains(e, "outputs.tags"):
			return "ghcr.io/acme/app:pr-7\ndocker.io/acme/app:pr-7"
		case strings.Contains(e, "env.TAGS"):
			return "docker.io/acme/app:latest"
		case strings.Contains(e, "toJSON("):
			return "null"
		case strings.Contains(e, "inputs."), strings.Contains(e, "github.ref_name"), strings.Contains(e, "matrix."), strings.Contains(e, "github.sha"):
			return "value"
		}
		return ""
	})
}

// TestPinnedAndMinimal: our own workflows name actions by commit, with the version behind
// it, and give a token nothing that no job asked for.
func TestPinnedAndMinimal(t *testing.T) {
	pinned := regexp.MustCompile(`^\s*(- )?uses: ([\w.-]+/[\w./-]+)@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	for _, w := range workflows(t) {
		if !strings.Contains(w.name, ".github/workflows") {
			continue
		}
		for i, line := range strings.Split(string(w.text), "\n") {
			if text := strings.TrimPrefix(strings.TrimSpace(line), "- "); strings.HasPrefix(text, "uses:") && !strings.HasPrefix(text, "uses: ./") && !pinned.MatchString(line) {
				t.Errorf("%s:%d: %s is not pinned by commit with its version behind it", w.name, i+1, strings.TrimSpace(line))
			}
		}
		p := parse(t, w)
		if m, ok := p.Permissions.(map[string]any); !ok || len(m) != 0 {
			t.Errorf("%s: permissions at the top are %v, not {}", w.name, p.Permissions)
		}
		for name, job := range p.Jobs {
			if job.Permissions == nil {
				t.Errorf("%s: job %s says no permissions", w.name, name)
			}
		}
	}
}

// TestSafeSteps: in every workflow, copied ones included, no checkout leaves its token
// behind and is what is built, and no expression is pasted into a script; a release uses no cache.
func TestSafeSteps(t *testing.T) {
	caches := map[string]string{"actions/setup-go": "cache", "docker/setup-buildx-action": "cache-binary"}
	checked := 0
	for _, w := range workflows(t) {
		for name, job := range parse(t, w).Jobs {
			checkedOut := false
			for _, step := range job.Steps {
				uses, _, _ := strings.Cut(step.Uses, "@")
				checkedOut = checkedOut || uses == "actions/checkout"
				if checkedOut && uses == "docker/build-push-action" && step.With["context"] == nil {
					t.Errorf("%s: job %s builds what BuildKit fetches from git, not what it has checked out", w.name, name)
				}
				if uses == "actions/checkout" && step.With["persist-credentials"] != false && !strings.Contains(w.name, "testdata") {
					t.Errorf("%s: job %s keeps the token of its checkout", w.name, name)
				}
				if expression.MatchString(step.Run) {
					t.Errorf("%s: job %s has an expression in a script: %s", w.name, name, step.Run)
				}
				if input := caches[uses]; input != "" && filepath.Base(w.name) == "release.yml" {
					checked++
					if step.With[input] != false {
						t.Errorf("%s: job %s does not switch off the cache of %s", w.name, name, uses)
					}
				}
			}
		}
	}
	if checked < 3 {
		t.Errorf("only %d caches found in the release", checked)
	}
}

// TestAtomicRunsTakeTurns: wherever a step is atomic, a concurrency group keeps another run
// from writing the same tags meanwhile. In a recipe for releases the group is named after the
// release: GitHub cancels what waits in a group when one more comes.
func TestAtomicRunsTakeTurns(t *testing.T) {
	atomic := 0
	for _, w := range workflows(t) {
		if strings.Contains(w.name, "testdata/workflows") {
			continue
		}
		p := parse(t, w)
		for name, job := range p.Jobs {
			for _, step := range job.Steps {
				if !ours(step.Uses) || fmt.Sprint(step.With["atomic"]) != "true" {
					continue
				}
				atomic++
				group := fmt.Sprint(p.Concurrency, job.Concurrency)
				on := fmt.Sprint(p.On)
				if p.Concurrency == nil && job.Concurrency == nil {
					t.Errorf("%s: job %s is atomic without a concurrency group", w.name, name)
				}
				if !strings.Contains(w.name, "docs/recipes") {
					continue
				}
				if strings.Contains(on, "tags:") && !strings.Contains(group, "${{ github.ref }}") ||
					strings.Contains(on, "version:") && !strings.Contains(group, "${{ inputs.version }}") {
					t.Errorf("%s: releases of job %s share the group %s", w.name, name, group)
				}
			}
		}
	}
	if atomic < 5 {
		t.Errorf("only %d atomic steps found", atomic)
	}
}

// TestTables: the tables of the README have the inputs and outputs of action.yml, in its
// order, with its defaults.
func TestTables(t *testing.T) {
	var definition struct {
		Inputs yaml.MapSlice
		// Outputs keep their order too.
		Outputs yaml.MapSlice
	}
	if err := yaml.Unmarshal(read(t, filepath.Join(root, "action.yml")), &definition); err != nil {
		t.Fatal(err)
	}
	var inputs, outputs []string
	for _, item := range definition.Inputs {
		inputs = append(inputs, fmt.Sprintf("%s=%s", item.Key, defaultOf(item.Value)))
	}
	for _, item := range definition.Outputs {
		outputs = append(outputs, fmt.Sprint(item.Key))
	}
	text := string(read(t, filepath.Join(root, "README.md")))
	var gotInputs, gotOutputs []string
	for _, row := range table(text, "| Input | Default |") {
		gotInputs = append(gotInputs, fmt.Sprintf("%s=%s", strings.Trim(row[0], "`"), strings.Trim(row[1], "`")))
	}
	for _, row := range table(text, "| Output |") {
		gotOutputs = append(gotOutputs, strings.Trim(row[0], "`"))
	}
	if !slices.Equal(gotInputs, inputs) {
		t.Errorf("inputs in the README:\n%v\nin action.yml:\n%v", gotInputs, inputs)
	}
	if !slices.Equal(gotOutputs, outputs) {
		t.Errorf("outputs in the README:\n%v\nin action.yml:\n%v", gotOutputs, outputs)
	}
}

// defaultOf is how the table shows an input's default.
func defaultOf(value any) string {
	input, _ := value.(map[string]any)
	if input["required"] == true {
		return "required"
	}
	if d := fmt.Sprint(input["default"]); input["default"] != nil {
		return d
	}
	return ""
}

// table returns the cells of the rows below a heading.
func table(text, heading string) [][]string {
	_, rest, ok := strings.Cut(text, heading)
	if !ok {
		return nil
	}
	var rows [][]string
	for i, line := range strings.Split(rest, "\n") {
		if i < 2 {
			continue // the heading's own line, and the one below
		}
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(strings.ReplaceAll(strings.Trim(line, "|"), `\|`, "\x00"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(strings.ReplaceAll(cells[i], "\x00", "|"))
		}
		rows = append(rows, cells)
	}
	return rows
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)|(?:src|href|srcset)="([^"]+)"`)

// TestLinks: what a page links to within the repository is there, headings included.
func TestLinks(t *testing.T) {
	for _, page := range pages(t) {
		text := string(read(t, page))
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target := m[1] + m[2]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			path, anchor, _ := strings.Cut(target, "#")
			file := page
			if path != "" {
				file = filepath.Join(filepath.Dir(page), path)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s links to %s, which is not there", page, target)
				continue
			}
			if anchor != "" && strings.HasSuffix(file, ".md") && !slices.Contains(anchors(string(read(t, file))), anchor) {
				t.Errorf("%s links to %s, which has no such heading", page, target)
			}
		}
	}
}

// anchors are the names that GitHub gives the headings of a page.
func anchors(text string) []string {
	var all []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		name := strings.ToLower(regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(m[1], ""))
		all = append(all, strings.ReplaceAll(name, " ", "-"))
	}
	return all
}

// TestShell: the scripts are scripts.
func TestShell(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(root, "scripts/release-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(paths, filepath.Join(root, "docs/recipes/shell.sh"), filepath.Join(root, "docs/summary/render")) {
		if out, err := exec.CommandContext(t.Context(), "bash", "-n", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %s", path, out)
		}
	}
	var gitlab map[string]any
	if err := yaml.Unmarshal(read(t, filepath.Join(root, "docs/recipes/gitlab-ci.yml")), &gitlab); err != nil {
		t.Error(err)
	}
}

// TestSecretsComeFromTheEnvironment: outside a workflow recipes name the variable of a
// secret, and never paste its value into YAML.
func TestSecretsComeFromTheEnvironment(t *testing.T) {
	for _, name := range []string{"gitlab-ci.yml", "Jenkinsfile", "shell.sh"} {
		text := string(read(t, filepath.Join(root, "docs/recipes", name)))
		if strings.Count(text, "password-env:") < 2 || regexp.MustCompile(`\bpassword:`).MatchString(text) {
			t.Errorf("%s does not take every secret by password-env", name)
		}
	}
}

// TestRecipesAreListed: every recipe has its line in the recipes' page.
func TestRecipesAreListed(t *testing.T) {
	page := string(read(t, filepath.Join(root, "docs/recipes/README.md")))
	entries, err := os.ReadDir(filepath.Join(root, "docs/recipes"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "README.md" && !strings.Contains(page, "("+e.Name()+")") {
			t.Errorf("docs/recipes/README.md does not link to %s", e.Name())
		}
	}
}

// TestArchitecturePicture: the arrows of docs/architecture.md are the imports of the code,
// those of the packages that all others share aside, a package within another counted as that
// one; and each package is said to be something.
func TestArchitecturePicture(t *testing.T) {
	shared := []string{"usererror", "imageref", "redact", "suggest"}
	page := string(read(t, filepath.Join(root, "docs/architecture.md")))
	var drawn, imported []string
	for _, m := range regexp.MustCompile(`(?m)^  (\w+) --> (\w+)$`).FindAllStringSubmatch(page, -1) {
		drawn = append(drawn, m[1]+" --> "+m[2])
	}
	imports := regexp.MustCompile(`"github.com/multi-registry-push/multi-registry-push/internal/(\w+)[/\w]*"`)
	files := append(glob(t, "internal/*/*.go"), glob(t, "internal/*/*/*.go")...)
	for _, file := range append(files, filepath.Join(root, "main.go")) {
		name := filepath.ToSlash(strings.TrimPrefix(filepath.Dir(file), filepath.Join(root, "internal")+string(filepath.Separator)))
		from, _, _ := strings.Cut(name, "/")
		switch {
		case filepath.Dir(file) == filepath.Clean(root):
			from = "main"
		case filepath.Base(file) == "doc.go" && !strings.Contains(page, "`internal/"+name+"`"):
			t.Errorf("docs/architecture.md does not say what internal/%s is", name)
		}
		if strings.HasSuffix(file, "_test.go") || slices.Contains(shared, from) {
			continue
		}
		for _, m := range imports.FindAllStringSubmatch(string(read(t, file)), -1) {
			arrow := from + " --> " + m[1]
			if m[1] != from && !slices.Contains(shared, m[1]) && !slices.Contains(imported, arrow) {
				imported = append(imported, arrow)
			}
		}
	}
	slices.Sort(drawn)
	slices.Sort(imported)
	if !slices.Equal(drawn, imported) {
		t.Errorf("docs/architecture.md draws\n%s\nthe code imports\n%s", strings.Join(drawn, "\n"), strings.Join(imported, "\n"))
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestSummaryAsGitHubParsesIt: in a summary whose every outside text is markup, GitHub's
// own parser finds no element but those that the summary is made of.
func TestSummaryAsGitHubParsesIt(t *testing.T) {
	servers.Require(t, "cmark-gfm")
	path := filepath.Join(root, "internal/report/testdata/hostile.summary.md")
	html, err := exec.CommandContext(t.Context(), "cmark-gfm", "--unsafe", "-e", "table", "-e", "strikethrough", "-e", "autolink", "-e", "tasklist", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	ours := strings.Fields("h2 h3 p br strong code pre span table thead tbody tr th td ul li del details summary")
	for _, m := range regexp.MustCompile(`<([a-zA-Z][a-zA-Z0-9]*)[^>]*>`).FindAllStringSubmatch(string(html), -1) {
		if !slices.Contains(ours, m[1]) {
			t.Errorf("%s got through", m[0])
		}
	}
	if n := strings.Count(string(html), "<h2>"); n != 1 {
		t.Errorf("%d headings of the first kind", n)
	}
	if strings.Count(string(html), "<script") > 0 || !strings.Contains(string(html), "&lt;script&gt;") {
		t.Error("the script is not text")
	}
}

// TestCodesInPages: a code that a page names in brackets is explained in docs/errors.md.
func TestCodesInPages(t *testing.T) {
	explained := anchors(string(read(t, filepath.Join(root, "docs/errors.md"))))
	for _, page := range pages(t) {
		for _, m := range regexp.MustCompile("`\\[([a-z]+(?:-[a-z]+)*)\\]`").FindAllStringSubmatch(string(read(t, page)), -1) {
			if !slices.Contains(explained, m[1]) {
				t.Errorf("%s names [%s], which docs/errors.md does not explain", page, m[1])
			}
		}
	}
}

// TestFigures: what the README says was measured stands in docs/performance.md.
func TestFigures(t *testing.T) {
	measured := string(read(t, filepath.Join(root, "docs/performance.md")))
	_, section, _ := strings.Cut(string(read(t, filepath.Join(root, "README.md"))), "## How fast")
	section, _, _ = strings.Cut(section, "\n## ")
	figures := regexp.MustCompile(`\d+\.\d+ (?:s|×)`).FindAllString(section, -1)
	if len(figures) < 10 {
		t.Fatalf("only %d figures found", len(figures))
	}
	for _, f := range figures {
		if !regexp.MustCompile(`(?:^|[^\d.])` + regexp.QuoteMeta(f)).MatchString(measured) {
			t.Errorf("%s is not in docs/performance.md", f)
		}
	}
}
