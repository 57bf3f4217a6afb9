package images

import (
	"archive/tar"
	"io"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Layout writes the image as an OCI layout folder and returns its path. Names are full
// references (docker.io/acme/app:1); none gives an entry without a name.
func (i *Image) Layout(t testing.TB, names ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "layout")
	i.files(names, func(name string, content []byte) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	})
	return dir
}

// Archive writes the image as an OCI archive and returns its path. Several names
// give one digest under several names, as BuildKit writes for several tags.
func (i *Image) Archive(t testing.TB, names ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.tar")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := i.WriteArchive(f, names...); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// WriteArchive writes an OCI archive.
func (i *Image) WriteArchive(w io.Writer, names ...string) error {
	out := tar.NewWriter(w)
	var err error
	folder := func(name string) {
		if err == nil {
			err = out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755, ModTime: created()})
		}
	}
	folder("blobs/")
	folder("blobs/sha256/")
	i.files(names, func(name string, content []byte) {
		if err == nil {
			err = out.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: created()})
		}
		if err == nil {
			_, err = out.Write(content)
		}
	})
	if err != nil {
		return err
	}
	return out.Close()
}

func (i *Image) files(names []string, write func(name string, content []byte)) {
	for _, list := range [][]Content{i.Blobs, i.Manifests} {
		for _, c := range list {
			write("blobs/sha256/"+c.Descriptor.Digest.Hex, c.Bytes)
		}
	}
	write("index.json", mustJSON(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: i.named(names)}))
	write("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
}

// named are the entries of index.json, as BuildKit annotates them.
func (i *Image) named(names []string) []v1.Descriptor {
	stamp := created().Format("2006-01-02T15:04:05Z")
	root := v1.Descriptor{MediaType: i.Root.MediaType, Digest: i.Root.Digest, Size: i.Root.Size}
	if len(names) == 0 {
		root.Annotations = map[string]string{"org.opencontainers.image.created": stamp}
		return []v1.Descriptor{root}
	}
	var out []v1.Descriptor
	for _, name := range names {
		d := root
		d.Annotations = map[string]string{
			"io.containerd.image.name":          name,
			"org.opencontainers.image.created":  stamp,
			"org.opencontainers.image.ref.name": name[lastColon(name)+1:],
		}
		out = append(out, d)
	}
	return out
}

func lastColon(name string) int {
	for k := len(name) - 1; k >= 0 && name[k] != '/'; k-- {
		if name[k] == ':' {
			return k
		}
	}
	return -1
}
