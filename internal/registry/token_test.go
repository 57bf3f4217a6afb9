package registry

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

func TestLoginWithTokens(t *testing.T) {
	tokens := newTokenServer(t, "acme", "pass word")
	f := newFake(t)
	f.hook = tokens.guard
	var mu sync.Mutex
	forms := map[string]bool{}
	redactor := redact.NewRedactor(func(form string) {
		mu.Lock()
		defer mu.Unlock()
		forms[form] = true
	})
	c, _ := f.client(func(o *Options) {
		o.Redactor = redactor
		o.Auth = account("acme", "pass word")
	})
	f.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
			mu.Lock()
			if !forms[token] {
				t.Errorf("token %s was used before it was masked", token)
			}
			mu.Unlock()
		}
		return tokens.guard(w, r)
	}
	r := c.Repository("me/app")
	if err := r.Login(t.Context()); err != nil {
		t.Fatal(err)
	}
	if header := base64.StdEncoding.EncodeToString([]byte("acme:pass word")); !forms[header] || !forms["pass word"] {
		t.Error("the account was not masked")
	}
	if err := r.StartUpload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.StatBlob(t.Context(), "sha256:"+strings.Repeat("0", 64)); err == nil {
		t.Fatal("a blob out of nowhere")
	}
	if got := tokens.exchanges(); got != 1 {
		t.Errorf("%d tokens were given, want 1: %v", got, tokens.scopes)
	}
	if want := []string{"repository:me/app:pull,push"}; !slices.Equal(tokens.scopes[0], want) {
		t.Errorf("scopes %v, want %v", tokens.scopes[0], want)
	}
	closePatiently(c)
	if len(f.sessions) != 0 {
		t.Error("StartUpload left an upload open")
	}
}

func TestTokenScopes(t *testing.T) {
	tokens := newTokenServer(t, "", "")
	f := newFake(t)
	f.hook = tokens.guard
	c, _ := f.client(nil)
	if _, err := c.Repository("lib/base").StatBlob(t.Context(), "sha256:"+strings.Repeat("0", 64)); err == nil {
		t.Fatal("a blob out of nowhere")
	}
	data, d := blobOf(10)
	if _, err := c.Repository("me/app").Upload(t.Context(), d, []string{"lib/base"}, &bytesContent{data: data}, nil); err != nil {
		t.Fatal(err)
	}
	want := [][]string{
		{"repository:lib/base:pull"},
		{"repository:me/app:pull,push", "repository:lib/base:pull"}, // serves the upload, too
	}
	if fmt.Sprint(tokens.scopes) != fmt.Sprint(want) {
		t.Errorf("scopes %v, want %v", tokens.scopes, want)
	}
}

func TestWrongPassword(t *testing.T) {
	for _, scheme := range []string{"basic", "bearer"} {
		t.Run(scheme, func(t *testing.T) {
			tokens := newTokenServer(t, "acme", "right")
			f := newFake(t)
			f.hook = tokens.guard
			if scheme == "basic" {
				f.hook = func(w http.ResponseWriter, r *http.Request) bool {
					if user, password, _ := r.BasicAuth(); user == "acme" && password == "right" {
						return false
					}
					w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
					refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
					return true
				}
			}
			c, clock := f.client(func(o *Options) { o.Auth = account("acme", "wrong-canary") })
			err := c.Repository("me/app").Login(t.Context())
			if !usererror.Is(err, usererror.WrongCredentials) || !strings.Contains(err.Error(), f.host()+"/me/app") {
				t.Errorf("Login: %v", err)
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("the error shows the password: %v", err)
			}
			if clock.Slept() != 0 {
				t.Error("a refusal was tried again")
			}
			c, _ = f.client(func(o *Options) { o.Auth = account("acme", "right") })
			if err := c.Repository("me/app").Login(t.Context()); err != nil {
				t.Errorf("Login with the right password: %v", err)
			}
		})
	}
}

// Some answer 403 to whoever sends no password, and ask for none. Nobody is said to lack
// a right whose password was not even sent.
func TestLoginAskedForBy403(t *testing.T) {
	f := newFake(t)
	f.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if user, password, _ := r.BasicAuth(); user == "acme" && password == "right" {
			return false
		}
		refuse(w, http.StatusForbidden, "DENIED", "access denied")
		return true
	}
	for name, test := range map[string]struct {
		auth  authn.AuthConfig
		posts int
		code  usererror.Code
	}{
		"right":  {authn.AuthConfig{Username: "acme", Password: "right"}, 2, ""},
		"wrong":  {authn.AuthConfig{Username: "acme", Password: "wrong"}, 2, usererror.NoPushPermission},
		"nobody": {authn.AuthConfig{}, 1, usererror.NoPushPermission},
	} {
		c, _ := f.client(func(o *Options) {
			o.Auth = func(string) authn.Authenticator { return authn.FromConfig(test.auth) }
		})
		before := f.requests("POST")
		err := c.Repository("me/app").StartUpload(t.Context())
		if test.code == "" && err != nil || test.code != "" && !usererror.Is(err, test.code) || f.requests("POST")-before != test.posts {
			t.Errorf("%s: %v after %d requests", name, err, f.requests("POST")-before)
		}
	}
}

// Where a registry takes user name and password as they are, a read that is refused tells
// a wrong password from a repository that the account may not read: by the API's root.
func TestReadWithWrongPassword(t *testing.T) {
	refusing(t, false, usererror.NoPullPermission, func(r *Repository) error {
		_, err := r.Stat(t.Context(), "1")
		return err
	})
}

// Where the API's root asks nobody for a password, a push that is refused tells the same.
func TestPushWithWrongPassword(t *testing.T) {
	refusing(t, true, usererror.NoPushPermission, func(r *Repository) error {
		if err := r.Login(t.Context()); err != nil {
			t.Errorf("Login: %v", err)
		}
		return r.StartUpload(t.Context())
	})
}

// refusing tries do at a registry that refuses all but the API's root, which takes one password, and
// no password as well if it is open: a wrong one is told from a right that lacks.
func refusing(t *testing.T, open bool, lacks usererror.Code, do func(*Repository) error) {
	t.Helper()
	f := newFake(t)
	f.hook = func(w http.ResponseWriter, r *http.Request) bool {
		user, password, given := r.BasicAuth()
		if r.URL.Path == "/v2/" && (user == "acme" && password == "right" || open && !given) {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
		return true
	}
	for name, test := range map[string]struct {
		auth authn.AuthConfig
		code usererror.Code
	}{
		"wrong":  {authn.AuthConfig{Username: "acme", Password: "wrong"}, usererror.WrongCredentials},
		"right":  {authn.AuthConfig{Username: "acme", Password: "right"}, lacks},
		"nobody": {authn.AuthConfig{}, lacks},
	} {
		c, _ := f.client(func(o *Options) {
			o.Auth = func(string) authn.Authenticator { return authn.FromConfig(test.auth) }
		})
		if err := do(c.Repository("me/app")); !usererror.Is(err, test.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A token dies in the middle of a run, whatever its server said of its life.
func TestTokenExpires(t *testing.T) {
	tokens := newTokenServer(t, "acme", "p")
	f := newFake(t)
	f.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && tokens.exchanges() == 1 { // it dies as the upload's body arrives
			_, _ = io.Copy(io.Discard, r.Body) // an answer before its end may be lost with the connection
			tokens.mu.Lock()
			tokens.revoke[tokens.issued[0]] = true
			tokens.mu.Unlock()
		}
		return tokens.guard(w, r)
	}
	c, _ := f.client(func(o *Options) { o.Auth = account("acme", "p") })
	data, d := blobOf(2 << 20)
	var p sum
	how, err := c.Repository("me/app").Upload(t.Context(), d, nil, &bytesContent{data: data}, &p)
	if err != nil || how != Uploaded || !bytes.Equal(f.blobs["me/app@"+d.Digest.String()], data) {
		t.Fatalf("Upload: %v, %v", how, err)
	}
	if p.n.Load() != d.Size || tokens.exchanges() != 2 || c.Stats().Retries != 0 {
		t.Errorf("progress %d, %d tokens, %d retries", p.n.Load(), tokens.exchanges(), c.Stats().Retries)
	}
}

// Some token services write the seconds as text, or as a fraction.
func TestTokenRenewedBeforeItExpires(t *testing.T) {
	for _, seconds := range []any{300, "300", 300.25, "300.25"} {
		t.Run(fmt.Sprintf("%T %v", seconds, seconds), func(t *testing.T) { renewedInTime(t, seconds) })
	}
}

func renewedInTime(t *testing.T, seconds any) {
	tokens := newTokenServer(t, "acme", "p")
	tokens.expiresIn = seconds
	f := newFake(t)
	f.hook = tokens.guard
	c, clock := f.client(func(o *Options) { o.Auth = account("acme", "p") })
	r := c.Repository("me/app")
	for i, step := range []struct {
		wait  time.Duration
		given int
	}{{0, 1}, {250 * time.Second, 1}, {30 * time.Second, 2}, {30 * time.Second, 2}} {
		if err := clock.Sleep(t.Context(), step.wait); err != nil {
			t.Fatal(err)
		}
		if err := r.StartUpload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := tokens.exchanges(); got != step.given {
			t.Errorf("step %d: %d tokens, want %d", i, got, step.given)
		}
	}
}

func TestTokenBoughtOnce(t *testing.T) {
	tokens := newTokenServer(t, "acme", "p")
	f := newFake(t)
	f.hook = tokens.guard
	c, _ := f.client(func(o *Options) { o.Auth = account("acme", "p") })
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := c.Repository("me/app").Login(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if tokens.exchanges() != 1 || f.requests("GET /v2/") != 1 {
		t.Errorf("%d tokens, %d probes, want one of each", tokens.exchanges(), f.requests("GET /v2/"))
	}
}

// One question tells whether user and password are right, for all repositories of a host;
// another account of that host is asked for by itself.
func TestBasicLoginAskedOnce(t *testing.T) {
	for name, atOnce := range map[string]bool{"at once": true, "one after the other": false} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			var asked sync.Map // headers, with how often
			f.hook = func(w http.ResponseWriter, r *http.Request) bool {
				user, _, ok := r.BasicAuth()
				if ok && r.URL.Path == "/v2/" {
					count, _ := asked.LoadOrStore(user, new(atomic.Int64))
					count.(*atomic.Int64).Add(1)
				}
				if user == "one" || user == "two" {
					return false
				}
				w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
				refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
				return true
			}
			c, _ := f.client(func(o *Options) {
				o.Auth = func(repository string) authn.Authenticator {
					user, _, _ := strings.Cut(repository, "/")
					return authn.FromConfig(authn.AuthConfig{Username: user, Password: "p"})
				}
			})
			var all sync.WaitGroup
			for _, repository := range []string{"one/a", "one/b", "one/c", "two/a", "two/b", "three/a", "three/b"} {
				all.Go(func() {
					err := c.Repository(repository).Login(t.Context())
					wrong := usererror.Is(err, usererror.WrongCredentials) && strings.Contains(err.Error(), repository)
					if (err != nil) != strings.HasPrefix(repository, "three") || err != nil && !wrong {
						t.Errorf("%s: %v", repository, err)
					}
				})
				if !atOnce {
					all.Wait()
				}
			}
			all.Wait()
			for _, user := range []string{"one", "two", "three"} {
				if count, ok := asked.Load(user); !ok || count.(*atomic.Int64).Load() != 1 {
					t.Errorf("%s was asked for %v times", user, count)
				}
			}
		})
	}
}

// Cancelling an upload wants a right of its own in Distribution. Lacking it fails
// nothing and costs the token for writing nothing.
func TestCancelWithoutTheRight(t *testing.T) {
	tokens := newTokenServer(t, "acme", "p")
	f := newFake(t)
	f.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodDelete {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm=%q,service="fake",scope="repository:me/app:delete"`, tokens.realm()))
			refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "insufficient scope")
			return true
		}
		return tokens.guard(w, r)
	}
	c, _ := f.client(func(o *Options) { o.Auth = account("acme", "p") })
	r := c.Repository("me/app")
	for range 3 {
		if err := r.StartUpload(t.Context()); err != nil {
			t.Fatal(err)
		}
		closePatiently(c)
	}
	want := [][]string{{"repository:me/app:pull,push"}, {"repository:me/app:delete", "repository:me/app:pull,push"}}
	if fmt.Sprint(tokens.scopes) != fmt.Sprint(want) {
		t.Errorf("scopes %v, want %v", tokens.scopes, want)
	}
	if n := f.requests("DELETE"); n != 2 {
		t.Errorf("%d DELETEs, want 2", n)
	}
}

func TestTokenServerSaysNothingUseful(t *testing.T) {
	for name, answer := range map[string]string{
		"no token":  `{"unexpected_secret":"canary-in-the-answer"}`,
		"not json":  `canary-in-the-answer`,
		"too large": `{"token":"` + strings.Repeat("canary-in-the-answer", 10000) + `"}`,
		"empty":     ``,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/token" {
					_, _ = w.Write([]byte(answer))
					return true
				}
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="x"`, f.host()))
				refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
				return true
			}
			c, _ := f.client(func(o *Options) { o.Auth = account("acme", "p") })
			err := c.Repository("me/app").Login(t.Context())
			if err == nil || strings.Contains(err.Error(), "canary") || len(err.Error()) > 1000 {
				t.Errorf("Login: %v", err)
			}
		})
	}
}

// A token service that is none, or that does not know this registry, is said as what it
// is: nobody's password is wrong for that, and nothing is missing.
func TestTokenServiceThatIsNone(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"not there":         {404, "404 page not found", "answered 404 Not Found: 404 page not found"},
		"method":            {405, "", "answered 405 Method Not Allowed"},
		"gone":              {410, `{"errors":[{"code":"GONE","message":"moved"}]}`, "answered 410 GONE: moved"},
		"not made":          {501, "", "answered 501 Not Implemented"},
		"a page":            {200, " <!DOCTYPE html><title>Sign in</title>", "answered with a page of HTML, not a token"},
		"a page for a 404":  {404, "<html>canary</html>", "answered 404 Not Found"},
		"neither":           {200, "canary", "answered with something that is no JSON"},
		"nothing":           {204, "", "answered with something that is no JSON"},
		"without a token":   {200, `{"access":"canary"}`, "answered without a token"},
		"what is no secret": {200, `{"token":"a b"}`, "answered something that is no token"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/token" {
					w.WriteHeader(test.status)
					_, _ = io.WriteString(w, test.body)
					return true
				}
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="x"`, f.host()))
				refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
				return true
			}
			for _, config := range []authn.AuthConfig{{}, {Username: "acme", Password: "p"}, {IdentityToken: "identity"}} {
				c, clock := f.client(func(o *Options) {
					o.Auth = func(string) authn.Authenticator { return authn.FromConfig(config) }
				})
				r := c.Repository("me/app")
				_, stat := r.Stat(t.Context(), "latest")
				_, blob := r.StatBlob(t.Context(), "sha256:"+strings.Repeat("0", 64))
				_, put := r.PutManifest(t.Context(), "latest", []byte("{}"), "application/json", Condition{})
				all := []error{r.Login(t.Context()), r.CheckPull(t.Context()), r.StartUpload(t.Context()), stat, blob, put}
				for i, err := range all {
					want := "the token service at " + f.host() + " " + test.want
					if !usererror.Is(err, usererror.RegistryRefused) || !strings.Contains(fmt.Sprint(err), want) ||
						strings.Contains(fmt.Sprint(err), "canary") {
						t.Errorf("%d: %v", i, err)
					}
					if errors.Is(err, ErrNotFound) || errors.Is(err, ErrUnclear) {
						t.Errorf("%d: %v says something of what is there", i, err)
					}
				}
				if clock.Slept() != 0 {
					t.Error("it was tried again")
				}
			}
		})
	}
}

// Credentials go to the registry and the realm of its 401, and nowhere else.
func TestCredentialsDoNotFollow(t *testing.T) {
	const canary = "canary-password"
	var seen []string
	var mu sync.Mutex
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		_ = r.ParseForm()
		seen = append(seen, fmt.Sprintf("%s %s %v %v %v", r.Method, r.URL, r.Header, r.Form, r.TransferEncoding))
		w.WriteHeader(http.StatusTeapot)
	}))
	defer elsewhere.Close()

	tokens := newTokenServer(t, "acme", canary)
	for name, hook := range map[string]func(f *fake, w http.ResponseWriter, r *http.Request) bool{
		"redirect of a manifest": func(f *fake, w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/manifests/") {
				http.Redirect(w, r, elsewhere.URL+"/there", http.StatusFound)
				return true
			}
			return tokens.guard(w, r)
		},
		"redirect of a blob": func(f *fake, w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/blobs/sha256") {
				http.Redirect(w, r, elsewhere.URL+"/there", http.StatusTemporaryRedirect)
				return true
			}
			return tokens.guard(w, r)
		},
		"Location of an upload": func(f *fake, w http.ResponseWriter, r *http.Request) bool {
			if tokens.guard(w, r) {
				return true
			}
			if r.Method == http.MethodPost {
				w.Header().Set("Location", elsewhere.URL+"/there")
				w.WriteHeader(http.StatusAccepted)
				return true
			}
			return false
		},
		"redirect of the token server": func(f *fake, w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/token" {
				http.Redirect(w, r, elsewhere.URL+"/there", http.StatusTemporaryRedirect)
				return true
			}
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="x"`, f.host()))
			refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
			return true
		},
	} {
		for kind, auth := range map[string]authn.AuthConfig{
			"password":       {Username: "acme", Password: canary},
			"identity token": {IdentityToken: canary},
		} {
			if kind == "identity token" && name != "redirect of the token server" {
				continue
			}
			t.Run(name+"/"+kind, func(t *testing.T) {
				seen = nil
				f := newFake(t)
				f.hook = func(w http.ResponseWriter, r *http.Request) bool { return hook(f, w, r) }
				c, _ := f.client(func(o *Options) {
					o.Auth = func(string) authn.Authenticator { return authn.FromConfig(auth) }
				})
				r := c.Repository("me/app")
				data, d := blobOf(10)
				_, _, err1 := r.Manifest(t.Context(), "latest")
				_, err2 := r.OpenBlob(t.Context(), d, 0)
				_, err3 := r.Upload(t.Context(), d, nil, &bytesContent{data: data}, nil)
				if err1 == nil || err2 == nil {
					t.Errorf("something came of it: %v, %v, %v", err1, err2, err3)
				}
				mu.Lock()
				defer mu.Unlock()
				if !strings.HasPrefix(name, "redirect of the token") && len(seen) == 0 {
					t.Error("the other host was not asked at all: the test shows nothing")
				}
				for _, line := range seen {
					if strings.Contains(line, "Authorization") || strings.Contains(line, canary) || strings.Contains(line, "token-") {
						t.Errorf("another host saw %s", line)
					}
				}
			})
		}
	}
}
