package source

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

func TestParseAllLines(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		want  []string
		lines []int
		merge bool
	}{
		"one line":             {"ghcr.io/me/app:1", []string{"ghcr.io/me/app:1"}, []int{0}, false},
		"one line, its end":    {"ghcr.io/me/app:1\n", []string{"ghcr.io/me/app:1"}, []int{0}, false},
		"two":                  {"./a.tar\n./b.tar", []string{"./a.tar", "./b.tar"}, []int{1, 2}, true},
		"two, their end":       {"./a.tar\r\noci:b\r\n", []string{"./a.tar", "oci:b"}, []int{1, 2}, true},
		"mixed, blanks around": {"  ./a.tar\n docker://me/app@sha256:" + strings.Repeat("a", 64) + " \n", []string{"./a.tar", "docker://me/app@sha256:" + strings.Repeat("a", 64)}, []int{1, 2}, true},
		"the same twice":       {"./a.tar\n./a.tar", []string{"./a.tar", "./a.tar"}, []int{1, 2}, true},
	} {
		specs, merge, err := ParseAll(c.text, Paths{Exists: func(string) bool { return false }})
		must(t, err)
		var texts []string
		var lines []int
		for _, s := range specs {
			texts, lines = append(texts, s.Text), append(lines, s.Line)
		}
		if !slices.Equal(texts, c.want) || !slices.Equal(lines, c.lines) || merge != c.merge {
			t.Errorf("%s: %q, lines %v, merge %v", name, texts, lines, merge)
		}
	}
}

// An unset variable leaves an empty line; a platform must not get lost by that.
func TestEmptyLineIsAnError(t *testing.T) {
	for text, line := range map[string]string{
		"\n./a.tar": "line 1", "./a.tar\n\n": "line 2", "./a.tar\n  \n./b.tar": "line 2", "./a.tar\r\n\r\n./b.tar\r\n": "line 2",
	} {
		_, merge, err := ParseAll(text, Paths{})
		wantProblem(t, err, usererror.InvalidSource, line, "empty", "unset")
		if !merge {
			t.Errorf("%q is not merged", text)
		}
	}
	for _, text := range []string{"", "\n", "\n \n\n"} {
		_, merge, err := ParseAll(text, Paths{})
		wantProblem(t, err, usererror.InvalidSource, "source is empty")
		if merge {
			t.Errorf("%q is merged", text)
		}
	}
}

func TestEveryWrongLineIsNamed(t *testing.T) {
	_, _, err := ParseAll("nginx\n./a.tar\nghcr.io/me/app@\ndocker://me/*", Paths{Exists: func(string) bool { return false }})
	for _, says := range []string{"line 1", "line 3", "line 4", "only paths may hold *"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not say %s", err, says)
		}
	}
	if strings.Contains(err.Error(), "line 2") {
		t.Error(err)
	}
}

func TestGlob(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.tar", "a.tar", "c[1].tar", "other.txt", "sub/d.tar", "arm:64.tar"} {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, nil, 0o600))
	}
	for pattern, want := range map[string][]string{
		"/*.tar":             {"a.tar", "arm:64.tar", "b.tar", "c[1].tar"},
		"/*/*.tar":           {"sub/d.tar"},
		"/c[1]*":             {"c[1].tar"},
		"/a.*":               {"a.tar"}, // one match merges, too: a lost part must not pass for the whole
		"/*b.tar:docker.io1": {"b.tar:docker.io1"},
	} {
		for _, prefix := range []string{"", "oci-archive:"} {
			specs, merge, err := ParseAll(prefix+dir+pattern, Paths{})
			must(t, err)
			var got []string
			for _, s := range specs {
				got = append(got, strings.TrimPrefix(s.Path, dir+"/"))
				if s.Text != prefix+s.Path || s.Line != 1 {
					t.Errorf("%s: %+v", pattern, s)
				}
			}
			if !merge || !slices.Equal(got, want) {
				t.Errorf("%s: %v, merge %v", pattern, got, merge)
			}
		}
	}
	// What * stands for may be missing as any other path may.
	specs, _, err := ParseAll(dir+"/*.oci\n"+dir+"/*.tgz:1", Paths{})
	must(t, err)
	wantProblem(t, CheckMerged(t.Context(), specs, Options{}), usererror.SourceNotFound, "line 1", "/*.oci", "line 2", "/*.tgz:1")
	// Folders of the host are mapped, as those of other paths are.
	specs, _, err = ParseAll("/srv/actions/_temp/*.tar", Paths{Folders: map[string]string{"/srv/actions/_temp": dir}})
	must(t, err)
	if len(specs) != 4 || specs[0].Path != dir+"/a.tar" {
		t.Errorf("%+v", specs)
	}
	_, _, err = ParseAll("dist/*", Paths{})
	wantProblem(t, err, usererror.InvalidSource, "./dist/*")
}

func TestSpecKey(t *testing.T) {
	key := func(text string) string {
		s, _, err := ParseAll(text, Paths{Exists: func(string) bool { return false }})
		must(t, err)
		return s[len(s)-1].Key()
	}
	if key("docker://nginx") != key("./a.tar\ndocker.io/library/nginx:latest") || key("./a.tar") != key("./b.tar\n./a.tar") {
		t.Error("the same source has two keys")
	}
	if key("oci:a") == key("oci-archive:a") || key("./a:1") == key("./a:2") || key("docker-daemon:a") == key("docker-daemon:b") {
		t.Error("two sources have one key")
	}
}
