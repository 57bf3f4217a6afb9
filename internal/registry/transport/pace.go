package transport

import (
	"context"
	"sync"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/retry"
)

// pace is how fast one host is asked. A host that says 429, or when to come
// back, is left alone for that time by everybody; after that requests keep a distance
// from each other, and fewer go at a time. Both recover with success.
type pace struct {
	clock retry.Clock

	limiter *limiter

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
	firstGap   = 20 * time.Millisecond
	longestGap = 5 * time.Second
)

func newPace(clock retry.Clock, limiter *limiter) *pace {
	return &pace{clock: clock, limiter: limiter}
}

// wait returns when a request may start, with the time of that start.
func (p *pace) wait(ctx context.Context) (time.Time, error) {
	for {
		p.mu.Lock()
		now := p.clock.Now()
		at := now
		if p.until.After(at) {
			at = p.until
		}
		if p.gap > 0 && p.next.After(at) {
			at = p.next
		}
		if !at.After(now) {
			if p.gap > 0 {
				p.next = now.Add(p.gap)
			}
			p.mu.Unlock()
			return now, context.Cause(ctx)
		}
		p.mu.Unlock()
		if err := p.clock.Sleep(ctx, at.Sub(now)); err != nil {
			return now, err
		}
	}
}

// ok says that a request went through.
func (p *pace) ok() {
	p.mu.Lock()
	p.lastOK = p.clock.Now()
	p.refused = 0
	if p.gap > 0 {
		if p.gap -= p.gap / 16; p.gap < firstGap/4 {
			p.gap = 0
		}
	}
	p.mu.Unlock()
	p.limiter.more()
}

// slowDown says that a request that began at started was told that there are too
// many. It returns how long everybody waits now, and whether this is news: of the
// many requests that one burst gets refused, the first one counts.
func (p *pace) slowDown(started time.Time, asked time.Duration) (pause time.Duration, news bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock.Now()
	if news = !started.Before(p.slowed); news {
		p.slowed = now
		p.gap = min(longestGap, max(firstGap, 2*p.gap))
		if asked == 0 {
			asked = backoff.Pause(p.refused)
		}
		p.refused++
		p.limiter.fewer()
	}
	p.pauseLocked(now, asked)
	return max(0, p.until.Sub(now)), news
}

// overloaded says that a request that began at started broke, or found the host without
// room. A bound that the user wants stays. Of the many that one moment breaks, the first one counts.
func (p *pace) overloaded(started time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limiter.fixed == 0 && !started.Before(p.slowed) {
		p.slowed = p.clock.Now()
		p.limiter.fewer()
	}
}

// pause keeps everybody away for d.
func (p *pace) pause(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pauseLocked(p.clock.Now(), d)
}

func (p *pace) pauseLocked(now time.Time, d time.Duration) {
	if until := now.Add(d); until.After(p.until) {
		p.until = until
	}
}

func (p *pace) lastSuccess() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lastOK
}

// alive says that the host gave a sign of life: an answer that is no passing failure, or
// bytes of a blob that move.
func (p *pace) alive() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = time.Time{}
}

// silentSince says that a request failed in passing, and returns since when nothing
// but that has come of the host. Failures further apart than that prove nothing of the
// time between them.
func (p *pace) silentSince(apart time.Duration) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock.Now()
	if p.silent.IsZero() || now.Sub(p.failed) > apart {
		p.silent = now
	}
	p.failed = now
	return p.silent
}
