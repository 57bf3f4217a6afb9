package credentials

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/retry"
)

const (
	defaultTimeout = 30 * time.Second // of one attempt
	longestPause   = 30 * time.Second // a longer Retry-After is not waited for
	largest        = 1 << 20          // bytes of an answer; tokens are a few KiB
)

// tries says how often a provider is asked.
func tries() retry.Policy {
	return retry.Policy{
		Backoff:     retry.Backoff{First: 500 * time.Millisecond, Longest: longestPause},
		Budget:      time.Minute,
		Most:        4,
		LongestWait: longestPause,
	}
}

// exchangeTransport carries the requests of one exchange with a provider: each attempt is
// bounded in time, the whole answer is read, and what may pass is tried again.
// Requests must be repeatable, as token requests are.
type exchangeTransport struct {
	base    http.RoundTripper
	clock   retry.Clock
	timeout time.Duration

	// For libraries that swallow them: the last failure, and each answer as it comes.
	failure  error
	onAnswer func(host string, status int, body []byte)

	// busy reports whether an answer below 500 still means "later"; nil: none does.
	busy func(status int, body []byte) bool
}

// client returns an http.Client that follows no redirects: a token must not go
// where somebody's Location points.
func (e *exchangeTransport) client() *http.Client {
	return &http.Client{
		Transport:     e,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// NewClient returns a client for what is asked before any registry is: like the exchanges
// of this package it calls nothing but HTTPS (loopback aside), follows no redirects, bounds
// answers, and repeats what may pass. Each attempt takes timeout at most; 0 means 30 s. base is
// asked for once there is a request; nil means [http.DefaultTransport]. A nil clock is the real one.
func NewClient(base func() http.RoundTripper, clock retry.Clock, timeout time.Duration) *http.Client {
	if base == nil {
		base = func() http.RoundTripper { return http.DefaultTransport }
	}
	if clock == nil {
		clock = retry.SystemClock{}
	}
	own := func() *exchangeTransport {
		return &exchangeTransport{base: base(), clock: clock, timeout: cmp.Or(timeout, defaultTimeout)}
	}
	client := own().client()
	client.Transport = eachRequest(func(req *http.Request) (*http.Response, error) { return own().RoundTrip(req) })
	return client
}

// eachRequest carries each request by itself: an exchange remembers the last failure.
type eachRequest func(*http.Request) (*http.Response, error)

func (e eachRequest) RoundTrip(req *http.Request) (*http.Response, error) { return e(req) }

// unanswered is a provider that gave no usable answer, however often it was asked.
type unanswered struct {
	host   string
	status int // 0: no answer at all
	times  int
	err    error
}

func (u *unanswered) Error() string {
	if u.status != 0 {
		text := fmt.Sprintf("%s answered %d %s", u.host, u.status, http.StatusText(u.status))
		if u.times > 1 {
			text += fmt.Sprintf(", %d times", u.times)
		}
		return text
	}
	return fmt.Sprintf("%s does not answer: %v", u.host, u.err)
}

func (u *unanswered) Unwrap() error { return u.err }

// RoundTrip returns the provider's final answer. Server errors, 429 and broken
// connections that last are an *unanswered.
func (e *exchangeTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := e.roundTrip(req)
	e.failure = err
	return resp, err
}

func (e *exchangeTransport) roundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" && !imageref.Loopback(req.URL.Host) {
		return nil, fmt.Errorf("%s is not an HTTPS address: a token is not sent there", req.URL.Host)
	}
	var body []byte
	if req.Body != nil {
		var err error
		body, err = io.ReadAll(req.Body)
		_ = req.Body.Close()
		if err != nil {
			return nil, err
		}
	}
	ctx := req.Context()
	failed := retry.Tries{Since: e.clock.Now()}
	for {
		resp, later, err := e.once(req, body)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil && !later {
			return resp, nil
		}
		var asked time.Duration
		if err == nil {
			asked = retry.After(resp.Header, e.clock.Now())
		}
		pause, again := failed.Next(tries(), e.clock.Now(), asked)
		if !again || untrusted(err) {
			u := &unanswered{host: req.URL.Host, times: failed.Count, err: err}
			if err == nil {
				u.status = resp.StatusCode
			}
			return nil, u
		}
		if err := e.clock.Sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}

// once sends req and reads the whole answer within the time-out; later reports
// whether the same request may get another answer soon.
func (e *exchangeTransport) once(req *http.Request, body []byte) (resp *http.Response, later bool, err error) {
	ctx, cancel := context.WithTimeout(req.Context(), e.timeout)
	defer cancel()
	again := req.Clone(ctx)
	if body != nil {
		again.Body = io.NopCloser(bytes.NewReader(body))
	}
	resp, err = e.base.RoundTrip(again)
	if err != nil {
		return nil, true, e.cause(ctx, req, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, largest))
	if err != nil {
		return nil, true, e.cause(ctx, req, err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	if e.onAnswer != nil {
		e.onAnswer(req.URL.Host, resp.StatusCode, answer)
	}
	later = resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500 ||
		e.busy != nil && e.busy(resp.StatusCode, answer)
	return resp, later, nil
}

// cause names the time-out where that is what happened.
func (e *exchangeTransport) cause(ctx context.Context, req *http.Request, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && req.Context().Err() == nil {
		return fmt.Errorf("no whole answer within %s", retry.Text(e.timeout))
	}
	return bare(err)
}

// untrusted reports whether err is a certificate that is not taken: it will be the same
// the next time.
func untrusted(err error) bool {
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &certificate)
}

// bare drops the address that net/http puts before an error: it can carry
// parameters that are nobody's business.
func bare(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
