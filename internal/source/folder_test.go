package source

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// actions/download-artifact leaves a folder that holds what was uploaded.
func TestFolderThatHoldsAnArchive(t *testing.T) {
	b := newBuilder(t)
	d := b.image("linux/amd64", b.layer("a"))
	raw := tarOf(t, b.files(named(d, refName, "1"))...)
	for name, file := range map[string]member{
		"plain":      {name: "image.tar", data: raw},
		"compressed": {name: "image.tar.gz", data: gzipOf(t, raw)},
	} {
		dir := writeFolder(t, file, member{name: "notes.txt", data: []byte("x")}, member{name: "sub/other.tar", data: raw})
		for _, value := range []string{dir, dir + ":1", "oci-archive:" + dir} {
			if _, got := mustOpen(t, value, Options{}); got.Descriptor.Digest != d.Digest {
				t.Errorf("%s: %s opens %s", name, value, got.Descriptor.Digest)
			}
		}
		spec, err := Parse(dir, Paths{})
		must(t, err)
		must(t, Check(t.Context(), spec, Options{TempDir: t.TempDir()}))
	}
	_, err := open(t, writeFolder(t, member{name: "b.tar", data: raw}, member{name: "a.tgz", data: raw}), Options{})
	wantProblem(t, err, usererror.SourceAmbiguous, "2 archives: a.tgz, b.tar", "*")
	// A layout is one, whatever lies beside it.
	layout := writeFolder(t, append(b.files(d), member{name: "image.tar", data: []byte("x")})...)
	if _, got := mustOpen(t, layout, Options{}); got.Descriptor.Digest != d.Digest {
		t.Errorf("opens %s", got.Descriptor.Digest)
	}
	_, err = open(t, writeFolder(t, member{name: "x", data: nil}), Options{})
	wantProblem(t, err, usererror.SourceBroken, "no index.json in the folder")
}

func TestFormsOfOtherTools(t *testing.T) {
	for value, says := range map[string][]string{
		"file:///tmp/image.tar": {"begins with file://,", "Leave that out: /tmp/image.tar"},
		"file://./image.tar":    {"Leave that out: ./image.tar"},
		"file:/tmp/image.tar":   {"begins with file:,", "Leave that out: /tmp/image.tar"},
		"dir:out":               {"Skopeo and Podman", "skopeo copy --all dir:out oci:LAYOUT"},
	} {
		_, err := Parse(value, Paths{})
		wantProblem(t, err, usererror.InvalidSource, says...)
	}
	dir := writeFolder(t, member{name: "version", data: []byte("Directory Transport Version: 1.1\n")}, member{name: "manifest.json", data: []byte("{}")})
	for _, form := range []string{"", "oci:", "docker-archive:"} {
		_, err := open(t, form+dir, Options{})
		wantProblem(t, err, usererror.SourceUnsupported, "dir:", "skopeo copy --all dir:"+dir)
	}
}

// Links to elsewhere get the same hint, whether a blob is one or a folder above it.
func TestFoldersThatAreLinks(t *testing.T) {
	b := newBuilder(t)
	d := b.image("linux/amd64", b.layer("a"))
	for _, moved := range []string{"blobs", "blobs/sha256", blobName(d.Digest)} {
		dir, elsewhere := writeFolder(t, b.files(d)...), t.TempDir()
		must(t, os.Rename(filepath.Join(dir, moved), filepath.Join(elsewhere, "x")))
		must(t, os.Symlink(filepath.Join(elsewhere, "x"), filepath.Join(dir, moved)))
		_, err := open(t, dir, Options{})
		wantProblem(t, err, usererror.SourceBroken, moved+" is a link that leads out of the folder", "cp -rL")
	}
	// One that stays inside is followed.
	dir := writeFolder(t, b.files(d)...)
	must(t, os.Rename(filepath.Join(dir, "blobs"), filepath.Join(dir, "data")))
	must(t, os.Symlink("data", filepath.Join(dir, "blobs")))
	if _, got := mustOpen(t, dir, Options{}); got.Descriptor.Digest != d.Digest {
		t.Errorf("opens %s", got.Descriptor.Digest)
	}
}
