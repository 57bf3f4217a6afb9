package leak

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// network is a world of hosts in memory. It keeps every request, as it would have gone
// over the wire.
type network struct {
	hosts map[string]http.Handler
	sees  map[string][]canary // which secrets a host may be sent

	mu    sync.Mutex
	first func() // called at the first request, once
	seen  map[string][]string
}

func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	body := []byte(nil)
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil {
			return nil, err
		}
	}
	head, err := httputil.DumpRequest(r, false)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	if n.first != nil {
		n.first()
		n.first = nil
	}
	if n.seen == nil {
		n.seen = map[string][]string{}
	}
	place := r.URL.Host
	if r.URL.Scheme != "https" { // nobody is to see anything in clear
		place = r.URL.Scheme + "://" + place
	}
	n.seen[place] = append(n.seen[place], r.URL.String()+"\n"+string(head)+string(body[:min(len(body), 1<<16)]))
	n.mu.Unlock()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	handler, ok := n.hosts[r.URL.Host]
	if !ok {
		return nil, fmt.Errorf("dial tcp: lookup %s: no such host", r.URL.Host)
	}
	inside := r.Clone(r.Context())
	inside.Body = io.NopCloser(bytes.NewReader(body))
	inside.RequestURI = r.URL.RequestURI()
	inside.Host = r.URL.Host
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, inside)
	response := w.Result()
	response.Request = r
	return response, nil
}

// misdirected says which secrets went to hosts that must not see them.
func (n *network) misdirected(all []canary) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var found []string
	for host, requests := range n.seen {
		var secret []canary
		for _, c := range all {
			allowed := false
			for _, s := range n.sees[host] {
				allowed = allowed || s == c
			}
			if !allowed {
				secret = append(secret, c)
			}
		}
		for _, r := range requests {
			for _, l := range leaks(r, secret) {
				found = append(found, host+" was sent "+l)
			}
		}
	}
	return found
}

func (n *network) requests(host string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.seen[host])
}

// plainRegistry is a real registry in memory, open to everybody.
func plainRegistry() http.Handler { return registry.New(registry.Logger(quiet)) }

// locked lets requests with the right user and password through and tells everybody else
// what they sent, as some servers' debug pages do.
func locked(c canary, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Line ends behind a secret are dropped: files and password managers add them.
		if user, pass, _ := r.BasicAuth(); user == c.user && pass == strings.TrimRight(c.value, "\r\n") {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
		echo(w, r, http.StatusUnauthorized)
	})
}

// echo answers with everything that the request said, decoded and not.
func echo(w http.ResponseWriter, r *http.Request, status int) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	said := []string{r.URL.String(), r.Header.Get("Authorization"), string(body)}
	if user, pass, ok := r.BasicAuth(); ok {
		said = append(said, user+" "+pass, base64.URLEncoding.EncodeToString([]byte(user+":"+pass)), fmt.Sprintf("%q", pass), strings.ReplaceAll(pass, "/", `\/`))
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Debug", strings.Join(strings.Fields(strings.Join(said, " ")), " "))
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"errors":[{"code":"DENIED","message":%q,"detail":%q}]}`, strings.Join(said, " | "), said)
}

// tokenAuth refuses requests without the bearer token and names realm as where to buy it.
func tokenAuth(realm string, token canary, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer "+token.value {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+realm+`",service="registry",scope="repository:me/app:pull,push"`)
		echo(w, r, http.StatusUnauthorized)
	})
}

// answer is a handler that says one thing.
func answer(status int, body string, headers ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

// on takes one kind of request out of a handler's hands.
func on(method, part string, special, rest http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if (method == "" || r.Method == method) && strings.Contains(r.URL.Path, part) {
			special.ServeHTTP(w, r)
			return
		}
		rest.ServeHTTP(w, r)
	})
}

var echoing = func(status int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { echo(w, r, status) })
}

// recorder is a buffer that may be read while it is written.
type recorder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(p)
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

func quoted(s string) string { return strconv.Quote(s) }

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := writeAll(path, text); err != nil {
		t.Fatal(err)
	}
}
