package registry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/multi-registry-push/multi-registry-push/internal/registry/transport"
)

// Content is a blob's bytes, which can be read again from any offset.
type Content interface {
	Open(ctx context.Context, offset int64) (io.ReadCloser, error)
}

// Progress is told how an upload goes on. It may be called from several goroutines,
// one after the other.
type Progress interface {
	// Sent says that n more bytes went out; n is negative when bytes were lost on
	// the way and will be sent again. What is there in the end is the sum.
	Sent(n int64)
}

type manifestBytes []byte

func (m manifestBytes) Open(_ context.Context, offset int64) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(m[offset:])), nil
}

// contentError is a failure of the source while it was being sent: not the
// registry's fault, and not tried again here.
type contentError struct{ err error }

func (e *contentError) Error() string { return e.err.Error() }
func (e *contentError) Unwrap() error { return e.err }

// Transient returns false: the source has retries of its own.
func (e *contentError) Transient() bool { return false }

// outgoing is a request's body that can be sent again: after a 401, over another
// connection, through a redirect. It is one range of a content.
type outgoing struct {
	content  Content
	offset   int64
	size     int64 // from offset on
	progress Progress

	mu      sync.Mutex
	current *pass
	err     error // the source broke
	reached int64 // bytes handed over by the current pass
}

// Size implements transport.Body.
func (o *outgoing) Size() int64 { return o.size }

// Open implements transport.Body.
func (o *outgoing) Open(ctx context.Context, stall *transport.StallTimer, sent func(int64)) (io.ReadCloser, error) {
	o.retract()
	if o.size == 0 {
		return http.NoBody, nil
	}
	content, err := o.content.Open(ctx, o.offset)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, &contentError{err}
	}
	p := &pass{o: o, content: content, left: o.size, stall: stall, sent: sent, done: make(chan struct{})}
	o.mu.Lock()
	o.current = p
	o.mu.Unlock()
	return p, nil
}

// stop ends the current pass and waits until nobody reads the content any more.
func (o *outgoing) stop() {
	o.mu.Lock()
	p := o.current
	o.current = nil
	o.mu.Unlock()
	if p != nil {
		_ = p.Close()
		<-p.done
	}
}

// retract takes back what was counted as sent.
func (o *outgoing) retract() {
	o.stop()
	o.mu.Lock()
	n := o.reached
	o.reached, o.err = 0, nil // the next pass has errors of its own
	o.mu.Unlock()
	if n != 0 && o.progress != nil {
		o.progress.Sent(-n)
	}
}

// Failed implements transport.Body: it stops the current pass and returns the source's
// error if it was the source that broke.
func (o *outgoing) Failed() error {
	o.stop()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		err := o.err
		o.err = nil
		return &contentError{err}
	}
	return nil
}

// pass is one reading of an outgoing body. The transport may close it while it is
// being read, from another goroutine.
type pass struct {
	o       *outgoing
	content io.ReadCloser
	left    int64
	stall   *transport.StallTimer
	sent    func(int64)

	mu      sync.Mutex
	reading bool
	closed  bool
	done    chan struct{} // closed when content is
}

func (p *pass) Read(buf []byte) (int, error) {
	if !p.enter() {
		return 0, transport.ErrBodyClosed
	}
	defer p.leave()
	if p.left == 0 {
		return 0, io.EOF
	}
	p.stall.Pause() // waiting for the source is not the registry's stall
	n, err := p.content.Read(buf[:min(int64(len(buf)), p.left)])
	p.stall.Resume()
	p.advance(int64(n))
	if err == io.EOF && p.left > 0 { //nolint:errorlint // wrapped, it is no end
		err = fmt.Errorf("the source ended %d bytes early", p.left)
	}
	if err != nil && err != io.EOF { //nolint:errorlint // wrapped, it is no end
		if !p.stall.Ended() { // else it is the request that has ended, and the source with it
			p.o.mu.Lock()
			p.o.err = err
			p.o.mu.Unlock()
		}
		return n, err
	}
	if p.left == 0 {
		return n, io.EOF
	}
	return n, nil
}

func (p *pass) advance(n int64) {
	if n == 0 {
		return
	}
	p.left -= n
	p.sent(n)
	p.o.mu.Lock()
	p.o.reached += n
	p.o.mu.Unlock()
	if p.left == 0 {
		p.stall.AwaitAnswer()
	} else {
		p.stall.Touch()
	}
	if p.o.progress != nil {
		p.o.progress.Sent(n)
	}
}

func (p *pass) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.reading = true
	return true
}

func (p *pass) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reading = false
	if p.closed {
		p.finish()
	}
}

// Close implements io.Closer. If the content is being read, that read closes it.
func (p *pass) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	if !p.reading {
		p.finish()
	}
	return nil
}

func (p *pass) finish() {
	_ = p.content.Close()
	close(p.done)
}
