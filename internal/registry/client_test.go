package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/registry/transport"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// hosts is a Base that sends every host name to one address, so that loopback servers
// can be public registries.
func hosts(address string, roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
		TLSClientConfig: &tls.Config{RootCAs: roots},
	}
}

func newTLSFake(t *testing.T) *fake {
	t.Helper()
	f := newFakeHandler(t)
	f.Server = httptest.NewUnstartedServer(f)
	f.Config.ErrorLog = log.New(io.Discard, "", 0)
	f.StartTLS()
	t.Cleanup(f.Close)
	return f
}

func (f *fake) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(f.Certificate())
	return pool
}

func TestScheme(t *testing.T) {
	plain, secure := newFake(t), newTLSFake(t)
	for name, test := range map[string]struct {
		server *fake
		host   string // "" is the server's own, which is on loopback
		change func(*Options)
		want   usererror.Code // "" is success
	}{
		"plain on loopback":           {server: plain},
		"TLS on loopback, trusted":    {server: secure, change: func(o *Options) { o.Roots = secure.roots }},
		"TLS on loopback, untrusted":  {server: secure, want: usererror.UnknownAuthority},
		"TLS, insecure":               {server: secure, change: func(o *Options) { o.Insecure = true }},
		"plain elsewhere":             {server: plain, host: "registry.example", want: usererror.TLSMismatch},
		"plain at a private address":  {server: plain, host: "10.1.2.3:5000", want: usererror.TLSMismatch},
		"plain elsewhere, insecure":   {server: plain, host: "registry.example", change: func(o *Options) { o.Insecure = true }},
		"certificate of another host": {server: secure, host: "registry.invalid", want: usererror.CertificateInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			c, clock := test.server.client(func(o *Options) {
				if test.change != nil {
					test.change(o)
				}
				if test.host != "" {
					o.Host = test.host
					base := hosts(test.server.host(), secure.roots())
					t.Cleanup(base.CloseIdleConnections)
					o.Base = base
				}
			})
			err := c.Repository("me/app").Login(t.Context())
			if test.want == "" && err != nil || test.want != "" && !usererror.Is(err, test.want) {
				t.Errorf("Login: %v, want %q", err, test.want)
			}
			if clock.Slept() != 0 {
				t.Error("it was tried again")
			}
		})
	}
}

// A server that does not get on with TLS, without an answer in plain HTTP, proves
// nothing: no credential is sent in clear.
func TestNoPlainHTTPAfterSilence(t *testing.T) {
	for name, serve := range map[string]func(net.Conn){
		"closes": func(conn net.Conn) {
			var hello [5]byte
			_, _ = io.ReadFull(conn, hello[:])
			_ = conn.Close()
		},
		"rests": func(conn net.Conn) { // until the client has had enough
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var plain atomic.Int64
			done := make(chan struct{})
			go func() {
				defer close(done)
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					first := make([]byte, 1)
					if _, err := io.ReadFull(conn, first); err == nil && first[0] != 0x16 { // a TLS record is a handshake
						plain.Add(1)
					}
					serve(conn)
				}
			}()
			for _, insecure := range []bool{false, true} {
				c := New(Options{Host: listener.Addr().String(), Insecure: insecure, Clock: newClock(), Stall: 50 * time.Millisecond, Auth: account("u", "p")})
				err = c.Repository("me/app").Login(t.Context())
				c.Close()
				if !usererror.Is(err, usererror.Unreachable) {
					t.Errorf("Login: %v", err)
				}
			}
			_ = listener.Close()
			<-done
			if plain.Load() != 0 {
				t.Error("plain HTTP was tried")
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	clock := newClock()
	c := New(Options{Host: nobody, Clock: clock, InContainer: true})
	defer c.Close()
	err := c.Repository("me/app").Login(t.Context())
	if !usererror.Is(err, usererror.Unreachable) || !strings.Contains(usererror.Advice(err), "by its label") {
		t.Errorf("Login: %v\n%s", err, usererror.Advice(err))
	}
	if slept := clock.Slept(); slept < firstContact/3 || slept > firstContact {
		t.Errorf("given up after %v, the budget is %v", slept, firstContact)
	}

	clock = newClock()
	c = New(Options{Host: "registry.example", Clock: clock, Base: tripperFunc(func(*http.Request) (*http.Response, error) {
		return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "registry.example", IsNotFound: true}}
	})})
	err = c.Repository("me/app").Login(t.Context())
	if !usererror.Is(err, usererror.UnknownHost) || clock.Slept() > unknownHostFor {
		t.Errorf("Login: %v after %v", err, clock.Slept())
	}
}

// What answers with a page, or leads to a login page, is no registry.
func TestNoRegistry(t *testing.T) {
	for name, test := range map[string]struct {
		header map[string]string
		status int
		body   string
		fails  bool
	}{
		"a page":       {map[string]string{"Content-Type": "text/html; charset=utf-8"}, 200, " <!DOCTYPE html>", true},
		"a login page": {map[string]string{"Location": "https://login.example/?to=x"}, 302, "", true},
		"Quay":         {map[string]string{"Content-Type": "text/html; charset=utf-8"}, 200, "true", false},
		"a registry":   {map[string]string{"Content-Type": "text/html", "Docker-Distribution-Api-Version": "registry/2.0"}, 200, "<>", false},
		"not served":   {map[string]string{"Content-Type": "text/html"}, 404, "<html>", false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != "/v2/" {
					return false
				}
				for key, value := range test.header {
					w.Header().Set(key, value)
				}
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
				return true
			}
			c, clock := f.client(nil)
			err := c.Repository("a").Login(t.Context())
			if test.fails != usererror.Is(err, usererror.NotARegistry) || (err != nil) != test.fails || clock.Slept() != 0 {
				t.Errorf("%v after %v", err, clock.Slept())
			}
		})
	}
}

// A registry that starts a little later than we do is waited for.
func TestLateRegistry(t *testing.T) {
	f := newFake(t)
	down := 3
	base := &http.Transport{}
	defer base.CloseIdleConnections()
	c, _ := f.client(func(o *Options) {
		o.Base = tripperFunc(func(req *http.Request) (*http.Response, error) {
			if down--; down >= 0 {
				return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
			}
			return base.RoundTrip(req)
		})
	})
	if err := c.Repository("me/app").Login(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestProxy(t *testing.T) {
	f := newTLSFake(t)
	var through atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != "example.com:443" {
			t.Errorf("the proxy was asked for %s %s", r.Method, r.Host)
		}
		through.Add(1)
		there, err := net.Dial("tcp", f.host())
		if err != nil {
			t.Error(err)
			return
		}
		here, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.Copy(there, here)
			_ = there.Close()
		}()
		_, _ = io.Copy(here, there)
		_ = here.Close()
		<-done
	}))
	address := proxy.URL
	client := func() *Client {
		return New(Options{
			Host: "example.com", Roots: f.roots, Clock: newClock(), // as its certificate says
			Proxy: func(*http.Request) (*url.URL, error) { return url.Parse(address) },
		})
	}
	c := client()
	err := c.Repository("me/app").Login(t.Context())
	if err != nil || through.Load() == 0 {
		t.Errorf("Login: %v, through the proxy %d times", err, through.Load())
	}
	c.Close()
	proxy.Close()

	address = "http://" + nobody
	c = client()
	defer c.Close()
	err = c.Repository("me/app").Login(t.Context())
	if !usererror.Is(err, usererror.Unreachable) || !strings.Contains(usererror.Advice(err), "HTTPS_PROXY") {
		t.Errorf("without the proxy: %v\n%s", err, usererror.Advice(err))
	}
}

// Small requests share an HTTP/2 connection; blobs have connections of their own.
func TestConnections(t *testing.T) {
	f := newFakeHandler(t)
	f.Server = httptest.NewUnstartedServer(f)
	f.EnableHTTP2 = true
	f.StartTLS()
	t.Cleanup(f.Close)
	var mu sync.Mutex
	protocols := map[string]int{}
	f.hook = func(_ http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		protocols[r.Method] = r.ProtoMajor
		return false
	}
	c, _ := f.client(func(o *Options) { o.Roots = f.roots })
	r := c.Repository("me/app")
	data, d := blobOf(transport.LargeBody)
	if _, err := r.Upload(t.Context(), d, nil, &bytesContent{data: data}, nil); err != nil {
		t.Fatal(err)
	}
	if protocols["POST"] != 2 || protocols["PUT"] != 1 {
		t.Errorf("a large blob went by %v", protocols)
	}
	data, d = blobOf(1000)
	if _, err := r.Upload(t.Context(), d, nil, &bytesContent{data: data}, nil); err != nil {
		t.Fatal(err)
	}
	if protocols["PUT"] != 2 {
		t.Errorf("a small blob went by %v", protocols)
	}
}

// Token services and storages are asked over HTTP/2, too, where they speak it, large blobs
// aside.
func TestConnectionsElsewhere(t *testing.T) {
	var protocols sync.Map // by path
	large, largeBlob := blobOf(transport.LargeBody)
	small, smallBlob := blobOf(10)
	serve := func(w http.ResponseWriter, r *http.Request) {
		protocols.Store(r.URL.Path, r.ProtoMajor)
		switch r.URL.Path {
		case "/token":
			_, _ = io.WriteString(w, `{"token":"token-for-everybody"}`)
		case "/" + largeBlob.Digest.Hex:
			_, _ = w.Write(large)
		default:
			_, _ = w.Write(small)
		}
	}
	other := httptest.NewUnstartedServer(http.HandlerFunc(serve))
	other.EnableHTTP2 = true
	other.StartTLS()
	t.Cleanup(other.Close)
	f := newTLSFake(t)
	f.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") == "" {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+other.URL+`/token",service="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		_, hex, blob := strings.Cut(r.URL.Path, "/blobs/sha256:")
		if blob {
			http.Redirect(w, r, other.URL+"/"+hex, http.StatusTemporaryRedirect)
		}
		return blob
	}
	c, _ := f.client(func(o *Options) {
		both := f.roots()
		both.AddCert(other.Certificate())
		o.Roots = func() *x509.CertPool { return both }
	})
	for _, d := range []v1.Descriptor{smallBlob, largeBlob} {
		body, err := c.Repository("me/app").OpenBlob(t.Context(), d, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, body)
		if err := errors.Join(err, body.Close()); err != nil {
			t.Error(err)
		}
	}
	want := map[string]int{"/token": 2, "/" + smallBlob.Digest.Hex: 2, "/" + largeBlob.Digest.Hex: 1}
	for path, protocol := range want {
		if got, _ := protocols.Load(path); got != protocol {
			t.Errorf("%s went by HTTP/%v, not %d", path, got, protocol)
		}
	}
}

// serveAndGo serves HTTP/2 connections: each answers so many requests and ends in good
// order (RFC 9113, 6.8), before any request (-1), or as soon as there is one more. It
// returns its address, and how many connections there were.
func serveAndGo(t *testing.T, certificates []tls.Certificate, served int) (string, *atomic.Int64) {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: certificates, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		t.Fatal(err)
	}
	var connections atomic.Int64
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			release := context.AfterFunc(t.Context(), func() { _ = conn.Close() })
			serving.Go(func() {
				goAway(conn, served)
				release()
			})
		}
	})
	t.Cleanup(serving.Wait)
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String(), &connections
}

// goAway answers so many requests of a connection with 200, and ends it by GOAWAY.
func goAway(conn net.Conn, served int) {
	defer conn.Close()
	_, _ = conn.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0}) // SETTINGS
	_, _ = io.CopyN(io.Discard, conn, int64(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")))
	frame, last := make([]byte, 9), make([]byte, 4)
	for served >= 0 {
		if _, err := io.ReadFull(conn, frame); err != nil {
			return
		}
		size := int64(frame[0])<<16 | int64(frame[1])<<8 | int64(frame[2])
		if _, err := io.CopyN(io.Discard, conn, size); err != nil {
			return
		}
		if frame[3] != 1 { // no HEADERS
			continue
		}
		if served--; served >= 0 {
			copy(last, frame[5:])
			_, _ = conn.Write(append([]byte{0, 0, 1, 1, 5}, append(last, 0x88)...)) // HEADERS, the last: 200
		}
	}
	_, _ = conn.Write(append([]byte{0, 0, 8, 7, 0, 0, 0, 0, 0}, append(last, 0, 0, 0, 0)...)) // GOAWAY
	_, _ = io.Copy(io.Discard, conn)
}

// A registry that ends each connection before it answers anything (HTTP/2 GOAWAY) is
// tried again as one that breaks is: with pauses, and not for ever.
func TestConnectionsThatServeNothing(t *testing.T) {
	certificate := newTLSFake(t)
	for name, served := range map[string]int{"at once": -1, "after the request": 0} {
		t.Run(name, func(t *testing.T) {
			host, connections := serveAndGo(t, certificate.TLS.Certificates, served)
			clock := newClock()
			c := New(Options{Host: host, Roots: certificate.roots, Clock: clock})
			defer c.Close()
			if err := c.Repository("a").Login(t.Context()); err == nil {
				t.Error("logged in")
			}
			tries := len(clock.Waits()) + 1
			if n := int(connections.Load()); tries < 3 || clock.Slept() < firstPause || n > 3*tries {
				t.Errorf("%d connections in %d tries within %v", n, tries, clock.Slept())
			}
		})
	}
}

// One that ends connections that have served others, as nginx does after so many
// requests, loses nobody a try: not even of requests that it did not take any more.
func TestConnectionsThatEndAfterAWhile(t *testing.T) {
	certificate := newTLSFake(t)
	host, connections := serveAndGo(t, certificate.TLS.Certificates, 3)
	clock := newClock()
	c := New(Options{Host: host, Roots: certificate.roots, Clock: clock})
	defer c.Close()
	r := c.Repository("a")
	if err := r.Login(t.Context()); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for range 6 {
				if err := r.CheckPublic(t.Context(), "latest"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := connections.Load(); n < 4 || n > 13 || clock.Slept() != 0 || c.Stats().Retries != 0 {
		t.Errorf("%d connections, %d tries more, %v of pauses", n, c.Stats().Retries, clock.Slept())
	}
}

// Where plain HTTP is allowed and no port was named, it is tried on its own port when
// that of TLS refuses connections: each time anew, since either may come up late.
func TestPlainPort(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	for name, test := range map[string]struct {
		host     string
		insecure bool
		fails    error
		plain    bool
	}{
		"insecure":               {"registry.example", true, refused, true},
		"with a port":            {"registry.example:443", true, refused, false},
		"not insecure":           {"registry.example", false, refused, false},
		"loopback, not insecure": {"localhost", false, refused, false},
		"a time-out":             {"registry.example", true, &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, false},
		"the proxy refuses":      {"registry.example", true, &net.OpError{Op: "proxyconnect", Err: refused}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var schemes []string
			answer := func(req *http.Request) (*http.Response, error) {
				schemes = append(schemes, req.URL.Scheme)
				switch {
				case req.URL.Scheme == "https":
					return nil, test.fails
				case len(schemes) < 3:
					return nil, refused
				}
				resp := answerWith(http.StatusOK)
				resp.Body = http.NoBody
				return resp, nil
			}
			c := New(Options{Host: test.host, Insecure: test.insecure, Clock: newClock(), Base: tripperFunc(answer)})
			err := c.Repository("a").Login(t.Context())
			if plain := slices.Contains(schemes, "http"); plain != test.plain || (err == nil) != test.plain {
				t.Errorf("%v: %v", schemes, err)
			}
			if test.plain && !slices.Equal(schemes, []string{"https", "http", "https", "http"}) {
				t.Errorf("asked by %v", schemes)
			}
		})
	}
}
