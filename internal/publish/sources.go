package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/blobcache"
	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/image"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/internal/source"
)

// image is one image of the plan, while it is being read.
type sourceImage struct {
	index int
	plan  Image
	same  *sourceImage // an earlier image of the same source, which opens and closes it; nil for none

	found  *foundManifests // of a remote source
	opened *future         // source is set
	known  *future         // root, referrers and result are set

	source     *source.Image
	root       *source.Manifest
	referrers  []source.Referrer // of the image and all its manifests, and of those
	passedOver int               // referrers in the source that cannot be copied
	result     ImageResult

	// Guarded by run.cacheMu.
	stocked    bool                           // its blobs are in the cache
	unfinished int                            // registries that have not done with it
	unclaimed  map[v1.Hash][]*blobcache.Lease // one for each of these, until it takes it

	mu      sync.Mutex
	uses    []*usage // of each remote source, in the order of the parts
	counted bool     // a registry that had logged in asked for it
	told    bool     // the observer was told of it, or of its failure
}

func newImage(index int, plan Image, earlier []*sourceImage) *sourceImage {
	im := &sourceImage{index: index, plan: plan, opened: newFuture(), known: newFuture()}
	im.found = &foundManifests{more: make(chan struct{})}
	im.result.Name = plan.Name
	for _, other := range earlier {
		if im.same == nil && sameSource(other.plan, plan) {
			im.same, im.found = other, other.found
		}
	}
	return im
}

// sameSource reports whether two images of the plan are read in the same way. One without parts
// has a source that nobody can read.
func sameSource(a, b Image) bool {
	return len(a.Parts) > 0 && a.Merge == b.Merge && slices.Equal(a.Platforms, b.Platforms) &&
		slices.EqualFunc(a.Parts, b.Parts, func(x, y source.Spec) bool { return x.Key() == y.Key() })
}

// open opens the image's source. One that is named twice is opened once.
func (r *run) open(ctx context.Context, im *sourceImage) (err error) {
	if im.same == nil {
		im.source, err = r.deps.Open(ctx, im.plan, func(at imageref.Repository) source.RemoteRepository {
			use := &usage{}
			im.mu.Lock()
			im.uses = append(im.uses, use)
			im.mu.Unlock()
			return counted{r.host(at.Host).Repository(at.Path), use}
		}, im.found.add)
		return err
	}
	select {
	case <-im.same.opened.done:
		im.source = im.same.source
		return im.same.opened.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// manifests returns all of the image, referrers included, each digest once and every
// manifest behind those that it points at.
func (im *sourceImage) manifests() []*source.Manifest { return image.ChildrenFirst(im.roots()...) }

// roots returns the manifests that have to be everywhere: the image's, and those that
// refer to it.
func (im *sourceImage) roots() []*source.Manifest {
	roots := []*source.Manifest{im.root}
	for _, e := range im.referrers {
		roots = append(roots, e.Manifest)
	}
	return roots
}

// openImage opens an image's source and reads its manifests. It is the first that reads
// anything of the image.
func (r *run) openImage(ctx context.Context, im *sourceImage) {
	var err error
	if panicked := protect(func() { err = r.readImage(ctx, im) }); panicked != nil {
		err = internalError("", panicked)
	}
	im.opened.resolve(err) // if that has not been resolved
	im.known.resolve(err)
}

func (r *run) readImage(ctx context.Context, im *sourceImage) (err error) {
	var all []credentials.Credential
	for _, part := range im.plan.Parts {
		if at := part.Repository(); at != nil {
			all = append(all, r.plan.Credentials[*at])
		}
	}
	stop := getAhead(ctx, all...)
	defer stop()
	if err = r.open(ctx, im); err != nil {
		return err
	}
	im.opened.resolve(nil)
	if im.root, err = im.source.Root(ctx); err != nil {
		return err
	}
	r.notePullsLeft(im)
	if r.Referrers {
		if im.referrers, err = collectReferrers(ctx, im.source, im.root); err != nil {
			return err
		}
		if err = r.countPassedOver(ctx, im); err != nil {
			return err
		}
	}
	return r.describe(ctx, im)
}

// countPassedOver says which referrers of the source cannot be copied.
func (r *run) countPassedOver(ctx context.Context, im *sourceImage) error {
	over, err := im.source.PassedOver(ctx)
	if err != nil {
		return err
	}
	im.passedOver = over.Unpublished + over.WithoutSubject
	if over.Unpublished > 0 {
		r.note(Note{}, fmt.Sprintf("%s: %d referrers are passed over, since what they refer to is not published",
			im.source.Reference, over.Unpublished))
	}
	if over.WithoutSubject > 0 {
		r.note(Note{}, fmt.Sprintf("%s: %d attestations are passed over, since they name no subject",
			im.source.Reference, over.WithoutSubject))
	}
	return nil
}

// describe fills in what reports say of an image.
func (r *run) describe(ctx context.Context, im *sourceImage) error {
	size, err := image.TotalSize(ctx, im.root)
	if err != nil {
		return err
	}
	platforms, err := im.source.Platforms(ctx)
	if err != nil {
		return err
	}
	absent, err := im.source.Absent(ctx)
	if err != nil {
		return err
	}
	if len(absent) > 0 {
		r.note(Note{}, fmt.Sprintf("%s: the index names %s too, which the source does not hold: left out",
			im.source.Reference, strings.Join(absent, ", ")))
	}
	im.result.Reference = im.source.Reference
	for _, p := range im.source.Parts() {
		im.result.Parts = append(im.result.Parts, p.Reference)
	}
	im.result.Digest = im.root.Descriptor.Digest.String()
	im.result.MediaType = string(im.root.Descriptor.MediaType)
	im.result.Platforms, im.result.SizeBytes = platforms, size
	return nil
}

// read waits until f, one of the image's futures, is resolved. It is called by a registry that has
// logged in: from then on an error of the source counts.
func (r *run) read(ctx context.Context, im *sourceImage, f *future) error {
	im.mu.Lock()
	im.counted = true
	im.mu.Unlock()
	select {
	case <-f.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if f.err != nil {
		return &sourceError{f.err}
	}
	if f == im.known {
		im.mu.Lock()
		defer im.mu.Unlock()
		if !im.told {
			im.told = true
			r.observer.Image(im.index, im.result)
		}
	}
	return nil
}

// closeImages frees what the sources and the cache hold.
func (r *run) closeImages() {
	if r.cache != nil {
		_ = r.cache.Close()
	}
	for _, im := range r.images {
		if im.source != nil && im.same == nil {
			_ = im.source.Close()
		}
	}
}

// sourceError marks what went wrong at the source rather than at a destination.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return fmt.Sprintf("reading the source: %v", e.err) }
func (e *sourceError) Unwrap() error { return e.err }

func markSource(err error) error {
	//nolint:errorlint // wrapped, it is no end: connections break off with such errors
	if err == nil || err == io.EOF || errors.Is(err, context.Canceled) {
		return err
	}
	return &sourceError{err}
}

// fromSource marks the errors of content as the source's.
type fromSource struct{ registry.Content }

func (c fromSource) Open(ctx context.Context, offset int64) (io.ReadCloser, error) {
	rc, err := c.Content.Open(ctx, offset)
	if err != nil {
		return nil, markSource(err)
	}
	return sourceReader{rc}, nil
}

type sourceReader struct{ io.ReadCloser }

func (s sourceReader) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	return n, markSource(err)
}
