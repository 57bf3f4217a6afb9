package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/blobcache"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/internal/source"
)

// goods is what is published: the image, what refers to it, and for a remote source
// the spool through which every site gets its blobs.
type goods struct {
	image     *source.Image
	referrers []source.Referrer // of the image and all its manifests, and of those

	spool  *blobcache.Spool // nil for a local source
	blobs  map[v1.Hash]*blobcache.Blob
	count  *counter
	report func()
	known  func() error // says SourceKnown, once
}

// open opens the source. It is the first that reads anything of the image.
func (r *run) open(ctx context.Context, sites []*site, from *origin) (_ *goods, err error) {
	g := &goods{count: &counter{}}
	g.report = func() {
		bytes, requests := g.count.totals()
		r.emit(report.SourceRead{At: r.at(), BytesRead: bytes, Requests: requests})
	}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	g.image, err = r.Open(ctx, func(at imageref.Repository) source.RemoteRepository {
		return counted{from.host.Repository(at.Path), g.count}
	})
	if err != nil {
		return nil, err
	}
	g.known = r.sayKnown(ctx, g)
	if len(g.image.Ahead()) > 0 {
		return g, nil // the graph is known only when layers are compressed
	}
	root, err := r.root(ctx, g)
	if err != nil {
		return nil, err
	}
	if from != nil {
		r.sayPullsLeft(from)
	}
	if r.Referrers {
		if g.referrers, err = collectReferrers(ctx, g.image, root); err != nil {
			return nil, err
		}
	}
	if g.image.Remote() {
		err = r.stock(ctx, g, root, len(sites))
	}
	return g, err
}

// root waits for the image's root and says, once, what is published.
func (r *run) root(ctx context.Context, g *goods) (*source.Manifest, error) {
	root, err := g.image.Root(ctx)
	if err != nil {
		return nil, err
	}
	return root, g.known()
}

// sayKnown returns a function that says what is published, when that is known.
func (r *run) sayKnown(ctx context.Context, g *goods) func() error {
	return sync.OnceValue(func() error {
		root, err := g.image.Root(ctx)
		if err != nil {
			return err
		}
		size, err := totalSize(ctx, root)
		if err != nil {
			return err
		}
		runsOn, err := g.image.Platforms(ctx)
		if err != nil {
			return err
		}
		r.emit(report.SourceKnown{
			At: r.at(), Reference: g.image.Reference, Digest: root.Descriptor.Digest.String(),
			MediaType: string(root.Descriptor.MediaType), Platforms: runsOn, SizeBytes: size,
		})
		g.report()
		return nil
	})
}

// roots returns the manifests that have to be everywhere: the image's and those that
// refer to it.
func (r *run) roots(ctx context.Context, g *goods) ([]*source.Manifest, error) {
	root, err := r.root(ctx, g)
	if err != nil {
		return nil, err
	}
	roots := []*source.Manifest{root}
	for _, e := range g.referrers {
		roots = append(roots, e.Manifest)
	}
	return roots, nil
}

// stock lays every blob of a remote image into the spool, with one claim for each site.
// Nothing is fetched before a site asks for it.
func (r *run) stock(ctx context.Context, g *goods, root *source.Manifest, sites int) (err error) {
	if g.spool, err = r.Spool(); err != nil {
		return err
	}
	if note := g.spool.Note(); note != "" {
		r.emit(report.Notice{At: r.at(), Text: note})
	}
	g.blobs = map[v1.Hash]*blobcache.Blob{}
	roots, err := r.roots(ctx, g)
	if err != nil {
		return err
	}
	for _, m := range manifests(roots...) {
		for _, b := range m.Blobs {
			d, err := b.Descriptor(ctx)
			if err != nil {
				return err
			}
			if g.blobs[d.Digest] == nil {
				g.blobs[d.Digest] = g.spool.Blob(d, b, sites)
			}
		}
	}
	return nil
}

// close frees everything and says what was read.
func (g *goods) close() {
	if g.spool != nil {
		_ = g.spool.Close()
	}
	if g.image != nil {
		_ = g.image.Close()
	}
	g.report()
}

// shelf is one site's share of the goods: its claims on the spool's blobs.
type shelf struct {
	mu     sync.Mutex
	claims map[v1.Hash]*blobcache.Claim
}

func (g *goods) shelf(*site) *shelf {
	sh := &shelf{claims: map[v1.Hash]*blobcache.Claim{}}
	for digest, b := range g.blobs {
		sh.claims[digest] = b.Claim()
	}
	return sh
}

// content returns the bytes of b for this site.
func (sh *shelf) content(digest v1.Hash, b source.Blob) registry.Content {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if c := sh.claims[digest]; c != nil {
		return fromSource{c}
	}
	return fromSource{b}
}

// release says that the site is done with a blob, or does not lack it.
func (sh *shelf) release(digest v1.Hash) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if c := sh.claims[digest]; c != nil {
		c.Release()
		delete(sh.claims, digest)
	}
}

// keep releases every blob that is not in lacking.
func (sh *shelf) keep(lacking map[v1.Hash]*job) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for digest, c := range sh.claims {
		if lacking[digest] == nil {
			c.Release()
			delete(sh.claims, digest)
		}
	}
}

func (sh *shelf) releaseAll() { sh.keep(nil) }

// sourceError marks what went wrong at the source rather than at a destination.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return fmt.Sprintf("reading the source: %v", e.err) }
func (e *sourceError) Unwrap() error { return e.err }

func markSource(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, context.Canceled) {
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
