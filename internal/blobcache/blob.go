package blobcache

import (
	"context"
	"errors"
	"io"
	"slices"
	"sort"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Opener opens a blob at the source, from offset to the blob's end. Whether
// a request that fails is sent again is its matter; the cache asks again for what is missing when
// the body breaks off.
type Opener interface {
	Open(ctx context.Context, offset int64) (body io.ReadCloser, err error)
}

var (
	errClosed   = errors.New("the cache is closed")
	errReleased = errors.New("the lease on the blob is released")
)

// Blob is one blob of the source.
type Blob struct {
	cache  *Cache
	source Opener
	digest v1.Hash
	size   int64

	// Guarded by the cache's mutex.
	leases      []*Lease // that are not released
	unmade      []*Lease // of these, not asked for yet: they may come and read from 0
	started     bool
	cancel      context.CancelFunc // of the fetch
	slots       *slots             // that the fetch belongs to
	slot        bool               // the fetch has a slot
	wants       bool               // the fetch waits for a slot and has hungry readers
	memory      bool               // it is held in memory
	dropped     bool               // nobody wants it any more
	written     int64              // bytes that readers may have, as far as they have not been dropped
	segments    []*segment         // in order and without gaps, the last one ends at written
	checkpoints []checkpoint       // at the start of every segment there ever was, and between them
	complete    bool               // all is written and has the right digest
	err         error              // the fetch failed
	changed     signal             // written, complete or err changed
}

// Lease returns the right of one destination to read the blob: one of those that
// were announced, or one more, as long as not all of them have been released.
func (b *Blob) Lease() *Lease {
	s := b.cache
	s.mu.Lock()
	defer s.unlock()
	if len(b.unmade) > 0 {
		c := b.unmade[0]
		b.unmade = b.unmade[1:]
		return c
	}
	c := &Lease{blob: b, released: b.dropped}
	if !b.dropped {
		b.leases = append(b.leases, c)
	}
	return c
}

// LeaseUnlessDropped is Lease, or false if all leases have been released: then the blob has to
// be put into the cache again.
func (b *Blob) LeaseUnlessDropped() (*Lease, bool) {
	c := b.Lease()
	b.cache.mu.Lock()
	defer b.cache.mu.Unlock()
	return c, !c.released
}

// at returns the segment that holds the byte at offset, nil if none does.
func (b *Blob) at(offset int64) *segment {
	// The wanted one is the last for most readers, and there are few.
	for _, g := range slices.Backward(b.segments) {
		if offset >= g.start {
			if offset < g.end {
				return g
			}
			return nil
		}
	}
	return nil
}

// lowest returns the first byte that some lease may still need, with or without those that
// are evicted.
func (b *Blob) lowest(evicted bool) int64 {
	low := b.written
	for _, c := range b.leases {
		if evicted || !c.evicted {
			low = min(low, c.floor())
		}
	}
	return low
}

// hungry reports whether some reader is about to wait, or waits, for the fetch.
func (b *Blob) hungry() bool {
	for _, c := range b.leases {
		for _, r := range c.readers {
			if r.direct == nil && b.written-r.off < b.cache.window {
				return true
			}
		}
	}
	return false
}

// blocked reports whether some reader waits for the fetch.
func (b *Blob) blocked() bool {
	for _, c := range b.leases {
		for _, r := range c.readers {
			if r.direct == nil && r.off >= b.written {
				return true
			}
		}
	}
	return false
}

// checkpointBefore returns the last checkpoint at or before offset.
func (b *Blob) checkpointBefore(offset int64) checkpoint {
	i := sort.Search(len(b.checkpoints), func(i int) bool { return b.checkpoints[i].pos > offset })
	if i == 0 {
		return checkpoint{}
	}
	return b.checkpoints[i-1]
}

// checkpointAfter returns the first checkpoint behind offset; none if ok is false.
func (b *Blob) checkpointAfter(offset int64) (m checkpoint, ok bool) {
	i := sort.Search(len(b.checkpoints), func(i int) bool { return b.checkpoints[i].pos > offset })
	if i == len(b.checkpoints) {
		return checkpoint{}, false
	}
	return b.checkpoints[i], true
}

// fail ends the blob for all its readers.
func (b *Blob) fail(err error) {
	if b.err == nil && !b.complete {
		b.err = err
	}
	if errors.Is(err, errClosed) {
		b.err = err
		for _, c := range b.leases {
			for _, r := range c.readers {
				r.cancel()
			}
		}
	}
	b.changed.broadcast()
}

// drop gives back all that the blob holds.
func (b *Blob) drop() {
	s := b.cache
	if b.dropped {
		return
	}
	b.dropped = true
	for _, g := range b.segments {
		s.discard(g)
	}
	b.segments = nil
	if b.memory {
		s.stats.Memory -= b.size
	}
	delete(s.blobs, b)
	s.space.broadcast()
}
