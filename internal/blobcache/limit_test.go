package blobcache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// take reads exactly n bytes and compares them.
func take(t testing.TB, r io.Reader, want []byte) {
	t.Helper()
	n, err := io.CopyN(&expecting{want}, r, int64(len(want)))
	if err != nil {
		t.Fatalf("%d of %d bytes: %v", n, len(want), err)
	}
}

// expecting takes what it expects, and fails at the first other byte: a copy to compare
// would cost more than all else under the race detector.
type expecting struct{ left []byte }

func (e *expecting) Write(p []byte) (int, error) {
	if len(p) > len(e.left) || !bytes.Equal(p, e.left[:len(p)]) {
		return 0, errors.New("other bytes than expected")
	}
	e.left = e.left[len(p):]
	return len(p), nil
}

// finish reads the rest.
func finish(t testing.TB, r io.ReadCloser, want []byte) {
	t.Helper()
	if n, err := io.Copy(&expecting{want}, r); err != nil || n != int64(len(want)) {
		t.Fatalf("rest of %d bytes: got %d, %v", len(want), n, err)
	}
	r.Close()
}

// A lease that stands still must not hold back one that does not, whatever the
// limit; it gets the rest from the source.
func TestSlowestIsEvicted(t *testing.T) {
	for _, start := range []int{-1, 0, 1, 5<<20 + 12345} { // how far the slow one got; -1: not even opened
		t.Run(fmt.Sprint(start), func(t *testing.T) {
			s := newCache(t, Options{Limit: 8 * mib})
			src := &origin{content: random(7, 40<<20)}
			b := s.Blob(descriptor(src.content), src, 3)
			idle, slowLease, fast := b.Lease(), b.Lease(), b.Lease()
			_ = idle // is released by nobody
			fr := open(t, fast, 0)
			var slow io.ReadCloser
			if start >= 0 {
				slow = open(t, slowLease, 0)
				take(t, fr, src.content[:start])
				take(t, slow, src.content[:start])
				finish(t, fr, src.content[start:])
			} else {
				finish(t, fr, src.content)
				slow, start = open(t, slowLease, 0), 0
			}
			finish(t, slow, src.content[start:])
			st := s.Stats()
			if st.PeakDisk > 8*mib {
				t.Errorf("%d bytes on disk", st.PeakDisk)
			}
			if st.Fetched != int64(len(src.content)) {
				t.Errorf("stats %+v", st)
			}
			if held := int64(len(src.content)-start) - st.Refetched; start >= 0 && held < 4*mib {
				t.Errorf("only %d of the last bytes were kept for it, with space for 8 MiB", held)
			}
			if again := st.Refetched - int64(len(src.content)-start); again > checkpointEvery || st.Refetched == 0 {
				t.Errorf("%d bytes refetched for %d", st.Refetched, len(src.content)-start)
			}
			if src.bytes < st.Fetched+st.Refetched {
				t.Errorf("the source gave %d bytes, the stats say %d", src.bytes, st.Fetched+st.Refetched)
			}
		})
	}
}

// Readers that go on together share the limit without anybody being evicted, and
// the source is not read far ahead of them.
func TestFetchWaitsForItsReaders(t *testing.T) {
	s := newCache(t, Options{Limit: 8 * mib})
	src := &origin{content: random(8, 64<<20)}
	b := s.Blob(descriptor(src.content), src, 4)
	var readers []io.ReadCloser
	for range 4 {
		readers = append(readers, open(t, b.Lease(), 0))
	}
	const step = 1 << 18
	for off := 0; off < len(src.content); off += step {
		for _, r := range readers {
			take(t, r, src.content[off:off+step])
		}
	}
	for _, r := range readers {
		finish(t, r, nil)
	}
	if st := s.Stats(); st.Refetched != 0 || st.PeakDisk > 8*mib || len(src.offsets()) != 1 {
		t.Errorf("stats %+v, asked %v", st, src.offsets())
	}
}

func TestFetchDoesNotRunAway(t *testing.T) {
	s := newCache(t, Options{Limit: 8 * mib})
	src := &origin{content: random(8, 64<<20)}
	c := s.Blob(descriptor(src.content), src, 1).Lease()
	r := open(t, c, 0)
	take(t, r, src.content[:1000])
	// The next byte that is not there yet must still come when it is asked for.
	take(t, r, src.content[1000:20<<20])
	if st := s.Stats(); st.Fetched > 20<<20+8*mib {
		t.Errorf("fetched %d", st.Fetched)
	}
	r.Close()
	c.Release()
}

// An upload that starts again asks for bytes that are gone.
func TestGoingBack(t *testing.T) {
	s := newCache(t, Options{Limit: 8 * mib})
	src := &origin{content: random(9, 40<<20)}
	c := s.Blob(descriptor(src.content), src, 1).Lease()
	r := open(t, c, 0)
	take(t, r, src.content[:30<<20])
	r.Close()
	r = open(t, c, 1000)
	finish(t, r, src.content[1000:])
	finish(t, open(t, c, 39<<20), src.content[39<<20:])
	st := s.Stats()
	// From the freed part on it reads what is still held; of the last MiB there may be less.
	if st.Refetched == 0 || st.Refetched > 31<<20 || st.Fetched != int64(len(src.content)) {
		t.Errorf("stats %+v", st)
	}
}

// A body of the source that takes its time to close, as one over a connection that rests does,
// holds up nobody else.
func TestSlowCloseHoldsUpNobody(t *testing.T) {
	s := newCache(t, Options{Limit: 8 * mib})
	src := &origin{content: random(9, 40<<20)}
	closing, release := make(chan struct{}), make(chan struct{})
	c := s.Blob(descriptor(src.content), slowClosing{src, new(atomic.Bool), closing, release}, 1).Lease()
	finish(t, open(t, c, 0), src.content)
	back := open(t, c, 1000) // what it needs is gone: it reads from the source by itself
	take(t, back, src.content[1000:2000])
	ended := make(chan struct{})
	go func() { defer close(ended); back.Close() }()
	<-closing
	finish(t, open(t, c, 39<<20), src.content[39<<20:])
	close(release)
	<-ended
}

// slowClosing is a source of which the first body that is closed before its end says so,
// and waits.
type slowClosing struct {
	*origin
	waited           *atomic.Bool
	closing, release chan struct{}
}

func (o slowClosing) Open(ctx context.Context, offset int64) (io.ReadCloser, error) {
	rc, err := o.origin.Open(ctx, offset)
	return &slowToClose{rc, o}, err
}

type slowToClose struct {
	io.ReadCloser
	o slowClosing
}

func (b *slowToClose) Close() error {
	if in := b.ReadCloser.(*body); in.off < int64(len(in.o.content)) && !b.o.waited.Swap(true) {
		close(b.o.closing)
		<-b.o.release
	}
	return b.ReadCloser.Close()
}

// While there is space, going back costs nothing.
func TestGoingBackIsFree(t *testing.T) {
	s := newCache(t, Options{Limit: 64 * mib})
	src := &origin{content: random(9, 20<<20)}
	b := s.Blob(descriptor(src.content), src, 2)
	for range 2 {
		c := b.Lease()
		finish(t, open(t, c, 0), src.content)
		finish(t, open(t, c, 0), src.content)
		defer c.Release()
	}
	if st := s.Stats(); st.Refetched != 0 || len(src.offsets()) != 1 {
		t.Errorf("stats %+v", st)
	}
}

// A evicted reader gets no wrong byte from a source that changed meanwhile.
func TestEvictedIsChecked(t *testing.T) {
	for _, at := range []int{1 << 20, 13 << 20} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			s := newCache(t, Options{Limit: 8 * mib})
			src := &origin{content: random(10, 24<<20)}
			b := s.Blob(descriptor(src.content), src, 2)
			fast, slow := b.Lease(), b.Lease()
			finish(t, open(t, fast, 0), src.content)
			changed := bytes.Clone(src.content)
			changed[at] ^= 1
			src.content = changed
			got, err := readAll(slow, 0)
			if !usererror.Is(err, usererror.DigestMismatch) || len(got) >= len(changed) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if at < len(got)-checkpointEvery {
				t.Errorf("noticed after %d bytes only", len(got))
			}
		})
	}
}

// Blobs whose readers have enough to do leave the source to the one whose reader
// waits.
func TestHungryFirst(t *testing.T) {
	s := newCache(t, Options{Limit: 4 * gib, Fetches: 2})
	for range 2 {
		d := descriptor(nil)
		d.Size = 1 << 50
		r := open(t, s.Blob(d, endless{}, 1).Lease(), 0)
		take(t, r, make([]byte, 20<<20))
		defer r.Close()
	}
	src := &origin{content: random(100, 24<<20)}
	finish(t, open(t, s.Blob(descriptor(src.content), src, 1).Lease(), 0), src.content)
	if st := s.Stats(); st.Disk > 1*gib {
		t.Errorf("it had to wait until there were %d bytes on disk", st.Disk)
	}
}

// endless is a source that never ends.
type endless struct{}

func (endless) Open(context.Context, int64) (io.ReadCloser, error) { return endless{}, nil }

func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func (endless) Close() error { return nil }

// A large blob that takes all slots there are, and does not come, must not hold up a small one.
func TestSmallDoNotWaitForLarge(t *testing.T) {
	s := newCache(t, Options{Fetches: 1})
	large := &origin{content: random(20, 2*mib), gate: make(chan int)}
	open(t, s.Blob(descriptor(large.content), large, 1).Lease(), 0)
	large.gate <- 1 // it is being read
	small := &origin{content: random(21, 1000)}
	finish(t, open(t, s.Blob(descriptor(small.content), small, 1).Lease(), 0), small.content)
}

// Blobs that stand still in the middle, each close to its reader, must not keep all space
// from one whose reader waits.
func TestSpaceForWhoeverWaits(t *testing.T) {
	s := newCache(t, Options{Limit: minLimit, MemoryBelow: -1, Fetches: 64})
	for n := range uint64(16) { // each takes three segments and space for a fourth
		still := &origin{content: random(n, 300*kib), gate: make(chan int, 3)}
		for range 3 {
			still.gate <- 64 * kib
		}
		open(t, s.Blob(descriptor(still.content), still, 1).Lease(), 0)
	}
	for s.Stats().Disk < minLimit {
		runtime.Gosched()
	}
	src := &origin{content: random(16, 2*mib)}
	finish(t, open(t, s.Blob(descriptor(src.content), src, 1).Lease(), 0), src.content)
}

// What a broken connection loses is kept for its next attempt even when space is short.
func TestGoingBackALittleIsFree(t *testing.T) {
	s := newCache(t, Options{Limit: 8 * mib})
	src := &origin{content: random(22, 16*mib)}
	c := s.Blob(descriptor(src.content), src, 1).Lease()
	const step, back = 512 * kib, 200 * kib
	for at := 0; at+step < len(src.content); at += step - back {
		r := open(t, c, int64(at))
		take(t, r, src.content[at:at+step])
		r.Close()
	}
	if st := s.Stats(); st.Refetched != 0 {
		t.Errorf("%+v", st)
	}
}

func TestFetchesAreBounded(t *testing.T) {
	const fetches = 3
	for name, o := range map[string]Options{"large": {Fetches: fetches, MemoryBelow: -1}, "small": {Fetches: fetches}} {
		t.Run(name, func(t *testing.T) {
			o.Dir = t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				s := newCache(t, o)
				g := &gate{open: make(chan struct{})}
				var wg sync.WaitGroup
				for i := range 20 {
					content := random(uint64(i), 300<<10)
					c := s.Blob(descriptor(content), &gated{&origin{content: content}, g}, 1).Lease()
					wg.Go(func() {
						if got, err := readAll(c, 0); err != nil || !bytes.Equal(got, content) {
							t.Errorf("%d bytes, %v", len(got), err)
						}
						c.Release()
					})
				}
				synctest.Wait() // until nothing goes on any more
				if n := g.now.Load(); n != fetches {
					t.Errorf("%d reads at a time", n)
				}
				close(g.open)
				wg.Wait()
			})
		})
	}
}

// gate holds back the reads of several sources, and counts those that it holds.
type gate struct {
	now  atomic.Int64
	open chan struct{}
}

type gated struct {
	*origin
	g *gate
}

func (c *gated) Open(ctx context.Context, offset int64) (io.ReadCloser, error) {
	b, err := c.origin.Open(ctx, offset)
	return &gatedBody{b, c.g}, err
}

type gatedBody struct {
	io.ReadCloser
	g *gate
}

func (b *gatedBody) Read(p []byte) (int, error) {
	b.g.now.Add(1)
	<-b.g.open
	return b.ReadCloser.Read(p)
}

// A lease that has caught up is no longer the slow one.
func TestCatchingUp(t *testing.T) {
	s := newCache(t, Options{})
	src := &origin{content: random(11, 4<<20)}
	c := s.Blob(descriptor(src.content), src, 1).Lease()
	r := open(t, c, 0)
	take(t, r, src.content[:1])
	s.mu.Lock()
	c.evicted = true
	s.mu.Unlock()
	finish(t, r, src.content[1:])
	if c.evicted {
		t.Error("it is still evicted")
	}
}

// TestRandomSchedules runs readers that start, stop, go back, lag and give up at
// random, over sources that break off at random, under limits that are too small.
func TestRandomSchedules(t *testing.T) {
	runs := 25
	if testing.Short() {
		runs = 5
	}
	for seed := range runs {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			schedule(t, uint64(seed))
		})
	}
}

func FuzzSchedules(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(schedule)
}

func schedule(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	limit := int64(4+rnd.IntN(12)) * mib
	s := newCache(t, Options{Limit: limit, Fetches: 1 + rnd.IntN(4), MemoryBelow: 64 * kib, MemoryLimit: 100 * kib})
	destinations := 1 + rnd.IntN(5)
	var wg sync.WaitGroup
	for i := range 1 + rnd.IntN(6) {
		size := rnd.IntN(1 << (10 + rnd.IntN(15)))
		content := random(seed*100+uint64(i), size)
		wrong := rnd.IntN(8) == 0 && size > 0
		d := descriptor(content)
		src := &origin{content: content}
		if wrong {
			src.content = bytes.Clone(content)
			src.content[rnd.IntN(size)] ^= 1
		}
		cuts := rand.New(rand.NewPCG(seed, uint64(i)+10)) // used under the origin's mutex
		src.cut = func(int, int64) (int64, error) {
			if cuts.IntN(2) == 0 {
				return -1, nil
			}
			return cuts.Int64N(4 << 20), errors.New("reset")
		}
		b := s.Blob(d, src, destinations)
		for j := range destinations {
			c := b.Lease()
			rnd := rand.New(rand.NewPCG(seed, uint64(i*100+j)))
			wg.Go(func() {
				defer c.Release()
				destination(t, rnd, c, content, wrong)
			})
		}
	}
	wg.Wait()
	st := s.Stats()
	if st.PeakDisk > limit {
		t.Errorf("%d bytes on disk, the limit is %d", st.PeakDisk, limit)
	}
	if st.Memory != 0 {
		t.Errorf("all is released: %+v", st)
	}
}

func destination(t *testing.T, rnd *rand.Rand, c *Lease, content []byte, wrong bool) {
	if rnd.IntN(6) == 0 {
		return // does not need it
	}
	offset := 0
	for {
		ctx, cancel := context.WithCancel(context.Background())
		r, err := c.Open(ctx, int64(offset))
		if err != nil {
			cancel()
			if !wrong {
				t.Errorf("open: %v", err)
			}
			return
		}
		until := len(content) + 1
		if rnd.IntN(2) == 0 {
			until = offset + rnd.IntN(len(content)-offset+1) // the upload breaks
		}
		buf := make([]byte, 1+rnd.IntN(1<<(1+rnd.IntN(20))))
		if len(content) > 1<<20 {
			buf = make([]byte, 1<<16+rnd.IntN(1<<18))
		}
		for offset < until {
			n, err := r.Read(buf[:min(len(buf), until-offset)])
			if !wrong && !bytes.Equal(buf[:n], content[offset:offset+n]) {
				t.Errorf("other bytes at %d", offset)
			}
			offset += n
			if err == io.EOF {
				if wrong || offset != len(content) {
					t.Errorf("the end at %d of %d, wrong source %v", offset, len(content), wrong)
				}
				r.Close()
				cancel()
				return
			}
			if err != nil {
				if !wrong || !usererror.Is(err, usererror.DigestMismatch) {
					t.Errorf("read at %d: %v", offset, err)
				}
				r.Close()
				cancel()
				return
			}
		}
		if rnd.IntN(2) == 0 {
			cancel()
		}
		r.Close()
		cancel()
		switch rnd.IntN(4) {
		case 0:
			offset = 0 // the session is lost
		case 1:
			offset -= rnd.IntN(offset + 1)
		case 2:
			if rnd.IntN(4) == 0 {
				return // gives up
			}
		}
	}
}

func TestLimitOfAFolder(t *testing.T) {
	for _, c := range []struct {
		free   int64
		memory bool
		limit  int64
		says   string
	}{
		{100 * gib, false, 4 * gib, ""},
		{2 * gib, false, 1536 * mib, "2048 MiB free"},
		{1 * mib, false, minLimit, "at most 4 MiB"},
		{100 * gib, true, 256 * mib, "tmpfs"},
		{64 * mib, true, 48 * mib, "at most 48 MiB"},
	} {
		limit, note := limitFor("/tmp", c.free, c.memory)
		if limit != c.limit || !strings.Contains(note, c.says) || c.says == "" && note != "" {
			t.Errorf("%d MiB free, in memory %t: %d MiB, %q", c.free/mib, c.memory, limit/mib, note)
		}
	}
}
