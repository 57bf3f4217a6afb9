package transport

import (
	"sync"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/retry"
)

// growth finds out how many large blobs in flight yield the most bytes a second: it adds
// some, and takes them back if that gained nothing. At first it looks at short moments, for
// a link that takes all at once; then at longer ones, which say more.
type growth struct {
	clock retry.Clock

	mu     sync.Mutex
	opened opening
	since  time.Time // the window began
	bytes  int64     // in this window
	before float64   // bytes a second before the last step
	step   int       // how many the last step added, 0 if its outcome is known
	rest   int       // windows to go until the next step is tried
}

const (
	window = time.Second
	idle   = 10 * window // a longer window had nothing to send
	// gain is what a step has to gain to stay: less is noise.
	gain = 1.05
	// restAfter is how many windows a step that brought nothing is not tried again.
	restAfter = 10
	// leastRate is the bytes a second of one large blob, below which more of them only
	// make each slower, and stalls likelier.
	leastRate = 128 << 10
)

// due counts n bytes and reports whether a window has ended.
func (g *growth) due(n int64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clock.Now()
	if !g.opened.over {
		return g.opened.due(now, n)
	}
	g.bytes += n
	if g.since.IsZero() {
		g.since, g.bytes = now, 0
	}
	return now.Sub(g.since) >= window
}

// next ends the window and returns the limit for the next one, which may be above most.
// full says that more would have gone out at once if they had been let.
func (g *growth) next(limit, most int, full bool) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clock.Now()
	if !g.opened.over {
		limit, g.rest = g.opened.next(now, limit, most, full)
		return limit
	}
	took := now.Sub(g.since)
	if took < window {
		return limit // somebody else was here first
	}
	rate := float64(g.bytes) / took.Seconds()
	g.since, g.bytes = now, 0
	if !full || took > idle { // this says nothing of the link
		g.step = 0
		return limit
	}
	narrow := max(leastLarge, int(rate/leastRate))
	if limit > narrow {
		g.step, g.rest = 0, restAfter
		return narrow
	}
	step := g.step
	g.step = 0
	switch {
	case step > 0 && rate < g.before*gain:
		g.rest = restAfter
		return limit - step
	case g.rest > 0:
		g.rest--
		return limit
	}
	g.before, g.step = rate, min(max(1, limit/4), narrow-limit)
	return limit + g.step
}

// restart forgets what was measured.
func (g *growth) restart() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.step, g.rest, g.opened.over = 0, restAfter, true
}

// opening is the growth of the first moments. It compares what one blob moves while it is
// being sent, so that it need not wait until the pauses between blobs even out.
type opening struct {
	over    bool
	since   time.Time // the moment began
	counted time.Time // busy is counted until then
	bytes   int64
	busy    time.Duration // that blobs were being sent, added up
	sending int           // blobs that are being sent
	begun   int           // blobs that began to be sent since the last step
	before  float64       // bytes a second of one blob before the last step
	step    int           // how many the last step added, 0 if its outcome is known
}

// moment is how long the opening looks at what it has: about a round trip to a registry that
// is far away.
const moment = 50 * time.Millisecond

func (o *opening) count(now time.Time) {
	o.busy += time.Duration(o.sending) * now.Sub(o.counted)
	o.counted = now
}

func (o *opening) restart(now time.Time) { o.since, o.counted, o.bytes, o.busy = now, now, 0, 0 }

// due counts n bytes and reports whether a moment has ended. After a step, none begins
// before what was added is being sent.
func (o *opening) due(now time.Time, n int64) bool {
	if o.since.IsZero() || o.begun < o.step {
		o.restart(now)
		return false
	}
	o.count(now)
	o.bytes += n
	return now.Sub(o.since) >= moment
}

// next ends the moment and returns the limit for the next one, and how many windows to rest
// if the opening ends with it.
func (o *opening) next(now time.Time, limit, most int, full bool) (next, rest int) {
	if now.Sub(o.since) < moment || o.busy <= 0 {
		return limit, 0
	}
	one := float64(o.bytes) / o.busy.Seconds()
	o.restart(now)
	step := o.step
	o.step = 0
	switch {
	case !full: // this says nothing of the link
		return limit, 0
	case step > 0 && one*float64(limit) < o.before*float64(limit-step)*gain:
		o.over = true
		return limit - step, restAfter
	case limit >= most, one < leastRate:
		o.over = true
		return limit, 0
	}
	o.before, o.begun, o.step = one, 0, min(max(1, limit/2), most-limit)
	return limit + o.step, 0
}

// flow is the body of a large blob on its way to a host. What its methods get is counted for
// the limiter of that host.
type flow struct {
	l    *limiter
	left int64 // bytes that have not been handed over
	on   bool  // it has begun and not ended
}

// sent says that n bytes went out.
func (f *flow) sent(n int64) {
	g := &f.l.growth
	g.mu.Lock()
	if !f.on && f.left > 0 {
		f.on = true
		g.opened.count(g.clock.Now())
		g.opened.sending++
		g.opened.begun++
	}
	f.left -= n
	done := f.left <= 0
	g.mu.Unlock()
	f.l.sent(n)
	if done {
		f.end()
	}
}

// end says that nothing more goes out. It may be called again, and for nil.
func (f *flow) end() {
	if f == nil {
		return
	}
	g := &f.l.growth
	g.mu.Lock()
	defer g.mu.Unlock()
	f.left = 0
	if f.on {
		f.on = false
		g.opened.count(g.clock.Now())
		g.opened.sending--
	}
}
