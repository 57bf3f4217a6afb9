package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// fakeRepository serves what a builder made. Tags may move while it is read.
type fakeRepository struct {
	*builder
	tags      map[string]v1.Descriptor
	referrers map[string][]v1.Descriptor
	onRead    func(ref string) // called after each read of a manifest

	mu   sync.Mutex
	asks []string
}

func (f *fakeRepository) note(ask string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asks = append(f.asks, ask)
}

func (f *fakeRepository) Manifest(_ context.Context, ref string) ([]byte, v1.Descriptor, error) {
	f.note("manifest " + ref)
	if f.onRead != nil {
		defer f.onRead(ref)
	}
	d, ok := f.tags[ref]
	if !ok {
		h, err := v1.NewHash(ref)
		if err != nil || f.blobs[h] == nil {
			return nil, v1.Descriptor{}, fmt.Errorf("%s: %w", ref, registry.ErrNotFound)
		}
		d = v1.Descriptor{Digest: h}
	}
	raw := f.blobs[d.Digest]
	d.Size = int64(len(raw))
	return raw, d, nil
}

func (f *fakeRepository) Stat(ctx context.Context, ref string) (v1.Descriptor, error) {
	_, d, err := f.Manifest(ctx, ref)
	return d, err
}

func (f *fakeRepository) OpenBlob(_ context.Context, d v1.Descriptor, offset int64) (io.ReadCloser, error) {
	f.note("blob " + d.Digest.String())
	raw, ok := f.blobs[d.Digest]
	if !ok {
		return nil, registry.ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(raw[offset:])), nil
}

func (f *fakeRepository) Referrers(_ context.Context, digest string) ([]v1.Descriptor, bool, error) {
	return f.referrers[digest], true, nil
}

func (f *fakeRepository) Tags(context.Context) ([]string, error) {
	return nil, errors.New("not needed")
}

func (f *fakeRepository) options() Options {
	return Options{Repository: func(imageref.Repository) RemoteRepository { return f }}
}

func (f *fakeRepository) blobReads() (n int) {
	for _, ask := range f.asks {
		if ask[:4] == "blob" {
			n++
		}
	}
	return n
}

func TestRemote(t *testing.T) {
	b := newBuilder(t)
	root := b.twoPlatforms()
	f := &fakeRepository{builder: b, tags: map[string]v1.Descriptor{"1": root}}
	i, got := mustOpen(t, "docker://registry.example/me/app:1", f.options())
	if got.Descriptor.Digest != root.Digest || !i.Remote() || i.Origin.String() != "registry.example/me/app" || i.Reference != "registry.example/me/app:1" {
		t.Errorf("%v %v %q", got.Descriptor, i.Origin, i.Reference)
	}
	if f.blobReads() != 0 {
		t.Errorf("%v", f.asks)
	}
	if n := len(f.asks); n != 5 { // the index and four manifests, each once
		t.Errorf("%d requests: %v", n, f.asks)
	}
	sameContent(t, everything(t, got), b.blobs)
	_, got = mustOpen(t, "registry.example/me/app@"+root.Digest.String(), f.options())
	if got.Descriptor.Digest != root.Digest {
		t.Error(got.Descriptor.Digest)
	}
}

func TestTagThatMovesWhileItIsRead(t *testing.T) {
	b := newBuilder(t)
	one, two := b.twoPlatforms(), b.index(b.image("linux/s390x", b.layer("later")))
	f := &fakeRepository{builder: b, tags: map[string]v1.Descriptor{"1": one}}
	f.onRead = func(ref string) {
		if ref == "1" {
			f.tags = map[string]v1.Descriptor{"1": two}
		}
	}
	_, got := mustOpen(t, "registry.example/app:1", f.options())
	if got.Descriptor.Digest != one.Digest || len(got.Manifests) != 4 {
		t.Errorf("%v", got.Descriptor)
	}
}

func TestRemoteTrouble(t *testing.T) {
	b := newBuilder(t)
	image := b.image("linux/amd64", b.layer("a"))
	root := b.index(image)
	f := &fakeRepository{builder: b, tags: map[string]v1.Descriptor{"1": root}}
	_, err := open(t, "registry.example/me/app:2", f.options())
	wantProblem(t, err, usererror.SourceNotFound, "registry.example/me/app:2")
	if !errors.Is(err, registry.ErrNotFound) {
		t.Error("the cause is lost")
	}
	if p := usererror.Of(err); p.Registry != "registry.example" || !strings.HasPrefix(err.Error(), p.What) {
		t.Errorf("at %s: %v", p.Registry, err) // it names itself: no "source" in front
	}
	delete(b.blobs, image.Digest)
	_, err = open(t, "registry.example/me/app:1", f.options())
	wantProblem(t, err, usererror.SourceBroken, "registry.example/me/app:1", image.Digest.String())
	b.blobs[image.Digest] = []byte("{}")
	_, err = open(t, "registry.example/me/app:1", f.options())
	wantProblem(t, err, usererror.SourceBroken, "2 bytes")
}

func TestRemotePlatforms(t *testing.T) {
	b := newBuilder(t)
	amd, arm := b.image("linux/amd64", b.layer("amd")), b.image("linux/arm64", b.layer("arm"))
	root := b.index(amd, arm)
	f := &fakeRepository{builder: b, tags: map[string]v1.Descriptor{"1": root, "single": arm}}
	o := f.options()
	o.Platforms = []string{"linux/arm64"}
	_, got := mustOpen(t, "registry.example/app:1", o)
	if len(got.Manifests) != 1 || slices.Contains(f.asks, "manifest "+amd.Digest.String()) || f.blobReads() != 0 {
		t.Errorf("%v", f.asks)
	}
	// Only its config says what a single image is for; it is fetched once, ever.
	_, got = mustOpen(t, "registry.example/app:single", o)
	everything(t, got)
	everything(t, got)
	config := 0
	for _, ask := range f.asks {
		d, err := got.Blobs[0].Descriptor(t.Context())
		must(t, err)
		if ask == "blob "+d.Digest.String() {
			config++
		}
	}
	if config != 1 {
		t.Errorf("the config was fetched %d times", config)
	}
	o.Platforms = []string{"linux/amd64"}
	_, err := open(t, "registry.example/app:single", o)
	wantProblem(t, err, usererror.PlatformNotFound, "linux/arm64")
	// Without platforms nobody asks.
	f.asks = nil
	i, _ := mustOpen(t, "registry.example/app:single", f.options())
	_, err = i.Platforms(t.Context())
	must(t, err)
	if f.blobReads() != 0 {
		t.Errorf("%v", f.asks)
	}
}

func TestRemoteReferrers(t *testing.T) {
	b := newBuilder(t)
	root := b.image("linux/amd64", b.layer("a"))
	sbom, sig := b.artifact("sbom", &root), b.artifact("sig", nil)
	tag := "sha256-" + root.Digest.Hex + ".sig"
	f := &fakeRepository{builder: b, tags: map[string]v1.Descriptor{"1": root, tag: sig}, referrers: map[string][]v1.Descriptor{root.Digest.String(): {sbom}}}
	i, got := mustOpen(t, "registry.example/app:1", f.options())
	found, err := i.Referrers(t.Context(), got)
	must(t, err)
	want := []string{sbom.Digest.Hex[:12] + " ", sig.Digest.Hex[:12] + " " + tag}
	slices.Sort(want)
	if !slices.Equal(digests(found), want) {
		t.Errorf("%v, want %v", digests(found), want)
	}
	for _, r := range found {
		everything(t, r.Manifest)
	}
}
