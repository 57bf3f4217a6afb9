package servers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"
)

// Server is a running registry.
type Server struct {
	Host   string // as references name it: 127.0.0.1:41234
	URL    string // http(s)://Host
	Log    *Log
	Faults *Faults
	Tokens *TokenServer // nil without token authentication
	Users  []User

	Roots  *x509.CertPool // trusts the server's certificate, nil without TLS
	CAFile string         // the same as a PEM file, for SSL_CERT_FILE

	options Options
	handler http.Handler // everything
	order   *order
	inside  http.Handler // without log and faults
	tls     *tls.Config

	mu      sync.Mutex
	running *http.Server
	ended   chan struct{}
	release func() // what holds the port of a server that is stopped
}

// Start serves a registry until the test ends. registry makes the innermost handler; it may use
// what the Server knows by then: Host, Users, Tokens, Htpasswd. A registry that does not
// authenticate by itself passes its handler through Authenticate.
func Start(t testing.TB, o Options, registry func(*Server) http.Handler) *Server {
	t.Helper()
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", o.Addr)
	if err != nil {
		t.Fatalf("registry for the test: %v", err)
	}
	s := &Server{Host: listener.Addr().String(), Log: newLog(), Faults: &Faults{}, Users: o.users(), options: o}
	s.URL = "http://" + s.Host
	if o.TLS {
		a := newAuthority(t)
		s.URL, s.Roots, s.CAFile, s.tls = "https://"+s.Host, a.roots, a.file, a.config
	}
	if o.Auth == Token {
		s.Tokens = newTokenServer(t, s)
	}
	s.order = newOrder(registry(s))
	s.Log.forget = s.order.forget
	h := http.Handler(s.order)
	if o.Wrap != nil {
		h = o.Wrap(h)
	}
	if o.ImmutableTags != nil {
		h = immutable(o.ImmutableTags, h)
	}
	if o.Preconditions {
		h = preconditions(h)
	}
	if o.Auth == Basic {
		h = permit(s.Users, h)
	}
	if s.Tokens != nil && o.SameHost {
		mux := http.NewServeMux()
		mux.Handle("/auth/", s.Tokens.handler)
		mux.Handle("/", h)
		h = mux
	}
	s.inside = h
	if s.Tokens != nil && o.UsesPerToken > 0 {
		h = spent(o.UsesPerToken, h)
	}
	s.handler = s.Log.Handler(s.Faults.Handler(h))
	s.serve(listener)
	running.Store(s.Host, s)
	t.Cleanup(func() {
		s.Stop()
		s.release()
		running.Delete(s.Host)
		for _, wrong := range s.Disorder() {
			t.Errorf("%s: %s", s.Host, wrong)
		}
	})
	return s
}

// Lingers is what goleak shall not mind: a server that answers before it has read the whole body
// waits half a second before it closes the connection.
func Lingers() goleak.Option { return goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait") }

// running has the servers of this process by host.
var running sync.Map

// At returns the server at a host, nil where there is none.
func At(host string) *Server {
	s, _ := running.Load(host)
	server, _ := s.(*Server)
	return server
}

func (s *Server) serve(listener net.Listener) {
	server := &http.Server{Handler: s.handler, TLSConfig: s.tls, ErrorLog: log.New(io.Discard, "", 0)}
	ended := make(chan struct{})
	s.mu.Lock()
	s.running, s.ended = server, ended
	s.mu.Unlock()
	go func() {
		defer close(ended)
		if s.tls != nil {
			_ = server.ServeTLS(listener, "", "")
			return
		}
		_ = server.Serve(listener)
	}()
}

// Nobody returns a host at which nobody listens until the test ends.
func Nobody(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := listener.Addr().String()
	_ = listener.Close()
	t.Cleanup(hold(host))
	return host
}

// Stop ends the server at once: open connections are dropped, new ones refused.
func (s *Server) Stop() {
	s.mu.Lock()
	server, ended := s.running, s.ended
	s.running = nil
	s.mu.Unlock()
	if server == nil {
		return
	}
	_ = server.Close()
	<-ended
	s.release = hold(s.Host)
	s.Log.Settled()
}

// Restart serves again, at the same address and with what was stored.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.release()
	listener, err := net.Listen("tcp", s.Host)
	if err != nil {
		t.Fatalf("registry for the test: %v", err)
	}
	s.serve(listener)
}

// Reference returns HOST/repository:tag.
func (s *Server) Reference(repository, tag string) string {
	return s.Host + "/" + repository + ":" + tag
}

// Authenticator returns the credentials of the first user.
func (s *Server) Authenticator() authn.Authenticator {
	if s.options.Auth == None || len(s.Users) == 0 {
		return authn.Anonymous
	}
	return &authn.Basic{Username: s.Users[0].Name, Password: s.Users[0].Password}
}

// Item returns an item of registry-auth with the credentials of user i.
func (s *Server) Item(i int) string {
	if s.options.Auth == None {
		return "- registry: " + s.Host + "\n  anonymous: true\n"
	}
	password, err := json.Marshal(s.Users[i].Password)
	if err != nil { // a string always marshals
		panic(err)
	}
	return "- registry: " + s.Host + "\n  username: " + s.Users[i].Name + "\n  password: " + string(password) + "\n"
}

// Inspect returns options for go-containerregistry to look into the registry from behind:
// nothing is logged, no fault hits, and a stopped server answers too.
func (s *Server) Inspect() []remote.Option {
	return []remote.Option{remote.WithTransport(behind{s}), remote.WithAuth(s.Authenticator())}
}

type behind struct{ s *Server }

func (b behind) RoundTrip(r *http.Request) (*http.Response, error) {
	h := b.s.inside
	switch {
	case r.URL.Host == b.s.Host:
	case b.s.Tokens != nil && r.URL.Host == b.s.Tokens.host:
		h = http.HandlerFunc(b.s.Tokens.serve)
	default:
		return nil, errors.New("request to a stranger: " + r.URL.String())
	}
	if r.URL.Scheme == "https" && b.s.tls == nil {
		return nil, errors.New("http: server gave HTTP response to HTTPS client")
	}
	// What a server gets differs from what a client sends in these.
	in := r.Clone(context.WithValue(r.Context(), fromBehind{}, true))
	in.RequestURI = r.URL.RequestURI()
	in.Host = r.URL.Host
	if in.Body == nil {
		in.Body = http.NoBody
	}
	in.RemoteAddr = "127.0.0.1:1"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, in)
	answer := w.Result()
	answer.Request = r
	return answer, nil
}

// Htpasswd writes a password file with all users and returns its path.
func (s *Server) Htpasswd(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	for _, u := range s.Users {
		hash, err := bcrypt.GenerateFromPassword([]byte(u.Password), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(u.Name + ":" + string(hash) + "\n")
	}
	path := filepath.Join(t.TempDir(), "htpasswd")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Options returns what the server was started with.
func (s *Server) Options() Options { return s.options }

// Transport returns a transport that trusts the server's certificate. Close its idle
// connections when done.
func (s *Server) Transport() *http.Transport {
	return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.Roots}, ForceAttemptHTTP2: true}
}

// Remove deletes a blob of a repository from behind, as a clean-up job that errs does. The
// registry must allow deletion.
func (s *Server) Remove(t testing.TB, repository, digest string) {
	t.Helper()
	repo, err := name.NewRepository(s.Host+"/"+repository, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	scopes := []string{repo.Scope(transport.DeleteScope)}
	client, err := transport.NewWithContext(t.Context(), repo.Registry, s.Authenticator(), behind{s}, scopes)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, s.URL+"/v2/"+repository+"/blobs/"+digest, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusAccepted {
		t.Fatalf("deleting %s: %s", digest, answer.Status)
	}
}
