package blobcache

import (
	"context"
	"io"
	"slices"
)

const (
	bufferSize      = 512 * kib
	enough          = 128 * kib // as much is collected before it is written and shown
	checkpointEvery = 4 * mib   // what a reader that goes to the source reads in vain at most
)

// start begins the fetch. The mutex is held.
func (b *Blob) start() {
	s := b.cache
	b.started = true
	b.slots = &s.disk
	if b.size < s.o.MemoryBelow && s.stats.Memory+b.size <= s.o.MemoryLimit {
		s.stats.Memory += b.size
		b.memory = true
		b.slots = &s.memory
	}
	s.blobs[b] = struct{}{}
	ctx, cancel := s.fetching()
	b.cancel = cancel
	s.running.Go(func() {
		defer cancel()
		err := b.fetch(ctx)
		s.mu.Lock()
		defer s.unlock()
		if err != nil {
			b.fail(err)
		}
		b.leaveSlot()
		s.space.broadcast()
	})
}

// fetch reads the blob from the source into segments.
func (b *Blob) fetch(ctx context.Context) error {
	s := b.cache
	st, err := newStream(b, checkpoint{})
	if err != nil {
		return err
	}
	defer st.close()
	var state []byte // of the hash, before the bytes of this turn
	for {
		state, err = st.appendState(state[:0])
		if err != nil {
			return err
		}
		n, err := s.admit(ctx, b)
		if err != nil {
			return err
		}
		buf := s.buffer()
		got, err := fill(ctx, st, (*buf)[:n])
		if got < n {
			s.unreserve(b, n-got)
		}
		last := err == io.EOF //nolint:errorlint // wrapped, it is no end
		switch {
		case err != nil && !last:
			s.unreserve(b, got)
		case got > 0:
			err = b.append((*buf)[:got], state)
		default:
			err = nil
		}
		s.buffers.Put(buf)
		if err != nil {
			return err
		}
		if last {
			s.mu.Lock()
			b.complete = true
			b.changed.broadcast()
			s.mu.Unlock()
			return nil
		}
	}
}

// fill reads until there is enough to be worth a write, and to the end, if that
// comes first.
func fill(ctx context.Context, r *stream, p []byte) (n int, err error) {
	for err == nil && r.pos < r.blob.size && n < min(len(p), enough) {
		var m int
		m, err = r.read(ctx, p[n:])
		n += m
	}
	if err == nil && r.pos == r.blob.size {
		_, err = r.read(ctx, nil) // io.EOF, or what is wrong with an empty blob
	}
	return n, err
}

// append stores p behind what is written, shows it to the readers, and keeps a checkpoint where it begins
// with the hash's state there.
func (b *Blob) append(p []byte, state []byte) error {
	s := b.cache
	s.mu.Lock()
	g := b.tail()
	if g == nil {
		start := b.written
		memory := b.memory
		s.unlock()
		if memory {
			g = &segment{start: 0, memory: make([]byte, b.size)}
		} else {
			var err error
			if g, err = s.create(s.o.Dir, start); err != nil {
				s.unreserve(b, len(p))
				return err
			}
		}
		s.mu.Lock()
		if err := b.abandoned(); err != nil {
			s.used(b, -len(p))
			s.garbage = append(s.garbage, g)
			s.unlock()
			return err
		}
		b.segments = append(b.segments, g)
		b.checkpoints = append(b.checkpoints, checkpoint{start, slices.Clone(state)})
	} else if b.checkpoints[len(b.checkpoints)-1].pos+checkpointEvery <= b.written {
		b.checkpoints = append(b.checkpoints, checkpoint{b.written, slices.Clone(state)})
	}
	g.refs, g.writing = g.refs+1, true
	s.unlock()

	err := g.write(p, s.o.Dir)

	s.mu.Lock()
	defer s.unlock()
	g.refs, g.writing = g.refs-1, false
	if g.dead { // all leases were released meanwhile
		s.used(b, -len(p))
		if g.refs == 0 {
			s.garbage = append(s.garbage, g)
		}
		return b.abandoned()
	}
	if err != nil {
		s.used(b, -len(p))
		return err
	}
	g.end += int64(len(p))
	b.written = g.end
	s.stats.Fetched += int64(len(p))
	b.changed.broadcast()
	return nil
}

// tail returns the segment that the next bytes go to, nil if a new one is needed.
func (b *Blob) tail() *segment {
	if len(b.segments) == 0 {
		return nil
	}
	g := b.segments[len(b.segments)-1]
	if !b.memory && g.end-g.start >= b.cache.segment {
		return nil
	}
	return g
}

// abandoned returns an error when nobody wants the blob any more.
func (b *Blob) abandoned() error {
	switch {
	case b.err != nil:
		return b.err
	case b.dropped:
		return errReleased
	}
	return nil
}

// buffer returns one of the buffers that all fetches and readers share.
func (s *Cache) buffer() *[]byte { return s.buffers.Get().(*[]byte) }
