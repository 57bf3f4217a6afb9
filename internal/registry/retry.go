package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// passing reports whether a status is one that may be another the next time.
func passing(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, 499:
		return true
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return false
	}
	return status >= 500 && status <= 599
}

// Retryable reports whether err is a passing failure: 408, 425, 429, 499, 5xx (501
// and 505 aside), or a connection that could not be made or broke. What a Client
// returns after it has used up its own retries is none.
func Retryable(err error) bool {
	var p *usererror.Problem
	return err != nil && !errors.As(err, &p) && transient(err)
}

func transient(err error) bool {
	var gaveUp *gaveUpError
	if errors.As(err, &gaveUp) {
		return false
	}
	var again *againError
	if errors.As(err, &again) {
		return true
	}
	var answer *Error
	if errors.As(err, &answer) {
		return passing(answer.Status)
	}
	var content *contentError
	var unsafe *unsafeError
	var verify *tls.CertificateVerificationError
	var host x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &content), errors.As(err, &unsafe):
		return false
	case errors.As(err, &verify), errors.As(err, &host), errors.As(err, &authority), errors.As(err, &invalid):
		return false
	case errors.Is(err, context.Canceled), errors.Is(err, errBodyClosed):
		return false
	case answeredInPlain(err):
		return false
	case errors.Is(err, errStalled), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return true
	case strings.Contains(err.Error(), "server response headers exceeded"):
		return false
	}
	var broken *brokenError
	if errors.As(err, &broken) {
		return true
	}
	var network net.Error
	var errno syscall.Errno
	return errors.As(err, &network) || errors.As(err, &errno) || errors.Is(err, net.ErrClosed)
}

// answeredInPlain reports whether the other side answered our TLS in plain text.
// (A connection that ended, or a time-out, is no answer.)
func answeredInPlain(err error) bool {
	var header tls.RecordHeaderError
	return errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &header)
}

// brokenError is any other failure of the transport to get an answer: malformed
// HTTP, an HTTP/2 stream that was reset.
type brokenError struct{ err error }

func (e *brokenError) Error() string { return e.err.Error() }
func (e *brokenError) Unwrap() error { return e.err }

// againError is an answer that is final for its request, but not for what the request
// was part of.
type againError struct{ err error }

func (e *againError) Error() string { return e.err.Error() }
func (e *againError) Unwrap() error { return e.err }

// gaveUpError says that a passing failure did not pass in time.
type gaveUpError struct {
	err   error
	tries int
	after time.Duration
	asked time.Duration // how long the registry wanted us to wait
	dead  bool          // nothing but failures had come before this was first tried
}

func (e *gaveUpError) Error() string {
	if e.asked > 0 {
		return fmt.Sprintf("the registry asks to wait %s: %v", e.asked.Round(time.Second), e.err)
	}
	if e.dead {
		return fmt.Sprintf("given up, after %s of nothing but failures from this registry: %v", e.after.Round(time.Second), e.err)
	}
	return fmt.Sprintf("given up after %d tries in %s: %v", e.tries, e.after.Round(time.Second), e.err)
}

func (e *gaveUpError) Unwrap() error { return e.err }

// budget is the patience of one operation.
type budget struct {
	c     *Client
	since time.Time // the last progress
	tries int       // since then
}

func (c *Client) newBudget() *budget { return &budget{c: c, since: c.o.Clock.Now()} }

// progress starts the budget anew.
func (b *budget) progress() { b.since, b.tries = b.c.o.Clock.Now(), 0 }

// fewest is how often a passing failure is tried whatever the time it takes.
const fewest = 3

// unknownHostFor is how long a name that does not resolve is asked for.
const unknownHostFor = 3 * time.Second

// again waits until err may be tried again and returns nil; or it returns why not.
// started is when the failed attempt began.
func (b *budget) again(ctx context.Context, doing string, started time.Time, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !transient(err) {
		return err
	}
	c := b.c
	now := c.o.Clock.Now()
	b.tries++
	limit, least := c.o.RetryBudget, fewest
	if !c.hasAnswered() {
		limit, least = c.o.FirstContact, 1
	}
	// One budget for a host that is dead, not one for each thing that is wanted of it.
	since := b.since
	silent := c.throttle.silentSince(longestPause + 2*c.o.Stall)
	if silent.Before(since) {
		since = silent
	}
	dead := now.Sub(silent) > limit
	if dead {
		least = 1
	}
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		limit = min(limit, unknownHostFor)
	}

	pause := backoff(b.tries - 1)
	asked := time.Duration(0)
	var answer *Error
	if errors.As(err, &answer) {
		asked = answer.RetryAfter
		if answer.Status == http.StatusTooManyRequests {
			// Others get through: it is our turn some time, too.
			if last := c.throttle.lastSuccess(); last.After(since) {
				since = last
			}
		}
	}
	if asked > limit {
		return &gaveUpError{err: err, tries: b.tries, after: now.Sub(b.since), asked: asked}
	}
	if b.tries >= least && now.Add(max(pause, asked)).Sub(since) > limit {
		return &gaveUpError{err: err, tries: b.tries, after: now.Sub(since), dead: dead && b.tries < fewest}
	}

	c.wire.retries.Add(1)
	switch {
	case answer != nil && answer.Status == http.StatusTooManyRequests:
		wait, news := c.throttle.slowDown(started, asked)
		if news {
			c.o.Notify(Notice{Registry: c.o.Host, Text: fmt.Sprintf("%s: too many requests; everything to this registry pauses for %s and goes slower then", c.o.Host, round(wait))})
		}
		return nil // whoever sends next waits
	case asked > 0:
		c.throttle.pause(asked)
		c.o.Notify(Notice{Registry: c.o.Host, Text: fmt.Sprintf("%s: %s: %v; the registry asks to wait %s", c.o.Host, doing, err, round(asked))})
		return nil
	}
	c.o.Notify(Notice{Registry: c.o.Host, Text: fmt.Sprintf("%s: %s: %v; trying again in %s, for at most %s without progress", c.o.Host, doing, err, round(pause), round(limit))})
	return c.o.Clock.Sleep(ctx, pause)
}

func round(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(100 * time.Millisecond)
}

// retry calls attempt until it succeeds, fails for good, or the budget is used up.
func (c *Client) retry(ctx context.Context, doing string, attempt func(context.Context) error) error {
	b := c.newBudget()
	for {
		started, err := c.throttle.wait(ctx)
		if err != nil {
			return err
		}
		if err = attempt(ctx); err == nil {
			c.throttle.ok()
			return nil
		}
		if err := b.again(ctx, doing, started, err); err != nil {
			return err
		}
	}
}
