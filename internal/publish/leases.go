package publish

import (
	"context"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/blobcache"
	"github.com/multi-registry-push/multi-registry-push/internal/image"
	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/internal/source"
)

// registryLeases are one registry's rights to read the blobs of a remote image through the cache.
type registryLeases struct {
	r     *run
	image *sourceImage

	mu    sync.Mutex
	taken bool
	held  map[v1.Hash]*blobcache.Lease
}

func (r *run) newLeases(im *sourceImage) *registryLeases {
	return &registryLeases{r: r, image: im, held: map[v1.Hash]*blobcache.Lease{}}
}

// take leases every blob of the image, if that is remote. Nothing is fetched before it is
// read.
func (l *registryLeases) take(ctx context.Context) error {
	if !l.image.source.Remote() {
		return nil
	}
	l.r.cacheMu.Lock()
	defer l.r.cacheMu.Unlock()
	if err := l.r.stock(ctx, l.image); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken = true
	for digest := range l.image.unclaimed {
		l.held[digest] = l.image.nextLease(digest)
	}
	return nil
}

// stock puts every blob of a remote image into the cache, once, with a lease for each
// registry that has not ended yet. A blob that several images share is there once.
func (r *run) stock(ctx context.Context, im *sourceImage) error {
	if im.stocked {
		return nil
	}
	if r.cache == nil {
		cache, err := r.deps.Cache()
		if err != nil {
			return err
		}
		r.cache = cache
		if text := cache.Note(); text != "" {
			r.note(Note{}, text)
		}
	}
	blobs, err := image.Blobs(ctx, im.roots()...)
	if err != nil {
		return markSource(err)
	}
	im.stocked, im.unclaimed = true, map[v1.Hash][]*blobcache.Lease{}
	for _, b := range blobs {
		if d, err := b.Descriptor(ctx); err == nil && image.IsRemote(b) {
			im.unclaimed[d.Digest] = r.lease(d, b, im.unfinished)
		}
	}
	return nil
}

// lease returns n rights to read a blob through the cache.
func (r *run) lease(d v1.Descriptor, b source.Blob, n int) (all []*blobcache.Lease) {
	cached := r.cached[d.Digest]
	if cached != nil && n > 0 {
		// Registries release theirs at any time: one lease keeps the blob for the others.
		if first, ok := cached.LeaseUnlessDropped(); ok {
			all = append(all, first)
		} else {
			cached = nil
		}
	}
	if cached == nil {
		cached = r.cache.Blob(d, b, n)
		r.cached[d.Digest] = cached
	}
	for len(all) < n {
		all = append(all, cached.Lease())
	}
	return all
}

func (im *sourceImage) nextLease(digest v1.Hash) *blobcache.Lease {
	left := im.unclaimed[digest]
	im.unclaimed[digest] = left[1:]
	return left[0]
}

// content returns the bytes of b: those of a remote blob by the lease that is held, else by a
// new one, since only the cache checks the digest and survives a connection that breaks.
func (l *registryLeases) content(d v1.Descriptor, b source.Blob) registry.Content {
	if !image.IsRemote(b) || !l.image.source.Remote() {
		return fromSource{b}
	}
	l.mu.Lock()
	c := l.held[d.Digest]
	l.mu.Unlock()
	if c != nil {
		return fromSource{c}
	}
	l.r.cacheMu.Lock()
	defer l.r.cacheMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[d.Digest] == nil {
		l.held[d.Digest] = l.r.lease(d, b, 1)[0]
	}
	return fromSource{l.held[d.Digest]}
}

// release ends the lease of a blob that the registry has, or does not lack.
func (l *registryLeases) release(digest v1.Hash) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.held[digest]; c != nil {
		c.Release()
		delete(l.held, digest)
	}
}

// keep releases every blob that is not in lacking.
func (l *registryLeases) keep(lacking map[v1.Hash]*blobJob) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for digest, c := range l.held {
		if lacking[digest] == nil {
			c.Release()
			delete(l.held, digest)
		}
	}
}

// end releases all that is left. It is called once.
func (l *registryLeases) end() {
	l.keep(nil)
	l.r.cacheMu.Lock()
	defer l.r.cacheMu.Unlock()
	im := l.image
	im.unfinished--
	if l.taken || !im.stocked {
		return
	}
	for digest := range im.unclaimed {
		im.nextLease(digest).Release()
	}
}
