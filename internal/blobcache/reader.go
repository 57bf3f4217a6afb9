package blobcache

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
)

// reader reads a blob for a lease: what is held from the cache, what is not from the
// source. Close may be called while Read runs, as net/http does.
type reader struct {
	lease  *Lease
	ctx    context.Context //nolint:containedctx // io.Reader has no place for it
	cancel context.CancelFunc

	// Guarded by the cache's mutex.
	off     int64
	direct  *stream // not nil while it reads from the source by itself
	reading bool    // Read is using direct
	closed  bool
}

// Read waits until there is at least one byte.
func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b := r.lease.blob
	s := b.cache
	s.mu.Lock()
	for {
		if err := r.failed(); err != nil {
			s.unlock()
			return 0, err
		}
		if r.direct != nil {
			return r.readDirect(p) // unlocks
		}
		if r.off == b.size && b.complete {
			s.unlock()
			return 0, io.EOF
		}
		if g := b.at(r.off); g != nil {
			return r.readSegment(g, p) // unlocks
		}
		if r.off < b.written {
			if err := r.goDirect(); err != nil {
				s.unlock()
				return 0, err
			}
			continue
		}
		changed := b.changed.wait()
		s.unlock()
		select {
		case <-changed:
		case <-r.ctx.Done():
		}
		s.mu.Lock()
	}
}

// failed returns why nothing can be read any more.
func (r *reader) failed() error {
	b := r.lease.blob
	switch {
	case r.closed:
		return os.ErrClosed
	case b.err != nil:
		return b.err
	case r.lease.released:
		return errReleased
	}
	return context.Cause(r.ctx)
}

// readSegment reads from g, which holds the reader's offset. The mutex is held, and not any more when it returns.
func (r *reader) readSegment(g *segment, p []byte) (int, error) {
	b := r.lease.blob
	s := b.cache
	p = p[:min(int64(len(p)), g.end-r.off)]
	off := r.off
	g.refs++
	s.unlock()
	n, err := g.read(p, off)
	s.mu.Lock()
	defer s.unlock()
	if g.refs--; g.dead && g.refs == 0 {
		s.garbage = append(s.garbage, g)
	}
	if err != nil {
		return 0, err
	}
	r.advance(n)
	return n, nil
}

// advance moves the reader's offset and wakes the fetches that this may help.
func (r *reader) advance(n int) {
	b := r.lease.blob
	s := b.cache
	before := b.written - r.off
	r.off += int64(n)
	after := b.written - r.off
	if after < s.window {
		r.lease.evicted = false // it has caught up
	}
	if s.waiting > 0 && (after == 0 || before >= s.window && after < s.window || b.at(r.off) != b.at(r.off-int64(n))) {
		s.space.broadcast()
	}
}

// goDirect makes the reader read from the source, from the last checkpoint on, because
// what it needs is not held any more.
func (r *reader) goDirect() error {
	b := r.lease.blob
	st, err := newStream(b, b.checkpointBefore(r.off))
	if err != nil {
		return err
	}
	r.direct = st
	return nil
}

// readDirect reads from the source until what follows is held again. The
// mutex is held, and not any more when it returns.
func (r *reader) readDirect(p []byte) (int, error) {
	b := r.lease.blob
	s := b.cache
	st, off := r.direct, r.off
	next, found := b.checkpointAfter(off)
	r.reading = true
	s.unlock()

	n, err := 0, skip(r.ctx, st, off, s)
	if err == nil {
		if found {
			p = p[:min(int64(len(p)), next.pos-off)]
		}
		n, err = st.read(r.ctx, p)
		if found && st.pos == next.pos && !st.agrees(next) {
			n, err = 0, &Error{Kind: DigestMismatch,
				What: fmt.Sprintf("%s: its first %d bytes are not what they were before", st.name(), st.pos)}
		}
	}

	s.mu.Lock()
	defer s.unlock()
	r.reading = false
	s.stats.Refetched += int64(n)
	r.off += int64(n)
	// Only at a checkpoint is it sure that these are the bytes that the others got.
	held := found && r.off == next.pos && (b.at(r.off) != nil || r.off == b.written)
	if r.closed || err != nil || held {
		s.garbage = append(s.garbage, st)
		if held && err == nil {
			r.direct = nil
			r.lease.evicted = false
		}
	}
	return n, err
}

// skip reads up to offset: checkpoints lie apart.
func skip(ctx context.Context, st *stream, offset int64, s *Cache) error {
	if st.pos == offset {
		return nil
	}
	buf := s.buffer()
	defer s.buffers.Put(buf)
	for st.pos < offset {
		n, err := st.read(ctx, (*buf)[:min(int64(len(*buf)), offset-st.pos)])
		s.mu.Lock()
		s.stats.Refetched += int64(n)
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// Close ends the reader; a Read that waits returns an error.
func (r *reader) Close() error {
	c := r.lease
	s := c.blob.cache
	s.mu.Lock()
	defer s.unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	r.cancel()
	if r.direct != nil && !r.reading {
		s.garbage = append(s.garbage, r.direct)
	}
	c.pos = r.off
	c.readers = slices.DeleteFunc(c.readers, func(other *reader) bool { return other == r })
	s.space.broadcast() // others may have waited behind it
	return nil
}
