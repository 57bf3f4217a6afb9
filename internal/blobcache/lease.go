package blobcache

import (
	"context"
	"fmt"
	"io"
	"slices"
)

// Lease is one destination's right to read a blob. It has to be released.
type Lease struct {
	blob *Blob

	// Guarded by the cache's mutex.
	pos      int64 // where the last reader stopped
	readers  []*reader
	evicted  bool // what only it needs may be freed, and is read from the source again
	released bool
}

// Open reads the blob from offset on. It may be called any number of times; what
// is not held any more is read from the source again. The first Open of a blob starts its fetch. The
// context holds for this reader alone.
//
// The reader returns io.EOF only behind a blob whose digest is right; otherwise, before the
// end, an *Error of the kind DigestMismatch.
func (c *Lease) Open(ctx context.Context, offset int64) (io.ReadCloser, error) {
	b := c.blob
	s := b.cache
	if offset < 0 || offset > b.size {
		return nil, fmt.Errorf("blob %s has %d bytes and cannot be read from byte %d on", b.digest, b.size, offset)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.unlock()
	switch {
	case s.closed:
		return nil, errClosed
	case c.released:
		return nil, errReleased
	case b.err != nil:
		return nil, b.err
	}
	r := &reader{lease: c, off: offset}
	r.ctx, r.cancel = context.WithCancel(ctx)
	c.readers = append(c.readers, r)
	if !b.started {
		b.start()
	}
	s.space.broadcast() // the fetch may have waited for a reader
	return r, nil
}

// Release says that the destination is done with the blob, or does not need it.
// Readers that are still open fail. The last release frees the blob's space and
// ends its fetch. It may be called more than once.
func (c *Lease) Release() {
	b := c.blob
	s := b.cache
	s.mu.Lock()
	defer s.unlock()
	if c.released {
		return
	}
	c.released = true
	for _, r := range c.readers {
		r.cancel()
	}
	b.leases = slices.DeleteFunc(b.leases, func(other *Lease) bool { return other == c })
	s.space.broadcast()
	if len(b.leases) > 0 {
		return
	}
	if b.started {
		b.cancel()
	}
	b.drop()
}

// floor returns the first byte that the lease may still need.
func (c *Lease) floor() int64 {
	if len(c.readers) == 0 {
		return c.pos
	}
	low := c.readers[0].off
	for _, r := range c.readers[1:] {
		low = min(low, r.off)
	}
	return low
}
