package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	dialTimeout = 10 * time.Second
	tlsTimeout  = 15 * time.Second
	// largest is the size from which a body gets a connection of its own. Below it,
	// saving a handshake counts for more.
	largest = 256 << 10
	// buffers of the connections. Bodies pass them by: see conn, and large reads.
	buffers         = 32 << 10
	maxHeaderBytes  = 128 << 10
	maxRedirects    = 10
	pingAfter       = 15 * time.Second
	idleConnTimeout = 90 * time.Second
)

// errStalled says that a connection rested for too long.
var errStalled = errors.New("no byte moved for too long")

// wire sends single requests: no retries, redirects or credentials here. It counts,
// watches for stalls, and keeps connections to other hosts within the address rules.
type wire struct {
	c *Client

	// api carries small requests, over HTTP/2 where offered. bulk carries blobs,
	// over HTTP/1.1, a connection each: the streams of one HTTP/2 connection share
	// one TCP window and the peer's flow control (often 64 KiB a stream for
	// uploads), which is slower than connections side by side. foreign is for every
	// other host; it refuses addresses that the registry must not send us to.
	api, bulk, foreign http.RoundTripper
	close              []*http.Transport
	pieces             *pieces

	proxies sync.Map     // addresses of proxies: not subject to the address rules
	private atomic.Bool  // the registry itself is at a private address
	public  atomic.Bool  // it was at a public address once
	plain   atomic.Bool  // the registry speaks HTTP/1.1 on api: one pool will do
	limit   atomic.Value // *RateLimit

	requests, retries, received, sent atomic.Int64
}

func newWire(c *Client) *wire {
	w := &wire{c: c, pieces: newPieces()}
	if c.o.Base != nil {
		w.api, w.bulk, w.foreign = c.o.Base, c.o.Base, c.o.Base
		w.private.Store(c.loopback)
		return w
	}
	if ip := literal(hostname(c.apiHost)); ip != nil && private(ip) || c.loopback {
		w.private.Store(true)
	}
	proxy := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	home := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second, Control: w.learnHome}
	away := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second, Control: w.checkAway}
	api := w.transport(home, proxy, true)
	bulk := w.transport(home, proxy, false)
	foreign := w.transport(away, proxy, false)
	w.api, w.bulk, w.foreign = api, bulk, foreign
	w.close = []*http.Transport{api, bulk, foreign}
	return w
}

func (w *wire) transport(dialer, proxyDialer *net.Dialer, h2 bool) *http.Transport {
	t := &http.Transport{
		Proxy: w.proxy,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if _, ok := w.proxies.Load(addr); ok {
				return proxyDialer.DialContext(ctx, network, addr)
			}
			c, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &conn{Conn: c, pieces: w.pieces}, nil
		},
		TLSHandshakeTimeout: tlsTimeout,
		TLSClientConfig: &tls.Config{
			MinVersion: tls.VersionTLS12,
			RootCAs:    w.c.o.Roots,
			// Only where the user wrote insecure: true for this very registry.
			InsecureSkipVerify: w.c.o.Insecure, // #nosec G402
		},
		// Bytes are wanted as they are: their digest is known.
		DisableCompression:     true,
		MaxIdleConns:           64,
		MaxIdleConnsPerHost:    max(16, 2*w.c.o.Concurrency),
		IdleConnTimeout:        idleConnTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		WriteBufferSize:        buffers,
		ReadBufferSize:         buffers,
		ForceAttemptHTTP2:      h2,
	}
	if h2 {
		// A connection that died quietly is found out by pings; a stalled request
		// alone would leave it in the pool.
		t.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingAfter}
	} else {
		t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	return t
}

// proxy remembers the addresses of proxies, so that dialling tells them from
// destinations.
func (w *wire) proxy(req *http.Request) (*url.URL, error) {
	u, err := w.c.o.Proxy(req)
	if err != nil || u == nil {
		return u, err
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	w.proxies.Store(net.JoinHostPort(u.Hostname(), port), true)
	return u, nil
}

func (w *wire) closeIdle() {
	for _, t := range w.close {
		t.CloseIdleConnections()
	}
}

func (w *wire) stats() Stats {
	s := Stats{
		Requests:      w.requests.Load(),
		Retries:       w.retries.Load(),
		BytesReceived: w.received.Load(),
		BytesSent:     w.sent.Load(),
	}
	if limit, ok := w.limit.Load().(*RateLimit); ok {
		copied := *limit
		s.RateLimit = &copied
	}
	return s
}

// sending says how one request is sent.
type sending struct {
	foreign bool // to another host than the registry
	bulk    bool // a blob: a connection of its own, no bound on the whole time
	count   bool // the answer's body is a blob or manifest
	body    *outgoing
	commit  bool // the registry may have to work before it answers
}

// send makes one attempt at one request. The response's body must be closed.
func (w *wire) send(req *http.Request, s sending) (*http.Response, error) {
	w.requests.Add(1)
	tripper := w.api
	switch {
	case s.foreign:
		tripper = w.foreign
	case s.bulk && !w.plain.Load():
		tripper = w.bulk
	}
	parent := req.Context()
	ctx, watch := newWatch(parent, w.c.o.Stall, w.c.o.Answer, s.bulk)
	if s.bulk && s.body != nil {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) { watched(got.Conn, watch) }})
	}
	req = req.WithContext(ctx)
	req.Header.Set("User-Agent", w.c.o.UserAgent)
	if s.body != nil {
		body, err := s.body.open(ctx, watch, func(n int64) {
			w.sent.Add(n)
			if s.bulk && !s.foreign {
				w.c.throttle.alive()
			}
		})
		if err != nil {
			watch.end()
			return nil, err
		}
		req.Body = body
		req.ContentLength = s.body.size
	}
	if s.commit && s.body.empty() {
		watch.awaitAnswer()
	}
	resp, err := tripper.RoundTrip(req)
	if err != nil {
		err = watch.reason(parent, err)
		watch.end() // and with it whatever waits for the source
		if s.body != nil {
			if broken := s.body.failed(); broken != nil {
				return nil, broken
			}
		}
		return nil, err
	}
	if !s.foreign {
		w.c.answered()
		if !s.bulk && resp.ProtoMajor == 1 {
			w.plain.Store(true)
		}
		w.learnLimit(resp.Header)
	}
	watch.pause() // until somebody reads
	body := &incoming{ReadCloser: resp.Body, watch: watch, parent: parent}
	if !s.foreign && !passing(resp.StatusCode) {
		w.c.throttle.alive()
		body.alive = w.c.throttle.alive
	}
	if s.count {
		body.counter = &w.received
	}
	resp.Body = body
	resp.Request = req
	if s.foreign {
		resp.Request = req.WithContext(context.WithValue(req.Context(), foreignKey{}, true))
	}
	return resp, nil
}

// foreignKey marks the request of an answer that is not the registry's own.
type foreignKey struct{}

// fromElsewhere reports whether an answer came from another host, or from the registry
// because another host sent us there: what it names is not the registry's word, and
// gets no credentials.
func fromElsewhere(resp *http.Response) bool {
	return resp.Request != nil && resp.Request.Context().Value(foreignKey{}) != nil
}

// learnLimit reads ratelimit-limit: 100;w=21600 and ratelimit-remaining.
func (w *wire) learnLimit(h http.Header) {
	limit, window, ok := rateLimit(h.Get("RateLimit-Limit"))
	remaining, _, ok2 := rateLimit(h.Get("RateLimit-Remaining"))
	if ok && ok2 {
		w.limit.Store(&RateLimit{Limit: limit, Remaining: remaining, Window: window})
	}
}

func rateLimit(value string) (n int, window time.Duration, ok bool) {
	parts := strings.Split(value, ";")
	n, err := strconv.Atoi(strings.TrimSpace(parts[0]))
	if err != nil || n < 0 {
		return 0, 0, false
	}
	for _, part := range parts[1:] {
		if seconds, found := strings.CutPrefix(strings.TrimSpace(part), "w="); found {
			if s, err := strconv.Atoi(seconds); err == nil && s >= 0 && s < 1<<31 {
				window = time.Duration(s) * time.Second
			}
		}
	}
	return n, window, true
}

// incoming is a response's body: watched, counted, and with the reason of a break
// as its error.
type incoming struct {
	io.ReadCloser
	watch   *watch
	parent  context.Context
	counter *atomic.Int64
	alive   func() // nil for an answer that is no sign of life
	closed  sync.Once
}

func (b *incoming) Read(p []byte) (int, error) {
	// A reader that takes its time, such as a spool that is full, is not the registry's
	// stall.
	b.watch.resume()
	defer b.watch.pause()
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.watch.touch()
		if b.alive != nil {
			b.alive()
		}
		if b.counter != nil {
			b.counter.Add(int64(n))
		}
	}
	if err != nil && err != io.EOF {
		err = b.watch.reason(b.parent, err)
	}
	return n, err
}

func (b *incoming) Close() error {
	var err error
	b.closed.Do(func() {
		err = b.ReadCloser.Close()
		b.watch.end()
	})
	return err
}
