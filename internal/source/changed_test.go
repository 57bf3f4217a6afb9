package source

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// blobsOf returns the layers of the one image in a source, by their content.
func layerOf(t *testing.T, value string) (Blob, v1.Descriptor) {
	t.Helper()
	_, root := mustOpen(t, value, Options{})
	b := root.Blobs[len(root.Blobs)-1]
	d, err := b.Descriptor(t.Context())
	must(t, err)
	return b, d
}

// A file that is changed after its blob was hashed gives nobody the last byte, unless its
// bytes are what they were.
func TestFileChangedAfterItWasHashed(t *testing.T) {
	b := newBuilder(t)
	layer := b.layer("layer")
	archive := tarOf(t, b.files(b.image("linux/amd64", layer))...)
	at := bytes.Index(archive, b.blobs[layer.Digest])
	plain := layerTar(t, "saved", 5000)
	saved := tarOf(t, save(t, kaniko, newDockerImage(t, "linux/amd64", nil, plain))...)
	savedAt := bytes.Index(saved, []byte{0x1f, 0x8b, 8})
	for name, c := range map[string]struct {
		raw []byte
		at  int // where the layer stands in it
	}{"an archive": {archive, at}, "what docker save wrote": {saved, savedAt}} {
		t.Run(name, func(t *testing.T) {
			path := writeFile(t, "image.tar", c.raw)
			blob, d := layerOf(t, path)
			want, err := read(t.Context(), blob, 0)
			must(t, err)

			r, err := blob.Open(t.Context(), 0)
			must(t, err)
			defer func() { must(t, r.Close()) }()
			head := make([]byte, 10)
			_, err = io.ReadFull(r, head)
			must(t, err)
			overwrite(t, path, int64(c.at)+d.Size/2, []byte("other bytes"))
			got, err := io.ReadAll(r)
			wantProblem(t, err, usererror.DigestMismatch, d.Digest.String())
			if int64(len(head)+len(got)) == d.Size {
				t.Error("the last byte was given out")
			}
			_, err = read(t.Context(), blob, 0)
			wantProblem(t, err, usererror.DigestMismatch)

			overwrite(t, path, int64(c.at), want) // what it was, at another time
			again, err := read(t.Context(), blob, 0)
			must(t, err)
			if !bytes.Equal(again, want) {
				t.Error("other bytes")
			}
		})
	}
}

// Another file in its place is another file, whatever its size and times.
func TestFileReplacedAfterItWasHashed(t *testing.T) {
	b := newBuilder(t)
	layer := b.layer("layer")
	dir := writeFolder(t, b.files(b.image("linux/amd64", layer))...)
	blob, _ := layerOf(t, dir)
	_, err := read(t.Context(), blob, 0)
	must(t, err)
	path := filepath.Join(dir, filepath.FromSlash(blobName(layer.Digest)))
	info, err := os.Stat(path)
	must(t, err)
	other := bytes.Clone(b.blobs[layer.Digest])
	other[len(other)/2] ^= 1
	must(t, os.WriteFile(path+".new", other, 0o600))
	must(t, os.Chtimes(path+".new", time.Time{}, info.ModTime()))
	must(t, os.Rename(path+".new", path))
	_, err = read(t.Context(), blob, 0)
	wantProblem(t, err, usererror.DigestMismatch)
}

// A file that is changed while it is hashed is hashed again: what one reader saw before is
// not what the next is given.
func TestFileChangedWhileItIsHashed(t *testing.T) {
	b := newBuilder(t)
	layer := b.layer("layer")
	archive := tarOf(t, b.files(b.image("linux/amd64", layer))...)
	path := writeFile(t, "image.tar", archive)
	blob, d := layerOf(t, path)
	first, err := blob.Open(t.Context(), 0)
	must(t, err)
	defer func() { must(t, first.Close()) }()
	_, err = io.ReadFull(first, make([]byte, d.Size/2)) // hashed as they were
	must(t, err)
	overwrite(t, path, int64(bytes.Index(archive, b.blobs[layer.Digest])), []byte("other bytes"))
	_, err = read(t.Context(), blob, 0)
	wantProblem(t, err, usererror.DigestMismatch)
	_, err = io.ReadAll(first)
	wantProblem(t, err, usererror.DigestMismatch)
}

func overwrite(t *testing.T, path string, at int64, p []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt(p, at)
	must(t, err)
	must(t, f.Close())
	// Within one tick of the file system's clock a write may not show in the times.
	must(t, os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)))
}
