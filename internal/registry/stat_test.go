package registry

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Registries that refuse in place of saying that something is not there.
func TestRefusalsThatMeanMissing(t *testing.T) {
	const digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	for _, status := range []int{400, 401, 403, 405, 500, 501} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			f := newFake(t)
			put := func(repo, ref string) { f.manifests[repo+":"+ref], f.types[repo+":"+ref] = []byte(`{}`), "x/y" }
			put("a", "there")
			refuses := func(r *http.Request) bool { // reads, and for one repository GETs too
				return strings.Contains(r.URL.Path, "/blobs/sha256") || strings.Contains(r.URL.Path, "/manifests/") &&
					(r.Method == http.MethodHead || strings.HasPrefix(r.URL.Path, "/v2/dark/"))
			}
			f.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if refuses(r) {
					w.WriteHeader(status)
				}
				return refuses(r)
			}
			c, clock := f.client(func(o *Options) { o.RetryBudget = time.Minute })
			a, dark := c.Repository("a"), c.Repository("dark")

			// Without the right to push nothing is known.
			if _, err := a.StatBlob(t.Context(), digest); err == nil || errors.Is(err, ErrNotFound) {
				t.Errorf("unproved: %v", err)
			}
			for _, r := range []*Repository{a, dark} {
				if err := r.StartUpload(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			before := clock.Slept()
			for name, stat := range map[string]func() error{
				"blob":   func() error { _, err := a.StatBlob(t.Context(), digest); return err },
				"digest": func() error { _, err := dark.Stat(t.Context(), digest); return err },
				"tag":    func() error { _, err := a.Stat(t.Context(), "v1"); return err },
			} {
				if err := stat(); !errors.Is(err, ErrNotFound) || errors.Is(err, ErrUnclear) {
					t.Errorf("%s: %v", name, err)
				}
			}
			if d, err := a.Stat(t.Context(), "there"); err != nil || d.Size != 2 {
				t.Errorf("a tag that is there: %v, %v", d, err)
			}
			if _, err := dark.Stat(t.Context(), "v1"); !errors.Is(err, ErrUnclear) || errors.Is(err, ErrNotFound) {
				t.Errorf("a tag that nobody can read: %v", err)
			}
			if waited := clock.Slept() - before; waited > 15*time.Second {
				t.Errorf("it took %v", waited)
			}
		})
	}
}

// HEAD says 200 whatever is there: what no manifest and no blob is answered with is asked
// for by GET. What is gone is not there.
func TestHeadThatSaysYes(t *testing.T) {
	const digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	for name, test := range map[string]struct {
		head, get   int
		unsized     bool
		contentType string
		body        string // of GET
		blob        bool   // is there
		manifest    string // part of the error
	}{
		"nothing at all":   {200, 200, false, "application/octet-stream", "", false, "has the digest"},
		"unsized":          {200, 200, true, "application/octet-stream", "", false, "has the digest"},
		"unsized, there":   {200, 206, true, "application/octet-stream", "x", true, "has the digest"},
		"a page":           {200, 200, false, "text/html; charset=utf-8", "<html>Not here</html>", false, "has the digest"},
		"only GET tells":   {200, 404, false, "", "", false, "not found"},
		"gone":             {410, 410, false, "", "", false, "not found"},
		"no size to HEAD":  {200, 206, false, "application/octet-stream", "x", true, "has the digest"},
		"no range, either": {200, 200, false, "application/octet-stream", "xyz", true, "has the digest"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, digest) {
					return false
				}
				w.Header().Set("Content-Type", test.contentType)
				if r.Method == http.MethodHead {
					if !test.unsized {
						w.Header().Set("Content-Length", "0")
					}
					w.WriteHeader(test.head)
					return true
				}
				w.WriteHeader(test.get)
				_, _ = io.WriteString(w, test.body)
				return true
			}
			c, _ := f.client(nil)
			size, err := c.Repository("a").StatBlob(t.Context(), digest)
			if test.blob && (size != -1 || err != nil) || !test.blob && !errors.Is(err, ErrNotFound) {
				t.Errorf("StatBlob: %d, %v", size, err)
			}
			_, err = c.Repository("a").Stat(t.Context(), digest)
			if err == nil || errors.Is(err, ErrNotFound) != (test.manifest == "not found") ||
				test.manifest != "not found" && !strings.Contains(err.Error(), test.manifest) {
				t.Errorf("Stat: %v", err)
			}
		})
	}
}

// What is asked while the permission is being proved waits for that.
func TestRefusalWhileThePermissionIsProved(t *testing.T) {
	for _, allowed := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeHandler(t)
			f.hook = func(w http.ResponseWriter, r *http.Request) bool {
				switch r.Method {
				case http.MethodHead:
					w.WriteHeader(http.StatusForbidden)
					return true
				case http.MethodPost:
					time.Sleep(time.Second)
					if !allowed {
						w.WriteHeader(http.StatusForbidden)
					}
					return !allowed
				}
				return false
			}
			c := New(Options{Host: "registry.example", Base: handlerTripper{f}})
			proved := make(chan error)
			go func() {
				err := c.Repository("a").StartUpload(t.Context())
				c.Repository("a").CancelUploads()
				proved <- err
			}()
			synctest.Wait()
			_, err := c.Repository("a").StatBlob(t.Context(), "sha256:"+strings.Repeat("0", 64))
			if want := map[bool]error{true: ErrNotFound, false: ErrUnclear}[allowed]; !errors.Is(err, want) {
				t.Errorf("allowed %t: %v", allowed, err)
			}
			if err := <-proved; (err == nil) != allowed {
				t.Error(err)
			}
			c.Close()
		})
	}
}

// HEAD says 404 whatever is there: Nexus, known by its name or by what we wrote.
func TestHeadThatLies(t *testing.T) {
	for name, test := range map[string]struct {
		server string
		write  bool
		lies   bool
		heads  int // of three questions
		gets   int
	}{
		"by its name":                  {server: "Nexus/3.68.0-04 (OSS)", lies: true, heads: 1, gets: 3},
		"by what we wrote":             {write: true, lies: true, heads: 1, gets: 3},
		"a good one":                   {heads: 3, gets: 0},
		"what is shown late":           {write: true, heads: 3, gets: 1},
		"one of that name, a liar not": {server: "Nexus/4", heads: 3, gets: 3},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			if test.lies {
				f.manifests["a:v1"], f.types["a:v1"] = []byte(`{}`), "x/y"
			}
			f.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if test.server != "" {
					w.Header().Set("Server", test.server)
				}
				if r.Method == http.MethodHead {
					refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
				}
				return r.Method == http.MethodHead
			}
			c, _ := f.client(nil)
			r := c.Repository("a")
			if test.write {
				if _, err := r.PutManifest(t.Context(), "v1", []byte("{}"), "x/y", Condition{}); err != nil {
					t.Fatal(err)
				}
				if !test.lies {
					clear(f.manifests)
				}
			}
			for range 3 {
				if _, err := r.Stat(t.Context(), "v1"); test.lies && err != nil || !test.lies && !errors.Is(err, ErrNotFound) {
					t.Error(err)
				}
			}
			heads, gets := f.requests("HEAD"), f.requests("GET /v2/a/")
			if heads != test.heads || gets != test.gets {
				t.Errorf("%d HEADs, %d GETs, want %d and %d", heads, gets, test.heads, test.gets)
			}
		})
	}
}

// A blob's HEAD that leads elsewhere: within the host it is followed; a storage may not
// sign HEAD, but may know that the blob is not there.
func TestBlobElsewhere(t *testing.T) {
	const (
		storage = "https://storage.example/x"
		html    = "text/html; charset=utf-8"
	)
	get := func(status int, header ...string) map[string]*http.Response {
		return map[string]*http.Response{"HEAD storage.example/x": answerWith(403), "GET storage.example/x": answerWith(status, header...)}
	}
	for name, test := range map[string]struct {
		location string
		answers  map[string]*http.Response
		there    bool
		requests int // besides the one that is redirected
	}{
		"there":                       {storage, map[string]*http.Response{"HEAD storage.example/x": answerWith(200)}, true, 1},
		"gone":                        {storage, map[string]*http.Response{"HEAD storage.example/x": answerWith(404)}, false, 1},
		"410":                         {storage, map[string]*http.Response{"HEAD storage.example/x": answerWith(410)}, false, 1},
		"a login page":                {storage, map[string]*http.Response{"HEAD storage.example/x": answerWith(200, "Content-Type", html)}, false, 1},
		"silent":                      {storage, map[string]*http.Response{"HEAD storage.example/x": answerWith(503)}, true, 1},
		"signed for GET":              {storage, get(206), true, 2},
		"signed for GET, all of it":   {storage, get(200), true, 2},
		"signed for GET, gone":        {storage, get(404), false, 2},
		"signed for GET, 410":         {storage, get(410), false, 2},
		"signed for GET, a page":      {storage, get(200, "Content-Type", html), false, 2},
		"signed for neither":          {storage, get(403), true, 2},
		"within the host":             {"/other", map[string]*http.Response{"HEAD mini.test/other": answerWith(200)}, true, 1},
		"within the host, gone":       {"/other", map[string]*http.Response{"HEAD mini.test/other": answerWith(404)}, false, 1},
		"within the host, a page":     {"/login", map[string]*http.Response{"HEAD mini.test/login": answerWith(200, "Content-Type", html)}, false, 1},
		"a place where we do not go":  {"http://169.254.169.254/x", nil, true, 0},
		"within the host, then there": {"/other", map[string]*http.Response{"HEAD mini.test/other": answerWith(307, "Location", storage), "HEAD storage.example/x": answerWith(404)}, false, 2},
	} {
		t.Run(name, func(t *testing.T) {
			net := &answers{}
			net.answer = func(req *http.Request) *http.Response {
				switch at := req.Method + " " + req.URL.Host + req.URL.Path; {
				case req.URL.Path == "/v2/":
					return answerWith(200)
				case strings.HasPrefix(at, "HEAD mini.test/v2/a/blobs/"):
					return answerWith(307, "Location", test.location)
				case test.answers[at] != nil:
					return test.answers[at]
				default:
					t.Errorf("asked %s", at)
					return answerWith(500)
				}
			}
			c := New(Options{Host: "mini.test", Base: net, Clock: newClock()})
			_, err := c.Repository("a").StatBlob(t.Context(), "sha256:"+strings.Repeat("0", 64))
			if test.there && err != nil || !test.there && !errors.Is(err, ErrNotFound) {
				t.Errorf("StatBlob: %v", err)
			}
			if n := len(net.seen) - 2; n != test.requests {
				t.Errorf("%d requests more, want %d: %v", n, test.requests, net.seen)
			}
		})
	}
}
