package source

import (
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
)

// TestSharedParts: what two merged images and a whole one are made from is opened once, even by
// all at the same time, and stays open until the last has done with it.
func TestSharedParts(t *testing.T) {
	engine := newFakeEngine(t, classic)
	remote := &fakeRepository{builder: newBuilder(t), tags: map[string]v1.Descriptor{}}
	arm := remote.image("linux/arm64", remote.layer("arm"))
	remote.tags["arm"] = remote.index(arm)
	local := newBuilder(t)
	other := local.archiveOf(local.image("linux/s390x", local.layer("arm"), local.layer("s390x")))
	var found []v1.Descriptor
	o := Options{Docker: engine.serve(t), Shared: &Shared{}, TempDir: t.TempDir(),
		Repository: func(imageref.Repository) RemoteRepository { return remote }}
	open := func(lines string) (*Image, error) {
		specs, merge, err := ParseAll(lines, Paths{})
		if err != nil || merge {
			return OpenMerged(t.Context(), specs, o)
		}
		whole := o
		whole.Found = func(all []v1.Descriptor) { found = append(found, all...) }
		return Open(t.Context(), specs[0], whole)
	}

	const fromEngine, fromRegistry = "docker-daemon:app:1\n", "registry.example/me/app:arm\n"
	lines := []string{fromEngine + fromRegistry, fromRegistry + other + "\n" + fromEngine, fromRegistry}
	opened := make([]*Image, len(lines))
	errs := make([]error, len(lines))
	var all sync.WaitGroup
	for n, text := range lines {
		all.Go(func() {
			if opened[n], errs[n] = open(text); errs[n] == nil {
				_, errs[n] = opened[n].Root(t.Context())
			}
		})
	}
	all.Wait()
	for n, i := range opened {
		must(t, errs[n])
		root, err := i.Root(t.Context())
		must(t, err)
		everything(t, root)
		must(t, i.Close())
	}
	if gets := engine.count("/get"); gets != 1 {
		t.Errorf("the engine was asked for the image %d times", gets)
	}
	counts := map[string]int{}
	for _, ask := range remote.asks {
		counts[ask]++
	}
	if counts["manifest arm"] != 1 || counts["manifest "+arm.Digest.String()] != 1 {
		t.Errorf("%v", remote.asks)
	}
	if len(found) == 0 || found[0].Digest != remote.tags["arm"].Digest {
		t.Errorf("the whole image's manifests are %v", found)
	}
	if len(o.Shared.open) != 0 {
		t.Errorf("still open: %v", o.Shared.open)
	}
	again, err := open(lines[0]) // of what is closed
	must(t, err)
	_, err = again.Root(t.Context())
	must(t, err)
	must(t, again.Close())
	if gets := engine.count("/get"); gets != 2 {
		t.Errorf("the engine was asked for the image %d times, after all had closed it", gets)
	}
}
