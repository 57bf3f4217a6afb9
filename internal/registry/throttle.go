package registry

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Back-off: the first pause, doubled each time up to the longest.
const (
	firstPause   = 500 * time.Millisecond
	longestPause = 30 * time.Second
)

// backoff returns the pause before try n (from 0), half of it random so that
// destinations do not come back in step.
func backoff(n int) time.Duration {
	pause := longestPause
	if n < 10 {
		pause = min(longestPause, firstPause<<n)
	}
	return pause/2 + rand.N(pause/2+1) // #nosec G404 -- jitter
}

// throttle is how fast one host is asked. A host that says 429, or when to come
// back, is left alone for that time by everybody; after that requests keep a distance
// from each other, and fewer go at a time. Both recover with success.
type throttle struct {
	clock Clock

	// uploads are blobs being sent; requests are all others, until their answer's
	// headers are there. They are apart because an upload may wait for a blob that
	// is being read from this same host.
	uploads, requests *limiter

	mu      sync.Mutex
	until   time.Time     // nobody sends before
	gap     time.Duration // between the starts of two requests
	next    time.Time     // the earliest start of the next one, if there is a gap
	slowed  time.Time     // when the last slowing down began
	refused int           // times in a row
	lastOK  time.Time
	silent  time.Time // the first of the failures since the last sign of life, zero if there is none
	failed  time.Time // the last of them
}

const (
	firstGap    = 20 * time.Millisecond
	longestGap  = 5 * time.Second
	maxRequests = 32
)

func newThrottle(clock Clock, concurrency int) *throttle {
	return &throttle{
		clock:    clock,
		uploads:  newLimiter(concurrency),
		requests: newLimiter(maxRequests),
	}
}

// wait returns when a request may start, with the time of that start.
func (t *throttle) wait(ctx context.Context) (time.Time, error) {
	for {
		t.mu.Lock()
		now := t.clock.Now()
		at := now
		if t.until.After(at) {
			at = t.until
		}
		if t.gap > 0 && t.next.After(at) {
			at = t.next
		}
		if !at.After(now) {
			if t.gap > 0 {
				t.next = now.Add(t.gap)
			}
			t.mu.Unlock()
			return now, context.Cause(ctx)
		}
		t.mu.Unlock()
		if err := t.clock.Sleep(ctx, at.Sub(now)); err != nil {
			return now, err
		}
	}
}

// ok says that a request went through.
func (t *throttle) ok() {
	t.mu.Lock()
	t.lastOK = t.clock.Now()
	t.refused = 0
	if t.gap > 0 {
		if t.gap -= t.gap / 16; t.gap < firstGap/4 {
			t.gap = 0
		}
	}
	t.mu.Unlock()
	t.uploads.more()
	t.requests.more()
}

// slowDown says that a request that began at started was told that there are too
// many. It returns how long everybody waits now, and whether this is news: of the
// many requests that one burst gets refused, the first one counts.
func (t *throttle) slowDown(started time.Time, asked time.Duration) (pause time.Duration, news bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.clock.Now()
	if news = !started.Before(t.slowed); news {
		t.slowed = now
		t.gap = min(longestGap, max(firstGap, 2*t.gap))
		if asked == 0 {
			asked = backoff(t.refused)
		}
		t.refused++
		t.uploads.less()
		t.requests.less()
	}
	t.pauseLocked(now, asked)
	return max(0, t.until.Sub(now)), news
}

// pause keeps everybody away for d.
func (t *throttle) pause(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pauseLocked(t.clock.Now(), d)
}

func (t *throttle) pauseLocked(now time.Time, d time.Duration) {
	if until := now.Add(d); until.After(t.until) {
		t.until = until
	}
}

func (t *throttle) lastSuccess() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lastOK
}

// alive says that the host gave a sign of life: an answer that is no passing failure, or
// bytes of a blob that move.
func (t *throttle) alive() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.silent = time.Time{}
}

// silentSince says that a request failed in passing, and returns since when nothing
// but that has come of the host. Failures further apart than that prove nothing of the
// time between them.
func (t *throttle) silentSince(apart time.Duration) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.clock.Now()
	if t.silent.IsZero() || now.Sub(t.failed) > apart {
		t.silent = now
	}
	t.failed = now
	return t.silent
}

// limiter lets a number of holders in that goes down by half and up by one.
type limiter struct {
	mu      sync.Mutex
	most    int
	limit   int
	held    int
	good    int // successes since the limit last changed
	waiting []chan struct{}
}

func newLimiter(most int) *limiter { return &limiter{most: most, limit: most} }

// acquire waits for a place, first come first served.
func (l *limiter) acquire(ctx context.Context) error {
	l.mu.Lock()
	if l.held < l.limit && len(l.waiting) == 0 {
		l.held++
		l.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	l.waiting = append(l.waiting, turn)
	l.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, w := range l.waiting {
		if w == turn {
			l.waiting = append(l.waiting[:i], l.waiting[i+1:]...)
			return context.Cause(ctx)
		}
	}
	// It became our turn at the same moment: pass the place on.
	l.held--
	l.admit()
	return context.Cause(ctx)
}

func (l *limiter) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held--
	l.admit()
}

func (l *limiter) admit() {
	for len(l.waiting) > 0 && l.held < l.limit {
		close(l.waiting[0])
		l.waiting = l.waiting[1:]
		l.held++
	}
}

func (l *limiter) less() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit, l.good = max(1, l.limit/2), 0
}

func (l *limiter) more() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limit == l.most {
		return
	}
	if l.good++; l.good >= l.limit {
		l.limit, l.good = l.limit+1, 0
		l.admit()
	}
}
