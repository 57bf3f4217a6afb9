package publish

import (
	"context"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/image"
	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/internal/source"
)

// inventory is what a repository holds of an image, as its first wave of questions found it.
type inventory struct {
	updates []*tagUpdate       // the tags that were asked for, and those of referrers
	missing []*source.Manifest // of what the repository is to get, in the order in which they can be written
	roots   []*source.Manifest // what it is to get
	extra   []*tagUpdate       // all updates of referrers, those included that are passed over
}

// takeInventory asks every repository of a registry that gets the image for its tags and
// manifests, all at once, and decides what is not to be touched. Layers that are still
// being compressed are sent meanwhile.
func (r *run) takeInventory(ctx context.Context, s *registryRun, im *sourceImage, l *registryLeases) {
	var g group
	for _, t := range s.alive(im) {
		asked := t.askedUpdates(r.PushByDigest)
		t.updates = asked
		g.run(func() {
			r.lookUpAll(ctx, t, asked, r.lookUp)
			r.dismissProof(ctx, t, asked)
		})
		g.run(func() { r.askAhead(ctx, t) })
	}
	g.run(func() { r.readSource(ctx, s, im, l) })
	g.wait()
	for _, t := range s.alive(im) {
		for _, u := range t.updates {
			u.point(im.root)
		}
	}
	r.settleConflicts(ctx, s, im)
}

// readSource waits for the image's manifests, sends meanwhile layers that are still being compressed,
// leases the blobs, and asks every repository for the manifests. In a dry run l is nil: nothing is
// sent or leased.
func (r *run) readSource(ctx context.Context, s *registryRun, im *sourceImage, l *registryLeases) {
	err := r.read(ctx, im, im.opened)
	if err == nil && l != nil {
		r.copyAhead(ctx, s, im, l)
	}
	if err == nil {
		err = r.read(ctx, im, im.known)
	}
	if err == nil && l != nil {
		err = l.take(ctx)
	}
	if err != nil {
		r.sourceUnread(ctx, s, im, err)
		return
	}
	atOnce(s.alive(im), func(t *target) {
		var g group
		missing := map[v1.Hash]bool{}
		g.run(func() { missing = r.missingManifests(ctx, t, r.askOnce) })
		var extra []*tagUpdate
		g.run(func() { extra = r.referrerUpdates(ctx, t) })
		g.wait()
		t.accept(im, extra, missing)
	})
}

// sourceUnread ends every target of an image that cannot be read. Those that could not have
// been pushed to anyway are ended for that.
func (r *run) sourceUnread(ctx context.Context, s *registryRun, im *sourceImage, err error) {
	atOnce(s.alive(im), func(t *target) {
		if !r.DryRun {
			if <-t.allowed.done; t.allowed.err != nil {
				r.refused(ctx, t, t.allowed.err)
				return
			}
		}
		r.fail(ctx, t, err)
	})
}

// missingManifests asks t, by ask, for every manifest of the image, once each, and returns
// those that it lacks. A root that is there says nothing of what is below: clean-up jobs
// remove children of an index that stays.
func (r *run) missingManifests(
	ctx context.Context, t *target, ask func(context.Context, *target, v1.Hash) error,
) map[v1.Hash]bool {
	all := t.image.manifests()
	lacks := make([]bool, len(all))
	limited(requestsAtOnce, indexes(all), func(i int) {
		err := ask(ctx, t, all[i].Descriptor.Digest)
		switch {
		case err == nil:
		case isMissing(err):
			lacks[i] = true
		default:
			r.failWithin(ctx, t, err)
		}
	})
	missing := map[v1.Hash]bool{}
	for i, m := range all {
		if lacks[i] {
			missing[m.Descriptor.Digest] = true
		}
	}
	return missing
}

// failWithin is fail for what came of a request that also ends when the target has ended:
// then there is nothing to say.
func (r *run) failWithin(ctx context.Context, t *target, err error) {
	if !t.out() || ctx.Err() != nil {
		r.fail(ctx, t, err)
	}
}

// accept puts down what t is to get: the image, and of its referrers those that are not
// passed over.
func (t *target) accept(im *sourceImage, extra []*tagUpdate, missing map[v1.Hash]bool) {
	passed := map[v1.Hash]bool{}
	for _, u := range extra {
		for _, d := range u.passedOver {
			passed[d] = true
		}
	}
	t.roots = []*source.Manifest{im.root}
	for _, e := range im.referrers {
		if !passed[e.Manifest.Descriptor.Digest] {
			t.roots = append(t.roots, e.Manifest)
		}
	}
	t.extra = slices.Clone(extra)
	t.updates = append(t.updates, slices.DeleteFunc(extra, func(u *tagUpdate) bool { return u.raw == nil })...)
	t.missing = writeOrder(missing, t.roots...)
}

// complete reports whether the repository holds all that it is to get, and its tags serve it.
func (t *target) complete() bool {
	return len(t.missing) == 0 && t.roots != nil &&
		!slices.ContainsFunc(t.updates, func(u *tagUpdate) bool { return !u.stays() })
}

// countExisting counts the blobs of manifests that are there: they need not be asked for.
func (t *target) countExisting(ctx context.Context) {
	missing := map[v1.Hash]bool{}
	for _, m := range t.missing {
		missing[m.Descriptor.Digest] = true
	}
	for _, m := range image.ChildrenFirst(t.roots...) {
		if missing[m.Descriptor.Digest] {
			continue
		}
		for _, b := range m.Blobs {
			if d, err := b.Descriptor(ctx); err == nil {
				t.registry.results.countBlob(t.Repository.Path, d, registry.Existing)
			}
		}
	}
}

// writeOrder returns those of missing that are below roots, in the order in which registries
// take them.
func writeOrder(missing map[v1.Hash]bool, roots ...*source.Manifest) (all []*source.Manifest) {
	for _, level := range image.Levels(roots...) {
		for _, m := range level {
			if missing[m.Descriptor.Digest] {
				all = append(all, m)
			}
		}
	}
	return all
}
