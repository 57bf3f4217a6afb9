package e2e

import (
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
	"github.com/multi-registry-push/multi-registry-push/test/servers/distribution"
)

// A run after a failure goes on where that one was: what is there is not sent again.
func TestRunAgain(t *testing.T) {
	image := images.Build(images.Options{LayerBytes: 50 << 10})
	source := servers.Olareg(t, servers.Options{})
	image.Push(t, source.Reference("acme/built", "1"), source.Inspect()...)
	for kind, start := range map[string]func(testing.TB, servers.Options) *servers.Server{"distribution": distribution.Start, "olareg": servers.Olareg} {
		t.Run(kind, func(t *testing.T) {
			s := start(t, servers.Options{Auth: servers.Token})
			source.Log.Reset()
			s.Faults.Add(servers.Fault{Match: servers.Matching("PUT", "/manifests/"), Status: 400, Count: servers.Forever})
			j := job{source: source.Reference("acme/built", "1"), tags: []string{s.Reference("acme/app", "1")}, auth: source.Item(0) + s.Item(0), clock: newClock()}
			j.run(t).exits(1)
			s.Faults.Clear()
			if n := len(source.Log.BlobGets()); n != len(image.Blobs) {
				t.Fatalf("%d blobs were fetched before the failure", n)
			}
			source.Log.Reset()
			s.Log.Reset()
			o := j.run(t).exits(0)
			image.Compare(t, s.Reference("acme/app", "1"), s.Inspect()...)
			if gets := source.Log.BlobGets(); len(gets) > 0 {
				t.Errorf("fetched again: %v", gets)
			}
			if n := s.Log.Count("PATCH", "") + s.Log.Count("PUT", servers.UploadPath); n > 0 {
				t.Errorf("sent again:\n%s", s.Log)
			}
			if r := o.registry(s.Host); r.Blobs.Existing != len(image.Blobs) {
				t.Errorf("%+v", r.Blobs)
			}
		})
	}
}

// A child of an index that a clean-up job removed is copied again, although the index is there.
func TestMissingChildren(t *testing.T) {
	w := newWorld(t)
	for kind, start := range map[string]func(testing.TB, servers.Options) *servers.Server{"distribution": distribution.Start, "olareg": servers.Olareg} {
		t.Run(kind, func(t *testing.T) {
			s := start(t, servers.Options{Auth: servers.Token, Delete: true})
			ref := s.Reference("acme/app", "1")
			w.image.Push(t, ref, s.Inspect()...)
			child := w.image.Manifests[0].Descriptor.Digest.String()
			d, err := name.NewDigest(s.Host + "/acme/app@" + child)
			if err != nil {
				t.Fatal(err)
			}
			if err := remote.Delete(d, s.Inspect()...); err != nil {
				t.Fatal(err)
			}
			if _, err := images.Fetch(ref, s.Inspect()...); err == nil {
				t.Fatal("the child is still there")
			}
			job{source: w.source, tags: []string{ref}, auth: s.Item(0)}.run(t).exits(0)
			w.image.Compare(t, ref, s.Inspect()...)
		})
	}
}
