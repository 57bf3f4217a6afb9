package transport

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/retry"
)

const (
	// firstWave is how many more than one are made to a host of HTTP/1.1, whose first
	// questions go at once, a connection each.
	firstWave = 3
	// preconnectionLife is how long one waits for its request. Servers end connections that
	// say nothing.
	preconnectionLife = 10 * time.Second
)

// preconnections are connections to a registry that are made before there is a request for
// them. Over TLS a connection takes two round trips, which pass while the registry or its
// token service is asked for something else.
type preconnections struct {
	clock retry.Clock
	dial  map[string]dialFunc // by scheme

	mu      sync.Mutex
	scheme  string
	address string // host and port that they lead to
	made    []*preconnection
	running sync.WaitGroup
	stop    []context.CancelFunc // of those that are being made
}

// preconnection is a connection that is being made, or waits for a request.
type preconnection struct {
	done chan struct{} // closed when the others are set
	conn net.Conn
	err  error
	at   time.Time // when it was made
}

// start makes n connections to a registry in the background.
func (p *preconnections) start(base *url.URL, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ctx, stop := context.WithCancel(context.Background())
	p.stop = append(p.stop, stop)
	p.scheme, p.address = base.Scheme, dialled(base)
	for range n {
		c := &preconnection{done: make(chan struct{})}
		p.made = append(p.made, c)
		p.running.Go(func() {
			defer close(c.done)
			defer func() {
				if v := recover(); v != nil {
					c.err = fmt.Errorf("internal error: %v", v)
				}
			}()
			c.conn, c.err = p.dial[base.Scheme](ctx, "tcp", dialled(base))
			c.at = p.clock.Now()
		})
	}
}

// take returns a connection that was made before, nil if there is none. It waits for one that
// is being made: that is there sooner than a new one.
func (p *preconnections) take(ctx context.Context, scheme, address string) net.Conn {
	for {
		p.mu.Lock()
		if len(p.made) == 0 || p.scheme != scheme || p.address != address {
			p.mu.Unlock()
			return nil
		}
		c := p.made[0]
		p.made = p.made[1:]
		p.mu.Unlock()
		select {
		case <-c.done:
		case <-ctx.Done():
			p.mu.Lock()
			p.made = append(p.made, c)
			p.mu.Unlock()
			return nil
		}
		switch {
		case c.err != nil: // the next try tells
		case p.clock.Now().Sub(c.at) > preconnectionLife:
			_ = c.conn.Close()
		default:
			return c.conn
		}
	}
}

// close closes those that no request took.
func (p *preconnections) close() {
	p.mu.Lock()
	made := p.made
	p.made = nil
	for _, stop := range p.stop {
		stop()
	}
	p.stop = nil
	p.mu.Unlock()
	p.running.Wait()
	for _, c := range made {
		if <-c.done; c.conn != nil {
			_ = c.conn.Close()
		}
	}
}

// Preconnect says that blobs of these sizes, in bytes, are likely to be sent or read soon:
// connections for the large ones are made meanwhile, once for a host, after Probe. A host of
// HTTP/1.1 has had one for each question by then.
func (h *Host) Preconnect(sizes []int64) {
	n := 0
	for _, size := range sizes {
		if size >= LargeBody {
			n++
		}
	}
	if n > 0 && !h.pools.plain.Load() && !h.preconnected.Swap(true) {
		h.preconnect(min(n, h.pace.limiter.first()))
	}
}

// preconnect makes n connections in the background, unless a proxy makes them.
func (h *Host) preconnect(n int) {
	base := h.Base()
	if h.pools.ready == nil || base.Scheme == "" {
		return
	}
	if proxy, err := h.o.Proxy(&http.Request{Method: http.MethodGet, URL: &base}); proxy == nil && err == nil {
		h.pools.ready.start(&base, n)
	}
}

// dialled returns the address that net/http dials for u.
func dialled(u *url.URL) string {
	return net.JoinHostPort(u.Hostname(), portOf(u))
}

// first returns how connections are made by dial where none is ready. Ready ones speak HTTP/1.1:
// usable says whether that will do.
func (p *preconnections) first(scheme string, dial dialFunc, usable func() bool) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if usable() {
			if c := p.take(ctx, scheme, address); c != nil {
				countDialled(ctx)
				return c, nil
			}
		}
		return dial(ctx, network, address)
	}
}
