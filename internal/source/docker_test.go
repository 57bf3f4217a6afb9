package source

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// savedForm is a way in which tools write docker archives.
type savedForm string

const (
	classic savedForm = "classic" // Docker before 25: ID/layer.tar, the same layer twice by a link
	podman  savedForm = "podman"  // DIFFID.tar, with links from ID/layer.tar
	kaniko  savedForm = "kaniko"  // sha256:HEX and HEX.tar.gz
	modern  savedForm = "modern"  // Docker 25, classic store: OCI layout with plain layers beside it
)

// dockerImage describes an image to be saved.
type dockerImage struct {
	config []byte
	tags   []string
	plain  [][]byte
}

func newDockerImage(t testing.TB, platform string, tags []string, plain ...[]byte) dockerImage {
	var diffIDs []string
	for _, l := range plain {
		diffIDs = append(diffIDs, digestOf(l).String())
	}
	raw, err := json.Marshal(config(platform, diffIDs...))
	must(t, err)
	return dockerImage{raw, tags, plain}
}

func zstdOf(t testing.TB, raw []byte) []byte {
	z, err := zstd.NewWriter(nil)
	must(t, err)
	defer func() { must(t, z.Close()) }()
	return z.EncodeAll(raw, nil)
}

// save writes an archive of images in some form.
func save(t testing.TB, form savedForm, images ...dockerImage) []member {
	var members []member
	var manifest []savedImage
	seen := map[string]bool{}
	add := func(m member) {
		if !seen[m.name] {
			seen[m.name] = true
			members = append(members, m)
		}
	}
	b := newBuilder(t)
	var entries []v1.Descriptor
	for n, i := range images {
		s := savedImage{RepoTags: i.tags}
		id := digestOf(i.config).Hex
		first := map[v1.Hash]string{}
		var layers []v1.Descriptor
		for k, l := range i.plain {
			h := digestOf(l)
			dir := fmt.Sprintf("%062d%d%d/", 0, n, k)
			switch form {
			case classic:
				add(member{name: dir, typ: '5'})
				add(member{name: dir + "VERSION", data: []byte("1.0")})
				add(member{name: dir + "json", data: []byte(`{"id":"x"}`)})
				if at := first[h]; at != "" {
					add(member{name: dir + "layer.tar", typ: '2', link: "../" + at})
				} else {
					add(member{name: dir + "layer.tar", data: l})
					first[h] = dir + "layer.tar"
				}
				s.Layers = append(s.Layers, dir+"layer.tar")
			case podman:
				add(member{name: h.Hex + ".tar", data: l})
				add(member{name: dir + "layer.tar", typ: '2', link: "../" + h.Hex + ".tar"})
				s.Layers = append(s.Layers, dir+"layer.tar")
			case kaniko:
				z := gzipOf(t, l)
				add(member{name: digestOf(z).Hex + ".tar.gz", data: z})
				s.Layers = append(s.Layers, digestOf(z).Hex+".tar.gz")
			case modern:
				d := b.add(types.OCIUncompressedLayer, l)
				layers = append(layers, d)
				s.Layers = append(s.Layers, blobName(d.Digest))
			}
		}
		switch form {
		case classic, podman:
			s.Config = id + ".json"
			add(member{name: s.Config, data: i.config})
		case kaniko:
			s.Config = "sha256:" + id
			add(member{name: s.Config, data: i.config})
		case modern:
			c := b.add(types.OCIConfigJSON, i.config)
			s.Config = blobName(c.Digest)
			d := b.json(types.OCIManifestSchema1, map[string]any{"schemaVersion": 2, "mediaType": types.OCIManifestSchema1, "config": c, "layers": layers})
			for _, tag := range i.tags {
				entries = append(entries, named(d, imageName, tag))
			}
		}
		manifest = append(manifest, s)
	}
	if form == modern {
		members = b.files(entries...)
	}
	raw, err := json.Marshal(manifest)
	must(t, err)
	return append(members, member{name: "manifest.json", data: raw}, member{name: "repositories", data: []byte("{}")})
}

// wantDocker checks that root is what i becomes in a registry: its config as it was,
// its layers compressed to what they hold.
func wantDocker(t testing.TB, root *Manifest, i dockerImage) {
	t.Helper()
	all := everything(t, root)
	var m v1.Manifest
	must(t, json.Unmarshal(root.Raw, &m))
	if m.MediaType != root.Descriptor.MediaType {
		t.Errorf("%s says it is %s", root.Descriptor.MediaType, m.MediaType)
	}
	if !bytes.Equal(all[m.Config.Digest], i.config) {
		t.Error("the config was changed")
	}
	if len(m.Layers) != len(i.plain) {
		t.Fatalf("%d layers, want %d", len(m.Layers), len(i.plain))
	}
	for n, l := range m.Layers {
		if int64(len(all[l.Digest])) != l.Size {
			t.Errorf("layer %d has %d bytes, its descriptor says %d", n, len(all[l.Digest]), l.Size)
		}
		var r io.Reader
		var err error
		if l.MediaType == types.OCILayerZStd {
			r, err = zstd.NewReader(bytes.NewReader(all[l.Digest]))
		} else {
			r, err = gzip.NewReader(bytes.NewReader(all[l.Digest]))
		}
		must(t, err)
		got, err := io.ReadAll(r)
		must(t, err)
		if z, ok := r.(*zstd.Decoder); ok {
			z.Close()
		}
		if !bytes.Equal(got, i.plain[n]) {
			t.Errorf("layer %d holds other bytes", n)
		}
	}
}

func threeLayers(t testing.TB) [][]byte {
	a, b := layerTar(t, "a", gzipBlock+5000), layerTar(t, "b", 1000)
	return [][]byte{a, b, a, layerTar(t, "c", 5000)} // the same layer twice
}

func TestDockerArchives(t *testing.T) {
	image := newDockerImage(t, "linux/amd64", []string{"app:1", "ghcr.io/me/app:1"}, threeLayers(t)...)
	digests := map[v1.Hash]bool{}
	for _, form := range []savedForm{classic, podman, kaniko, modern} {
		t.Run(string(form), func(t *testing.T) {
			raw := tarOf(t, save(t, form, image)...)
			for _, value := range []string{
				"docker-archive:" + writeFile(t, "image.tar", raw),
				writeFile(t, "image.tar", raw),
				writeFile(t, "image.tar.gz", gzipOf(t, raw)) + ":ghcr.io/me/app:1",
				writeFile(t, "image.bin", zstdOf(t, raw)) + ":1",
			} {
				i, root := mustOpen(t, value, Options{Platforms: []string{"linux/amd64"}})
				wantDocker(t, root, image)
				if n := len(i.PendingBlobs()); n != 3 {
					t.Errorf("%d layers ahead, want 3", n)
				}
				for _, b := range i.PendingBlobs() {
					d, err := b.Descriptor(t.Context())
					must(t, err)
					if d.Size == 0 || d.Digest.Hex == "" {
						t.Errorf("layer ahead is %v", d)
					}
				}
				platforms, err := i.Platforms(t.Context())
				must(t, err)
				if fmt.Sprint(platforms) != "[linux/amd64]" {
					t.Errorf("platforms are %v", platforms)
				}
				if form != kaniko {
					digests[root.Descriptor.Digest] = true
				}
			}
		})
	}
	if len(digests) != 1 {
		t.Errorf("one image in several forms gets %d digests", len(digests))
	}
}

func TestZstdLayersMakeAnOCIManifest(t *testing.T) {
	image := newDockerImage(t, "linux/amd64", nil, layerTar(t, "a", 1000), layerTar(t, "b", 1000))
	members := save(t, classic, image)
	for i, m := range members {
		if bytes.Equal(m.data, image.plain[1]) {
			members[i].data = zstdOf(t, m.data)
		}
	}
	_, root := mustOpen(t, writeFile(t, "image.tar", tarOf(t, members...)), Options{})
	if root.Descriptor.MediaType != types.OCIManifestSchema1 {
		t.Errorf("media type is %s", root.Descriptor.MediaType)
	}
	wantDocker(t, root, image)
}

func TestImageWithoutLayers(t *testing.T) {
	image := newDockerImage(t, "linux/amd64", nil)
	i, root := mustOpen(t, writeFile(t, "image.tar", tarOf(t, save(t, classic, image)...)), Options{})
	wantDocker(t, root, image)
	if len(i.PendingBlobs()) != 0 {
		t.Error("layers ahead of an image without any")
	}
}

func TestPickOfDockerArchive(t *testing.T) {
	one := newDockerImage(t, "linux/amd64", []string{"app:1", "app:latest"}, layerTar(t, "a", 100))
	two := newDockerImage(t, "linux/amd64", []string{"app:2", "docker.io/library/other:3"}, layerTar(t, "b", 100))
	for _, form := range []savedForm{classic, modern} {
		path := writeFile(t, "image.tar", tarOf(t, save(t, form, one, two)...))
		for pick, want := range map[string]dockerImage{"1": one, "app:latest": one, "2": two, "other:3": two, "docker.io/library/app:2": two} {
			_, root := mustOpen(t, path+":"+pick, Options{})
			wantDocker(t, root, want)
		}
		_, err := open(t, path, Options{})
		wantProblem(t, err, usererror.SourceAmbiguous, "2 images", "app:1", "app:2", ":TAG")
		_, err = open(t, path+":9", Options{})
		wantProblem(t, err, usererror.SourceNotFound, `"9"`, "app:latest", "other:3")
	}
}

func TestNothingIsReadBeforeItIsAskedFor(t *testing.T) {
	image := newDockerImage(t, "linux/amd64", nil, layerTar(t, "a", 1000))
	members := save(t, classic, image)
	for i, m := range members {
		if bytes.Equal(m.data, image.plain[0]) {
			members[i].data = bytes.Repeat([]byte("x"), len(m.data))
		}
	}
	i, err := open(t, writeFile(t, "image.tar", tarOf(t, members...)), Options{})
	must(t, err) // the layer is damaged, but nobody has looked
	_, err = i.Root(t.Context())
	wantProblem(t, err, usererror.DigestMismatch, "layer.tar", digestOf(image.plain[0]).String())
	_, err = i.PendingBlobs()[0].Descriptor(t.Context())
	wantProblem(t, err, usererror.DigestMismatch)
}

func TestSavedLayoutWithCompressedLayersStaysAsItIs(t *testing.T) {
	b := newBuilder(t)
	root := b.twoPlatforms()
	members := append(b.files(named(root, imageName, "app:1")), member{name: "manifest.json", data: []byte(`[{"Config":"gone","Layers":[]}]`)})
	_, got := mustOpen(t, "docker-archive:"+writeFile(t, "image.tar", tarOf(t, members...)), Options{})
	if got.Descriptor.Digest != root.Digest {
		t.Errorf("root is %s, want %s", got.Descriptor.Digest, root.Digest)
	}
	sameContent(t, everything(t, got), b.blobs)
}

// An engine that pulled one platform of two saves the whole index with half of its
// content.
func TestPlatformsThatTheEngineLacksAreLeftOut(t *testing.T) {
	b := newBuilder(t)
	amd, arm := b.image("linux/amd64", b.layer("amd")), b.image("linux/arm64", b.layer("arm"))
	root := b.index(amd, arm, b.attestation(amd))
	members := without(b.files(named(root, imageName, "app:1")), blobName(arm.Digest))
	raw := tarOf(t, append(members, member{name: "manifest.json", data: []byte(`[]`)})...)
	i, got := mustOpen(t, "docker-archive:"+writeFile(t, "image.tar", raw), Options{})
	if len(got.Manifests) != 2 || got.Manifests[0].Descriptor.Digest != amd.Digest || got.Descriptor.Digest == root.Digest {
		t.Errorf("root is %s", got.Raw)
	}
	platforms, err := i.Platforms(t.Context())
	must(t, err)
	if fmt.Sprint(platforms) != "[linux/amd64]" {
		t.Errorf("platforms are %v", platforms)
	}
	// In a layout, the same is damage.
	_, err = open(t, "oci-archive:"+writeFile(t, "image.tar", tarOf(t, members...)), Options{})
	wantProblem(t, err, usererror.SourceBroken, arm.Digest.String(), "missing")
}

func TestBrokenDockerArchives(t *testing.T) {
	image := newDockerImage(t, "linux/amd64", []string{"app:1"}, layerTar(t, "a", 1000), layerTar(t, "b", 1000))
	good := save(t, classic, image)
	layerName := fmt.Sprintf("%062d00/layer.tar", 0)
	configName := digestOf(image.config).Hex + ".json"
	large := append([]byte("{}"), bytes.Repeat([]byte(" "), maxManifest-2)...)
	for name, c := range map[string]struct {
		members []member
		code    usererror.Code
		says    string
		late    bool // found when the layers are read
	}{
		"no manifest.json":       {without(good, "manifest.json"), usererror.SourceBroken, "neither", false},
		"no config":              {without(good, configName), usererror.SourceBroken, "which is not there", false},
		"a config of other name": {replaced(good, configName, []byte(`{}`)), usererror.DigestMismatch, configName, false},
		"no layer":               {without(good, layerName), usererror.SourceBroken, "is not there", true},
		"manifest.json twice":    {append(good[:len(good):len(good)], member{name: "manifest.json", data: []byte("[]")}), usererror.SourceBroken, "twice", false},
		"manifest.json unclear":  {replaced(good, "manifest.json", []byte("{")), usererror.SourceBroken, "manifest.json", false},
		"manifest.json empty":    {replaced(good, "manifest.json", []byte("[]")), usererror.SourceNotFound, "no image", false},
		"layers too few": {replaced(good, "manifest.json", fmt.Appendf(nil, `[{"Config":%q,"Layers":[%q]}]`, configName, layerName)),
			usererror.SourceBroken, "1 layers, but the image's config 2", false},
		"a large config again and again": {[]member{{name: "manifest.json", data: []byte(`[{"Config":"c"}` + strings.Repeat(`,{"Config":"c"}`, 8) + `]`)}, {name: "c", data: large}},
			usererror.SourceBroken, "32 MiB together", false},
		"a config outside": {replaced(good, "manifest.json", []byte(`[{"Config":"../../etc/passwd"}]`)), usererror.SourceBroken, "leads out", false},
		"a layer outside": {replaced(good, "manifest.json", fmt.Appendf(nil, `[{"Config":%q,"Layers":["/etc/passwd","b"]}]`, configName)),
			usererror.SourceBroken, "absolute path", false},
		"a layer of other bytes": {replaced(good, layerName, image.plain[1]), usererror.DigestMismatch, digestOf(image.plain[0]).String(), true},
		"a layer by bzip2":       {replaced(good, layerName, []byte("BZh91AY")), usererror.SourceUnsupported, "bzip2", true},
		"half a gzip":            {replaced(good, layerName, gzipOf(t, image.plain[0])[:50]), usererror.SourceBroken, "to its end", true},
		"half a zstd":            {replaced(good, layerName, zstdOf(t, image.plain[0])[:50]), usererror.SourceBroken, "to its end", true},
	} {
		t.Run(name, func(t *testing.T) {
			i, err := open(t, writeFile(t, "image.tar", tarOf(t, c.members...)), Options{})
			if c.late {
				must(t, err)
				_, err = i.Root(t.Context())
			}
			wantProblem(t, err, c.code, c.says, "image.tar")
		})
	}
	_, err := open(t, "docker-archive:"+writeFile(t, "image.tar", tarOf(t, good...)), Options{Platforms: []string{"linux/arm64"}})
	wantProblem(t, err, usererror.PlatformNotFound, "no linux/arm64", "it has linux/amd64")
}
