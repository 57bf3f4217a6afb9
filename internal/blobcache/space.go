package blobcache

import (
	"context"
	"slices"
)

// admit waits until the blob's fetch may read its next bytes from the source,
// reserves space for them, and returns how many they may be.
func (s *Cache) admit(ctx context.Context, b *Blob) (int, error) {
	s.mu.Lock()
	defer s.unlock()
	for {
		if err := ctx.Err(); err != nil {
			return 0, context.Cause(ctx)
		}
		if err := b.abandoned(); err != nil {
			return 0, err
		}
		n := int(min(bufferSize, s.segment, b.size-b.written))
		if g := b.tail(); g != nil && !b.memory {
			n = int(min(int64(n), g.start+s.segment-g.end))
		}
		if b.takeSlot() {
			if s.reserve(b, n) {
				return n, nil
			}
			b.leaveSlot()
		}
		changed := s.space.wait()
		s.waiting++
		s.unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		s.mu.Lock()
		s.waiting--
	}
}

// takeSlot makes sure that the fetch has a slot. One whose readers have enough to
// do leaves it to those whose readers have not.
func (b *Blob) takeSlot() bool {
	sl := b.slots
	hungry := b.hungry()
	b.want(false)
	if b.slot && !hungry && sl.free == 0 && sl.wanted > 0 {
		b.leaveSlot()
		return false
	}
	if b.slot {
		return true
	}
	if sl.free == 0 || !hungry && sl.wanted >= sl.free {
		b.want(hungry)
		return false
	}
	sl.free--
	b.slot = true
	return true
}

func (b *Blob) want(want bool) {
	if b.wants != want {
		b.wants = want
		if want {
			b.slots.wanted++
		} else {
			b.slots.wanted--
		}
	}
}

func (b *Blob) leaveSlot() {
	b.want(false)
	if b.slot {
		b.slot = false
		b.slots.free++
		if b.slots.wanted > 0 { // without this condition two that leave theirs could wake each other for ever
			b.cache.space.broadcast()
		}
	}
}

// reserve takes space for n more bytes of b. It frees what was read, and evicts
// readers that lag behind when one that does not would have to wait for them.
func (s *Cache) reserve(b *Blob, n int) bool {
	if b.memory {
		return true // all of it is reserved
	}
	if s.stats.Disk+int64(n) <= s.soft {
		s.used(b, n)
		return true
	}
	hungry := b.hungry()
	s.reclaim(s.slack)
	if s.stats.Disk+int64(n) > s.soft && !hungry {
		return false
	}
	if s.stats.Disk+int64(n) > s.o.Limit {
		s.reclaim(0)
	}
	for s.stats.Disk+int64(n) > s.o.Limit {
		if s.freeEvicted() {
			continue
		}
		victim := s.slowest(b.blocked())
		if victim == nil {
			return false
		}
		victim.evicted = true
	}
	s.used(b, n)
	return true
}

// slowest returns the lease, not evicted, that is furthest behind what is written of its
// blob, nil if there is none. Leases whose readers are close behind are spared,
// unless all is given for one that waits.
func (s *Cache) slowest(all bool) *Lease {
	var slowest *Lease
	var most int64
	for b := range s.blobs {
		if b.memory {
			continue
		}
		for _, c := range b.leases {
			lag := b.written - c.floor()
			if c.evicted || lag <= most {
				continue
			}
			if !all && !b.complete && len(c.readers) > 0 && lag < s.window {
				continue
			}
			slowest, most = c, lag
		}
	}
	return slowest
}

// reclaim frees all segments that every lease has left behind by slack. What only
// evicted leases still need is theirs until it is in somebody's way: the later they meet
// it, the less they read from the source.
func (s *Cache) reclaim(slack int64) {
	for b := range s.blobs {
		if b.memory || len(b.segments) == 0 {
			continue
		}
		low := b.lowest(true) - slack
		n := 0
		for _, g := range b.segments {
			if g.end > low || g.writing {
				break
			}
			s.discard(g)
			n++
		}
		b.segments = slices.Delete(b.segments, 0, n)
	}
}

// freeEvicted frees one segment that only evicted leases need, of the blob that has most
// of them. It reports whether there was one.
func (s *Cache) freeEvicted() bool {
	var spare *Blob
	var most int64
	for b := range s.blobs {
		if b.memory || len(b.segments) == 0 {
			continue
		}
		g, low := b.segments[0], b.lowest(false)
		if g.end > low || g.writing || low-g.start <= most {
			continue
		}
		spare, most = b, low-g.start
	}
	if spare == nil {
		return false
	}
	s.discard(spare.segments[0])
	spare.segments = slices.Delete(spare.segments, 0, 1)
	return true
}

// discard gives back a segment's space, as soon as nobody reads it.
func (s *Cache) discard(g *segment) {
	g.dead = true
	if g.file != nil {
		s.stats.Disk -= g.end - g.start
	}
	if g.refs == 0 {
		s.garbage = append(s.garbage, g)
	}
}

// used counts n bytes more, or less, on disk.
func (s *Cache) used(b *Blob, n int) {
	if b.memory {
		return
	}
	s.stats.Disk += int64(n)
	s.stats.PeakDisk = max(s.stats.PeakDisk, s.stats.Disk)
	if n < 0 {
		s.space.broadcast()
	}
}

// unreserve returns what was reserved and not used.
func (s *Cache) unreserve(b *Blob, n int) {
	s.mu.Lock()
	s.used(b, -n)
	s.mu.Unlock()
}

// unlock releases the mutex and closes the files that were given up under it.
func (s *Cache) unlock() {
	garbage := s.garbage
	s.garbage = nil
	s.mu.Unlock()
	for _, g := range garbage {
		g.close()
	}
}
