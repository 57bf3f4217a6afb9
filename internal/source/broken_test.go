package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// layoutOf opens a layout made of members as an archive.
func layoutOf(t *testing.T, members []member, o Options) (*Image, error) {
	t.Helper()
	return open(t, "oci-archive:"+writeFile(t, "image.tar", tarOf(t, members...)), o)
}

func TestBrokenLayouts(t *testing.T) {
	b := newBuilder(t)
	layer := b.layer("a")
	image := b.image("linux/amd64", layer)
	root := b.index(image)
	good := b.files(root)
	wrongSize := root
	wrongSize.Size++
	twoSizes := layer
	twoSizes.Size++
	negative := root
	negative.Size = -1
	none := root
	none.Digest = v1.Hash{}

	for name, c := range map[string]struct {
		members []member
		code    usererror.Code
		says    string
	}{
		"no index.json":           {without(good, "index.json"), usererror.SourceBroken, "index.json"},
		"index.json unclear":      {replaced(good, "index.json", []byte("{]")), usererror.SourceBroken, "index.json"},
		"index.json twice":        {append(good[:len(good):len(good)], member{name: "index.json", data: []byte(`{"schemaVersion":2}`)}), usererror.SourceBroken, "twice"},
		"index.json of no index":  {replaced(good, "index.json", []byte(`{"schemaVersion":2,"config":{"digest":"`+root.Digest.String()+`"}}`)), usererror.SourceBroken, "not the index"},
		"index.json empty":        {replaced(good, "index.json", []byte(`{"schemaVersion":2,"manifests":[]}`)), usererror.SourceNotFound, "no image"},
		"index.json huge":         {replaced(good, "index.json", bytes.Repeat([]byte(" "), maxManifest+1)), usererror.ManifestTooLarge, "index.json"},
		"layout of version 2":     {replaced(good, "oci-layout", []byte(`{"imageLayoutVersion":"2.0.0"}`)), usererror.SourceUnsupported, "2.0.0"},
		"root missing":            {without(good, blobName(root.Digest)), usererror.SourceBroken, root.Digest.String()},
		"image missing":           {without(good, blobName(image.Digest)), usererror.SourceBroken, image.Digest.String()},
		"layer missing":           {without(good, blobName(layer.Digest)), usererror.SourceBroken, layer.Digest.String()},
		"root of other size":      {b.files(wrongSize), usererror.SourceBroken, "bytes"},
		"layer of two sizes":      {b.files(b.image("linux/amd64", layer, twoSizes)), usererror.SourceBroken, "in one place"},
		"root of negative size":   {b.files(negative), usererror.SourceBroken, "-1"},
		"root without digest":     {b.files(none), usererror.SourceBroken, "index.json"},
		"root with another byte":  {replaced(good, blobName(root.Digest), bytes.Replace(b.blobs[root.Digest], []byte("2"), []byte("3"), 1)), usererror.DigestMismatch, root.Digest.String()},
		"image with another byte": {replaced(good, blobName(image.Digest), bytes.Replace(b.blobs[image.Digest], []byte("2"), []byte("3"), 1)), usererror.DigestMismatch, image.Digest.String()},
		"layer of other size":     {replaced(good, blobName(layer.Digest), []byte("x")), usererror.SourceBroken, layer.Digest.String()},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := layoutOf(t, c.members, Options{})
			wantProblem(t, err, c.code, c.says, "image.tar")
		})
	}

	t.Run("layer with another byte", func(t *testing.T) {
		data := bytes.Clone(b.blobs[layer.Digest])
		data[20] ^= 1
		i, err := layoutOf(t, replaced(good, blobName(layer.Digest), data), Options{})
		must(t, err)
		root, err := i.Root(t.Context())
		must(t, err)
		_, err = read(t.Context(), root.Manifests[0].Blobs[1], 0)
		wantProblem(t, err, usererror.DigestMismatch, layer.Digest.String())
	})
	t.Run("folder without a layout", func(t *testing.T) {
		_, err := open(t, t.TempDir(), Options{})
		wantProblem(t, err, usererror.SourceBroken, "no index.json in the folder", "tar=false")
	})
	t.Run("neither file nor folder", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "pipe.tar")
		must(t, syscall.Mkfifo(path, 0o600))
		_, err := open(t, path, Options{})
		wantProblem(t, err, usererror.InvalidSource, "neither a file nor a folder")
	})
	t.Run("a layout called docker-archive", func(t *testing.T) {
		_, err := open(t, "docker-archive:"+writeFile(t, "image.tar", tarOf(t, good...)), Options{})
		wantProblem(t, err, usererror.SourceBroken, "oci-archive:")
	})
	t.Run("a docker archive called oci-archive", func(t *testing.T) {
		_, err := layoutOf(t, save(t, classic, newDockerImage(t, "linux/amd64", nil, layerTar(t, "a", 1))), Options{})
		wantProblem(t, err, usererror.SourceBroken, "docker-archive:")
	})
	t.Run("links out of a folder", func(t *testing.T) {
		dir := writeFolder(t, without(good, blobName(layer.Digest))...)
		outside := writeFile(t, "outside", b.blobs[layer.Digest])
		must(t, os.Symlink(outside, filepath.Join(dir, blobName(layer.Digest))))
		_, err := open(t, dir, Options{})
		wantProblem(t, err, usererror.SourceBroken, layer.Digest.Hex+" is a link", "cp -rL")
	})
}

func TestBrokenManifests(t *testing.T) {
	hex := strings.Repeat("a", 64)
	d := fmt.Sprintf(`{"mediaType":"x","size":1,"digest":"sha256:%s"}`, hex)
	for name, c := range map[string]struct {
		mediaType types.MediaType
		raw       string
		code      usererror.Code
		says      string
	}{
		"no JSON":            {types.OCIManifestSchema1, `<html>`, usererror.SourceBroken, "cannot be understood"},
		"index and image":    {types.OCIImageIndex, `{"schemaVersion":2,"manifests":[],"config":` + d + `,"layers":[]}`, usererror.SourceBroken, "both"},
		"index and layers":   {types.OCIManifestSchema1, `{"schemaVersion":2,"manifests":[],"layers":[]}`, usererror.SourceBroken, "both"},
		"no index":           {types.OCIImageIndex, `{"schemaVersion":2,"config":` + d + `,"layers":[]}`, usererror.SourceBroken, "is not the"},
		"no image":           {types.OCIManifestSchema1, `{"schemaVersion":2,"layers":[]}`, usererror.SourceBroken, "is not the"},
		"another kind":       {types.OCIImageIndex, `{"schemaVersion":2,"mediaType":"` + string(types.OCIManifestSchema1) + `","config":` + d + `}`, usererror.SourceBroken, "announced"},
		"schema 1":           {"application/vnd.docker.distribution.manifest.v1+prettyjws", `{"schemaVersion":1,"fsLayers":[{"blobSum":"x"}]}`, usererror.SourceUnsupported, "schema 1"},
		"schema 1, unmarked": {"", `{"schemaVersion":1,"fsLayers":[]}`, usererror.SourceUnsupported, "push it again"},
		"unknown":            {"application/x-mystery.manifest.v9+json", `{"secret":"sauce"}`, usererror.SourceUnsupported, "x-mystery"},
		"empty":              {types.OCIManifestSchema1, `{}`, usererror.SourceBroken, "is not the"},
		"bad digest":         {types.OCIManifestSchema1, `{"schemaVersion":2,"config":{"digest":"sha256:../../../etc/passwd","size":1}}`, usererror.SourceBroken, "cannot be understood"},
		"bad algorithm":      {types.OCIManifestSchema1, `{"schemaVersion":2,"config":{"digest":"md5:d41d8cd98f00b204e9800998ecf8427e","size":1}}`, usererror.SourceBroken, "md5"},
		"no digest":          {types.OCIManifestSchema1, `{"schemaVersion":2,"config":{"size":1}}`, usererror.SourceBroken, "no digest"},
		"negative size":      {types.OCIManifestSchema1, `{"schemaVersion":2,"config":{"digest":"sha256:` + hex + `","size":-5}}`, usererror.SourceBroken, "-5"},
		"a million nothings": {types.OCIImageIndex, `{"schemaVersion":2,"manifests":[{}` + strings.Repeat(",{}", 1<<20) + `]}`, usererror.SourceBroken, "more than a real one"},
		"too large":          {types.OCIManifestSchema1, `{"schemaVersion":2,"config":` + d + `,"annotations":{"a":"` + strings.Repeat("x", maxManifest) + `"}}`, usererror.ManifestTooLarge, "4 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBuilder(t)
			_, err := layoutOf(t, b.files(b.add(c.mediaType, []byte(c.raw))), Options{})
			wantProblem(t, err, c.code, c.says)
		})
	}
}

func TestNestedIndexes(t *testing.T) {
	nest := func(depth int) error {
		b := newBuilder(t)
		d := b.image("linux/amd64", b.layer("a"))
		for range depth {
			d = b.index(d)
		}
		i, err := layoutOf(t, b.files(d), Options{})
		if err != nil {
			return err
		}
		root, err := i.Root(t.Context())
		must(t, err)
		sameContent(t, everything(t, root), b.blobs)
		return nil
	}
	must(t, nest(3))
	wantProblem(t, nest(maxDepth+1), usererror.SourceBroken, "deep")

	t.Run("wide at every level", func(t *testing.T) { // 4^14 paths, 15 manifests
		b := newBuilder(t)
		d := b.image("linux/amd64", b.layer("a"))
		for n := range 14 {
			a := named(d, "n", fmt.Sprint(n))
			d = b.index(a, d, d, d)
		}
		for _, o := range []Options{{}, {Platforms: []string{"linux/amd64"}}} {
			i, err := layoutOf(t, b.files(d), o)
			must(t, err)
			_, err = i.Root(t.Context())
			must(t, err)
		}
	})
	t.Run("in a circle", func(t *testing.T) { // no digest can be in a circle, but a liar can claim one
		claimed := digestOf([]byte("claimed"))
		b := newBuilder(t)
		inner := b.index(v1.Descriptor{MediaType: types.OCIImageIndex, Digest: claimed, Size: 300})
		b.blobs[claimed] = append(b.blobs[inner.Digest], bytes.Repeat([]byte(" "), 300-len(b.blobs[inner.Digest]))...)
		b.order = append(b.order, claimed)
		_, err := layoutOf(t, b.files(inner), Options{})
		wantProblem(t, err, usererror.DigestMismatch, claimed.String())
	})
	t.Run("too many", func(t *testing.T) {
		b := newBuilder(t)
		var all []v1.Descriptor
		for n := range maxManifests + 1 {
			all = append(all, v1.Descriptor{MediaType: types.OCIManifestSchema1, Size: 10, Digest: digestOf([]byte(fmt.Sprint(n)))})
		}
		_, err := layoutOf(t, b.files(b.index(all...)), Options{})
		wantProblem(t, err, usererror.SourceBroken, "more than 10000 manifests")
	})
	t.Run("too large together", func(t *testing.T) {
		b := newBuilder(t)
		var all []v1.Descriptor
		for n := range 20 {
			all = append(all, v1.Descriptor{MediaType: types.OCIManifestSchema1, Size: maxManifest, Digest: digestOf([]byte(fmt.Sprint(n)))})
		}
		g := newGraph(refusing{}, nil)
		_, err := g.load(t.Context(), v1.Descriptor{MediaType: types.OCIImageIndex, Digest: b.index(all...).Digest, Size: 1})
		if err == nil {
			t.Fatal("no error")
		}
		g.made[b.index(all...).Digest] = b.blobs[b.index(all...).Digest]
		_, err = g.load(t.Context(), b.index(all...))
		wantProblem(t, err, usererror.SourceBroken, "32 MiB together")
	})
}

// refusing is a store that has nothing.
type refusing struct{}

func (refusing) manifest(context.Context, v1.Descriptor) ([]byte, error) {
	return nil, errors.New("nothing here")
}
func (refusing) blob(v1.Descriptor) (Blob, error) { return nil, errors.New("nothing here") }

// All that registries hold besides images of one platform is published as it is.
func TestEveryKindOfContent(t *testing.T) {
	empty := []byte("{}")
	for name, build := range map[string]func(b *builder) v1.Descriptor{
		"Helm chart": func(b *builder) v1.Descriptor {
			return b.json(types.OCIManifestSchema1, map[string]any{"schemaVersion": 2, "config": b.add("application/vnd.cncf.helm.config.v1+json", []byte(`{"name":"x"}`)),
				"layers": []v1.Descriptor{b.add("application/vnd.cncf.helm.chart.content.v1.tar+gzip", []byte("chart"))}})
		},
		"WASM with an empty config": func(b *builder) v1.Descriptor {
			return b.json(types.OCIManifestSchema1, map[string]any{"schemaVersion": 2, "artifactType": "application/wasm", "config": b.add(types.OCIEmptyJSON, empty),
				"layers": []v1.Descriptor{b.add("application/wasm", []byte("\x00asm"))}})
		},
		"config in its descriptor": func(b *builder) v1.Descriptor {
			d := b.add(types.OCIEmptyJSON, empty)
			d.Data = empty
			return b.json(types.OCIManifestSchema1, map[string]any{"schemaVersion": 2, "config": d, "layers": []v1.Descriptor{}})
		},
		"Docker schema 2": func(b *builder) v1.Descriptor {
			m := b.json(types.DockerManifestSchema2, map[string]any{"schemaVersion": 2, "mediaType": types.DockerManifestSchema2, "config": b.json(types.DockerConfigJSON, config("linux/amd64")),
				"layers": []v1.Descriptor{b.add(types.DockerLayer, gzipOf(t, []byte("x")))}})
			m.Platform = platformNamed("linux/amd64")
			return b.json(types.DockerManifestList, map[string]any{"schemaVersion": 2, "mediaType": types.DockerManifestList, "manifests": []v1.Descriptor{m}})
		},
		"zstd and eStargz": func(b *builder) v1.Descriptor {
			e := b.layer("estargz")
			e.Annotations = map[string]string{"containerd.io/snapshot/stargz/toc.digest": digestOf(nil).String()}
			return b.image("linux/amd64", b.add(types.OCILayerZStd, zstdOf(t, []byte("x"))), e)
		},
		"empty layer": func(b *builder) v1.Descriptor { return b.image("linux/amd64", b.add(types.OCILayer, nil)) },
		"plain layer": func(b *builder) v1.Descriptor {
			return b.image("linux/amd64", b.add(types.OCIUncompressedLayer, layerTar(t, "a", 10)))
		},
		"nothing in it": func(b *builder) v1.Descriptor { return b.index() },
		"BuildKit's cache": func(b *builder) v1.Descriptor {
			return b.index(b.layer("a"), b.json("application/vnd.buildkit.cacheconfig.v0", map[string]any{"layers": []any{}}))
		},
		"artifact manifest": func(b *builder) v1.Descriptor {
			return b.json("application/vnd.oci.artifact.manifest.v1+json", map[string]any{"mediaType": "application/vnd.oci.artifact.manifest.v1+json", "artifactType": "x/y", "blobs": []v1.Descriptor{b.add("x/z", []byte("blob"))}})
		},
		"a manifest of its own kind": func(b *builder) v1.Descriptor {
			return b.json("application/vnd.acme.manifest+json", map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.acme.manifest+json", "config": b.add("x/y", []byte("c"))})
		},
		"SHA-512": func(b *builder) v1.Descriptor {
			h, err := v1.Hasher("sha512")
			must(b.t, err)
			_, _ = h.Write([]byte("layer"))
			d := v1.Descriptor{MediaType: types.OCILayer, Size: 5, Digest: v1.Hash{Algorithm: "sha512", Hex: fmt.Sprintf("%x", h.Sum(nil))}}
			b.blobs[d.Digest], b.order = []byte("layer"), append(b.order, d.Digest)
			return b.image("linux/amd64", d)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBuilder(t)
			d := build(b)
			i, err := layoutOf(t, b.files(d), Options{})
			must(t, err)
			root, err := i.Root(t.Context())
			must(t, err)
			if root.Descriptor.Digest != d.Digest || root.Descriptor.MediaType != d.MediaType || root.Descriptor.Size != d.Size {
				t.Errorf("root is %v, want %v", root.Descriptor, d)
			}
			sameContent(t, everything(t, root), b.blobs)
		})
	}
}

func TestForeignLayersStayWhereTheyAre(t *testing.T) {
	b := newBuilder(t)
	kept := b.layer("a")
	var layers []v1.Descriptor
	for n, m := range []types.MediaType{types.DockerForeignLayer, types.OCIRestrictedLayer, types.OCIUncompressedRestrictedLayer, "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"} {
		layers = append(layers, v1.Descriptor{MediaType: m, Size: 10, Digest: digestOf([]byte{byte(n)}), URLs: []string{"https://example.com/layer"}})
	}
	d := b.image("linux/amd64", append(layers, kept)...)
	i, err := layoutOf(t, b.files(d), Options{})
	must(t, err)
	root, err := i.Root(t.Context())
	must(t, err)
	sameContent(t, everything(t, root), b.blobs)
}

func TestEmbeddedDataMustBeRight(t *testing.T) {
	b := newBuilder(t)
	d := b.add("x/y", []byte("{}"))
	for _, data := range [][]byte{[]byte("[]"), []byte("{} ")} {
		d.Data = data
		_, err := layoutOf(t, b.files(b.json(types.OCIManifestSchema1, map[string]any{"schemaVersion": 2, "config": d, "layers": []v1.Descriptor{}})), Options{})
		if !usererror.Is(err, usererror.DigestMismatch) && !usererror.Is(err, usererror.SourceBroken) {
			t.Errorf("%q: %v", data, err)
		}
	}
}

func TestOneDigestDescribedInTwoWays(t *testing.T) {
	b := newBuilder(t)
	layer := b.layer("a")
	other := layer
	other.Size++
	_, err := layoutOf(t, b.files(b.index(b.image("linux/amd64", layer), b.image("linux/arm64", other))), Options{})
	wantProblem(t, err, usererror.SourceBroken, layer.Digest.String())

	image := b.image("linux/amd64", layer)
	larger, index := image, image
	larger.Size++
	index.MediaType = types.OCIImageIndex
	for _, other := range []v1.Descriptor{larger, index} {
		for _, root := range []v1.Descriptor{b.index(image, other), b.index(b.index(image), other)} {
			_, err = layoutOf(t, b.files(root), Options{})
			wantProblem(t, err, usererror.SourceBroken, image.Digest.String())
		}
	}
}

func TestConfigsThatAreReadAreBounded(t *testing.T) {
	withoutRace(t)
	b := newBuilder(t)
	var all []v1.Descriptor
	for n := range 1 + maxManifestBytes/maxManifest {
		raw, err := json.Marshal(map[string]any{"os": "linux", "architecture": "amd64", "n": n})
		must(t, err)
		config := b.add(types.OCIConfigJSON, append(raw, bytes.Repeat([]byte(" "), maxManifest-len(raw))...))
		all = append(all, b.json(types.OCIManifestSchema1, map[string]any{"schemaVersion": 2, "mediaType": types.OCIManifestSchema1, "config": config, "layers": []any{}}))
	}
	_, err := layoutOf(t, b.files(b.index(all...)), Options{Platforms: []string{"linux/amd64"}})
	wantProblem(t, err, usererror.SourceBroken, "32 MiB together")
}

func TestCompressedArchives(t *testing.T) {
	b := newBuilder(t)
	root := b.twoPlatforms()
	raw := tarOf(t, b.files(root)...)
	temp := t.TempDir()
	skipped := append([]byte("\x5f\x2a\x4d\x18\x04\x00\x00\x00size"), zstdOf(t, raw)...)
	for name, data := range map[string][]byte{"skipped.tar.zst": skipped, "image.tar.gz": gzipOf(t, raw), "image.tgz": append(gzipOf(t, raw[:1000]), gzipOf(t, raw[1000:])...), "image.tar.zst": zstdOf(t, raw), "really.tar": gzipOf(t, raw)} {
		_, got := mustOpen(t, writeFile(t, name, data), Options{TempDir: temp})
		sameContent(t, everything(t, got), b.blobs)
	}
	for name, data := range map[string][]byte{"half.tar.gz": gzipOf(t, raw)[:500], "half.tar.zst": zstdOf(t, raw)[:500], "head.tgz": {0x1f, 0x8b, 8}, "text.tar.gz": gzipOf(t, []byte("text"))} {
		_, err := open(t, writeFile(t, name, data), Options{TempDir: temp})
		wantProblem(t, err, usererror.SourceBroken, name)
	}
	_, err := open(t, writeFile(t, "image.tar", []byte("\xfd7zXZ\x00...")), Options{})
	wantProblem(t, err, usererror.SourceUnsupported, "xz")
	_, err = open(t, writeFile(t, "image.tgz", gzipOf(t, raw)), Options{TempDir: "/nowhere/at all"})
	wantProblem(t, err, usererror.TemporaryFolder, "/nowhere")
	left, err := os.ReadDir(temp)
	must(t, err)
	if len(left) != 0 {
		t.Errorf("%d temporary files have names", len(left))
	}
}
