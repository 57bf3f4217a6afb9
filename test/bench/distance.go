package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// distance is how far away servers are.
type distance struct {
	Trip time.Duration // there and back
	Work time.Duration // over each write
	Link int           // bytes a second that a server takes, 0 for no limit
	Each int           // bytes a second that a connection takes or gives, 0 for no limit
	Old  bool          // HTTP/1.1 alone, so that there is a connection for each request in flight
}

// farListener passes connections on as if they came from afar: each piece arrives half a round trip
// later, and the first one round trip later still, for the handshake that loopback does not
// have. TLS ends behind it, so that its handshake costs what it costs.
type farListener struct {
	net.Listener
	distance distance
	link     *rate.Limiter
	passing  sync.WaitGroup
}

func newFarListener(l net.Listener, d distance) *farListener {
	return &farListener{Listener: l, distance: d, link: bucket(d.Link)}
}

func (l *farListener) Accept() (net.Conn, error) {
	client, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	server, inner := net.Pipe()
	connected := time.Now().Add(l.distance.Trip)
	pass := func(to io.WriteCloser, from io.Reader, limits ...*rate.Limiter) {
		l.passing.Go(func() { later(to, from, connected, l.distance.Trip/2, limits...) })
	}
	pass(inner, client, bucket(l.distance.Each), l.link)
	pass(client, inner, bucket(l.distance.Each))
	return server, nil
}

// wait returns when all connections have ended.
func (l *farListener) wait() { l.passing.Wait() }

// piece is what was read at once, and when it arrives.
type piece struct {
	bytes   []byte
	arrives time.Time
}

// later copies until from ends, each piece after a delay, and then closes to.
func later(to io.WriteCloser, from io.Reader, connected time.Time, delay time.Duration, limits ...*rate.Limiter) {
	pieces := make(chan piece, 4096)
	var writing sync.WaitGroup
	writing.Go(func() {
		defer to.Close()
		var failed error
		for p := range pieces {
			time.Sleep(time.Until(p.arrives))
			if failed == nil {
				_, failed = to.Write(p.bytes)
			}
		}
	})
	defer writing.Wait()
	defer close(pieces)
	buffer := make([]byte, burst)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			for _, l := range limits {
				if l != nil {
					_ = l.WaitN(context.Background(), n)
				}
			}
			arrives := time.Now()
			if arrives.Before(connected) {
				arrives = connected
			}
			pieces <- piece{append([]byte(nil), buffer[:n]...), arrives.Add(delay)}
		}
		if err != nil {
			return
		}
	}
}

// working is a registry that takes a while over each write.
func working(d time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			time.Sleep(d)
		}
		next.ServeHTTP(w, r)
	})
}
