package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

const (
	dialTimeout     = 10 * time.Second
	keepAlive       = 30 * time.Second
	tlsTimeout      = 15 * time.Second
	pingAfter       = 15 * time.Second
	idleConnTimeout = 90 * time.Second
	// buffers of the connections. Bodies pass them by: see conn, and large reads.
	buffers        = 32 << 10
	maxHeaderBytes = 128 << 10
)

// pools are the connections of a host.
type pools struct {
	// api carries small requests, over HTTP/2 where offered. bulk carries blobs,
	// over HTTP/1.1, a connection each: the streams of one HTTP/2 connection share
	// one TCP window and the peer's flow control (often 64 KiB a stream for
	// uploads), which is slower than connections side by side. foreign and foreignBulk are
	// the same for every other host, such as token services and storages; they refuse
	// addresses that the registry must not send us to.
	api, bulk, foreign, foreignBulk http.RoundTripper

	ready   *preconnections // to the registry; nil in tests without a network
	close   []*http.Transport
	plain   *atomic.Bool // the registry speaks HTTP/1.1 on api: one pool will do
	proxies *sync.Map    // addresses of proxies: not subject to the address rules
}

func (h *Host) newPools() pools {
	p := pools{plain: &atomic.Bool{}, proxies: &sync.Map{}}
	if h.o.Base != nil {
		p.api, p.bulk, p.foreign, p.foreignBulk = h.o.Base, h.o.Base, h.o.Base, h.o.Base
		return p
	}
	d := dialers{
		proxies: p.proxies,
		pieces:  newPieces(),
		proxy:   &net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive},
	}
	home := &net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive, Control: h.learnHome}
	away := &net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive, Control: h.checkAway}
	p.ready = &preconnections{clock: h.o.Clock, dial: map[string]dialFunc{
		"http":  d.to(home),
		"https": d.secure(d.to(home), h.tlsConfig(false), h.o.Roots),
	}}
	d.ready = p.ready
	always := func() bool { return true }
	api := h.newTransport(d, home, p.plain.Load, true)
	bulk := h.newTransport(d, home, always, false)
	foreign := h.newTransport(d, away, nil, true)
	foreignBulk := h.newTransport(d, away, nil, false)
	p.api, p.bulk, p.foreign, p.foreignBulk = api, bulk, foreign, foreignBulk
	p.close = []*http.Transport{api, bulk, foreign, foreignBulk}
	return p
}

func (p *pools) closeIdle() {
	if p.ready != nil {
		p.ready.close()
	}
	for _, t := range p.close {
		t.CloseIdleConnections()
	}
}

// pick returns the pool for a request.
func (p *pools) pick(s Sending) http.RoundTripper {
	switch {
	case s.Foreign && s.Bulk:
		return p.foreignBulk
	case s.Foreign:
		return p.foreign
	case s.Bulk && !p.plain.Load():
		return p.bulk
	}
	return p.api
}

// dialers tell proxies from destinations.
type dialers struct {
	proxies *sync.Map
	pieces  *pieces
	proxy   *net.Dialer
	ready   *preconnections
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// to returns how destinations are dialled.
func (d dialers) to(destination *net.Dialer) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		countDialled(ctx)
		if _, ok := d.proxies.Load(address); ok {
			return d.proxy.DialContext(ctx, network, address)
		}
		c, err := destination.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &conn{Conn: c, pieces: d.pieces}, nil
	}
}

// secure returns how connections over TLS are made: by dial, while roots are read, and a
// handshake in time.
func (d dialers) secure(dial dialFunc, config *tls.Config, roots func() *x509.CertPool) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		name, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		read := make(chan struct{})
		go func() {
			defer close(read)
			defer func() { _ = recover() }() // it panics again below
			roots()
		}()
		c, err := dial(ctx, network, address)
		<-read
		if err != nil {
			return nil, err
		}
		own := config.Clone()
		own.ServerName = name
		own.RootCAs = roots()
		if _, ok := d.proxies.Load(address); ok {
			own.NextProtos = nil // CONNECT is HTTP/1.1
		}
		within, cancel := context.WithTimeoutCause(ctx, tlsTimeout, handshakeTimeoutError{})
		defer cancel()
		secured := tls.Client(c, own)
		if err := secured.HandshakeContext(within); err != nil {
			_ = c.Close()
			if within.Err() != nil {
				err = context.Cause(within)
			}
			return nil, err
		}
		return secured, nil
	}
}

// handshakeTimeoutError says that the other side did not finish its TLS handshake in time.
type handshakeTimeoutError struct{}

func (handshakeTimeoutError) Error() string   { return "TLS handshake timeout" }
func (handshakeTimeoutError) Timeout() bool   { return true }
func (handshakeTimeoutError) Temporary() bool { return true }

// tlsConfig returns how TLS is spoken, without the authorities, which are read meanwhile.
func (h *Host) tlsConfig(h2 bool) *tls.Config {
	c := &tls.Config{
		MinVersion: tls.VersionTLS12,
		// Only where the user wrote insecure: true for this very registry.
		InsecureSkipVerify: h.o.Insecure, // #nosec G402
	}
	if h2 {
		c.NextProtos = []string{"h2", "http/1.1"}
	}
	return c
}

// newTransport returns a transport that takes connections which are ready, where usable says
// that those will do; nil means never.
func (h *Host) newTransport(d dialers, destination *net.Dialer, usable func() bool, h2 bool) *http.Transport {
	plain, secure := d.to(destination), d.secure(d.to(destination), h.tlsConfig(h2), h.o.Roots)
	if usable != nil {
		plain, secure = d.ready.first("http", plain, usable), d.ready.first("https", secure, usable)
	}
	config := h.tlsConfig(h2) // of what is behind a proxy
	trust := sync.OnceFunc(func() { config.RootCAs = h.o.Roots() })
	t := &http.Transport{
		Proxy:               h.proxy(d.proxies, trust),
		DialContext:         plain,
		DialTLSContext:      secure,
		TLSHandshakeTimeout: tlsTimeout, // as above
		TLSClientConfig:     config,
		// Bytes are wanted as they are: their digest is known.
		DisableCompression:     true,
		MaxIdleConns:           64,
		MaxIdleConnsPerHost:    max(boundsHTTP2.total, 2*h.o.Concurrency),
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

// proxy picks proxies as Options say and remembers their addresses, so that dialling
// tells them from destinations. found is called before the first is used.
func (h *Host) proxy(known *sync.Map, found func()) func(*http.Request) (*url.URL, error) {
	return func(req *http.Request) (*url.URL, error) {
		u, err := h.o.Proxy(req)
		if err != nil || u == nil {
			return u, err
		}
		known.Store(dialled(u), true)
		found()
		return u, nil
	}
}
