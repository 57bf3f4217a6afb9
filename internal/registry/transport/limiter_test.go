package transport

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/retry"
)

func TestLimiterPassesOnAPlaceThatIsNotWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(retry.SystemClock{}, 2, nil)
		ctx, cancel := context.WithCancel(t.Context())
		var release [2]func()
		for i := range release {
			var err error
			if release[i], err = l.acquire(ctx, large); err != nil {
				t.Fatal(err)
			}
		}
		failed := make(chan error)
		go func() { _, err := l.acquire(ctx, small); failed <- err }()
		synctest.Wait()
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("acquire: %v", err)
		}
		release[0]()
		release[1]()
		if l.held != [classes]int{} || len(l.waiting[small]) != 0 {
			t.Errorf("held %v, waiting %v at the end", l.held, l.waiting)
		}
	})
}

// link is a host on a link of a rate, with a rate of its own for each connection. It
// notes the most blobs of a class that were in flight at once.
type link struct {
	l        *limiter
	rate     int64         // bytes a second of all
	each     int64         // bytes a second of one, 0 for no bound
	trip     time.Duration // before a blob's upload is open, and again before it is answered
	mu       sync.Mutex
	running  int
	now, top [classes]int
	order    []int64
}

// send takes a place for a blob and sends it.
func (k *link) send(t *testing.T, size int64) {
	c := small
	if size >= LargeBody {
		c = large
	}
	release, err := k.l.acquire(t.Context(), c)
	if err != nil {
		t.Error(err)
		return
	}
	defer release()
	k.mu.Lock()
	k.now[c]++
	k.top[c] = max(k.top[c], k.now[c])
	k.order = append(k.order, size)
	k.mu.Unlock()
	time.Sleep(k.trip)
	k.pass(c, size)
	time.Sleep(k.trip)
	k.mu.Lock()
	k.now[c]--
	k.mu.Unlock()
}

// pass lets the bytes of a blob go out.
func (k *link) pass(c class, size int64) {
	counted := k.l.sent
	if c == large {
		body := &flow{l: k.l, left: size}
		defer body.end()
		counted = body.sent
	}
	k.mu.Lock()
	k.running++
	k.mu.Unlock()
	const tick = 10 * time.Millisecond
	for left := size; left > 0; {
		time.Sleep(tick)
		k.mu.Lock()
		share := k.rate / int64(k.running)
		k.mu.Unlock()
		if k.each > 0 {
			share = min(share, k.each)
		}
		n := min(left, share/int64(time.Second/tick))
		counted(n)
		left -= n
	}
	k.mu.Lock()
	k.running--
	k.mu.Unlock()
}

func (k *link) sendAll(t *testing.T, sizes ...int64) time.Duration {
	start := time.Now()
	var all sync.WaitGroup
	for _, size := range sizes {
		all.Go(func() { k.send(t, size) })
		synctest.Wait() // in this order
	}
	all.Wait()
	return time.Since(start)
}

func repeat(n int, size int64) []int64 {
	sizes := make([]int64, n)
	for i := range sizes {
		sizes[i] = size
	}
	return sizes
}

// As many large blobs are in flight as help, and no more than allowed.
func TestLimiterFollowsTheLink(t *testing.T) {
	const mb = 1 << 20
	for name, test := range map[string]struct {
		rate, each  int64
		http1       bool
		least, most int
	}{
		"each connection has a rate of its own":  {1 << 40, mb, false, 16, 16},
		"the same over HTTP/1.1":                 {1 << 40, mb, true, 12, 12},
		"eight fill the link":                    {8 * mb, 0, false, 8, 12},
		"a narrow link, where each would crawl":  {200 << 10, 0, false, 8, 8}, // as it began
		"a link that is narrow for all but some": {16 * mb, 2 * mb, false, 8, 12},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &link{l: newLimiter(retry.SystemClock{}, 0, nil), rate: test.rate, each: test.each}
				if test.http1 {
					k.l.overHTTP1()
				}
				k.sendAll(t, repeat(80, 4*mb)...)
				if top := k.top[large]; top < test.least || top > test.most {
					t.Errorf("up to %d at once, want %d to %d", top, test.least, test.most)
				}
				if test.rate < mb && k.l.limit[large] != leastLarge {
					t.Errorf("still %d at once where each moves %d bytes a second", k.l.limit[large], test.rate/int64(k.l.limit[large]))
				}
			})
		})
	}
}

// How long large blobs take over links of several kinds, against what the link allows.
func TestLimiterTimes(t *testing.T) {
	const mb = 1_000_000
	ms := time.Millisecond
	for name, test := range map[string]struct {
		rate, each int64
		trip       time.Duration
		http1      bool
		blobs      int
		most       time.Duration
		top, end   int // most at once, and the limit at the end
	}{
		// A blob takes 100 ms of trips and 200 ms. What waits at first goes 110 ms after the rest: when it is known
		// that eight leave room.
		"wide, 12 blobs":           {1 << 40, 25 * mb, 50 * ms, false, 12, 410 * ms, 12, 12},
		"wide, 12 over HTTP/1.1":   {1 << 40, 25 * mb, 50 * ms, true, 12, 410 * ms, 12, 12},
		"wide, 48 blobs":           {1 << 40, 25 * mb, 50 * ms, false, 48, 1120 * ms, 16, 16},
		"wide, 48 over HTTP/1.1":   {1 << 40, 25 * mb, 50 * ms, true, 48, 1310 * ms, 12, 12},
		"shared, 40 blobs":         {25 * mb, 0, 100 * ms, false, 40, 8800 * ms, 12, 8},
		"shared, over HTTP/1.1":    {25 * mb, 0, 100 * ms, true, 40, 8800 * ms, 12, 8},
		"narrow, each would crawl": {mb / 2, 0, 100 * ms, false, 12, 120500 * ms, 8, 4},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &link{l: newLimiter(retry.SystemClock{}, 0, nil), rate: test.rate, each: test.each, trip: test.trip}
				if test.http1 {
					k.l.overHTTP1()
				}
				took := k.sendAll(t, repeat(test.blobs, 5*mb)...)
				t.Logf("%v, %d at once, limit %d", took, k.top[large], k.l.limit[large])
				if took > test.most || k.top[large] > test.top || k.l.limit[large] != test.end {
					t.Errorf("%v and %d at once, then %d; want at most %v and %d, then %d", took, k.top[large], k.l.limit[large],
						test.most, test.top, test.end)
				}
			})
		})
	}
}

// Small blobs wait for no large one, each class keeps the order in which it came, and
// blobs leave requests some places.
func TestLimiterClasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &link{l: newLimiter(retry.SystemClock{}, 0, nil), rate: 1 << 20}
		var all sync.WaitGroup
		for size := int64(9); size > 0; size-- {
			all.Go(func() { k.send(t, size*100<<20) })
			synctest.Wait()
		}
		start := time.Now()
		var quick sync.WaitGroup
		for range 8 {
			quick.Go(func() { k.send(t, 10) })
		}
		quick.Wait()
		if took := time.Since(start); took > time.Second {
			t.Errorf("small blobs waited %v", took)
		}
		held := 0
		var release []func()
		for range boundsHTTP2.requests {
			r, err := k.l.acquire(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			held++
			release = append(release, r)
		}
		for _, r := range release {
			r()
		}
		all.Wait()
		last := int64(1 << 40)
		for _, size := range k.order {
			if size > 10 && size > last {
				t.Errorf("a blob of %d came after one of %d", size, last)
			}
			if size > 10 {
				last = size
			}
		}
	})
}

// At most 32 requests are under way at once over HTTP/2, 16 over HTTP/1.1, whatever is wanted.
func TestLimiterTotals(t *testing.T) {
	for _, http1 := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := newLimiter(retry.SystemClock{}, 0, nil)
			want := 32
			if http1 {
				l.overHTTP1()
				want = 16
			}
			var all sync.WaitGroup
			var mu sync.Mutex
			now, top := 0, 0
			for i := range 300 {
				all.Go(func() {
					release, err := l.acquire(t.Context(), class(i%int(classes)))
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					now++
					top = max(top, now)
					mu.Unlock()
					time.Sleep(time.Second)
					mu.Lock()
					now--
					mu.Unlock()
					release()
				})
			}
			all.Wait()
			if top > want || top < want/2 {
				t.Errorf("HTTP/1.1 %v: %d at once, want at most %d", http1, top, want)
			}
		})
	}
}

// A number that the user wants is a fixed bound of all blobs.
func TestLimiterFixed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &link{l: newLimiter(retry.SystemClock{}, 3, NewBodies(100)), rate: 1 << 40, each: 1 << 20}
		k.sendAll(t, append(repeat(20, 4<<20), repeat(20, 1000)...)...)
		if k.top[large] != 3 || k.top[small] > 3 {
			t.Errorf("%v at once, want 3", k.top)
		}
		k.l.fewer()
		k.sendAll(t, repeat(1, 100)...)
		if k.l.limit[large] != 1 {
			t.Errorf("limit %d after too many requests", k.l.limit[large])
		}
		for range 10 {
			k.l.more()
		}
		if k.l.limit[large] != 3 {
			t.Errorf("limit %d after recovery", k.l.limit[large])
		}
	})
}

// After 429, 5xx and resets there are fewer, and they come back.
func TestLimiterShrinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(retry.SystemClock{}, 0, nil)
		p := newPace(retry.SystemClock{}, l)
		started := time.Now()
		time.Sleep(time.Second)
		p.overloaded(started)
		p.overloaded(started) // of the same moment
		if l.limit[large] != firstLarge/2 || l.limit[small] != 14 {
			t.Errorf("limits %v after one break", l.limit)
		}
		for range 4 {
			time.Sleep(time.Second)
			p.overloaded(time.Now())
		}
		if l.limit[large] != 1 {
			t.Errorf("limits %v after five", l.limit)
		}
		for range 100 {
			p.ok()
		}
		if l.limit[large] != leastLarge || l.limit[small] < 8 {
			t.Errorf("limits %v after recovery", l.limit)
		}
		k := &link{l: l, rate: 1 << 40, each: 1 << 20}
		k.sendAll(t, repeat(200, 4<<20)...)
		if l.limit[large] < 12 {
			t.Errorf("limits %v after many blobs", l.limit)
		}
	})
}

// A host that has too much while the first blobs go gets no more than half of them, however much each moves.
func TestLimiterOpeningEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &link{l: newLimiter(retry.SystemClock{}, 0, nil), rate: 1 << 40, each: 1 << 20}
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { k.send(t, 2<<20) })
		}
		time.Sleep(20 * time.Millisecond)
		k.l.fewer()
		time.Sleep(1500 * time.Millisecond)
		k.l.mu.Lock()
		limit := k.l.limit[large]
		k.l.mu.Unlock()
		k.mu.Lock()
		top := k.top[large]
		k.mu.Unlock()
		if limit != firstLarge/2 || top != firstLarge {
			t.Errorf("limit %d after too many requests, %d were in flight", limit, top)
		}
		all.Wait()
	})
}

// A process has a bound, too, within which no host waits for another one.
func TestBodiesOfAProcess(t *testing.T) {
	for _, test := range []struct{ hosts, most int }{{1, 16}, {4, 64}, {8, 64}, {16, 64}, {20, 80}} {
		synctest.Test(t, func(t *testing.T) {
			bodies := NewBodies(test.hosts)
			var mu sync.Mutex
			now, top := 0, 0
			var all sync.WaitGroup
			for range test.hosts {
				l := newLimiter(retry.SystemClock{}, 0, bodies)
				l.limit[large] = 16
				l.limit[small] = 0
				own := 0
				for range 40 {
					all.Go(func() {
						release, err := l.acquire(t.Context(), large)
						if err != nil {
							t.Error(err)
							return
						}
						mu.Lock()
						now++
						own++
						top = max(top, now)
						mu.Unlock()
						time.Sleep(time.Second)
						mu.Lock()
						now--
						own--
						mu.Unlock()
						release()
					})
				}
				all.Go(func() {
					time.Sleep(time.Second / 2)
					mu.Lock()
					defer mu.Unlock()
					if own < leastLarge {
						t.Errorf("%d hosts: one has %d blobs in flight", test.hosts, own)
					}
				})
			}
			all.Wait()
			if top != test.most {
				t.Errorf("%d hosts: %d blobs at once, want %d", test.hosts, top, test.most)
			}
			if own := leastLarge * test.hosts; bodies.free != max(leastBodies, own)-own {
				t.Errorf("%d hosts: %d places are free at the end", test.hosts, bodies.free)
			}
		})
	}
}

// Blobs that were let in before it was known that the host speaks HTTP/1.1 still get requests.
func TestLimiterBlobsNeverTakeAllPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(retry.SystemClock{}, 0, nil)
		for range 24 {
			if _, err := l.acquire(t.Context(), small); err != nil {
				t.Fatal(err)
			}
		}
		l.overHTTP1()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.acquire(ctx, request); err != nil {
			t.Error("blobs hold all places, and wait for ever for requests of their own")
		}
	})
}
