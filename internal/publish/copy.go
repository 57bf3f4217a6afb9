package publish

import (
	"context"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/image"
	"github.com/multi-registry-push/multi-registry-push/internal/source"
)

// copyImage copies an image to a registry, up to but without its tags, and reports whether
// anything can be tagged.
func (r *run) copyImage(ctx context.Context, s *registryRun, im *sourceImage, l *registryLeases) bool {
	targets := s.targetsOf(im)
	defer func() {
		for _, t := range targets {
			r.gate.arrive(t)
			t.sent()
		}
	}()
	atOnce(targets, func(t *target) { r.waitLogin(ctx, t) })
	if len(s.alive(im)) == 0 {
		return false
	}
	leave := s.results.enter(Copy)
	defer func() {
		leave(ctx.Err() != nil || slices.ContainsFunc(targets, func(t *target) bool { return t.err() != nil }))
	}()
	var g group
	for _, t := range s.alive(im) {
		g.run(func() { r.arriveAllowed(ctx, t) })
	}
	g.run(func() { r.takeInventory(ctx, s, im, l) })
	g.wait()
	atOnce(s.alive(im), func(t *target) { r.checkAllowed(ctx, t) })
	for _, t := range targets {
		r.gate.arrive(t)
	}
	if len(s.alive(im)) == 0 || ctx.Err() != nil {
		return false
	}
	for _, t := range s.alive(im) {
		t.countExisting(ctx)
		t.countReferrers(false)
	}
	if r.Atomic || r.anythingToSend(s, im) {
		if !r.mayCopy(ctx, s, im) {
			return false
		}
		r.copy(ctx, s, im, l)
	} else {
		l.keep(nil)
	}
	return len(s.alive(im)) > 0
}

// arriveAllowed lets a target count as ready to be sent to as soon as its permission is
// proved. With atomic it counts when its inventory has shown no conflict either, unless
// that takes as long as compressing the image.
func (r *run) arriveAllowed(ctx context.Context, t *target) {
	<-t.allowed.done
	if t.allowed.err != nil {
		return
	}
	if r.Atomic {
		if r.read(ctx, t.image, t.image.opened) != nil || len(t.image.source.PendingBlobs()) == 0 {
			return
		}
	}
	r.gate.arrive(t)
}

// checkAllowed ends a target that may not be pushed to, unless nothing has to be: a registry
// that is read-only but holds the image already is unchanged.
func (r *run) checkAllowed(ctx context.Context, t *target) {
	<-t.allowed.done
	if t.allowed.err != nil && !t.complete() {
		r.refused(ctx, t, t.allowed.err)
	}
}

func (r *run) anythingToSend(s *registryRun, im *sourceImage) bool {
	return slices.ContainsFunc(s.alive(im), func(t *target) bool { return r.Thorough || !t.complete() })
}

// copy sends every blob and manifest that is missing to every repository of a registry
// that gets the image: each manifest as soon as what it points at is there.
func (r *run) copy(ctx context.Context, s *registryRun, im *sourceImage, l *registryLeases) {
	jobs, err := r.blobJobs(ctx, s.alive(im))
	if err != nil {
		r.failAll(ctx, s, im, err)
		return
	}
	l.keep(jobs)
	r.preconnect(s, jobs)
	var g group
	r.openUploads(ctx, &g, s, im, jobs)
	for _, j := range largestFirst(jobs) {
		g.run(func() {
			defer l.release(j.descriptor.Digest)
			r.copyBlob(ctx, s, l, j)
		})
	}
	for _, t := range s.alive(im) {
		r.bringManifests(ctx, &g, t, jobs)
	}
	g.wait()
	for _, t := range s.alive(im) {
		switch {
		case ctx.Err() != nil:
			r.fail(ctx, t, ctx.Err())
		case t.refused != nil:
			r.fail(ctx, t, t.refused)
		}
	}
}

// Uploads that are opened while the registry is asked for blobs.
const (
	uploadsPerManifest = 2 // one that is missing lacks its config, and hardly ever that alone
	mostUploadsAhead   = 8 // as many large blobs as begin at once: none stays open for long
)

// openUploads lets uploads be opened for blobs that are missing most probably: where few are, as
// after a small change, all that are. Nothing is opened so for blobs that may be mounted, nor beyond
// a number of blobs at a time that the user has set.
func (r *run) openUploads(
	ctx context.Context, g *group, s *registryRun, im *sourceImage, jobs map[v1.Hash]*blobJob,
) {
	if r.Concurrency != 0 || len(s.repositories) > 1 {
		return
	}
	for _, j := range jobs {
		if at, ok := image.Origin(j.blob); ok && at.Host == s.Host {
			return
		}
	}
	for _, t := range s.alive(im) {
		n := 0
		for _, m := range t.missing {
			n += min(len(m.Blobs), uploadsPerManifest)
		}
		within, cancel := t.within(ctx)
		wait := t.client.OpenUploads(within, min(n, len(jobs), mostUploadsAhead))
		g.run(func() {
			defer cancel()
			wait()
		})
	}
}

// preconnect lets connections for blobs be made while the registry is asked whether it has them.
func (r *run) preconnect(s *registryRun, jobs map[v1.Hash]*blobJob) {
	sizes := map[Host][]int64{}
	for _, j := range jobs {
		hosts := []Host{s.client}
		if at, remote := image.Origin(j.blob); remote && image.IsRemote(j.blob) {
			hosts = append(hosts, r.host(at.Host))
		}
		for _, h := range hosts {
			sizes[h] = append(sizes[h], j.descriptor.Size)
		}
	}
	for host, all := range sizes {
		host.Preconnect(all)
	}
}

// underTag reports whether the image's root is written with its tags, not before: nothing that refers to it is
// written before, and no gate is between.
func (r *run) underTag(t *target) bool {
	if r.Atomic {
		return false
	}
	return !slices.ContainsFunc(t.missing, func(m *source.Manifest) bool {
		return m.Subject != nil && m.Subject.Digest == t.image.root.Descriptor.Digest
	})
}
