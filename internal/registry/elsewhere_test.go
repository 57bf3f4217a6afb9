package registry

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// network is a Base that hands each request to the handler of its host and port; a host
// without one refuses connections. It keeps what was asked, with "+" where credentials came.
type network struct {
	hosts map[string]http.HandlerFunc
	fails map[string]error // in place of an answer
	seen  []string
}

func (n *network) RoundTrip(req *http.Request) (*http.Response, error) {
	mark := ""
	if req.Header.Get("Authorization") != "" {
		mark = "+"
	}
	n.seen = append(n.seen, mark+req.Method+" "+req.URL.Scheme+"://"+req.URL.Host+req.URL.Path)
	handler := n.hosts[req.URL.Host]
	if handler == nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		err := n.fails[req.URL.Host]
		if err == nil {
			err = syscall.ECONNREFUSED
		}
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	if req.Body == nil {
		req.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	handler(w, req)
	_ = req.Body.Close()
	resp := w.Result()
	resp.ProtoMajor, resp.Request = 2, req
	return resp, nil
}

// count returns how many requests hold the text.
func (n *network) count(text string) (count int) {
	for _, line := range n.seen {
		if strings.Contains(line, text) {
			count++
		}
	}
	return count
}

// guarded asks for Basic credentials before anything else.
func guarded(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, _, ok := r.BasicAuth(); !ok {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
			return
		}
		next(w, r)
	}
}

// A host that redirects everything, /v2/ as well, is read by following, without
// credentials; it is no registry to log in or push to.
func TestFacade(t *testing.T) {
	content, d := blobOf(10)
	behind := newFakeHandler(t)
	behind.blobs["me/app@"+d.Digest.String()] = content
	behind.manifests["me/app:1"], behind.types["me/app:1"] = []byte(`{"schemaVersion":2}`), "application/vnd.oci.image.manifest.v1+json"
	page := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!DOCTYPE html><title>Sign in</title>")
	}
	for name, test := range map[string]struct {
		behind http.HandlerFunc
		reads  bool
	}{"a registry": {behind.ServeHTTP, true}, "a login page": {page, false}} {
		t.Run(name, func(t *testing.T) {
			n := &network{hosts: map[string]http.HandlerFunc{"real.example": test.behind, "facade.example": func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "https://real.example"+r.URL.Path, http.StatusTemporaryRedirect)
			}}}
			clock := newClock()
			c := New(Options{Host: "facade.example", Base: n, Clock: clock, Auth: account("acme", "hunter22")})
			r := c.Repository("me/app")
			_, _, manifest := r.Manifest(t.Context(), "1")
			_, stat := r.Stat(t.Context(), "1")
			blob, err := r.OpenBlob(t.Context(), d, 0)
			if err == nil {
				_ = blob.Close()
			}
			for i, err := range []error{manifest, stat, err} {
				if (err == nil) != test.reads || err != nil && !usererror.Is(err, usererror.NotARegistry) {
					t.Errorf("reading %d: %v", i, err)
				}
			}
			_, upload := r.Upload(t.Context(), d, nil, &bytesContent{data: content}, nil)
			_, put := r.PutManifest(t.Context(), "1", []byte("{}"), "application/json", Condition{})
			all := []error{r.Login(t.Context()), r.CheckPull(t.Context()), r.StartUpload(t.Context()), r.DeleteTag(t.Context(), "1"), upload, put}
			for i, err := range all {
				if !usererror.Is(err, usererror.NotARegistry) || !strings.Contains(err.Error(), "/v2/ redirects to real.example") {
					t.Errorf("writing %d: %v", i, err)
				}
			}
			if n.count("+") > 0 || n.count("PUT") > 0 || n.count("POST") > 0 || n.count("DELETE") > 0 || clock.Slept() > 0 {
				t.Errorf("after %v of pauses: %q", clock.Slept(), n.seen)
			}
		})
	}
}

// Behind a facade the token that anybody gets is good enough: it is asked for without a
// login, once, and goes to the host that asked for it and to nobody else.
func TestFacadeOfARegistryWithTokens(t *testing.T) {
	content, d := blobOf(10)
	behind := newFakeHandler(t)
	behind.manifests["me/app:1"], behind.types["me/app:1"] = []byte(`{"schemaVersion":2}`), "application/vnd.oci.image.manifest.v1+json"
	n := &network{}
	n.hosts = map[string]http.HandlerFunc{
		"facade.example": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://real.example"+r.URL.Path, http.StatusTemporaryRedirect)
		},
		"real.example": func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Header.Get("Authorization") != "Bearer visitor-0123456789":
				w.Header().Set("WWW-Authenticate", `Bearer realm="https://auth.example/token",service="real",scope="repository:me/app:pull"`)
				w.WriteHeader(http.StatusUnauthorized)
			case strings.Contains(r.URL.Path, "/blobs/"):
				http.Redirect(w, r, "https://storage.example/blob", http.StatusTemporaryRedirect)
			default:
				behind.ServeHTTP(w, r)
			}
		},
		"auth.example": func(w http.ResponseWriter, r *http.Request) {
			if r.FormValue("scope") != "repository:me/app:pull" || r.FormValue("service") != "real" {
				t.Errorf("asked for %s", r.URL.RawQuery)
			}
			_, _ = io.WriteString(w, `{"token":"visitor-0123456789"}`)
		},
		"storage.example": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) },
	}
	c := New(Options{Host: "facade.example", Base: n, Clock: newClock(), Auth: account("acme", "hunter22")})
	r := c.Repository("me/app")
	if _, _, err := r.Manifest(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	blob, err := r.OpenBlob(t.Context(), d, 0)
	if err != nil {
		t.Fatal(err)
	}
	_ = blob.Close()
	if n.count("auth.example") != 1 || n.count("+") != 2 || n.count("+GET https://real.example/") != 2 {
		t.Errorf("%q", n.seen)
	}
	closed := []string{`Bearer realm="https://closed.example/token",service="real"`}
	n.hosts["closed.example"] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }
	for name, values := range map[string][]string{"Basic": {`Basic realm="x"`}, "nothing": nil, "no token": closed} {
		t.Run(name, func(t *testing.T) {
			n.seen = nil
			n.hosts["real.example"] = func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Www-Authenticate"] = values
				w.WriteHeader(http.StatusUnauthorized)
			}
			c := New(Options{Host: "facade.example", Base: n, Clock: newClock(), Auth: account("acme", "hunter22")})
			if _, _, err := c.Repository("me/app").Manifest(t.Context(), "1"); !usererror.Is(err, usererror.NoPullPermission) {
				t.Error(err)
			}
			if n.count("+") != 0 {
				t.Errorf("%q", n.seen)
			}
		})
	}
}

// A Location on another port of the registry's host is tried as it is named, without
// credentials, and then as the registry was reached; plain HTTP never where TLS was reached.
func TestAnotherPortOfTheRegistry(t *testing.T) {
	content, d := blobOf(10)
	for name, test := range map[string]struct {
		location string           // scheme, host and port
		named    http.HandlerFunc // of the port; nil is a failure
		fails    error
		want     string // the port is asked so often
	}{
		"serves":             {"https://registry.example:8443", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) }, nil, "2 of 2"},
		"refuses":            {"https://registry.example:8443", nil, syscall.ECONNREFUSED, "1 of 2"},
		"is silent":          {"https://registry.example:8443", nil, os.ErrDeadlineExceeded, "1 of 2"},
		"wants a login":      {"https://registry.example:8443", guarded(nil), nil, "1 of 2"},
		"plain on a port":    {"http://registry.example:8080", nil, http.ErrSchemeMismatch, "1 of 2"},
		"plain":              {"http://registry.example", nil, nil, "0 of 2"},
		"plain, on its port": {"http://REGISTRY.example:80", nil, nil, "0 of 2"},
		"without the port":   {"https://registry.example", nil, syscall.ECONNREFUSED, "1 of 2"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeHandler(t)
			f.hook = func(w http.ResponseWriter, r *http.Request) bool { return false }
			n := &network{hosts: map[string]http.HandlerFunc{"registry.example:5000": guarded(func(w http.ResponseWriter, r *http.Request) {
				moved := httptest.NewRecorder()
				f.ServeHTTP(moved, r)
				for name, values := range moved.Header() {
					w.Header()[name] = values
				}
				if location := moved.Header().Get("Location"); location != "" {
					w.Header().Set("Location", test.location+location)
				}
				w.WriteHeader(moved.Code)
				_, _ = w.Write(moved.Body.Bytes())
			})}, fails: map[string]error{}}
			_, host, _ := strings.Cut(test.location, "://")
			if test.named != nil {
				n.hosts[host] = test.named
			} else if test.fails != nil {
				n.fails[host] = test.fails
			}
			clock := newClock()
			c := New(Options{Host: "registry.example:5000", Base: n, Clock: clock, Auth: account("acme", "hunter22")})
			r := c.Repository("me/app")
			for range 2 {
				if _, err := r.Upload(t.Context(), d, nil, &bytesContent{data: content}, nil); err != nil {
					t.Fatalf("%v\n%q", err, n.seen)
				}
			}
			asked := n.count("://"+host+"/") - n.count("+PUT https://"+host+"/")
			if got := fmt.Sprintf("%d of 2", asked); got != test.want || n.count("http://") > 0 || clock.Slept() > 0 {
				t.Errorf("%s after %v: %q", got, clock.Slept(), n.seen)
			}
			for _, line := range n.seen {
				if strings.HasPrefix(line, "+") && !strings.Contains(line, "https://registry.example:5000/") {
					t.Errorf("credentials went with %s", line)
				}
			}
		})
	}
}

// Where the registry, asked as it was reached, refuses too, the message names the address
// that came back.
func TestTheAddressThatCameBackIsNamed(t *testing.T) {
	content, d := blobOf(10)
	for name, fails := range map[string]bool{"refused": false, "broken": true} {
		t.Run(name, func(t *testing.T) {
			n := &network{hosts: map[string]http.HandlerFunc{}}
			n.hosts["registry.example:5000"] = func(w http.ResponseWriter, r *http.Request) {
				switch r.Method {
				case http.MethodPost:
					w.Header().Set("Location", "https://registry.example:8443/v2/me/app/blobs/uploads/1")
					w.WriteHeader(http.StatusAccepted)
				case http.MethodPut, http.MethodPatch:
					refuse(w, http.StatusRequestEntityTooLarge, "DENIED", "no uploads here")
				}
			}
			c := New(Options{Host: "registry.example:5000", Clock: newClock(), Base: tripperFunc(func(req *http.Request) (*http.Response, error) {
				if fails && req.URL.Path != "/v2/" && req.Method != http.MethodPost && req.URL.Port() == "5000" {
					_ = req.Body
					return nil, io.ErrUnexpectedEOF
				}
				return n.RoundTrip(req)
			})})
			_, err := c.Repository("me/app").Upload(t.Context(), d, nil, &bytesContent{data: content}, nil)
			if err == nil || !strings.Contains(err.Error(), "it named registry.example:8443, which does not serve us") {
				t.Errorf("%v\n%q", err, n.seen)
			}
		})
	}
}

// A storage that has never answered costs one budget of a first contact, not five minutes
// for each blob; one that dies after it has answered is waited for. The message names it.
func TestDeadStorage(t *testing.T) {
	content, d := blobOf(10)
	for name, test := range map[string]struct {
		answersFirst bool
		least, most  time.Duration
	}{
		"never answered": {false, firstContact / 3, firstContact},
		"dies":           {true, retryBudget / 2, retryBudget + longestPause},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &network{hosts: map[string]http.HandlerFunc{"registry.example": func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path != "/v2/" {
						http.Redirect(w, r, "https://storage.example/"+d.Digest.Hex, http.StatusTemporaryRedirect)
					}
				}}}
				c := New(Options{Host: "registry.example", Base: n})
				r := c.Repository("me/app")
				if test.answersFirst {
					n.hosts["storage.example"] = func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) }
					blob, err := r.OpenBlob(t.Context(), d, 0)
					if err != nil {
						t.Fatal(err)
					}
					_ = blob.Close()
					delete(n.hosts, "storage.example")
				}
				start := time.Now()
				for i := range 3 {
					_, err := r.OpenBlob(t.Context(), d, 0)
					if !usererror.Is(err, usererror.RegistryGaveUp) || !strings.Contains(err.Error(), "storage.example:443: ") {
						t.Errorf("blob %d: %v", i, err)
					}
					if test.answersFirst {
						break
					}
				}
				if took := time.Since(start); took < test.least || took > test.most {
					t.Errorf("took %v, want %v to %v", took, test.least, test.most)
				}
			})
		})
	}
}

// A realm with http:// is called by TLS where the registry was reached by TLS, also on
// loopback, where plain HTTP would be allowed: on the port that it names, then as the
// registry was reached.
func TestRealmIsNeverPlain(t *testing.T) {
	var plain atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		plain.Add(1)
		_, _ = io.WriteString(w, `{"token":"stolen-token"}`)
	}))
	defer other.Close()
	for name, test := range map[string]struct {
		realm  string
		logsIn bool
	}{
		"without the port":          {"http://127.0.0.1/token", true},
		"on a port of its own":      {"http://127.0.0.1:" + port(other.URL) + "/token", true},
		"by another name":           {"http://localhost:" + port(other.URL) + "/token", false},
		"a public host, insecurely": {"http://registry.invalid/token", false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newTLSFake(t)
			f.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/token" {
					if user, password, _ := r.BasicAuth(); user != "acme" || password != "hunter22" {
						w.WriteHeader(http.StatusUnauthorized)
						return true
					}
					_, _ = io.WriteString(w, `{"token":"token-of-the-registry"}`)
					return true
				}
				if r.Header.Get("Authorization") == "Bearer token-of-the-registry" {
					return false
				}
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm=%q,service="x"`, test.realm))
				refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
				return true
			}
			c, _ := f.client(func(o *Options) { o.Roots, o.Auth = f.roots, account("acme", "hunter22") })
			err := c.Repository("me/app").StartUpload(t.Context())
			if (err == nil) != test.logsIn || plain.Load() > 0 {
				t.Errorf("%v, %d requests in plain HTTP", err, plain.Load())
			}
		})
	}
}

func port(url string) string { return url[strings.LastIndexByte(url, ':')+1:] }

// A registry on loopback whose realm is another loopback port, and a registry at an address
// whose realm is that address without the port, are asked there, and get their credentials.
func TestRealmsOfTheRegistry(t *testing.T) {
	t.Run("another port of loopback", func(t *testing.T) {
		tokens := newTokenServer(t, "acme", "hunter22")
		f := newFake(t)
		f.hook = func(w http.ResponseWriter, r *http.Request) bool {
			return tokens.guardAt(w, r, tokens.URL+"/token") // 127.0.0.1, not localhost
		}
		c, _ := f.client(func(o *Options) { o.Auth = account("acme", "hunter22") })
		if err := c.Repository("me/app").StartUpload(t.Context()); err != nil || tokens.exchanges() == 0 {
			t.Errorf("%v, %d tokens", err, tokens.exchanges())
		}
	})
	for name, test := range map[string]struct{ host, realm, at string }{
		"an address, its realm without the port":     {"10.1.2.3:5000", "https://10.1.2.3/token", "10.1.2.3"},
		"the same, and only the registry's port is":  {"10.1.2.3:5000", "https://10.1.2.3/token", "10.1.2.3:5000"},
		"loopback, its realm without the port":       {"127.0.0.1:5000", "https://127.0.0.1/token", "127.0.0.1:5000"},
		"a name at a private address, another there": {"10.1.2.3", "https://10.1.2.4:8443/token", "10.1.2.4:8443"},
	} {
		t.Run(name, func(t *testing.T) {
			n := &network{hosts: map[string]http.HandlerFunc{}}
			n.hosts[test.host] = func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") == "" {
					w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm=%q,service="x"`, test.realm))
					w.WriteHeader(http.StatusUnauthorized)
				}
			}
			registry := n.hosts[test.host]
			n.hosts[test.at] = func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/token" {
					registry(w, r)
					return
				}
				if user, password, _ := r.BasicAuth(); user != "acme" || password != "hunter22" {
					w.WriteHeader(http.StatusUnauthorized)
				}
				_, _ = io.WriteString(w, `{"token":"token-of-the-registry"}`)
			}
			c := New(Options{Host: test.host, Base: n, Clock: newClock(), Auth: account("acme", "hunter22")})
			if err := c.Repository("me/app").Login(t.Context()); err != nil || n.count("+GET https://"+test.at+"/token") != 1 {
				t.Errorf("%v: %q", err, n.seen)
			}
		})
	}
}

// A realm that only looks like the registry, in small letters, gets nothing, and nothing is asked in
// its place.
func TestRealmThatLooksAlike(t *testing.T) {
	for _, realm := range []string{"https://des\u212a.test/token", "http://de\u017fk.test/token", "https://de\u017fk.test:8443/token"} {
		n := &network{hosts: map[string]http.HandlerFunc{"desk.test": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/token" {
				_, _ = io.WriteString(w, `{"token":"token-of-the-registry"}`)
				return
			}
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s",service="x"`, realm))
			w.WriteHeader(http.StatusUnauthorized)
		}}}
		c := New(Options{Host: "desk.test", Base: n, Clock: newClock(), Auth: account("acme", "hunter22")})
		if err := c.Repository("me/app").Login(t.Context()); !usererror.Is(err, usererror.UnsafeRedirect) {
			t.Errorf("%s: %v", realm, err)
		}
		for _, request := range n.seen {
			if strings.Contains(request, "/token") {
				t.Errorf("%s: %q", realm, n.seen)
			}
		}
	}
}

// A public registry's realm at a private address, or on this machine, gets nothing.
func TestRealmsThatAPublicRegistryMustNotName(t *testing.T) {
	for _, realm := range []string{
		"https://127.0.0.1/token", "https://127.0.0.1:5000/token", "https://localhost:5000/token", "https://[::1]/token",
		"https://10.1.2.3/token", "https://192.168.0.1:5000/token", "https://169.254.169.254/token", "https://127.1/token",
		"http://auth.example/token",
	} {
		t.Run(realm, func(t *testing.T) {
			n := &network{hosts: map[string]http.HandlerFunc{"registry.example": func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm=%q,service="x"`, realm))
				w.WriteHeader(http.StatusUnauthorized)
			}}}
			c := New(Options{Host: "registry.example", Base: n, Clock: newClock(), Auth: account("acme", "hunter22")})
			err := c.Repository("me/app").Login(t.Context())
			if !usererror.Is(err, usererror.UnsafeRedirect) || n.count("/token") > 0 || n.count("+") > 0 {
				t.Errorf("%v: %q", err, n.seen)
			}
		})
	}
}
