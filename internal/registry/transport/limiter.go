package transport

import (
	"context"
	"slices"
	"sync"

	"github.com/multi-registry-push/multi-registry-push/internal/retry"
)

// LargeBody is the size in bytes from which a blob counts as a large one: it gets a
// connection of its own, and how many are in flight follows what the link takes. Smaller
// ones cost a round trip rather than bandwidth, and never wait for large ones.
const LargeBody = 256 << 10

// class is what a place in flight is for.
type class int

const (
	request class = iota // a request that carries no blob
	small                // a blob below LargeBody
	large                // any other
	classes
)

// bounds are the places of one host. A blob may wait for another one that is read from
// this same host, so that blobs never take all places.
type bounds struct {
	total    int // places together
	requests int // of these, kept from blobs
	large    int // blobs of LargeBody and more, at most
}

// By protocol: the streams of HTTP/2 share a connection, each request of HTTP/1.1 has its own.
var (
	boundsHTTP2 = bounds{total: 32, requests: 4, large: 16}
	boundsHTTP1 = bounds{total: 16, requests: 2, large: 12}
)

const (
	firstLarge = 8 // large blobs in flight before anything has been measured
	leastLarge = 4 // and where the link is narrow: fewer would leave it idle between two
)

// limiter admits requests and blobs to one host: in each class first come, first served.
// Large blobs are as many as yield more bytes a second, unless the user wants a number.
type limiter struct {
	fixed  int // blobs at a time that the user wants, 0 for as many as the host takes
	shared *Bodies
	growth growth

	mu      sync.Mutex
	bounds  bounds
	limit   [classes]int // below the bounds after the host had too much
	good    [classes]int // successes since the limit last changed
	held    [classes]int
	extra   int // of the large ones held, how many count in shared
	waiting [classes][]chan struct{}
}

func newLimiter(clock retry.Clock, fixed int, shared *Bodies) *limiter {
	l := &limiter{fixed: fixed, shared: shared, growth: growth{clock: clock}, bounds: boundsHTTP2}
	for c := range classes {
		l.limit[c] = l.most(c)
	}
	if fixed == 0 {
		l.limit[large] = l.first()
		l.shared.join(l)
	}
	return l
}

// most is the highest limit of a class.
func (l *limiter) most(c class) int {
	switch {
	case c == request:
		return l.bounds.total
	case l.fixed > 0:
		return l.fixed
	case c == large:
		return l.bounds.large
	}
	return l.bounds.total - l.bounds.requests
}

// first returns how many large blobs go at once in the beginning.
func (l *limiter) first() int {
	if l.fixed > 0 {
		return l.fixed
	}
	return firstLarge
}

// overHTTP1 says that the host speaks HTTP/1.1.
func (l *limiter) overHTTP1() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bounds == boundsHTTP1 {
		return
	}
	l.bounds = boundsHTTP1
	for c := range classes {
		l.limit[c] = min(l.limit[c], l.most(c))
	}
}

// acquire waits for a place. release gives it back, once.
func (l *limiter) acquire(ctx context.Context, c class) (release func(), err error) {
	l.mu.Lock()
	turn := make(chan struct{})
	l.waiting[c] = append(l.waiting[c], turn)
	l.admit()
	l.mu.Unlock()
	select {
	case <-turn:
		return func() { l.release(c) }, nil
	default:
	}
	select {
	case <-turn:
		return func() { l.release(c) }, nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	i := slices.Index(l.waiting[c], turn)
	if i >= 0 {
		l.waiting[c] = slices.Delete(l.waiting[c], i, i+1)
	}
	l.mu.Unlock()
	if i < 0 { // it became our turn at the same moment: pass the place on
		l.release(c)
	}
	return nil, context.Cause(ctx)
}

func (l *limiter) release(c class) {
	l.mu.Lock()
	l.held[c]--
	freed := l.extra > max(0, l.held[large]-leastLarge)
	if freed {
		l.extra--
	}
	l.admit()
	l.mu.Unlock()
	if freed {
		l.shared.give()
	}
}

// admit lets in whom there is room for, large blobs first: they are bounded, and requests
// keep coming. Its caller holds l.mu.
func (l *limiter) admit() {
	for _, c := range []class{large, small, request} {
		for len(l.waiting[c]) > 0 && l.takeRoom(c) {
			close(l.waiting[c][0])
			l.waiting[c] = l.waiting[c][1:]
			l.held[c]++
		}
	}
}

// takeRoom reports whether one more of a class may go. A large blob above those that every
// host has takes a place of the process.
func (l *limiter) takeRoom(c class) bool {
	blobs := l.held[small] + l.held[large]
	full := blobs+l.held[request] >= l.bounds.total
	switch {
	case l.fixed > 0 && c != request:
		return blobs < min(l.limit[small], l.limit[large])
	case c == request && l.held[c] < l.bounds.requests:
		full = false // blobs that were let in, however many, wait for requests of their own
	}
	switch {
	case full || l.held[c] >= l.limit[c]:
		return false
	case c == request:
		return true
	case blobs >= l.bounds.total-l.bounds.requests:
		return false
	case c == small || l.held[large]-l.extra < leastLarge:
		return true
	case !l.shared.take():
		return false
	}
	l.extra++
	return true
}

// fewer halves all limits: the host has too much of us.
func (l *limiter) fewer() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range classes {
		l.limit[c], l.good[c] = max(1, l.limit[c]/2), 0
	}
	l.growth.restart()
}

// more says that something went through: limits recover one by one. (That of large blobs
// grows by what they yield.)
func (l *limiter) more() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range classes {
		if l.limit[c] >= l.most(c) || c == large && l.fixed == 0 && l.limit[c] >= leastLarge {
			continue
		}
		if l.good[c]++; l.good[c] >= l.limit[c] {
			l.limit[c], l.good[c] = l.limit[c]+1, 0
			l.admit()
		}
	}
}

// sent counts bytes of blobs that went out, and now and then looks what they say.
func (l *limiter) sent(n int64) {
	if l.fixed > 0 || !l.growth.due(n) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	full := l.held[large] >= l.limit[large] && len(l.waiting[large]) > 0
	l.limit[large] = min(l.growth.next(l.limit[large], l.most(large), full), l.most(large))
	l.admit()
}

// Bodies bounds the large blobs that are in flight in a whole process. Each host may
// always have 4, so that none waits for another; what is above comes out of one pot.
type Bodies struct {
	mu    sync.Mutex
	free  int
	hosts []*limiter
	turn  int // whose turn it is when a place is given back
}

// leastBodies is how many large blobs a process may have in flight, however few
// registries there are.
const leastBodies = 64

// NewBodies returns the bound for a process that publishes to so many registries:
// max(64, 4 × registries) large blobs.
func NewBodies(registries int) *Bodies {
	own := leastLarge * registries
	return &Bodies{free: max(leastBodies, own) - own}
}

func (b *Bodies) join(l *limiter) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hosts = append(b.hosts, l)
}

// take takes a place above a host's own, if there is one.
func (b *Bodies) take() bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.free == 0 {
		return false
	}
	b.free--
	return true
}

// give gives a place back, and lets hosts have it in turn. No limiter is locked.
func (b *Bodies) give() {
	if b == nil {
		return
	}
	b.mu.Lock()
	b.free++
	hosts := slices.Concat(b.hosts[b.turn:], b.hosts[:b.turn])
	b.turn = (b.turn + 1) % len(b.hosts)
	b.mu.Unlock()
	for _, l := range hosts {
		l.mu.Lock()
		l.admit()
		l.mu.Unlock()
	}
}
