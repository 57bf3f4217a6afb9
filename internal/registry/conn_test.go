package registry

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"testing"
	"testing/synctest"
	"time"
)

// A link on which one piece of a body takes longer than a stall is slow, not broken. One
// on which nothing moves is broken.
func TestSlowLinkIsNoStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const stall = time.Minute
		near, far := net.Pipe()
		ctx, w := newWatch(t.Context(), stall, 5*stall, true)
		defer w.end()
		c := &conn{Conn: near, pieces: newPieces()}
		watched(tls.Client(c, &tls.Config{}), w)
		sent := make(chan error, 1)
		go func() {
			_, err := c.ReadFrom(bytes.NewReader(make([]byte, piece)))
			sent <- err
		}()
		for range piece / step {
			time.Sleep(stall - time.Second)
			if _, err := io.ReadFull(far, make([]byte, step)); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-sent; err != nil || ctx.Err() != nil {
			t.Errorf("%v, %v", err, context.Cause(ctx))
		}
		time.Sleep(stall + time.Second)
		if !errors.Is(context.Cause(ctx), errStalled) {
			t.Errorf("nothing moves: %v", context.Cause(ctx))
		}
	})
}

// A connection that is kept still knows the watch of an upload that has ended: it does not wake
// it up.
func TestKeptConnectionLeavesAnEndedWatchAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		ctx, w := newWatch(t.Context(), time.Minute, time.Hour, true)
		c := &conn{Conn: near, pieces: newPieces()}
		watched(c, w)
		w.end()
		w.resume() // the transport may still be reading the body
		go func() { _, _ = io.Copy(io.Discard, far) }()
		if _, err := c.Write(make([]byte, 2*step)); err != nil {
			t.Fatal(err)
		}
		_ = near.Close()
		if w.timer.Stop() {
			t.Error("the time of a watch that has ended runs again")
		}
		if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
			t.Errorf("ended by %v", cause)
		}
	})
}

// Each upload's connection tells its watch.
func TestUploadsWatchTheirConnection(t *testing.T) {
	f := newFake(t)
	data, d := blobOf(largest)
	base := &http.Transport{}
	defer base.CloseIdleConnections()
	told := 0
	c, _ := f.client(func(o *Options) {
		o.Base = tripperFunc(func(req *http.Request) (*http.Response, error) {
			if trace := httptrace.ContextClientTrace(req.Context()); trace != nil && trace.GotConn != nil {
				var got conn
				trace.GotConn(httptrace.GotConnInfo{Conn: &got})
				if got.watch.Load() != nil {
					told++
				}
			}
			return base.RoundTrip(req)
		})
	})
	if _, err := c.Repository("a").Upload(t.Context(), d, nil, &bytesContent{data: data}, nil, nil); err != nil || told != 1 {
		t.Errorf("%v, %d watched", err, told)
	}
}
