package registry

import (
	"io"
	"net"
	"sync"
)

// piece is how much of a body is read and written at a time.
const piece = 256 << 10

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
}

// ReadFrom implements io.ReaderFrom.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	buf := c.pieces.Get().(*[piece]byte)
	defer c.pieces.Put(buf)
	// Conn's own ReadFrom is hidden, and with it the smaller buffer.
	return io.CopyBuffer(struct{ io.Writer }{c.Conn}, r, buf[:])
}
