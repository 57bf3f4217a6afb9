package transport

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Sending says how one request is sent.
type Sending struct {
	Foreign bool // to another host than the registry, or where another host sent us
	Bulk    bool // a blob: a connection of its own, no bound on the whole time
	Body    Body // nil for none
	Commit  bool // the registry may have to work before it answers
	Kind    Kind // for Trace; "" is told by the path
}

// Body is a request's body that can be sent again.
type Body interface {
	// Open starts a pass over the body; one that is under way ends first. The pass
	// tells stall when bytes move, and sent how many.
	Open(ctx context.Context, stall *StallTimer, sent func(n int64)) (io.ReadCloser, error)
	// Size is the number of bytes.
	Size() int64
	// Failed ends the pass and returns the source's error if it was the source that
	// broke, else nil.
	Failed() error
}

// Send makes one attempt at one request: no retries, redirects or credentials. It
// counts, watches for stalls, and keeps connections to other hosts within the address
// rules. The response's body must be closed.
func (h *Host) Send(req *http.Request, s Sending) (*http.Response, error) {
	h.requests.Add(1)
	trace := h.trace(req, s.Kind)
	resp, err := h.send(req, s, trace)
	if err != nil {
		trace.end(err)
	}
	return resp, err
}

func (h *Host) send(req *http.Request, s Sending, trace *tracing) (*http.Response, error) {
	parent := req.Context()
	ctx, stall := newStallTimer(parent, h.o.Stall, h.o.Answer, s.Bulk)
	if s.Foreign {
		ctx = context.WithValue(ctx, foreignKey{}, true)
	}
	req = req.WithContext(connections(ctx, s, stall))
	req.Header.Set("User-Agent", h.o.UserAgent)
	var body *flow
	if s.Body != nil && s.Bulk {
		body = &flow{l: h.pace.limiter, left: s.Body.Size()}
		defer body.end()
	}
	if s.Body != nil {
		if err := h.open(req, s, stall, trace, body); err != nil {
			stall.end()
			return nil, err
		}
	}
	if s.Commit && (s.Body == nil || s.Body.Size() == 0) {
		stall.AwaitAnswer()
	}
	resp, err := h.pools.pick(s).RoundTrip(req)
	if err != nil {
		err = stall.reason(parent, err)
		stall.end() // and with it whatever waits for the source
		if s.Body != nil {
			if broken := s.Body.Failed(); broken != nil {
				return nil, broken
			}
		}
		if s.Foreign && parent.Err() == nil {
			key := HostPort(req.URL)
			err = &ElsewhereError{Host: h.Redact(key), Err: err, key: key}
		}
		return nil, err
	}
	blob := s.Bulk && req.Method == http.MethodGet && resp.StatusCode >= 200 && resp.StatusCode <= 299
	if s.Bulk && !blob {
		stall.bound()
	}
	stall.Pause() // until somebody reads
	trace.answered(resp.StatusCode)
	answer := h.receive(parent, resp, s, stall)
	answer.trace, answer.drips = trace, drips{watched: blob}
	resp.Body = answer
	resp.Request = req
	return resp, nil
}

// open starts a pass over the body of a request. large is nil for what is no large blob.
func (h *Host) open(req *http.Request, s Sending, stall *StallTimer, trace *tracing, large *flow) error {
	counted := h.pace.limiter.sent
	if large != nil {
		counted = large.sent
	}
	body, err := s.Body.Open(req.Context(), stall, func(n int64) {
		h.sent.Add(n)
		trace.addSent(n)
		counted(n)
		if s.Bulk && !s.Foreign {
			h.pace.alive()
		}
	})
	if err != nil {
		return err
	}
	req.Body = body
	req.ContentLength = s.Body.Size()
	return nil
}

// receive notes what an answer's headers say and returns its body, watched.
func (h *Host) receive(ctx context.Context, resp *http.Response, s Sending, stall *StallTimer) *incoming {
	if !s.Foreign {
		h.answered.Store(true)
		if !s.Bulk && resp.ProtoMajor == 1 {
			h.pools.plain.Store(true)
			h.pace.limiter.overHTTP1()
		}
		h.learnLimit(resp.Header)
	} else {
		h.elsewhere.heard(HostPort(resp.Request.URL))
	}
	body := &incoming{ReadCloser: resp.Body, stall: stall,
		reason: func(err error) error { return stall.reason(ctx, err) }}
	if !s.Foreign && !TransientStatus(resp.StatusCode) {
		h.pace.alive()
		body.alive = h.pace.alive
	}
	return body
}

// foreignKey marks the request of an answer that is not the registry's own.
type foreignKey struct{}

// FromElsewhere reports whether an answer came from another host, or from the registry
// because another host sent us there: what it names is not the registry's word, and
// gets no credentials.
func FromElsewhere(resp *http.Response) bool {
	return resp.Request != nil && resp.Request.Context().Value(foreignKey{}) != nil
}

// incoming is a response's body: watched, counted, and with the reason of a break
// as its error.
type incoming struct {
	io.ReadCloser
	stall  *StallTimer
	reason func(error) error
	alive  func() // nil for an answer that is no sign of life
	trace  *tracing
	drips  drips
	err    atomic.Pointer[error] // of the last Read
	closed sync.Once
}

func (b *incoming) Read(p []byte) (int, error) {
	// A reader that takes its time, such as a cache that is full, is not the registry's
	// stall.
	b.stall.Resume()
	defer b.stall.Pause()
	began := time.Now()
	n, err := b.ReadCloser.Read(p)
	if b.drips.read(n, time.Since(began), b.stall.stall) && err == nil {
		b.stall.cancel(ErrStalled)
		err = ErrStalled
	}
	if n > 0 {
		b.stall.Touch()
		if b.alive != nil {
			b.alive()
		}
		b.trace.addReceived(int64(n))
	}
	if err != nil && err != io.EOF { //nolint:errorlint // wrapped, it is no end
		err = b.reason(err)
		b.err.Store(&err)
	}
	return n, err
}

func (b *incoming) Close() error {
	var err error
	b.closed.Do(func() {
		err = b.ReadCloser.Close()
		b.stall.end()
		var broken error
		if last := b.err.Load(); last != nil {
			broken = *last
		}
		b.trace.end(broken)
	})
	return err
}
