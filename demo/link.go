package main

import (
	"net"
	"time"
)

// rate is what a link to a registry takes, in bytes per second: little enough that one can
// see all of them being filled at once.
const rate = 2 << 20

// slowListener hands out connections that take no more than rate each.
type slowListener struct{ net.Listener }

func (l slowListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &slowConn{Conn: c}, nil
}

// slowConn is a connection that is read from at no more than rate.
type slowConn struct {
	net.Conn
	due time.Time // when the bytes that were read would have come over the link
}

// Read implements net.Conn. The server reads a connection from one goroutine at a time.
func (c *slowConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p[:min(len(p), rate/50)])
	if now := time.Now(); c.due.Before(now) {
		c.due = now
	}
	c.due = c.due.Add(time.Duration(n) * time.Second / rate)
	time.Sleep(time.Until(c.due))
	return n, err
}
