package e2e

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
)

// A release of five images goes to registries of every kind: one from a registry, the same
// once more for other repositories and as a part of another, one merged from a glob of
// BuildKit's archives, one from a docker save and an archive. Each host is logged in to once, what is named twice is opened
// once, every part is in results, and another client reads the merged index by platform.
func TestRelease(t *testing.T) {
	from := servers.Olareg(t, servers.Options{Auth: servers.Token})
	built := images.Build(images.Options{LayerBytes: 1 << 10})
	built.Push(t, from.Reference("acme/built", "1"), from.Inspect()...)
	folder := t.TempDir()
	for _, platform := range []string{"linux/amd64", "linux/arm64"} {
		one := images.Build(images.Options{LayerBytes: 1 << 10, Platforms: []string{platform}, Seed: uint64(len(platform))})
		to := filepath.Join(folder, strings.ReplaceAll(platform, "/", "-")+".tar")
		if err := os.Rename(one.Archive(t, "acme/app:1"), to); err != nil {
			t.Fatal(err)
		}
	}
	saved := "docker-archive:" + filepath.Join(here(t), "..", "..", "testdata", "docker20.tar")
	arm := images.Build(images.Options{LayerBytes: 1 << 10, Platforms: []string{"linux/arm64"}}).Archive(t)
	s390x := images.Build(images.Options{LayerBytes: 1 << 10, Platforms: []string{"linux/s390x"}}).Archive(t)
	remoteText := from.Host + "/acme/built@" + built.Digest()
	sources := map[string]string{"api": remoteText, "again": remoteText, "more": remoteText + "\n" + s390x,
		"web": folder + "/*.tar", "tools": saved + "\n" + arm}

	to := kinds(t, servers.Options{Auth: servers.Token})
	j := job{inputs: map[string]string{"images": itemsOf(t, sources, to)}, auth: from.Item(0)}
	for _, s := range to {
		j.auth += s.Item(0)
	}
	from.Log.Reset()
	o := j.run(t).exits(0)
	var digests map[string]string
	if err := json.Unmarshal([]byte(o.outputs["digests"]), &digests); err != nil || len(digests) != len(sources) {
		t.Fatalf("digests %q: %v", o.outputs["digests"], err)
	}
	if digests["api"] != built.Digest() || digests["again"] != built.Digest() {
		t.Errorf("%v", digests)
	}
	var parts []string
	for _, p := range o.results.Sources {
		parts = append(parts, p.Image+" "+filepath.Base(p.Reference))
	}
	slices.Sort(parts)
	want := []string{"more built@" + built.Digest(), "more " + filepath.Base(s390x), "tools " + filepath.Base(arm), "tools docker20.tar", "web linux-amd64.tar", "web linux-arm64.tar"}
	slices.Sort(want)
	if !slices.Equal(parts, want) {
		t.Errorf("parts %q, want %q", parts, want)
	}
	readOnce(t, from, built)
	for at, s := range to {
		loggedInOnce(t, at, s)
		for image, digest := range digests {
			readByPlatform(t, s, "acme/"+image, digest)
		}
	}
	if again := j.run(t).exits(0); again.outputs["digests"] != o.outputs["digests"] {
		t.Errorf("%s, then %s", o.outputs["digests"], again.outputs["digests"])
	}
}

// itemsOf returns the input images: each under one tag at every server.
func itemsOf(t *testing.T, sources map[string]string, to map[string]*servers.Server) string {
	t.Helper()
	type item struct {
		Name   string   `json:"name"`
		Source string   `json:"source"`
		Tags   []string `json:"tags"`
	}
	var all []item
	for _, image := range slices.Sorted(maps.Keys(sources)) {
		one := item{Name: image, Source: sources[image]}
		for _, s := range to {
			one.Tags = append(one.Tags, s.Reference("acme/"+image, "1"))
		}
		all = append(all, one)
	}
	raw, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// readOnce checks that a source was read once, manifests and blobs.
func readOnce(t *testing.T, from *servers.Server, image *images.Image) {
	t.Helper()
	for _, m := range image.Manifests {
		if n := from.Log.Count(http.MethodGet, "/manifests/"+m.Descriptor.Digest.String()+"$"); n != 1 {
			t.Errorf("%s was read %d times", m.Descriptor.Digest, n)
		}
	}
	for blob, n := range from.Log.BlobGets() {
		if n != 1 {
			t.Errorf("%s was read %d times", blob, n)
		}
	}
}

// loggedInOnce checks that a host was asked once who may log in how, and for each token once.
func loggedInOnce(t *testing.T, at string, s *servers.Server) {
	t.Helper()
	challenges := 0
	for _, q := range s.Log.Settled() {
		if q.Status == http.StatusUnauthorized && q.Path == "/v2/" {
			challenges++
		}
	}
	asked := map[string]int{}
	for _, q := range s.Tokens.Log.Settled() {
		asked[strings.Join(q.Query["scope"], " ")]++
	}
	for scope, n := range asked {
		if n != 1 {
			t.Errorf("%s: %d tokens for %q", at, n, scope)
		}
	}
	if challenges != 1 || len(asked) == 0 {
		t.Errorf("%s: %d challenges, tokens for %v", at, challenges, asked)
	}
}

// readByPlatform has go-containerregistry read and check an index, and the image that it picks
// for a platform.
func readByPlatform(t *testing.T, s *servers.Server, repository, digest string) {
	t.Helper()
	ref, err := name.ParseReference(s.Reference(repository, "1"), name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(ref, s.Inspect()...)
	if err != nil {
		t.Errorf("%s: %v", ref, err)
		return
	}
	if got, err := index.Digest(); err != nil || got.String() != digest {
		t.Errorf("%s serves %s, not %s: %v", ref, got, digest, err)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		picked, err := remote.Image(ref, append(s.Inspect(), remote.WithPlatform(v1.Platform{OS: "linux", Architecture: arch}))...)
		if err != nil {
			t.Errorf("%s for %s: %v", ref, arch, err)
			continue
		}
		if err := validate.Image(picked); err != nil {
			t.Errorf("%s for %s: %v", ref, arch, err)
		}
		if config, err := picked.ConfigFile(); err != nil || config.Architecture != arch {
			t.Errorf("%s for %s: %+v, %v", ref, arch, config, err)
		}
	}
}
