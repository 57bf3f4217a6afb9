package publish

import (
	"context"
	"testing"
	"testing/synctest"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/source"
)

// Registries are asked for manifests as soon as the source's index names them, and not again
// when they have been read.
func TestAnnouncedManifestsAreAskedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := twoPlatforms(t, "")
		s := newSetup(t, root, "a.test/me/app:1", "b.test/me/app:1")
		read := map[string]int{} // how often each host was asked for a child before it was read
		s.deps.Open = func(_ context.Context, _ Image, _ func(imageref.Repository) source.RemoteRepository,
			found func([]v1.Descriptor)) (*source.Image, error) {
			found([]v1.Descriptor{root.Descriptor})
			synctest.Wait()
			found([]v1.Descriptor{root.Manifests[0].Descriptor, root.Manifests[1].Descriptor, root.Manifests[0].Descriptor})
			synctest.Wait()
			for name, h := range s.hosts {
				read[name] = h.count("Stat me/app " + root.Manifests[0].Descriptor.Digest.String())
			}
			return source.NewImage("test", nil, root, nil), nil
		}
		s.run(t.Context())
		for name, h := range s.hosts {
			if read[name] != 1 {
				t.Errorf("%s was asked %d times for a manifest that was named", name, read[name])
			}
			for _, m := range append([]*source.Manifest{root}, root.Manifests...) {
				if n := h.count("Stat me/app " + m.Descriptor.Digest.String()); n != 1 {
					t.Errorf("%s was asked %d times for %s", name, n, m.Descriptor.Digest)
				}
			}
		}
		s.kept(t)
	})
}

// A source that breaks after it has named something fails as any does.
func TestSourceThatBreaksAfterAnnouncing(t *testing.T) {
	root := twoPlatforms(t, "")
	s := newSetup(t, root, "a.test/me/app:1")
	s.deps.Open = func(_ context.Context, _ Image, _ func(imageref.Repository) source.RemoteRepository,
		found func([]v1.Descriptor)) (*source.Image, error) {
		found([]v1.Descriptor{root.Descriptor})
		return nil, errNoSuch
	}
	s.run(t.Context())
	if status := s.status()["a.test/me/app:1"]; status != Failed {
		t.Errorf("status %q", status)
	}
}
