package main

import (
	"archive/tar"
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// writeArchive makes an index of one image, with the program in one layer and the project's
// pages in another, and writes it as an OCI archive, the way
// `docker buildx build --output type=oci,dest=image.tar` does. It returns the index's digest.
func writeArchive(path, binary, system, architecture string) (digest string, err error) {
	image, err := imageOf(binary, system, architecture)
	if err != nil {
		return "", err
	}
	index := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{
		Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: system, Architecture: architecture}},
	})
	sum, err := index.Digest()
	if err != nil {
		return "", err
	}
	folder := path + ".layout"
	at, err := layout.Write(folder, empty.Index)
	if err != nil {
		return "", err
	}
	named := layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "latest"})
	if err := at.AppendIndex(index, named); err != nil {
		return "", err
	}
	if err := writeTar(path, folder); err != nil {
		return "", err
	}
	return sum.String(), os.RemoveAll(folder)
}

// imageOf puts a static binary and the project's pages into an image.
func imageOf(binary, system, architecture string) (v1.Image, error) {
	program, err := layerOf(binary)
	if err != nil {
		return nil, err
	}
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		return nil, err
	}
	docs, err := layerOf(append(pages, "README.md", "LICENSE")...)
	if err != nil {
		return nil, err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.AppendLayers(base, docs, program)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = system, architecture
	config.Created = v1.Time{Time: time.Unix(0, 0).UTC()}
	config.Config.Entrypoint = []string{"/multi-registry-push"}
	return mutate.ConfigFile(image, config)
}

// layerOf returns a layer of files, under their names without folders.
func layerOf(names ...string) (v1.Layer, error) {
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	for _, name := range names {
		content, err := os.ReadFile(name) // #nosec G304 -- named by this program
		if err != nil {
			return nil, err
		}
		header := &tar.Header{Name: filepath.Base(name), Mode: 0o755, Size: int64(len(content))}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(files.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer))
}

func writeTar(path, folder string) error {
	f, err := os.Create(path) // #nosec G304 -- in a folder of our own
	if err != nil {
		return err
	}
	w := tar.NewWriter(f)
	err = filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(name) // #nosec G304 G122 -- in a folder of our own
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(folder, name)
		if err != nil {
			return err
		}
		header := &tar.Header{Name: filepath.ToSlash(inside), Mode: 0o644, Size: int64(len(data))}
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	})
	if err == nil {
		err = w.Close()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}
