package registry

import (
	"context"
	"io"
)

// openedAhead is the start of a content that is opened while the registry is still asked for
// the upload, or a connection to it is being made: a content that is far away itself
// then costs no round trip more.
type openedAhead struct {
	stop   context.CancelFunc
	ready  chan struct{} // closed when reader and err are set
	reader io.ReadCloser
	err    error
}

// openAhead starts to open content at its start. The result has to be closed.
func openAhead(ctx context.Context, content Content) *openedAhead {
	ctx, stop := context.WithCancel(ctx)
	a := &openedAhead{stop: stop, ready: make(chan struct{})}
	go func() {
		defer close(a.ready)
		a.reader, a.err = content.Open(ctx, 0)
	}()
	return a
}

// within returns the content, which ends with ctx at the latest.
func (a *openedAhead) within(ctx context.Context) io.ReadCloser {
	return &aheadReader{a: a, release: context.AfterFunc(ctx, a.stop)}
}

// Close implements io.Closer.
func (a *openedAhead) Close() error {
	a.stop()
	<-a.ready
	if a.reader == nil {
		return nil
	}
	return a.reader.Close()
}

// aheadReader is an opened content within a request.
type aheadReader struct {
	a       *openedAhead
	release func() bool
}

// Read implements io.Reader. It waits until the content is open.
func (r *aheadReader) Read(p []byte) (int, error) {
	<-r.a.ready
	if r.a.err != nil {
		return 0, r.a.err
	}
	return r.a.reader.Read(p)
}

// Close implements io.Closer.
func (r *aheadReader) Close() error {
	r.release()
	return r.a.Close()
}
