package registry

import (
	"context"
	"sync"
	"time"
)

// watch breaks a request that rests: no byte in either direction for the time of a
// stall, no answer for longer once the registry has everything, and, for requests
// that are not blobs, an end to all patience (a manifest must not drip for hours).
type watch struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	stall  time.Duration
	answer time.Duration
	whole  *time.Timer

	mu      sync.Mutex
	timer   *time.Timer
	allowed time.Duration
	paused  bool
}

func newWatch(parent context.Context, stall, answer time.Duration, unbounded bool) (context.Context, *watch) {
	ctx, cancel := context.WithCancelCause(parent)
	w := &watch{ctx: ctx, cancel: cancel, stall: stall, answer: answer, allowed: stall}
	w.timer = time.AfterFunc(stall, func() { cancel(errStalled) })
	if !unbounded {
		w.whole = time.AfterFunc(stall+answer, func() { cancel(errStalled) })
	}
	return ctx, w
}

// touch says that a byte moved.
func (w *watch) touch() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.allowed = w.stall
	if !w.paused {
		w.timer.Reset(w.allowed)
	}
}

// moved says that a byte that was handed over before has gone out: what is waited for
// stays the same.
func (w *watch) moved() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.paused {
		w.timer.Reset(w.allowed)
	}
}

// awaitAnswer says that the registry has the whole request.
func (w *watch) awaitAnswer() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.allowed = w.answer
	if !w.paused {
		w.timer.Reset(w.allowed)
	}
}

// pause stops the time while we ourselves wait for the source, or do not read.
func (w *watch) pause() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paused = true
	w.timer.Stop()
}

func (w *watch) resume() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx.Err() != nil {
		return // it has ended
	}
	w.paused = false
	w.timer.Reset(w.allowed)
}

// end frees the watch; the request's context is over. Whoever still holds the watch, such
// as a connection that is kept for later requests, does not start its time again.
func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cancel(nil) // before the mutex is free: see resume
	w.paused = true
	w.timer.Stop()
	if w.whole != nil {
		w.whole.Stop()
	}
}

// reason returns why a request broke: our caller's reason if it was the caller,
// errStalled if it was the watch, else err as a break.
func (w *watch) reason(parent context.Context, err error) error {
	if parent.Err() != nil {
		return context.Cause(parent)
	}
	if context.Cause(w.ctx) == errStalled {
		return errStalled
	}
	return &brokenError{err}
}
