package images_test

import (
	"bytes"
	"os"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/multi-registry-push/multi-registry-push/test/images"
)

func TestDeterministic(t *testing.T) {
	a, b := images.Build(images.Options{}), images.Build(images.Options{})
	if a.Digest() != b.Digest() {
		t.Error("two builds differ")
	}
	other := images.Build(images.Options{Seed: 1})
	if other.Digest() == a.Digest() {
		t.Error("another seed gives the same image")
	}
	shared := 0
	for _, c := range other.Blobs {
		for _, d := range a.Blobs {
			if c.Descriptor.Digest == d.Descriptor.Digest {
				shared++
			}
		}
	}
	if shared != 1 {
		t.Errorf("%d blobs in common", shared)
	}
}

func TestShape(t *testing.T) {
	for _, c := range []struct {
		options          images.Options
		manifests, blobs int
	}{
		{images.Options{}, 5, 5 + 2 + 4 + 2},
		{images.Options{NoAttestations: true}, 3, 5 + 2},
		{images.Options{Single: true}, 1, 3 + 1},
		{images.Options{Shared: -1, Layers: 2, NoAttestations: true}, 3, 4 + 2},
		{images.Options{Platforms: []string{"linux/amd64", "linux/arm/v7", "linux/s390x"}, NoAttestations: true}, 4, 7 + 3},
	} {
		image := images.Build(c.options)
		if len(image.Manifests) != c.manifests || len(image.Blobs) != c.blobs {
			t.Errorf("%+v: %d manifests, %d blobs", c.options, len(image.Manifests), len(image.Blobs))
		}
	}
}

// Another library reads the layout and finds a valid image.
func TestLayout(t *testing.T) {
	image := images.Build(images.Options{})
	dir := image.Layout(t, "docker.io/acme/app:1", "docker.io/acme/app:1.0", "docker.io/acme/app:latest")
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Manifests) != 3 {
		t.Fatalf("%d entries", len(m.Manifests))
	}
	for i, want := range []string{"1", "1.0", "latest"} {
		d := m.Manifests[i]
		if d.Digest.String() != image.Digest() || d.Annotations["org.opencontainers.image.ref.name"] != want {
			t.Errorf("entry %d: %+v", i, d)
		}
	}
	root, err := index.ImageIndex(image.Root.Digest)
	if err != nil {
		t.Fatal(err)
	}
	children, err := root.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range children.Manifests {
		child, err := root.Image(d.Digest)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := child.RawConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := child.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		if h, _, err := v1.SHA256(bytes.NewReader(raw)); err != nil || h != manifest.Config.Digest {
			t.Errorf("config of %s: %s %v", d.Digest, h, err)
		}
	}
}

func TestArchive(t *testing.T) {
	image := images.Build(images.Options{})
	a, err := os.Stat(image.Archive(t, "docker.io/acme/app:1"))
	if err != nil {
		t.Fatal(err)
	}
	if a.Size() < image.Size() {
		t.Errorf("%d bytes for an image of %d", a.Size(), image.Size())
	}
}
