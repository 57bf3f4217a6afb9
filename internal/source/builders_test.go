package source

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// expected is what testdata/fixtures.json, made by other tools, says of a fixture.
type expected struct {
	Images []struct {
		Digest, MediaType string
		Names, Platforms  []string
	}
	Docker []struct {
		Tags    []string
		Config  string
		DiffIDs []string
	}
}

const fixtures = "../../testdata"

func readFixtures(t testing.TB) map[string]expected {
	raw, err := os.ReadFile(filepath.Join(fixtures, "fixtures.json"))
	must(t, err)
	var all map[string]expected
	must(t, json.Unmarshal(raw, &all))
	return all
}

// isMixed reports whether a docker archive has an OCI layout with plain layers: the
// classic form counts there.
func isMixed(name string) bool { return name == "docker29-three-tags.tar" }

// TestMergedDigest: the same archives give the same digest on every machine.
func TestMergedDigest(t *testing.T) {
	const want = "sha256:0a2c3a77cc75b50703d70d80db87de10179ba6cf7d43b8e15b4c207afecb4446"
	_, root := mustMerge(t, Options{}, filepath.Join(fixtures, "buildkit-amd64.tar"), filepath.Join(fixtures, "buildkit-arm64.tar"))
	if got := root.Descriptor.Digest.String(); got != want {
		t.Errorf("%s, want %s:\n%s", got, want, root.Raw)
	}
}

func TestWhatBuildersWrite(t *testing.T) {
	for name, want := range readFixtures(t) {
		path := filepath.Join(fixtures, name)
		t.Run(name, func(t *testing.T) {
			if len(want.Images) > 0 && !isMixed(name) {
				for _, image := range want.Images {
					for _, pick := range append([]string{image.Digest}, image.Names...) {
						i, root := mustOpen(t, path+":"+pick, Options{})
						if root.Descriptor.Digest.String() != image.Digest || string(root.Descriptor.MediaType) != image.MediaType {
							t.Errorf("%q is %v", pick, root.Descriptor)
						}
						everything(t, root)
						platforms, err := i.Platforms(t.Context())
						must(t, err)
						if !slices.Equal(platforms, image.Platforms) {
							t.Errorf("platforms are %v", platforms)
						}
						if len(i.PendingBlobs()) != 0 {
							t.Error("layers would be compressed again")
						}
					}
				}
			}
			if len(want.Images) == 0 || isMixed(name) {
				for _, image := range want.Docker {
					for _, tag := range image.Tags {
						_, root := mustOpen(t, "docker-archive:"+path+":"+tag, Options{})
						wantLayers(t, root, image.Config, image.DiffIDs)
					}
				}
			}
			_, err := open(t, path, Options{})
			if max(len(want.Images), len(want.Docker)) > 1 {
				wantProblem(t, err, usererror.SourceAmbiguous, "example.com/other:1", "example.com/app:1.0.0")
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// wantLayers checks config and diff ids of what a classic archive became.
func wantLayers(t *testing.T, root *Manifest, config string, diffIDs []string) {
	t.Helper()
	all := everything(t, root)
	var m v1.Manifest
	must(t, json.Unmarshal(root.Raw, &m))
	if m.Config.Digest.String() != config {
		t.Errorf("config is %s, want %s", m.Config.Digest, config)
	}
	var got []string
	for _, l := range m.Layers {
		z, err := gzip.NewReader(bytes.NewReader(all[l.Digest]))
		must(t, err)
		raw, err := io.ReadAll(z)
		must(t, err)
		got = append(got, digestOf(raw).String())
	}
	if !slices.Equal(got, diffIDs) {
		t.Errorf("diff ids are %v, want %v", got, diffIDs)
	}
}

// The same image, saved by tools that agree on its content, is one image here.
func TestOneImageOfManySavers(t *testing.T) {
	digests := map[string][]string{}
	for name, pick := range map[string]string{"docker20.tar": "", "docker20-three-tags.tar": ":latest", "docker29-three-tags.tar": ":latest", "skopeo-docker.tar": ""} {
		_, root := mustOpen(t, "docker-archive:"+filepath.Join(fixtures, name)+pick, Options{})
		digests[root.Descriptor.Digest.String()] = append(digests[root.Descriptor.Digest.String()], name)
	}
	if len(digests) != 1 {
		t.Errorf("one image has the digests %v", digests)
	}
}

// An engine with containerd's store (Docker 29, from which one of two platforms was
// removed by DELETE /images/NAME?platforms=…) saves an index half of which is missing.
func TestEngineThatLacksAPlatform(t *testing.T) {
	i, root := mustOpen(t, "docker-archive:testdata/docker29-one-of-two-platforms.tar", Options{})
	everything(t, root)
	platforms, err := i.Platforms(t.Context())
	must(t, err)
	if !slices.Equal(platforms, []string{"linux/amd64"}) || len(root.Manifests) != 2 { // with its attestation
		t.Errorf("%v, %d manifests", platforms, len(root.Manifests))
	}
	if got := root.Descriptor.Digest.String(); got != "sha256:2f33571d8f29f82fc73ed793d6aca3b117cb2b2f26dfe443b44761e829fabb37" {
		t.Errorf("the digest of the subset has changed: %s", got)
	}
}

// What real builders write, cut short or with a byte changed anywhere, is an error or
// still the right image: never another one, and never a panic.
func TestDamagedFixtures(t *testing.T) {
	for name := range readFixtures(t) {
		if !strings.HasSuffix(name, ".tar") {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(fixtures, name))
		must(t, err)
		for n := range 25 {
			at := (n*7919 + 13) % len(raw)
			for _, damaged := range [][]byte{raw[:at], append(append(bytes.Clone(raw[:at]), raw[at]^0x55), raw[at+1:]...)} {
				a, err := indexTar(bytes.NewReader(damaged), int64(len(damaged)))
				if err != nil {
					continue
				}
				publishable(t, a)
			}
		}
	}
}

// publishable opens every image in a tree and reads all of it. Each byte that comes
// out has its digest.
func publishable(t testing.TB, tr fileSet) {
	ctx := t.Context()
	i, err := openFilesAs(ctx, Spec{Kind: BarePath}, tr, "", Options{TempDir: os.TempDir(), Workers: 1})
	if err != nil {
		return
	}
	defer func() { _ = i.Close() }()
	root, err := i.Root(ctx)
	if err != nil {
		return
	}
	seen := map[*Manifest]bool{}
	var walk func(*Manifest)
	walk = func(m *Manifest) {
		if seen[m] {
			return
		}
		seen[m] = true
		if m.Descriptor.Digest.Algorithm == "sha256" && digestOf(m.Raw) != m.Descriptor.Digest {
			t.Errorf("manifest %s has the digest %s", m.Descriptor.Digest, digestOf(m.Raw))
		}
		for _, b := range m.Blobs {
			d, err := b.Descriptor(ctx)
			if err != nil {
				t.Errorf("a blob of a known root is not known: %v", err)
				continue
			}
			raw, err := read(ctx, b, 0)
			if err == nil && d.Digest.Algorithm == "sha256" && (digestOf(raw) != d.Digest || int64(len(raw)) != d.Size) {
				t.Errorf("blob %s has the digest %s", d.Digest, digestOf(raw))
			}
		}
		for _, c := range m.Manifests {
			walk(c)
		}
	}
	walk(root)
	_, _ = i.Referrers(ctx, root) // must not panic
}
