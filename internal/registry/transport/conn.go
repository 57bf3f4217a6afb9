package transport

import (
	"crypto/tls"
	"io"
	"net"
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

// watched lets t know what is written to connection, which is as net/http has it: ours,
// or TLS over ours. Connections that carry several requests at a time are left alone.
func watched(connection net.Conn, t *StallTimer) {
	for {
		switch c := connection.(type) {
		case *conn:
			c.stall.Store(t)
			return
		case *tls.Conn:
			if c.ConnectionState().NegotiatedProtocol == "h2" {
				return
			}
			connection = c.NetConn()
		default:
			return
		}
	}
}

// ReadFrom implements io.ReaderFrom.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	buf := c.pieces.Get().(*[piece]byte)
	defer c.pieces.Put(buf)
	// Conn's own ReadFrom is hidden, and with it the smaller buffer.
	return io.CopyBuffer(struct{ io.Writer }{c}, r, buf[:])
}
