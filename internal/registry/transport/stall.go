package transport

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrStalled says that a connection rested for too long.
var ErrStalled = errors.New("no byte moved for too long")

// errServedNothing says that a connection ended before it had answered anything.
var errServedNothing = errors.New("connections end before they answer anything")

// StallTimer breaks a request that rests: no byte in either direction for the time of a
// stall, no answer for longer once the registry has everything, and, for requests
// that are not blobs, an end to all patience (a manifest must not drip for hours).
type StallTimer struct {
	cause  func() error // of the end of the request; nil while it runs
	cancel context.CancelCauseFunc
	stall  time.Duration
	answer time.Duration
	whole  *time.Timer

	mu      sync.Mutex
	timer   *time.Timer
	allowed time.Duration
	paused  bool
}

func newStallTimer(parent context.Context, stall, answer time.Duration, unbounded bool) (context.Context, *StallTimer) {
	ctx, cancel := context.WithCancelCause(parent)
	t := &StallTimer{cancel: cancel, stall: stall, answer: answer, allowed: stall}
	t.cause = func() error { return context.Cause(ctx) }
	t.timer = time.AfterFunc(stall, func() { cancel(ErrStalled) })
	if !unbounded {
		t.whole = time.AfterFunc(stall+answer, func() { cancel(ErrStalled) })
	}
	return ctx, t
}

// Touch says that a byte moved.
func (t *StallTimer) Touch() { t.allow(t.stall) }

// AwaitAnswer says that the registry has the whole request.
func (t *StallTimer) AwaitAnswer() { t.allow(t.answer) }

// allow starts the time anew, with d to pass.
func (t *StallTimer) allow(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.allowed = d
	if !t.paused {
		t.timer.Reset(t.allowed)
	}
}

// moved says that a byte that was handed over before has gone out: what is waited for
// stays the same.
func (t *StallTimer) moved() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.paused {
		t.timer.Reset(t.allowed)
	}
}

// Pause stops the time while we ourselves wait for the source, or do not read.
func (t *StallTimer) Pause() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.paused = true
	t.timer.Stop()
}

// Resume starts the time anew after a Pause; nothing starts one that has run out.
func (t *StallTimer) Resume() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.Ended() {
		return
	}
	t.paused = false
	t.timer.Reset(t.allowed)
}

// Ended reports whether the request is over.
func (t *StallTimer) Ended() bool { return t.cause() != nil }

// bound gives an answer without a bound one: it must not drip for hours.
func (t *StallTimer) bound() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.whole == nil && !t.Ended() {
		t.whole = time.AfterFunc(t.stall+t.answer, func() { t.cancel(ErrStalled) })
	}
}

// end frees the timer; the request's context is over. Whoever still holds the timer, such
// as a connection that is kept for later requests, does not start its time again.
func (t *StallTimer) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cancel(nil) // before the mutex is free: see resume
	t.paused = true
	t.timer.Stop()
	if t.whole != nil {
		t.whole.Stop()
	}
}

// reason returns why a request broke: our caller's reason if it was the caller,
// ErrStalled if it was the timer, else a break.
func (t *StallTimer) reason(parent context.Context, err error) error {
	if parent.Err() != nil {
		return context.Cause(parent)
	}
	switch cause := t.cause(); {
	case errors.Is(cause, ErrStalled):
		return ErrStalled
	case errors.Is(cause, errServedNothing):
		return &BrokenError{errServedNothing}
	}
	return &BrokenError{err}
}

// drips watches an answer of any length: it may take its time, but not an hour for each few bytes.
type drips struct {
	watched bool
	bytes   int           // since a step of them was complete
	waited  time.Duration // for these
}

// read takes note of n bytes that came after a wait, and reports whether less than a step has
// come in the time of a stall.
func (d *drips) read(n int, wait, stall time.Duration) bool {
	d.bytes += n
	d.waited += wait
	if d.bytes >= step {
		d.bytes, d.waited = 0, 0
	}
	return d.watched && d.waited > stall
}
