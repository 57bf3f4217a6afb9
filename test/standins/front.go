package standins

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/multi-registry-push/multi-registry-push/test/servers"
)

// backend returns a real registry without authentication, as a handler.
func backend(t testing.TB) http.Handler {
	t.Helper()
	s := servers.Olareg(t, servers.Options{Auth: servers.None, Delete: true})
	address, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(transport.CloseIdleConnections)
	return &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(address)
			p.Out.Header.Del("Authorization")
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
}

// tokenFront is a registry that issues bearer tokens for a user name and password,
// as most do, in front of a real one.
type tokenFront struct {
	host     string
	accepts  func(user, password string) error
	reader   func(password string) bool // whether the password may only read; nil: none
	now      func() time.Time
	answers  func(http.ResponseWriter, *http.Request) // adds headers; nil: none
	registry http.Handler

	mu     sync.Mutex
	tokens map[string]grant
}

type grant struct {
	ends     time.Time
	readOnly bool
}

func newTokenFront(t testing.TB, n *Internet, host string, now func() time.Time, accepts func(user, password string) error) *tokenFront {
	t.Helper()
	f := &tokenFront{host: host, accepts: accepts, now: now, registry: backend(t), tokens: map[string]grant{}}
	n.Handle(host, f)
	return f
}

func (f *tokenFront) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v2/token" {
		f.issue(w, r)
		return
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	f.mu.Lock()
	g, known := f.tokens[token]
	f.mu.Unlock()
	if !ok || !known || !f.now().Before(g.ends) {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf("Bearer realm=%q,service=%q", "https://"+f.host+"/v2/token", f.host))
		registryError(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
		return
	}
	if g.readOnly && r.Method != http.MethodGet && r.Method != http.MethodHead {
		registryError(w, http.StatusForbidden, "DENIED", "permission_denied: The token provided does not match expected scopes.")
		return
	}
	if f.answers != nil {
		f.answers(w, r)
	}
	f.registry.ServeHTTP(w, r)
}

func (f *tokenFront) issue(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	if err := f.accepts(user, password); err != nil {
		registryError(w, http.StatusUnauthorized, "UNAUTHORIZED", err.Error())
		return
	}
	token := "front-" + rand.Text()
	f.mu.Lock()
	f.tokens[token] = grant{f.now().Add(5 * time.Minute), f.reader != nil && f.reader(password)}
	f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"token": token, "expires_in": 300})
}

func registryError(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []any{map[string]string{"code": code, "message": message}}})
}

// tokenStore is the tokens that a stand-in gave out, with their ends.
type tokenStore struct {
	mu   sync.Mutex
	ends map[string]time.Time
}

func (s *tokenStore) issue(prefix string, end time.Time) string {
	token := prefix + rand.Text()
	s.add(token, end)
	return token
}

func (s *tokenStore) add(token string, end time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ends == nil {
		s.ends = map[string]time.Time{}
	}
	s.ends[token] = end
}

func (s *tokenStore) check(token string, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	end, known := s.ends[token]
	switch {
	case !known:
		return fmt.Errorf("the token is not known")
	case !now.Before(end):
		return fmt.Errorf("the token has expired")
	}
	return nil
}

func (s *tokenStore) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for token := range s.ends {
		out = append(out, token)
	}
	return out
}
