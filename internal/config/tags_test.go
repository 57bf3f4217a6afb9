package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

func tags(text string, workflow bool) (tagList, []error) {
	var bad problems
	p := tagParser{bad: &bad, workflow: workflow, place: func(line int) string { return fmt.Sprintf("tags, line %d", line) }}
	return p.parse(text), bad
}

func (l tagList) references() string {
	var all []string
	for _, d := range l.destinations {
		all = append(all, fmt.Sprintf("%d:%s", d.Line, d.Reference))
	}
	return strings.Join(all, " ")
}

func TestTags(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "",
		" \n , \n":                          "",
		"ghcr.io/me/app:1":                  "1:ghcr.io/me/app:1",
		"\n  ghcr.io/me/app:1  \n":          "2:ghcr.io/me/app:1",
		"ghcr.io/me/app:1,me/app:2":         "1:ghcr.io/me/app:1 1:docker.io/me/app:2",
		" a/b:1 , c/d:2 ,\n":                "1:docker.io/a/b:1 1:docker.io/c/d:2",
		"a/b,c/d":                           "1:docker.io/a/b:latest 1:docker.io/c/d:latest",
		"localhost:5000/a,localhost:5001/b": "1:localhost:5000/a:latest 1:localhost:5001/b:latest",
		"a/b:1\r\n\r\nc/d:2\r\na/b:1":       "1:docker.io/a/b:1 3:docker.io/c/d:2",
		"a/b:1,a/b:1":                       "1:docker.io/a/b:1",
		"[::1]:5000/a:1,[fd00::2]/b:2":      "1:[::1]:5000/a:1 1:[fd00::2]/b:2",
	} {
		got, bad := tags(text, true)
		if len(bad) > 0 || got.references() != want || len(got.skipped) > 0 {
			t.Errorf("%q: %q, %v, %v", text, got.references(), got.skipped, bad)
		}
	}
}

// TestCommaInABranchName: what a branch is called makes no destination.
func TestCommaInABranchName(t *testing.T) {
	const branch = "x,ghcr.io/acme/app"
	for name, written := range map[string]string{
		"behind":              "acme/app:pr-" + branch,
		"behind, with a line": "acme/app:pr-" + branch + "\n",
		"in the middle":       "acme/app:" + branch + "-1",
		"of two":              "acme/app:" + branch + ",quay.io/acme/app:" + branch,
		"in one of two lines": "acme/app:" + branch + "\nquay.io/acme/app:1",
		"in two lines":        "acme/app:" + branch + "\nquay.io/acme/app:" + branch,
		"as a tag of a line":  "quay.io/acme/app:1\nacme/app:x,y",
	} {
		got, bad := tags(written, true)
		if len(bad) == 0 || !usererror.Is(bad[0], usererror.InvalidTag) || !strings.HasPrefix(bad[0].Error(), "tags, line ") || usererror.Advice(bad[0]) == "" {
			t.Errorf("%s: %q is accepted as %s: %v", name, written, got.references(), bad)
		}
	}
	// Without a tag behind it everything is a repository, and nobody can tell.
	got, bad := tags("acme/app,ghcr.io/acme/app", true)
	if len(bad) > 0 || !slices.Equal(got.byComma, []string{"ghcr.io"}) {
		t.Errorf("%v, %v", got, bad)
	}
}

// TestFaultsOfOneDestination: all are told at once, each with its remedy, and what is true of a
// workflow alone is not told on a command line.
func TestFaultsOfOneDestination(t *testing.T) {
	_, bad := tags("ghcr.io/Acme/App:1.0+5", false)
	if len(bad) != 2 || !strings.Contains(usererror.Advice(bad[0]), `"acme/app"`) || !strings.Contains(usererror.Advice(bad[1]), "at most 128") {
		t.Errorf("%v", bad)
	}
	for _, workflow := range []bool{true, false} {
		for _, written := range []string{"1.0.0", "a/b:1\nc/d:1,e/f:1"} {
			_, bad := tags(written, workflow)
			if len(bad) != 1 || strings.Contains(usererror.Advice(bad[0]), "metadata-action") != workflow {
				t.Errorf("%q, workflow %t: %v", written, workflow, bad)
			}
		}
	}
}

// TestDestinationsByComma: a registry that only a comma makes a destination is pointed at,
// unless an item names it, or a tag shows that no branch's name made it.
func TestDestinationsByComma(t *testing.T) {
	for text, want := range map[string]string{
		"a/b,ghcr.io/a/b,quay.io/a/b":       "ghcr.io", // quay.io has an item
		"a/b:1,ghcr.io/a/b:1,quay.io/a/b:1": "",
		"a/b,localhost:5001/a/b":            "localhost:5001",
		"ghcr.io/a/b,ghcr.io/a/c":           "",
		"ghcr.io/a/b,quay.io/a/b":           "",
		"a/b\nghcr.io/a/b":                  "",
		"/b,ghcr.io/a/b":                    "",
	} {
		s, bad := read(t, nil, []string{"GITHUB_ACTIONS=true", "INPUT_TAGS=" + text, "INPUT_REGISTRY-AUTH=- registry: quay.io"}, "")
		warnings := strings.Join(s.Warnings, "\n")
		if len(bad) > 0 || (want == "") != (warnings == "") || !strings.HasPrefix(warnings, want) || strings.Count(warnings, "\n") > 0 {
			t.Errorf("%q: %q, %v", text, warnings, bad)
		}
	}
}

// TestSkippedTags: a line with an empty part says which registry it still names.
func TestSkippedTags(t *testing.T) {
	got, bad := tags("ghcr.io/a/b:1\n\nquay.io//app:main\n/app:1", true)
	if len(bad) > 0 || len(got.skipped) != 2 {
		t.Fatalf("%v, %v", got, bad)
	}
	if s := got.skipped[0]; s.Host != "quay.io" || s.String() != "tags, line 3, quay.io//app:main has an empty part; a variable in it is probably unset" {
		t.Errorf("%+v: %s", s, s)
	}
	if s := got.skipped[1]; s.Host != "" || s.Line != 4 {
		t.Errorf("%+v", s)
	}
}

// TestTagsOfOtherLanguages: what is no reference because it is another language's says so.
func TestTagsOfOtherLanguages(t *testing.T) {
	for text, c := range map[string]struct{ says, workflow, shell string }{
		"ghcr.io/a/b:${GITHUB_REF##*/}":               {"shell", "${{ github.ref_name }}", "double quotes"},
		"ghcr.io/a/b:$TAG":                            {"shell", "${{ github.ref_name }}", "double quotes"},
		"a/b:$(git describe)":                         {"shell", "${{ github.ref_name }}", "double quotes"},
		"a/b:1\na/b:${{ github.ref_name }}":           {"line 2", "workflow files only", "workflow files only"},
		`"ghcr.io/a/b:1"`:                             {"quotes", "Leave the quotes out", "Leave the quotes out"},
		`'ghcr.io/a/b:1', 'a/b:1'`:                    {"quotes", "Leave the quotes out", "Leave the quotes out"},
		`["ghcr.io/a/b:1", "a/b:1"]`:                  {"brackets", "one reference a line", "one reference a line"},
		"[ghcr.io/a/b:1]":                             {"brackets", "one reference a line", "one reference a line"},
		"- ghcr.io/a/b:1":                             {"dash", "Leave the dash out", "Leave the dash out"},
		"1.0.0":                                       {"bare word", "metadata-action", "REPOSITORY:TAG"},
		"a/b:1,1.0.0":                                 {"bare word", "metadata-action", "REPOSITORY:TAG"},
		"a/b@sha256:" + strings.Repeat("0", 64):       {"digest", "follows from what is published", "follows"},
		"a/b:1,a/b@sha256:" + strings.Repeat("0", 64): {"digest", "follows from what is published", "follows"},
	} {
		for _, workflow := range []bool{true, false} {
			advises := c.shell
			if workflow {
				advises = c.workflow
			}
			_, bad := tags(text, workflow)
			if len(bad) != 1 || !strings.Contains(bad[0].Error(), c.says) || !strings.Contains(usererror.Advice(bad[0]), advises) {
				t.Errorf("%q: %v: %s", text, bad, usererror.Advice(bad[0]))
			}
		}
	}
}

func FuzzTags(f *testing.F) {
	for _, seed := range []string{"a/b:1,c/d:2", "a/b\nc/d:2", " ,\n", "ghcr.io//a:1", "\r", "a/b:${x}", "- a", "[a]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, bad := tags(text, true)
		for _, d := range got.destinations {
			if d.Line < 1 || d.Line > 1+strings.Count(text, "\n") || d.Reference.Tag == "" {
				t.Errorf("%q: %+v", text, d)
			}
		}
		for _, err := range bad {
			if len(err.Error()) > 4000 {
				t.Errorf("a message of %d bytes", len(err.Error()))
			}
		}
	})
}
