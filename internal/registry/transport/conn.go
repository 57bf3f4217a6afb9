package transport

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
)

// piece is how much of a body is read and written at a time.
const piece = 128 << 10

// pieces are buffers for conn.ReadFrom.
type pieces struct{ sync.Pool }

func newPieces() *pieces {
	return &pieces{sync.Pool{New: func() any { return new([piece]byte) }}}
}

// conn is a connection that takes bodies in large pieces. net/http hands a request's
// body to the connection's ReadFrom, which for TCP would copy 32 KiB at a time.
// (Under TLS, records are 16 KiB whatever we do.)
type conn struct {
	net.Conn
	pieces *pieces
	stall  atomic.Pointer[StallTimer] // of the upload that is being sent
	served atomic.Bool                // it has answered a request
}

// step is how much is written between two signs of life: on a slow link a whole piece
// may take longer than a stall.
const step = 64 << 10

// Write implements io.Writer. What has been written tells the stall timer that bytes move.
func (c *conn) Write(p []byte) (int, error) {
	written := 0
	for {
		n, err := c.Conn.Write(p[written:min(written+step, len(p))])
		written += n
		if t := c.stall.Load(); t != nil && n > 0 {
			t.moved()
		}
		if err != nil || written == len(p) {
			return written, err
		}
	}
}

// unwrap returns our connection below one that net/http has, which is ours or TLS over
// ours; nil if there is none. multiplexed says that it carries several requests at a time.
func unwrap(connection net.Conn) (c *conn, multiplexed bool) {
	if secure, ok := connection.(*tls.Conn); ok {
		multiplexed = secure.ConnectionState().NegotiatedProtocol == "h2"
		connection = secure.NetConn()
	}
	c, _ = connection.(*conn)
	return c, multiplexed
}

// watched lets t know what is written to connection. Connections that carry several
// requests at a time are left alone.
func watched(connection net.Conn, t *StallTimer) {
	if c, multiplexed := unwrap(connection); c != nil && !multiplexed {
		c.stall.Store(t)
	}
}

// ReadFrom implements io.ReaderFrom.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	buf := c.pieces.Get().(*[piece]byte)
	defer c.pieces.Put(buf)
	// Conn's own ReadFrom is hidden, and with it the smaller buffer.
	return io.CopyBuffer(struct{ io.Writer }{c}, r, buf[:])
}

// Bounds of one attempt.
const (
	mostConnections = 8 // that it may wait for
	mostDialled     = 2 // of those that are made for it, and gone before it has one
)

// dialledKey is the key of a func() that is called before a request's connection is made.
type dialledKey struct{}

// countDialled tells the attempt that ctx belongs to of a connection that is made for it.
func countDialled(ctx context.Context) {
	if dialled, ok := ctx.Value(dialledKey{}).(func()); ok {
		dialled()
	}
}

// connections watches the connections of one attempt. net/http goes on to another one, at
// once and without end, where a connection ends before it answers (HTTP/2 GOAWAY). For one
// that has served others that is right: servers end connections after so many requests. One
// that served nothing ends the attempt.
func connections(ctx context.Context, s Sending, stall *StallTimer) context.Context {
	var wanted, dialled atomic.Int64
	var current atomic.Pointer[conn] // nil for a proxy's, too
	ctx = context.WithValue(ctx, dialledKey{}, func() {
		c, n := current.Load(), dialled.Add(1)
		if c != nil && !c.served.Load() && n > 1 || c == nil && n > mostDialled {
			stall.cancel(errServedNothing)
		}
	})
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) {
			if wanted.Add(1) > mostConnections {
				stall.cancel(errServedNothing)
			}
		},
		GotConn: func(got httptrace.GotConnInfo) {
			c, _ := unwrap(got.Conn)
			current.Store(c)
			if s.Bulk && s.Body != nil {
				watched(got.Conn, stall)
			}
		},
		GotFirstResponseByte: func() {
			if c := current.Load(); c != nil {
				c.served.Store(true)
			}
		},
	})
}
