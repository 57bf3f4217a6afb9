package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
)

// Bad input: an error that names the input, the line in it and what to do, before any request.
func TestBadInput(t *testing.T) {
	image := images.Build(images.Options{Single: true, Layers: 1})
	archive := image.Archive(t)
	s := servers.Olareg(t, servers.Options{})
	good := s.Reference("acme/app", "1")
	digest := image.Digest()
	for _, c := range []struct {
		name   string
		tags   string
		auth   string // instead of the right item
		inputs map[string]string
		says   []string
	}{
		{name: "YAML that does not parse", auth: "- registry: [\n  username: x\n", says: []string{"registry-auth", "line"}},
		{name: "YAML that is no list", auth: "registry: HOST\n", says: []string{"registry-auth", "list"}},
		{name: "unknown key", auth: "- registry: HOST\n  usrname: acme\n  password: x1234\n", says: []string{"registry-auth", "line 2", "usrname", "username"}},
		{name: "duplicate key", auth: "- registry: HOST\n  username: a\n  username: b\n  password: x1234\n", says: []string{"registry-auth", "line 3", "username"}},
		{name: "same registry twice", auth: "- registry: HOST\n  username: a\n  password: x1234\n- registry: https://HOST/\n  username: b\n  password: x1234\n", says: []string{"registry-auth", "line 4", "has an item already"}},
		{name: "password with a comment behind it", auth: "- registry: HOST\n  username: a\n  password: x1234 # y\n", says: []string{"registry-auth", "line 3", "toJSON"}},
		{name: "password that is an anchor", auth: "- registry: HOST\n  username: a\n  password: &x1234 y\n", says: []string{"registry-auth", "line 3", "toJSON"}},
		{name: "bad boolean in an item", auth: "- registry: HOST\n  username: a\n  password: x1234\n  insecure: maybe\n", says: []string{"registry-auth", "line 4", "insecure", "true nor false"}},
		{name: "bad expression in an item", auth: "- registry: HOST\n  username: a\n  password: x1234\n  tags-matching: \"[\"\n", says: []string{"registry-auth", "tags-matching"}},
		{name: "upper case", tags: good + "\n" + s.Host + "/Acme/app:1", says: []string{"tags", "line 2", "lower case"}},
		{name: "digest", tags: s.Host + "/acme/app@" + digest, says: []string{"tags", "line 1", "digest"}},
		{name: "colon without a tag", tags: s.Host + "/acme/app:", says: []string{"tags", "line 1", "tag"}},
		{name: "bare word", tags: "1.0.0", says: []string{"tags", "line 1", "1.0.0", "images"}},
		{name: "malformed", tags: s.Host + "/acme/app:1:2", says: []string{"tags", "line 1"}},
		{name: "space", tags: s.Host + "/acme/a pp:1", says: []string{"tags", "line 1"}},
		{name: "bad expression", inputs: map[string]string{"immutable-tags": "v(1"}, says: []string{"immutable-tags"}},
		{name: "bad boolean", inputs: map[string]string{"atomic": "yes"}, says: []string{"atomic", "true or false", "yes"}},
		{name: "bad number", inputs: map[string]string{"concurrency": "many"}, says: []string{"concurrency", "many"}},
		{name: "bad choice", inputs: map[string]string{"missing-credentials": "ignore"}, says: []string{"missing-credentials", "skip", "fail"}},
		{name: "unknown input", inputs: map[string]string{"atomci": "true"}, says: []string{"atomci", "atomic"}},
		{name: "bad platform", inputs: map[string]string{"platforms": "linux/amd64,,x/y/z/w"}, says: []string{"platforms"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := job{source: archive, tags: []string{good}, auth: s.Item(0), inputs: c.inputs}
			if c.auth != "" {
				j.auth = strings.ReplaceAll(c.auth, "HOST", s.Host)
			}
			if c.tags != "" {
				j.tags = []string{c.tags}
			}
			o := j.run(t).exits(1).says(append(c.says, "::error")...)
			if strings.Contains(o.text(), "x1234") {
				t.Errorf("a password is quoted:\n%s", o.text())
			}
			if len(s.Log.All()) > 0 {
				t.Errorf("requests were sent:\n%s", s.Log)
				s.Log.Reset()
			}
		})
	}
}

func TestAllInputErrorsAtOnce(t *testing.T) {
	s := servers.Olareg(t, servers.Options{})
	job{
		source: "%%%", tags: []string{s.Host + "/Acme/app:1", s.Reference("acme/app", "1")}, auth: s.Item(0) + "  usrname: x\n",
		inputs: map[string]string{"atomic": "yes", "concurrency": "0", "immutable-tags": "("},
	}.run(t).exits(1).says("%%%", "lower case", "usrname", "atomic", "concurrency", "immutable-tags")
	if len(s.Log.All()) > 0 {
		t.Errorf("requests were sent:\n%s", s.Log)
	}
}

// What is wrong with a source of one of several images names the item and the line in it.
func TestBadSourcesOfImages(t *testing.T) {
	s := servers.Olareg(t, servers.Options{})
	tags := "\n  tags: " + s.Reference("acme/app", "")
	job{auth: s.Item(0), inputs: map[string]string{"images": "- source: [./a.tar, '']" + tags + "1\n- source: nginx" + tags + "2\n  name: b\n" +
		"- name: c\n  source: ['', x.example/a@]" + tags + "3"}}.run(t).exits(1).
		says("images, line 1: source, line 2: the line is empty", `images, line 3: source "nginx"`,
			"images, line 6: source, line 1: the line is empty", `images, line 6: source, line 2: source "x.example/a@" ends in @`)
	if len(s.Log.All()) > 0 {
		t.Errorf("requests were sent:\n%s", s.Log)
	}
}

// Sources that are not what they are said to be: found before anything is tagged.
func TestBadSources(t *testing.T) {
	image, other := images.Build(images.Options{}), images.Build(images.Options{Seed: 1})
	archive := image.Archive(t, "docker.io/acme/app:1")
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	raw := []byte(read(t, archive))
	truncated := write("truncated.tar", raw[:len(raw)/2])
	text := write("text.tar", []byte("this is no archive"))
	empty := t.TempDir()

	broken := image.Layout(t, "docker.io/acme/app:1")
	blob := filepath.Join(broken, "blobs", "sha256", image.Blobs[0].Descriptor.Digest.Hex)
	content := []byte(read(t, blob))
	content[len(content)/2] ^= 1
	if err := os.WriteFile(blob, content, 0o644); err != nil {
		t.Fatal(err)
	}
	lacking := image.Layout(t, "docker.io/acme/app:1")
	if err := os.Remove(filepath.Join(lacking, "blobs", "sha256", image.Blobs[1].Descriptor.Digest.Hex)); err != nil {
		t.Fatal(err)
	}
	two := twoImages(t, image, other)

	for _, c := range []struct {
		name, source string
		says         []string
	}{
		{"no such path", "./not-there.tar", []string{"not-there.tar"}},
		{"no such archive", "oci-archive:/not/there.tar", []string{"/not/there.tar"}},
		{"no layout in the folder", "oci:" + empty, []string{empty}},
		{"truncated", "oci-archive:" + truncated, []string{"truncated.tar"}},
		{"no tar", text, []string{"text.tar"}},
		{"blob that is not its digest", "oci:" + broken, []string{image.Blobs[0].Descriptor.Digest.Hex[:12]}},
		{"blob that is missing", "oci:" + lacking, []string{image.Blobs[1].Descriptor.Digest.Hex[:12]}},
		{"several and none picked", "oci:" + two, []string{"one", "two", image.Digest(), other.Digest()}},
		{"several and another picked", "oci:" + two + ":three", []string{"three"}},
		{"no form of a source", "image.tgz.bak", []string{"source", "image.tgz.bak"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := servers.Olareg(t, servers.Options{})
			o := job{source: c.source, tags: []string{s.Reference("acme/app", "1")}, auth: s.Item(0)}.run(t)
			o.exits(1).says(append(c.says, "::error")...)
			if got := images.Digest(t, s.Reference("acme/app", "1"), s.Inspect()...); got != "" {
				t.Errorf("tagged %s", got)
			}
		})
	}

	t.Run("name of a file", func(t *testing.T) {
		t.Chdir(dir)
		s := servers.Olareg(t, servers.Options{})
		write("app", raw)
		job{source: "app", tags: []string{s.Reference("acme/app", "1")}, auth: s.Item(0)}.run(t).exits(1).says("./app", "docker://")
	})
}

// twoImages is a layout with two images, named one and two.
func twoImages(t *testing.T, one, two *images.Image) string {
	t.Helper()
	dir := one.Layout(t, "docker.io/acme/app:one")
	second := two.Layout(t, "docker.io/acme/app:two")
	blobs, err := os.ReadDir(filepath.Join(second, "blobs", "sha256"))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blobs {
		if err := os.WriteFile(filepath.Join(dir, "blobs", "sha256", b.Name()), []byte(read(t, filepath.Join(second, "blobs", "sha256", b.Name()))), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cut := func(path string) (before, entry, after string) {
		text := read(t, path)
		i, j := strings.Index(text, "["), strings.LastIndex(text, "]")
		return text[:i+1], text[i+1 : j], text[j:]
	}
	before, a, after := cut(filepath.Join(dir, "index.json"))
	_, b, _ := cut(filepath.Join(second, "index.json"))
	if err := os.WriteFile(filepath.Join(dir, "index.json"), []byte(before+a+","+b+after), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}
