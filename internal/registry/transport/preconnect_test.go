package transport

import (
	"context"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/retry/clocktest"
)

// counter is a listener that counts its connections.
type counter struct {
	net.Listener
	accepted chan net.Conn
}

func (l counter) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.accepted <- c
	}
	return c, err
}

// answering is a registry over TLS whose connections are counted.
func answering(t *testing.T, h2 bool, change func(*Options)) (*Host, counter, *clocktest.Clock) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := counter{listener, make(chan net.Conn, 100)}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusCreated)
	}))
	s.Listener, s.EnableHTTP2 = l, h2
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	clock := clocktest.New(time.Now())
	o := Options{Host: listener.Addr().String(), Roots: func() *x509.CertPool { return roots }, Clock: clock}
	if change != nil {
		change(&o)
	}
	h := New(o)
	t.Cleanup(h.Close)
	if err := h.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-l.accepted
	return h, l, clock
}

// put sends n bodies at once and returns when all were answered.
func put(t *testing.T, h *Host, n int, bulk bool) {
	t.Helper()
	var sending sync.WaitGroup
	for range n {
		sending.Go(func() {
			base := h.Base()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, base.String(), nil)
			if err != nil {
				t.Error(err)
				return
			}
			resp, err := h.Send(req, Sending{Bulk: bulk, Body: stringBody("x")})
			if err != nil {
				t.Error(err)
				return
			}
			Drain(resp)
		})
	}
	sending.Wait()
}

const megabyte = 1 << 20

// Connections for large blobs are there before a request wants them, those that go at first,
// and once.
func TestPreconnect(t *testing.T) {
	h, l, _ := answering(t, true, nil)
	h.Preconnect([]int64{1000})
	h.Preconnect([]int64{megabyte, 1000, megabyte})
	h.Preconnect([]int64{megabyte})
	<-l.accepted
	<-l.accepted
	put(t, h, 2, true)
	if n := len(l.accepted); n > 0 {
		t.Errorf("two uploads made %d connections more", n)
	}
	many, l, _ := answering(t, true, nil)
	many.Preconnect(make([]int64, 40))
	sizes := make([]int64, 40)
	for i := range sizes {
		sizes[i] = megabyte
	}
	many.Preconnect(sizes)
	many.Close()
	if n := len(l.accepted); n > firstLarge {
		t.Errorf("%d connections for 40 blobs", n)
	}
}

// Those that nobody took are closed with the host.
func TestPreconnectionsAreClosed(t *testing.T) {
	h, l, _ := answering(t, true, nil)
	h.Preconnect([]int64{megabyte})
	<-l.accepted
	h.pools.ready.running.Wait()
	made := h.pools.ready.made[0]
	h.Close()
	if _, err := made.conn.Write([]byte("x")); err == nil {
		t.Error("it is still open")
	}
	put(t, h, 1, true) // the host can still be used
}

// A server may have ended a connection that has said nothing for a while.
func TestPreconnectionsGrowOld(t *testing.T) {
	h, l, clock := answering(t, true, nil)
	h.Preconnect([]int64{megabyte})
	<-l.accepted
	h.pools.ready.running.Wait()
	clock.Advance(preconnectionLife + time.Second)
	put(t, h, 1, true)
	if n := len(l.accepted); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// A registry of HTTP/1.1 is asked its first questions at once, over a connection each.
func TestPreconnectForTheFirstWave(t *testing.T) {
	h, l, _ := answering(t, false, nil)
	for range firstWave {
		<-l.accepted
	}
	put(t, h, firstWave, false)
	h.Preconnect([]int64{megabyte})
	if n := len(l.accepted); n > 0 {
		t.Errorf("%d connections more", n)
	}
}

// A proxy makes its own connections.
func TestNoPreconnectionAroundAProxy(t *testing.T) {
	var proxied bool
	h, l, _ := answering(t, true, func(o *Options) {
		o.Proxy = func(*http.Request) (*url.URL, error) {
			if proxied {
				return url.Parse("http://127.0.0.1:1")
			}
			return nil, nil
		}
	})
	proxied = true
	h.Preconnect([]int64{megabyte})
	h.Close()
	if n := len(l.accepted); n > 0 {
		t.Errorf("%d connections", n)
	}
}

// A request that is cancelled while it waits leaves the connection to the next.
func TestCancelledWhilePreconnecting(t *testing.T) {
	release := make(chan struct{})
	near, far := net.Pipe()
	defer far.Close()
	p := &preconnections{clock: clocktest.New(time.Now()), dial: map[string]dialFunc{
		"https": func(context.Context, string, string) (net.Conn, error) { <-release; return near, nil },
	}}
	p.start(&url.URL{Scheme: "https", Host: "registry.example"}, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if c := p.take(ctx, "https", "registry.example:443"); c != nil {
		t.Error("a connection for nobody")
	}
	if c := p.take(t.Context(), "http", "registry.example:80"); c != nil {
		t.Error("TLS for plain HTTP")
	}
	close(release)
	if c := p.take(t.Context(), "https", "registry.example:443"); c != near {
		t.Errorf("%v", c)
	}
	p.close()
}
