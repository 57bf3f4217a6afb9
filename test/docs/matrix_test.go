package docs

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// serversModule is the package of the servers that tests start.
const serversModule = "github.com/multi-registry-push/multi-registry-push/test/servers"

// registries are the real servers that tests start, by the functions that start one.
var registries = []struct {
	name, module string
	starts       []string
}{
	{"Distribution 3", "github.com/distribution/distribution/v3", []string{serversModule + "/distribution.Start"}},
	{"Distribution 2.8", "", []string{serversModule + ".Distribution2"}}, // Debian's docker-registry
	{"olareg", "github.com/olareg/olareg", []string{serversModule + ".Olareg"}},
	{"go-containerregistry", "github.com/google/go-containerregistry",
		[]string{serversModule + ".GoContainerRegistry", "github.com/google/go-containerregistry/pkg/registry.New"}},
	{"ociregistry", "cuelabs.dev/go/oci/ociregistry", []string{serversModule + ".OCIRegistry"}},
}

// notTried is what no test can say.
const notTried = `## What was not tried

No registry that is run by somebody else: Docker Hub, GitHub Packages, Amazon ECR, Google, Azure, Quay and the others have
stand-ins for how they log in and refuse, written from their documentation. Of Harbor, Gitea, Forgejo, GitLab, Artifactory,
Nexus and zot no server was started. The runners of Gitea and Forgejo were only read; act, from which they are made, was
run. Docker engines newer than 20.10 are there as what they saved, and as stand-ins of their API.
`

// TestMatrixPage: docs/matrix.md says what was tried on which registry and with which builder, made
// from the tests themselves: a row has its test, and goes with it.
func TestMatrixPage(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("# What was tried\n\nMade from the tests by `go test ./docs -run TestMatrixPage -update` in " +
		"[test](../test/README.md): each row is a test, or what one takes.\n\n")
	registryTable(t, &b)
	builderTable(t, &b)
	standInTable(t, &b)
	b.WriteString(notTried)
	path := filepath.Join(root, "docs", "matrix.md")
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil { // #nosec G306 -- a page
			t.Fatal(err)
		}
	}
	if !bytes.Equal(read(t, path), b.Bytes()) {
		t.Errorf("%s is not what the tests make of it: go test ./docs -run %s -update", path, t.Name())
	}
}

// registryTable writes registries × tests that start them.
func registryTable(t *testing.T, b *bytes.Buffer) {
	t.Helper()
	b.WriteString("## Registries\n\nReal servers, on loopback, behind logins.\n\n| Test |")
	mod := string(read(t, filepath.Join(root, "test", "go.mod")))
	for _, r := range registries {
		version := ""
		of := regexp.MustCompile(regexp.QuoteMeta(r.module) + ` v(\S+)`)
		if m := of.FindStringSubmatch(mod); r.module != "" && m != nil {
			version = " (" + m[1] + ")"
		}
		b.WriteString(" " + r.name + version + " |")
	}
	b.WriteString("\n| --- |" + strings.Repeat(" :-: |", len(registries)) + "\n")
	tried := make([]int, len(registries))
	for _, folder := range []string{"e2e", "auth", "leak", "registry", "container"} {
		tests := parseTests(t, filepath.Join(root, "test", folder))
		for _, name := range tests.names {
			if strings.HasPrefix(name, "TestKit") {
				continue // a test of the server
			}
			used := tests.reached(name)
			row, starts := "", false
			for i, r := range registries {
				mark := ""
				if slices.ContainsFunc(r.starts, func(start string) bool { return used[start] }) {
					mark, starts = "✓", true
					tried[i]++
				}
				row += " " + mark + " |"
			}
			if starts {
				fmt.Fprintf(b, "| [%s](../test/%s) `%s`%s |%s\n", folder, folder, name, tests.says(name), row)
			}
		}
	}
	for i, n := range tried {
		if n == 0 {
			t.Errorf("no test starts %s", registries[i].name)
		}
	}
	b.WriteString("\n")
}

// lastForm is the form at the end of who wrote a file.
var lastForm = regexp.MustCompile(", `[^`]*`$")

// builderTable writes the forms in which builders leave images, as TestBuilders takes them.
func builderTable(t *testing.T, b *bytes.Buffer) {
	t.Helper()
	b.WriteString("## Builders\n\n`TestBuilders` publishes each of these to Distribution 2.8 and olareg; Buildah pulls it from there, " +
		"and it runs.\n" +
		"[testdata](../testdata/README.md) says more of the files.\n\n| Form | File | Written by |\n| --- | --- | --- |\n")
	writers := map[string]string{}
	before := ""
	for _, row := range table(string(read(t, filepath.Join(root, "testdata", "README.md"))), "| file | written by |") {
		if !strings.HasPrefix(row[1], "the same") {
			before = row[1]
		}
		said := strings.Replace(row[1], "the same", lastForm.ReplaceAllString(before, ""), 1)
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[0], -1) {
			writers[strings.TrimSuffix(m[1], "/")] = said
		}
	}
	tests := parseTests(t, filepath.Join(root, "test", "container"))
	seen := 0
	for _, source := range tests.values("TestBuilders", "source") {
		form, file, _ := strings.Cut(source, ":")
		name, _, _ := strings.Cut(file, ":")
		if writers[name] == "" {
			t.Errorf("testdata/README.md does not say who wrote %s", name)
		}
		seen++
		fmt.Fprintf(b, "| `%s` | `%s` | %s |\n", form, file, writers[name])
	}
	if seen < 10 {
		t.Errorf("only %d sources in TestBuilders", seen)
	}
	for _, name := range []string{"TestBuilt", "TestEngine", "TestActRecipes"} {
		fmt.Fprintf(b, "| | | `%s`%s |\n", name, tests.mustSay(t, name))
	}
	charts := parseTests(t, filepath.Join(root, "test", "e2e"))
	fmt.Fprintf(b, "| | | `TestArtifacts`%s |\n\n", charts.mustSay(t, "TestArtifacts"))
}

// standInTable writes what stands in for services that cannot run here, and registries that are
// not by the book.
func standInTable(t *testing.T, b *bytes.Buffer) {
	t.Helper()
	b.WriteString("## Stand-ins\n\nThey check what the real ones check: [test/standins](../test/standins).\n\n" +
		"| Stand-in | What it is |\n| --- | --- |\n")
	used := map[string]bool{}
	for _, folder := range []string{"auth", "leak", "e2e"} {
		for call := range parseTests(t, filepath.Join(root, "test", folder)).all() {
			used[call] = true
		}
	}
	all := standIns(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		const module = "github.com/multi-registry-push/multi-registry-push/test/standins."
		if !used[module+name] && !used[module+"New"+name] {
			continue
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", name, all[name])
	}
	b.WriteString("\nRegistries that are not by the book, each by a fake that behaves so:\n\n| Test |\n| --- |\n")
	for _, folder := range []string{"internal/registry", "internal/registry/auth"} {
		tests := parseTests(t, filepath.Join(root, folder))
		for _, name := range tests.names {
			if says := tests.says(name); says != "" {
				fmt.Fprintf(b, "| [%s](../%s) `%s`%s |\n", folder, folder, name, says)
			}
		}
	}
	b.WriteString("\n")
}
