package standins

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/multi-registry-push/multi-registry-push/test/servers"
)

// Internet is where the stand-ins are found under their real names. A program gets
// there through a proxy (Env, Transport).
type Internet struct {
	// Faults hits requests before they reach a host; see At.
	Faults *servers.Faults

	proxy  string
	inside string // address behind all names
	file   string
	roots  *x509.CertPool

	caKey *ecdsa.PrivateKey
	ca    *x509.Certificate
	key   *ecdsa.PrivateKey

	mu     sync.Mutex
	hosts  map[string]http.Handler
	down   map[string]bool
	leaves map[string]*tls.Certificate
	dialed []string
	asked  []string
	pipes  sync.WaitGroup
	conns  map[net.Conn]bool
	closed bool
}

// NewInternet returns an internet without hosts. It ends with the test.
func NewInternet(t testing.TB) *Internet {
	t.Helper()
	n := &Internet{
		Faults: &servers.Faults{}, hosts: map[string]http.Handler{}, down: map[string]bool{},
		leaves: map[string]*tls.Certificate{}, conns: map[net.Conn]bool{},
	}
	n.authority(t)
	var servers sync.WaitGroup
	quiet := log.New(io.Discard, "", 0)
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	behind, front := listen(), listen()
	n.inside, n.proxy = behind.Addr().String(), "http://"+front.Addr().String()
	tlsServer := &http.Server{Handler: n.Faults.Handler(http.HandlerFunc(n.route)), ErrorLog: quiet, TLSConfig: &tls.Config{GetCertificate: n.leaf}}
	proxyServer := &http.Server{Handler: http.HandlerFunc(n.connect), ErrorLog: quiet}
	servers.Go(func() { _ = tlsServer.ServeTLS(behind, "", "") })
	servers.Go(func() { _ = proxyServer.Serve(front) })
	t.Cleanup(func() {
		_ = proxyServer.Close()
		_ = tlsServer.Close()
		n.mu.Lock()
		for c := range n.conns {
			_ = c.Close()
		}
		n.closed = true
		n.mu.Unlock()
		n.pipes.Wait()
		servers.Wait()
	})
	return n
}

// Handle puts a host on the internet.
func (n *Internet) Handle(host string, h http.Handler) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[host] = h
}

// Unplug makes a host unreachable: connections to it fail.
func (n *Internet) Unplug(host string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down[host] = true
}

// Strangers returns the hosts that were asked for and that nobody plays.
func (n *Internet) Strangers() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []string
	for _, host := range n.dialed {
		if n.hosts[host] == nil && !slices.Contains(out, host) {
			out = append(out, host)
		}
	}
	return out
}

// Asked returns the requests so far, as METHOD HOST/PATH, without the query.
func (n *Internet) Asked() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.asked)
}

// At chooses requests to a host, for faults.
func At(host string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Host == host }
}

// Env returns the variables that make a program use this internet.
func (n *Internet) Env() []string {
	return []string{"HTTPS_PROXY=" + n.proxy, "https_proxy=" + n.proxy, "NO_PROXY=", "no_proxy=", "SSL_CERT_FILE=" + n.file, "SSL_CERT_DIR=/nonexistent"}
}

// Transport returns a transport into this internet. Loopback addresses are reached directly.
func (n *Internet) Transport(t testing.TB) *http.Transport {
	t.Helper()
	address, err := url.Parse(n.proxy)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{
		Proxy: func(r *http.Request) (*url.URL, error) {
			if ip := net.ParseIP(r.URL.Hostname()); ip.IsLoopback() || r.URL.Hostname() == "localhost" {
				return nil, nil
			}
			return address, nil
		},
		TLSClientConfig: &tls.Config{RootCAs: n.roots},
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// Roots returns the authority that vouches for all hosts.
func (n *Internet) Roots() *x509.CertPool { return n.roots }

func (n *Internet) route(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	h := n.hosts[r.Host]
	n.asked = append(n.asked, r.Method+" "+r.Host+r.URL.Path)
	n.mu.Unlock()
	if h == nil || r.TLS == nil || r.TLS.ServerName != r.Host {
		http.Error(w, "misdirected", http.StatusMisdirectedRequest)
		return
	}
	h.ServeHTTP(w, r)
}

// connect is the proxy: whatever name is asked for, the way leads inside.
func (n *Internet) connect(w http.ResponseWriter, r *http.Request) {
	host, port, err := net.SplitHostPort(r.Host)
	if r.Method != http.MethodConnect || err != nil || port != "443" {
		http.Error(w, "not a way to anywhere", http.StatusBadRequest)
		return
	}
	n.mu.Lock()
	n.dialed = append(n.dialed, host)
	there := n.hosts[host] != nil && !n.down[host]
	n.mu.Unlock()
	if !there {
		http.Error(w, "no such host", http.StatusBadGateway)
		return
	}
	out, err := net.Dial("tcp", n.inside)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	in, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = out.Close()
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock() // nobody waits for pipes any more when it is closed
	if n.closed {
		_, _ = in.Close(), out.Close()
		return
	}
	n.conns[in], n.conns[out] = true, true
	_, _ = io.WriteString(in, "HTTP/1.1 200 Connection established\r\n\r\n")
	pipe := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_, _ = to.Close(), from.Close()
		n.mu.Lock()
		delete(n.conns, from)
		n.mu.Unlock()
	}
	n.pipes.Go(func() { pipe(in, out) })
	n.pipes.Go(func() { pipe(out, in) })
}

func (n *Internet) authority(t testing.TB) {
	t.Helper()
	var err error
	check := func() {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	n.caKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check()
	n.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of the stand-ins"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, n.caKey.Public(), n.caKey)
	check()
	n.ca, err = x509.ParseCertificate(der)
	check()
	n.file = filepath.Join(t.TempDir(), "standins.pem")
	err = os.WriteFile(n.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
	check()
	n.roots = x509.NewCertPool()
	n.roots.AddCert(n.ca)
}

// leaf returns the certificate of whatever host is asked for.
func (n *Internet) leaf(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c := n.leaves[hello.ServerName]; c != nil {
		return c, nil
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(n.leaves) + 2)), Subject: pkix.Name{CommonName: hello.ServerName},
		NotBefore: n.ca.NotBefore, NotAfter: n.ca.NotAfter, DNSNames: []string{hello.ServerName},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, n.ca, n.key.Public(), n.caKey)
	if err != nil {
		return nil, err
	}
	c := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: n.key}
	n.leaves[hello.ServerName] = c
	return c, nil
}
