package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/image"
	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/internal/source"
)

// errNotThere is what a manifest waits for in vain: why, the target tells.
var errNotThere = errors.New("what it points at is not there")

// bringManifests starts to write what t lacks, by digest: each manifest as soon as its
// blobs, its children and its subject are there. What refers to one subject is written one
// after the other: registries keep the list of a subject's referrers by reading, adding and
// writing it, and some lose one of two that come at once.
func (r *run) bringManifests(ctx context.Context, g *group, t *target, jobs map[v1.Hash]*blobJob) {
	done := map[v1.Hash]*future{}
	last := map[v1.Hash]*future{} // of a subject's referrers
	late := r.late(t)
	for _, m := range t.missing {
		if late[m.Descriptor.Digest] {
			continue
		}
		var after []*future
		for _, b := range m.Blobs {
			if d, err := b.Descriptor(ctx); err == nil && jobs[d.Digest] != nil {
				after = append(after, jobs[d.Digest].arrived[t])
			}
		}
		for _, c := range m.Manifests {
			after = append(after, done[c.Descriptor.Digest])
		}
		written := newFuture()
		if m.Subject != nil {
			subject := m.Subject.Digest
			after = append(after, done[subject], last[subject])
			last[subject] = written
		}
		done[m.Descriptor.Digest] = written
		g.run(func() {
			written.resolve(r.guarded(t.registry, func() error { return r.bringManifest(ctx, t, m, after) }))
			if written.err != nil && !errors.Is(written.err, errNotThere) {
				t.refuse(written.err)
			}
		})
	}
}

// refuse keeps the first refusal of a manifest. The target fails for it when all blobs that
// are on their way have arrived: the next run need not send them again.
func (t *target) refuse(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.refused == nil {
		t.refused = err
	}
}

// late returns the manifests that are not written before the tags: the root where it is
// written under its tags at once, or with atomic by digest, and what cannot be there
// without it.
func (r *run) late(t *target) map[v1.Hash]bool {
	late := map[v1.Hash]bool{}
	if !r.underTag(t) && (!r.Atomic || !r.PushByDigest) {
		return late
	}
	late[t.image.root.Descriptor.Digest] = true
	for _, m := range t.missing { // subjects and children come first
		if m.Subject != nil && late[m.Subject.Digest] {
			late[m.Descriptor.Digest] = true
		}
		for _, c := range m.Manifests {
			if late[c.Descriptor.Digest] {
				late[m.Descriptor.Digest] = true
			}
		}
	}
	return late
}

// bringManifest writes one manifest when all of after have happened.
func (r *run) bringManifest(ctx context.Context, t *target, m *source.Manifest, after []*future) error {
	for _, f := range after {
		if f == nil {
			continue
		}
		if <-f.done; f.err != nil {
			return errNotThere
		}
	}
	if t.out() || ctx.Err() != nil {
		return errNotThere
	}
	return r.putManifest(ctx, t, m)
}

// putManifest writes a manifest by digest.
func (r *run) putManifest(ctx context.Context, t *target, m *source.Manifest) error {
	err := r.orRepair(ctx, t, func() error { return r.writeManifest(ctx, t, m) })
	if err == nil {
		t.countCopied(m)
	}
	return err
}

func (r *run) writeManifest(ctx context.Context, t *target, m *source.Manifest) error {
	within, cancel := t.within(ctx)
	defer cancel()
	_, err := t.client.PutManifest(within, m.Descriptor.Digest.String(), m.Raw, string(m.Descriptor.MediaType),
		registry.Condition{Whole: true})
	if err == nil {
		t.registry.results.change(func(out *RegistryResult) { out.Wrote = true })
	}
	return err
}

// orRepair calls put. A registry that then lacks what it is known to have is repaired, once, and
// put is called again.
func (r *run) orRepair(ctx context.Context, t *target, put func() error) error {
	err := put()
	if lacksContent(err) && ctx.Err() == nil {
		if err = r.repair(ctx, t); err == nil {
			err = put()
		}
	}
	return err
}

// repair asks a repository for all blobs and manifests of an image, and sends those that
// it lacks though a manifest that is there names them. It does so once.
func (r *run) repair(ctx context.Context, t *target) error {
	t.repairing.Do(func() { t.repaired = r.repairTarget(ctx, t) })
	return t.repaired
}

func (r *run) repairTarget(ctx context.Context, t *target) error {
	jobs := map[v1.Hash]*blobJob{}
	if err := addJobs(ctx, jobs, t, image.ChildrenFirst(t.roots...), true); err != nil {
		return err
	}
	// Leases of its own: others may still read by those of the image.
	own := r.newLeases(t.image)
	defer own.keep(nil)
	var g group
	for _, j := range largestFirst(jobs) {
		t.registry.blob(j.descriptor.Digest).forget(t.Repository.Path)
		g.run(func() {
			defer own.release(j.descriptor.Digest)
			r.copyBlob(ctx, t.registry, own, j)
		})
	}
	g.wait()
	if err := t.err(); err != nil {
		return err
	}
	repaired := 0
	for _, j := range jobs {
		repaired += j.repaired
	}
	r.note(Note{Host: t.Repository.Host, Warning: true}, fmt.Sprintf(
		"%s lacked content of manifests that are there; blobs sent again: %d", t.Repository, repaired))
	return r.repairChildren(ctx, t)
}

// repairChildren writes children again that a registry lost.
func (r *run) repairChildren(ctx context.Context, t *target) error {
	lost := r.missingManifests(ctx, t, askForManifest)
	for _, m := range writeOrder(lost, t.roots...) {
		if m == t.image.root {
			continue
		}
		if err := r.writeManifest(ctx, t, m); err != nil {
			return err
		}
	}
	return t.err()
}

func (b *hostBlob) forget(path string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.holding = slices.DeleteFunc(b.holding, func(p string) bool { return p == path })
}
