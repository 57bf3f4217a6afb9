package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

func images(t *testing.T, text string, more ...string) (*Settings, []error) {
	t.Helper()
	return read(t, nil, append(more, "GITHUB_ACTIONS=true", "INPUT_IMAGES="+text), "")
}

func TestImages(t *testing.T) {
	s, bad := images(t, `
- source: /tmp/api.tar
  tags: "ghcr.io/acme/api:1\nquay.io/acme/api:1"
- name: web
  source: [ghcr.io/acme/web@sha256:aa, ""]
  tags: [docker.io/acme/web:1.2.0, quay.io/acme/web:1.2.0]
  platforms: linux/amd64
- source: |
    ./a.tar
    ./b.tar
  tags: |
    acme/multi:1

    acme/multi:2
  platforms: [all]
- source: oci:x
  tags: acme/y:1,acme/z:1
`, "INPUT_PLATFORMS=linux/arm64")
	if len(bad) > 0 || !s.Several || s.TagsEmpty || s.Undecided || len(s.Images) != 4 || len(s.Skipped) != 0 {
		t.Fatalf("%v: %+v", bad, s)
	}
	var got []string
	for _, i := range s.Images {
		got = append(got, fmt.Sprintf("%s %d %q %v", i.Name, i.Line, i.Source, i.Platforms))
		for _, d := range i.Destinations {
			got = append(got, fmt.Sprintf(" %d %s", d.Line, d.Reference))
		}
	}
	want := []string{
		`api 2 "/tmp/api.tar" [linux/arm64]`, " 3 ghcr.io/acme/api:1", " 3 quay.io/acme/api:1",
		`web 4 "ghcr.io/acme/web@sha256:aa\n\n" [linux/amd64]`, " 6 docker.io/acme/web:1.2.0", " 6 quay.io/acme/web:1.2.0",
		`multi 8 "./a.tar\n./b.tar\n" []`, " 12 docker.io/acme/multi:1", " 14 docker.io/acme/multi:2",
		`y 16 "oci:x" [linux/arm64]`, " 17 docker.io/acme/y:1", " 17 docker.io/acme/z:1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestImagesUnset: what an unset variable leaves is skipped, and images itself may be unset.
func TestImagesUnset(t *testing.T) {
	for _, text := range []string{"", "null", "[]", " \n", "# none"} {
		s, bad := images(t, text)
		if len(bad) > 0 || s.Several || !s.TagsEmpty || len(s.Images) != 1 {
			t.Errorf("%q: %v: %+v", text, bad, s)
		}
	}
	s, bad := images(t, `
- {name: a, source: ./a.tar, tags: null}
- {source: "", tags: acme/b:1}
- {source: ./c.tar, tags: [quay.io//c:1, acme/c:1]}
- {source: ./d.tar, tags: /d:1}
- {source: ["", ""], tags: acme/e:1}
- {tags: acme/f:1}
`)
	if len(bad) > 0 || len(s.Images) != 1 || s.Images[0].Name != "c" {
		t.Fatalf("%v: %+v", bad, s.Images)
	}
	var got []string
	for _, skip := range s.Skipped {
		got = append(got, skip.Host+" "+skip.String())
	}
	const unset = " has an empty part; a variable in it is probably unset"
	want := []string{
		` images, line 2, image "a" has empty tags`, " images, line 3, the image has an empty source", "quay.io images, line 4, quay.io//c:1" + unset,
		" images, line 5, /d:1" + unset, " images, line 6, the image has an empty source", " images, line 7, the image has an empty source",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestWrongImages(t *testing.T) {
	const good = "- source: ./a.tar\n  tags: acme/a:1\n"
	for name, c := range map[string]struct {
		text, says, advises string
		more                []string
		code                usererror.Code
	}{
		"with source and tags": {good, "images and source and tags exclude each other", "keys of an item", []string{"INPUT_SOURCE=x", "INPUT_TAGS=acme/b:1"}, usererror.InvalidInput},
		"with tags":            {good, "images and tags exclude each other", "keys of an item", []string{"INPUT_TAGS=acme/b:1"}, usererror.InvalidInput},
		"same name":            {good + "- source: ./b.tar\n  tags: other/a:1\n", `images, line 3: the image in line 1 is called "a", too`, "name: web", nil, usererror.InvalidInput},
		"same reference":       {good + "- name: b\n  source: ./b.tar\n  tags: index.docker.io/acme/a:1\n", "images, line 5: docker.io/acme/a:1 is a tag of the image in line 1", "one image", nil, usererror.InvalidInput},
		"unknown key":          {good + "  tag: x\n", `images, line 3, column 3: there is no key "tag"`, "Did you mean tags?", nil, usererror.UnknownInput},
		"key of all":           {good + "  registry-auth: x\n", "there is no such key", "all other inputs hold for every image", nil, usererror.UnknownInput},
		"key twice":            {good + "  tags: x\n", "tags is there already", "Leave one", nil, usererror.InvalidInput},
		"no list":              {"source: x", "images, line 1, column 1: this is not a list", "- source", nil, usererror.InvalidInput},
		"no image":             {"- ./a.tar", "this is not an image", "- source", nil, usererror.InvalidInput},
		"no text":              {"- source: {a: b}\n  tags: acme/a:1\n", "source is neither text nor a list of texts", "toJSON(steps.meta", nil, usererror.InvalidInput},
		"list of lists":        {"- source: x\n  tags: [[acme/a:1]]\n", "tags is neither text nor a list", "toJSON(steps.meta", nil, usererror.InvalidInput},
		"name of two lines":    {good + "  name: \"a\\nb\"\n", "name is not one line", "short name", nil, usererror.InvalidInput},
		"name that is a list":  {good + "  name: [a]\n", "name is not text", "short name", nil, usererror.InvalidInput},
		"spilled":              {"- source: ./a.tar\n  tags: acme/a:1\nacme/a:2\n", "images, line 3", "toJSON(steps.meta", nil, usererror.InvalidInput},
		"alias":                {"- source: *x\n  tags: acme/a:1\n", "alias", "toJSON(steps.meta", nil, usererror.InvalidInput},
		"platform":             {good + "  platforms: amd64\n", `line 3, column 14: platforms: "amd64" is not a platform`, "OS/ARCHITECTURE", nil, usererror.InvalidInput},
		"tag":                  {"- source: ./a.tar\n  tags: |\n    acme/a:1\n    acme/A:1\n", `images, line 4, tags, "acme/A:1"`, "lower case", nil, usererror.InvalidTag},
		"tag of a list":        {"- source: ./a.tar\n  tags:\n    - acme/a:1\n    - acme/a:${x}\n", "images, line 4, tags", "${{ github.ref_name }}", nil, usererror.InvalidTag},
		"comma":                {"- source: ./a.tar\n  tags: acme/a:x,ghcr.io/acme/a\n", "has none, in one line with commas", "comma", nil, usererror.InvalidTag},
	} {
		t.Run(name, func(t *testing.T) {
			s, bad := images(t, c.text, c.more...)
			if len(bad) != 1 {
				t.Fatalf("%d problems: %v", len(bad), bad)
			}
			if text, advice := bad[0].Error(), usererror.Advice(bad[0]); !strings.Contains(text, c.says) || !strings.Contains(advice, c.advises) || !usererror.Is(bad[0], c.code) {
				t.Errorf("got %q, %q", text, advice)
			}
			if !s.Undecided {
				t.Error("which registries are enabled is not unknown")
			}
		})
	}
}

func FuzzImages(f *testing.F) {
	for _, seed := range []string{"- source: a\n  tags: a/b:1\n", "[{source: a, tags: [a/b:1]}]", "- {}", "- name: x\n  tags: |\n    a/b\n    c/d:1\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 2000 {
			return
		}
		s, bad := images(t, text)
		for _, i := range s.Images {
			if s.Several && len(bad) == 0 && (i.Name == "" || i.Source == "" || len(i.Destinations) == 0) {
				t.Errorf("%q: %+v", text, i)
			}
		}
		for _, err := range bad {
			if len(err.Error()) > 4000 {
				t.Errorf("a message of %d bytes", len(err.Error()))
			}
		}
	})
}
