package blobcache

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// Clock is the time that a spool waits by.
type Clock interface {
	Now() time.Time
	// Sleep waits for d, or returns ctx's error when that ends first.
	Sleep(ctx context.Context, d time.Duration) error
}

// retry says how often and for how long a source that breaks off is asked again.
type retry struct {
	budget    time.Duration
	retryable func(error) bool
	clock     Clock
	notify    func(Notice)
}

// Pauses between attempts: the first is almost at once, since most sources that
// break off a body answer the next request.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = 15 * time.Second
)

// pause returns how long to wait before the n-th attempt, from 1, in a row without
// progress: capped exponential back-off, half of it random.
func pause(n int) time.Duration {
	d := firstPause << min(n-1, 10)
	d = min(d, maxPause)
	return d/2 + rand.N(d/2+1) // #nosec G404 -- jitter
}

// Retryable is the rule for errors of a source when Options has none. An error
// that says so itself (by a method Retryable() bool) is believed; a problem is an
// answer, which another attempt does not change; all else is a connection that
// broke.
func Retryable(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var self interface{ Retryable() bool }
	if errors.As(err, &self) {
		return self.Retryable()
	}
	var p *usererror.Problem
	return !errors.As(err, &p)
}

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
