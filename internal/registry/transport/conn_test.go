package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
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
		ctx, timer := newStallTimer(t.Context(), stall, 5*stall, true)
		defer timer.end()
		c := &conn{Conn: near, pieces: newPieces()}
		watched(tls.Client(c, &tls.Config{}), timer)
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
		if !errors.Is(context.Cause(ctx), ErrStalled) {
			t.Errorf("nothing moves: %v", context.Cause(ctx))
		}
	})
}

// A connection that is kept still knows the timer of an upload that has ended: it does not wake
// it up.
func TestKeptConnectionLeavesAnEndedTimerAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		ctx, timer := newStallTimer(t.Context(), time.Minute, time.Hour, true)
		c := &conn{Conn: near, pieces: newPieces()}
		watched(c, timer)
		timer.end()
		timer.Resume() // the transport may still be reading the body
		go func() { _, _ = io.Copy(io.Discard, far) }()
		if _, err := c.Write(make([]byte, 2*step)); err != nil {
			t.Fatal(err)
		}
		_ = near.Close()
		if timer.timer.Stop() {
			t.Error("the time of a timer that has ended runs again")
		}
		if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
			t.Errorf("ended by %v", cause)
		}
	})
}
