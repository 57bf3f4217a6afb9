package source

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"go.uber.org/goleak"

	"github.com/multi-registry-push/multi-registry-push/internal/image"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

func digestOf(raw []byte) v1.Hash { return image.Digest(raw) }

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// builder makes content whose digests are right; tests then break it.
type builder struct {
	t     testing.TB
	blobs map[v1.Hash][]byte
	order []v1.Hash
}

func newBuilder(t testing.TB) *builder { return &builder{t: t, blobs: map[v1.Hash][]byte{}} }

func (b *builder) add(mediaType types.MediaType, raw []byte) v1.Descriptor {
	d := v1.Descriptor{MediaType: mediaType, Size: int64(len(raw)), Digest: digestOf(raw)}
	if _, ok := b.blobs[d.Digest]; !ok {
		b.order = append(b.order, d.Digest)
	}
	b.blobs[d.Digest] = raw
	return d
}

func (b *builder) json(mediaType types.MediaType, v any) v1.Descriptor {
	raw, err := json.Marshal(v)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.add(mediaType, raw)
}

// layer returns a gzip layer that differs by name.
func (b *builder) layer(name string) v1.Descriptor {
	return b.add(types.OCILayer, gzipOf(b.t, layerTar(b.t, name, 2000)))
}

func layerTar(t testing.TB, name string, size int) []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	data := bytes.Repeat([]byte(name+" "), size/(len(name)+1)+1)[:size]
	must(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(size)}))
	_, err := w.Write(data)
	must(t, err)
	must(t, w.Close())
	return buf.Bytes()
}

func gzipOf(t testing.TB, raw []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, err := w.Write(raw)
	must(t, err)
	must(t, w.Close())
	return buf.Bytes()
}

func platformNamed(s string) *v1.Platform {
	p, err := v1.ParsePlatform(s)
	if err != nil {
		panic(err)
	}
	return p
}

func config(platform string, layers ...string) map[string]any {
	c := map[string]any{"rootfs": map[string]any{"type": "layers", "diff_ids": layers}, "config": map[string]any{}}
	if platform != "" {
		p := platformNamed(platform)
		c["os"], c["architecture"] = p.OS, p.Architecture
		if p.Variant != "" {
			c["variant"] = p.Variant
		}
	}
	return c
}

// image returns an OCI image for a platform, whose descriptor states it.
func (b *builder) image(platform string, layers ...v1.Descriptor) v1.Descriptor {
	d := b.json(types.OCIManifestSchema1, map[string]any{
		"schemaVersion": 2, "mediaType": types.OCIManifestSchema1,
		"config": b.json(types.OCIConfigJSON, config(platform)), "layers": layers,
	})
	if platform != "" {
		d.Platform = platformNamed(platform)
	}
	return d
}

// attestation returns what BuildKit adds for an image.
func (b *builder) attestation(of v1.Descriptor) v1.Descriptor {
	d := b.json(types.OCIManifestSchema1, map[string]any{
		"schemaVersion": 2, "mediaType": types.OCIManifestSchema1,
		"config": b.json(types.OCIConfigJSON, config("unknown/unknown")),
		"layers": []v1.Descriptor{b.json("application/vnd.in-toto+json", map[string]any{"subject": of.Digest})},
	})
	d.Platform = platformNamed("unknown/unknown")
	d.Annotations = map[string]string{attestationType: "attestation-manifest", attestedDigest: of.Digest.String()}
	return d
}

func (b *builder) index(children ...v1.Descriptor) v1.Descriptor {
	return b.json(types.OCIImageIndex, map[string]any{"schemaVersion": 2, "mediaType": types.OCIImageIndex, "manifests": children})
}

// twoPlatforms returns an index as BuildKit makes it.
func (b *builder) twoPlatforms() v1.Descriptor {
	shared := b.layer("shared")
	amd, arm := b.image("linux/amd64", shared, b.layer("amd")), b.image("linux/arm64", shared, b.layer("arm"))
	return b.index(amd, arm, b.attestation(amd), b.attestation(arm))
}

func named(d v1.Descriptor, annotations ...string) v1.Descriptor {
	d.Annotations = map[string]string{}
	for i := 0; i < len(annotations); i += 2 {
		d.Annotations[annotations[i]] = annotations[i+1]
	}
	return d
}

// files returns a layout that lists entries, in the order in which BuildKit writes it.
func (b *builder) files(entries ...v1.Descriptor) []member {
	var all []member
	for _, h := range b.order {
		all = append(all, member{name: blobName(h), data: b.blobs[h]})
	}
	raw, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": types.OCIImageIndex, "manifests": entries})
	must(b.t, err)
	return append(all, member{name: "index.json", data: raw}, member{name: "oci-layout", data: []byte(`{"imageLayoutVersion":"1.0.0"}`)})
}

// member is a file of an archive or folder.
type member struct {
	name string
	data []byte
	typ  byte
	link string
}

func tarOf(t testing.TB, members ...member) []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Mode: 0o644, Size: int64(len(m.data)), Typeflag: m.typ, Linkname: m.link}
		must(t, w.WriteHeader(h))
		_, err := w.Write(m.data)
		must(t, err)
	}
	must(t, w.Close())
	return buf.Bytes()
}

func writeFile(t testing.TB, name string, data []byte) string {
	path := filepath.Join(t.TempDir(), name)
	must(t, os.WriteFile(path, data, 0o600))
	return path
}

func writeFolder(t testing.TB, members ...member) string {
	dir := t.TempDir()
	for _, m := range members {
		path := filepath.Join(dir, filepath.FromSlash(m.name))
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, m.data, 0o600))
	}
	return dir
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open opens value with options, and closes it when the test ends.
func open(t testing.TB, value string, o Options) (*Image, error) {
	t.Helper()
	spec, err := Parse(value, o.Paths)
	if err != nil {
		return nil, err
	}
	if o.TempDir == "" {
		o.TempDir = t.TempDir()
	}
	i, err := Open(t.Context(), spec, o)
	if err == nil {
		t.Cleanup(func() { must(t, i.Close()) })
	}
	return i, err
}

func mustOpen(t testing.TB, value string, o Options) (*Image, *Manifest) {
	t.Helper()
	i, err := open(t, value, o)
	must(t, err)
	root, err := i.Root(t.Context())
	must(t, err)
	return i, root
}

// everything reads every manifest and blob below root.
func everything(t testing.TB, root *Manifest) map[v1.Hash][]byte {
	t.Helper()
	all := map[v1.Hash][]byte{}
	var walk func(*Manifest)
	walk = func(m *Manifest) {
		all[m.Descriptor.Digest] = m.Raw
		if got := digestOf(m.Raw); got != m.Descriptor.Digest {
			t.Errorf("manifest %s has the digest %s", m.Descriptor.Digest, got)
		}
		for _, b := range m.Blobs {
			d, err := b.Descriptor(t.Context())
			must(t, err)
			raw, err := read(t.Context(), b, 0)
			must(t, err)
			if int64(len(raw)) != d.Size || digestOf(raw) != d.Digest && d.Digest.Algorithm == "sha256" {
				t.Errorf("blob %s has the digest %s", d.Digest, digestOf(raw))
			}
			all[d.Digest] = raw
		}
		for _, c := range m.Manifests {
			walk(c)
		}
	}
	walk(root)
	return all
}

func read(ctx context.Context, b Blob, offset int64) ([]byte, error) {
	r, err := b.Open(ctx, offset)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	return io.ReadAll(r)
}

// wantProblem checks an error's code, and that its text (or advice) says all of texts.
func wantProblem(t testing.TB, err error, code usererror.Code, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s", code)
	}
	if !usererror.Is(err, code) {
		t.Fatalf("error %q, want code %s", err, code)
	}
	says := err.Error() + " " + usererror.Advice(err)
	for _, text := range texts {
		if !strings.Contains(says, text) {
			t.Errorf("error %q does not say %q", says, text)
		}
	}
	if len(says) > 6000 {
		t.Errorf("the message has %d characters", len(says))
	}
}

func sameContent(t testing.TB, got, want map[v1.Hash][]byte) {
	t.Helper()
	for h, raw := range want {
		if !bytes.Equal(got[h], raw) {
			t.Errorf("%s differs or is missing", h)
		}
	}
	for h := range got {
		if _, ok := want[h]; !ok {
			t.Errorf("%s is too much", h)
		}
	}
}

func without(members []member, name string) []member {
	return slices.DeleteFunc(slices.Clone(members), func(m member) bool { return m.name == name })
}

func replaced(members []member, name string, data []byte) []member {
	out := slices.Clone(members)
	for i := range out {
		if out[i].name == name {
			out[i].data = data
		}
	}
	return out
}
