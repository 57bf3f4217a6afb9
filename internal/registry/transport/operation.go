package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/retry"
)

// backoff is the wait between two tries at the same thing.
var backoff = retry.Backoff{First: 500 * time.Millisecond, Longest: 30 * time.Second}

const (
	// leastTries is how often a transient failure is tried whatever the time it takes.
	leastTries = 3
	// unknownHostFor is how long a name that does not resolve is asked for.
	unknownHostFor = 3 * time.Second
)

// Operation is one thing that is wanted of a host, tried again while it fails in
// passing: for Options.RetryBudget without progress, less where the host has answered
// nothing but failures for as long.
type Operation struct {
	h         *Host
	tries     retry.Tries
	contacted func() bool // whether the other side has ever answered
}

// NewOperation begins an operation.
func (h *Host) NewOperation() *Operation {
	return &Operation{h: h, contacted: h.Answered, tries: retry.Tries{Since: h.o.Clock.Now()}}
}

// Progress starts the budget anew.
func (o *Operation) Progress() { o.tries = retry.Tries{Since: o.h.o.Clock.Now()} }

// Tries returns how many tries have failed since the last progress.
func (o *Operation) Tries() int { return o.tries.Count }

// Retry waits until the operation may be tried again and returns nil; or it returns why
// not: err itself if it is not transient, a *GaveUpError, or ctx's cause. doing names
// the operation for people; started is when the failed try began.
func (o *Operation) Retry(ctx context.Context, doing string, started time.Time, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !Transient(err) {
		return err
	}
	h := o.h
	now := h.o.Clock.Now()
	policy := retry.Policy{Backoff: backoff, Budget: h.o.RetryBudget, Least: leastTries}
	if !o.contacted() {
		policy.Budget, policy.Least = h.o.FirstContact, 1
	}
	// One budget for a host that is dead, not one for each thing that is wanted of it.
	own := o.tries
	silent := h.pace.silentSince(backoff.Longest + 2*h.o.Stall)
	if silent.Before(o.tries.Since) {
		o.tries.Since = silent
	}
	dead := now.Sub(silent) > policy.Budget
	if dead {
		policy.Least = 1
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		policy.Budget = min(policy.Budget, unknownHostFor)
	}
	var asked time.Duration
	answer, ok := errors.AsType[*Error](err)
	if ok {
		asked = answer.RetryAfter
		if answer.Status == http.StatusTooManyRequests {
			// Others get through: it is our turn some time, too.
			if last := h.pace.lastSuccess(); last.After(o.tries.Since) {
				o.tries.Since = last
			}
		}
	}
	if first, never := h.elsewhere.failed(err, now); never {
		policy.Budget, policy.Least, o.tries.Since = h.o.FirstContact, 1, first
	}
	since := o.tries.Since
	pause, again := o.tries.Next(policy, now, asked)
	o.tries.Since = own.Since
	if !again {
		gaveUp := &GaveUpError{Err: err, Tries: o.tries.Count, After: now.Sub(since),
			Dead: dead && o.tries.Count < leastTries}
		if asked > policy.Budget {
			gaveUp.After, gaveUp.Asked = now.Sub(own.Since), asked
		}
		return gaveUp
	}
	h.retries.Add(1)
	return h.wait(ctx, doing, started, err, answer, pause)
}

// wait waits before the next try as the failure, which answer, where there is one, tells of, wants it, and
// says so.
func (h *Host) wait(ctx context.Context, doing string, started time.Time, err error, answer *Error,
	pause time.Duration) error {
	switch {
	case answer != nil && answer.Status == http.StatusTooManyRequests:
		pause, news := h.pace.slowDown(started, answer.RetryAfter)
		if news {
			h.notify("too many requests; everything to this registry pauses for %s and goes slower then",
				retry.Text(pause))
		}
		return nil // whoever sends next waits
	case answer != nil && answer.RetryAfter > 0:
		h.pace.overloaded(started)
		h.pace.pause(answer.RetryAfter)
		h.notify("%s: %v; the registry asks to wait %s", doing, err, retry.Text(answer.RetryAfter))
		return nil
	}
	if answer == nil || answer.Status >= http.StatusInternalServerError {
		h.pace.overloaded(started)
	}
	h.notify("%s: %v; trying again in %s", doing, err, retry.Text(pause))
	return h.o.Clock.Sleep(ctx, pause)
}

func (h *Host) notify(format string, args ...any) {
	h.o.Notify(Notice{Registry: h.o.Host, Text: h.o.Host + ": " + fmt.Sprintf(format, args...)})
}

// Wait returns when a request may start, with the time of that start: a host that said
// to wait, or that there are too many requests, is left alone for as long.
func (h *Host) Wait(ctx context.Context) (time.Time, error) { return h.pace.wait(ctx) }

// Succeeded says that a request went through.
func (h *Host) Succeeded() { h.pace.ok() }

// Retry calls attempt until it succeeds, fails for good, or the budget is used up.
func (h *Host) Retry(ctx context.Context, doing string, attempt func(context.Context) error) error {
	o := h.NewOperation()
	for {
		started, err := h.Wait(ctx)
		if err != nil {
			return err
		}
		if err = attempt(ctx); err == nil {
			h.Succeeded()
			return nil
		}
		if err := o.Retry(ctx, doing, started, err); err != nil {
			return err
		}
	}
}

// RetryElsewhere is Retry without the registry's pauses, for other servers that belong
// to it, such as token services. One that itself says to wait is waited for; one that
// has never answered, as contacted tells, gets the budget of a first contact.
func (h *Host) RetryElsewhere(
	ctx context.Context, doing string, contacted func() bool, attempt func(context.Context) error,
) error {
	o := h.NewOperation()
	o.contacted = contacted
	for {
		started := h.o.Clock.Now()
		err := attempt(ctx)
		if err == nil {
			return nil
		}
		if err := o.Retry(ctx, doing, started, err); err != nil {
			return err
		}
		answer, ok := errors.AsType[*Error](err)
		if ok && (answer.Status == http.StatusTooManyRequests || answer.RetryAfter > 0) {
			if _, err := h.Wait(ctx); err != nil {
				return err
			}
		}
	}
}

// AcquireRequest waits for a place among the requests to this host that carry no blob.
// Give it back with release when the answer's headers are there.
func (h *Host) AcquireRequest(ctx context.Context) (release func(), err error) {
	return h.pace.limiter.acquire(ctx, request)
}

// AcquireBody waits for a place among the blobs that are being sent to this host: large
// ones (see LargeBody) and small ones each in the order in which they asked. Give it back
// with release when the blob is there. Options.Concurrency is how many places there are;
// without it, as many as host and link take.
func (h *Host) AcquireBody(ctx context.Context, size int64) (release func(), err error) {
	if size >= LargeBody {
		return h.pace.limiter.acquire(ctx, large)
	}
	return h.pace.limiter.acquire(ctx, small)
}
