package source

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// seeds adds small archives, as real builders write them.
func seeds(f *testing.F) {
	for _, name := range []string{"crane-docker.tar", "buildah-oci.tar", "docker20.tar"} {
		raw, err := os.ReadFile(filepath.Join(fixtures, name))
		must(f, err)
		f.Add(raw)
	}
	f.Add(gnuSparse(f))
	f.Add(paxSparse(f))
}

// Whatever the bytes: each entry lies within them, and no name leads out.
func FuzzTarIndex(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := indexTar(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			return
		}
		for name, e := range a.entries {
			if e.offset < 0 || e.size < 0 || e.offset+e.size > int64(len(raw)) {
				t.Errorf("%q lies at %d, %d bytes long, of %d", name, e.offset, e.size, len(raw))
			}
			if clean, err := cleanName(name); err != nil || clean != name {
				t.Errorf("%q is not clean: %v", name, err)
			}
			if file, err := a.lookup(name); err == nil {
				_, _ = readAll(file, name, 1<<20)
			}
		}
	})
}

// Whatever the archive: what is published of it has its digests.
func FuzzArchive(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := indexTar(bytes.NewReader(raw), int64(len(raw)))
		if err == nil {
			publishable(t, a)
		}
	})
}

// fuzzTree returns an archive of members.
func fuzzTree(t testing.TB, members ...member) *archive {
	raw := tarOf(t, members...)
	a, err := indexTar(bytes.NewReader(raw), int64(len(raw)))
	must(t, err)
	return a
}

// Whatever index.json and a manifest in a layout say.
func FuzzLayout(f *testing.F) {
	b := newBuilder(f)
	layer := b.layer("a")
	image := b.image("linux/amd64", layer)
	index := b.twoPlatforms()
	list := func(t testing.TB, d v1.Descriptor) []byte {
		raw, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []v1.Descriptor{d}})
		must(t, err)
		return raw
	}
	for _, d := range []v1.Descriptor{image, index} {
		f.Add(list(f, d), b.blobs[d.Digest], "", "")
		f.Add(list(f, named(d, refName, "app:1")), b.blobs[d.Digest], "1", "linux/arm64")
	}
	f.Add([]byte(`{"schemaVersion":2,"manifests":[]}`), []byte(`{"schemaVersion":2,"manifests":[]}`), "x", "linux")
	f.Fuzz(func(t *testing.T, listed, manifest []byte, pick, platform string) {
		files := newBuilder(t)
		for _, h := range b.order {
			files.add("", b.blobs[h])
		}
		d := files.add(types.OCIImageIndex, manifest)
		for _, index := range [][]byte{listed, list(t, d)} {
			a := fuzzTree(t, replaced(files.files(), "index.json", index)...)
			publishable(t, a)
			for _, platforms := range [][]string{nil, {platform}} {
				i, err := openFilesAs(t.Context(), Spec{Kind: Layout}, a, pick, Options{Platforms: platforms})
				if err != nil {
					continue
				}
				root, err := i.Root(t.Context())
				must(t, err)
				if digestOf(root.Raw) != root.Descriptor.Digest {
					t.Errorf("root %s", root.Descriptor.Digest)
				}
				_, _ = i.Platforms(t.Context())
				must(t, i.Close())
			}
		}
	})
}

// Whatever manifest.json and a config in a docker archive say.
func FuzzDockerArchive(f *testing.F) {
	layer := layerTar(f, "a", 100)
	image := newDockerImage(f, "linux/amd64", []string{"app:1"}, layer)
	f.Add([]byte(`[{"Config":"config","RepoTags":["app:1"],"Layers":["layer.tar"]}]`), image.config, layer)
	f.Add([]byte(`[{"Config":"config","RepoTags":null,"Layers":["link"]},{"Config":"config"}]`), image.config, gzipOf(f, layer))
	f.Add([]byte(`[{"Config":"../config","Layers":["/layer.tar",""]}]`), []byte(`{"rootfs":{"diff_ids":["sha256:x"]}}`), zstdOf(f, layer))
	f.Fuzz(func(t *testing.T, manifest, config, layer []byte) {
		publishable(t, fuzzTree(t,
			member{name: "manifest.json", data: manifest}, member{name: "config", data: config},
			member{name: "layer.tar", data: layer}, member{name: "link", typ: '2', link: "layer.tar"}))
	})
}

// Whatever a user writes as source, or a registry as platform.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"docker://nginx", "oci:a:b", "ghcr.io/me/app@", "docker-daemon:sha256:ab", "./a:b:c", "https://x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		spec, err := Parse(s, Paths{Exists: func(string) bool { return false }})
		if err == nil && (spec.Kind == Registry) != (spec.Repository() != nil) {
			t.Errorf("%q is %+v", s, spec)
		}
		if err == nil && spec.Kind == Registry {
			again, err := Parse("docker://"+spec.Reference.String(), Paths{})
			if err != nil || again.Reference != spec.Reference {
				t.Errorf("%q is %s, which is %s, %v", s, spec.Reference, again.Reference, err)
			}
		}
		_, _ = parsePlatform(s)
	})
}
