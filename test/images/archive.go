package images

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Open reads an image that a builder wrote, as an OCI archive or a layout folder: the first one
// that index.json names.
func Open(t testing.TB, path string) *Image {
	t.Helper()
	files, err := files(path)
	if err != nil {
		t.Fatal(err)
	}
	var index v1.IndexManifest
	if err := json.Unmarshal(files["index.json"], &index); err != nil {
		t.Fatalf("%s: index.json: %v", path, err)
	}
	image := &Image{Root: index.Manifests[0]}
	if err := image.collect(files, image.Root, true, map[v1.Hash]bool{}); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return image
}

func files(path string) (map[string][]byte, error) {
	out := map[string][]byte{}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			relative, err := filepath.Rel(path, name)
			if err != nil {
				return err
			}
			out[filepath.ToSlash(relative)], err = os.ReadFile(name)
			return err
		})
		return out, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		if out[strings.TrimPrefix(h.Name, "./")], err = io.ReadAll(r); err != nil {
			return nil, err
		}
	}
}

// collect adds what d points at, and d itself.
func (i *Image) collect(files map[string][]byte, d v1.Descriptor, manifest bool, seen map[v1.Hash]bool) error {
	if seen[d.Digest] {
		return nil
	}
	seen[d.Digest] = true
	raw, ok := files["blobs/"+d.Digest.Algorithm+"/"+d.Digest.Hex]
	if !ok || digest(raw) != d.Digest {
		return fmt.Errorf("%s is missing or broken", d.Digest)
	}
	d = v1.Descriptor{MediaType: d.MediaType, Size: d.Size, Digest: d.Digest}
	if !manifest {
		i.Blobs = append(i.Blobs, Content{Descriptor: d, Bytes: raw})
		return nil
	}
	var m struct {
		Manifests []v1.Descriptor
		Config    *v1.Descriptor
		Layers    []v1.Descriptor
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return err
	}
	for _, child := range m.Manifests {
		if err := i.collect(files, child, true, seen); err != nil {
			return err
		}
	}
	if m.Config != nil {
		m.Layers = append(m.Layers, *m.Config)
	}
	for _, blob := range m.Layers {
		if err := i.collect(files, blob, false, seen); err != nil {
			return err
		}
	}
	i.Manifests = append(i.Manifests, Content{Descriptor: d, Bytes: raw})
	return nil
}
