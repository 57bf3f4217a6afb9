package light_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/app"
	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/light"
)

// How many round trips a run takes, counted: the whole program in virtual time, where nothing
// but distance takes any.

// trip is how far away every registry is.
const trip = 100 * time.Millisecond

// far is a network of registries that are one round trip away and speak HTTP/2.
type far struct {
	hosts map[string]http.Handler
	admit func(r *http.Request, body []byte) int // a status in place of an answer, unless 0; nil admits all
	// secured makes a connection take two round trips, for TCP and TLS, and registries want tokens
	// of a service on another host. Else connections take no time, and nobody has to log in.
	secured bool
	role    string // with which ECR is logged in to

	mu        sync.Mutex
	uploads   map[string]*uploads // by host
	requests  map[string][]string // by host: when and what
	connected map[string]bool     // hosts to which there is a connection
	start     time.Time
}

// tokenService issues tokens to whoever asks for them over a connection of its own, as clients
// of several registries do.
const tokenService = "tokens.test"

// connect waits for a connection to a host. One is enough: whoever asks a registry for anything
// has waited for the answer to the first question.
func (f *far) connect(ctx context.Context, name string) error {
	f.mu.Lock()
	first := !f.connected[name] || name == tokenService || name == idTokens
	f.connected[name] = true
	f.mu.Unlock()
	if !f.secured || !first {
		return nil
	}
	return wait(ctx, 2*trip)
}

// guarded answers requests without a token for what they want with 401.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		need := "pull"
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			need = "push"
		}
		scope, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer repository.app.")
		if r.URL.Path == "/v2/" || !ok || !strings.Contains(scope, need) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="https://`+tokenService+`/token",service="light"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// issue is the token service: a token is its scope, in characters that tokens have.
func issue(w http.ResponseWriter, r *http.Request) {
	if user, password, ok := r.BasicAuth(); !ok || user != "me" || password != "the-password" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"token":%q,"expires_in":300}`, strings.NewReplacer(":", ".", ",", ".").Replace(r.URL.Query().Get("scope")))
}

func (f *far) RoundTrip(r *http.Request) (*http.Response, error) {
	name := strings.TrimSuffix(r.URL.Host, ":443")
	host := f.hosts[name]
	if host == nil {
		return nil, fmt.Errorf("there is no %s here", r.URL.Host)
	}
	if err := f.connect(r.Context(), name); err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.requests[name] = append(f.requests[name], fmt.Sprintf("%4.1f %s %s", float64(time.Since(f.start))/float64(trip), r.Method, r.URL.Path))
	f.mu.Unlock()
	if strings.Contains(r.URL.Path, "/blobs/uploads/") {
		defer f.upload(name, r.Method)()
	}
	if err := wait(r.Context(), trip/2); err != nil {
		return nil, err
	}
	var body []byte
	if r.Body != nil {
		read, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil {
			return nil, err
		}
		body = read
	}
	served := r.Clone(r.Context())
	served.Body = io.NopCloser(bytes.NewReader(body))
	w := httptest.NewRecorder()
	refused := 0
	if f.admit != nil {
		refused = f.admit(r, body)
	}
	if refused != 0 {
		w.WriteHeader(refused)
	} else {
		host.ServeHTTP(w, served)
	}
	if err := wait(r.Context(), trip/2); err != nil {
		return nil, err
	}
	answer := w.Result()
	answer.Proto, answer.ProtoMajor, answer.ProtoMinor = "HTTP/2.0", 2, 0
	answer.Request = r
	return answer, nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// publish runs the whole program and returns how many round trips it took.
func (f *far) publish(t *testing.T, definition []byte, from string, inputs ...string) float64 {
	t.Helper()
	f.uploads = map[string]*uploads{}
	for name := range f.hosts {
		f.uploads[name] = &uploads{}
	}
	f.requests, f.connected, f.start = map[string][]string{}, map[string]bool{}, time.Now()
	var auth strings.Builder
	var tags []string
	login := "anonymous: true"
	if f.secured {
		login = "username: me\n  password: the-password"
	}
	for _, name := range slices.Sorted(maps.Keys(f.hosts)) {
		switch {
		case name == tokenService, name == idTokens, strings.HasPrefix(name, "sts."), strings.HasPrefix(name, "api.ecr."):
			continue
		case strings.Contains(name, ".dkr.ecr."):
			fmt.Fprintf(&auth, "- registry: %s\n  aws-role: %s\n", name, f.role)
		default:
			fmt.Fprintf(&auth, "- registry: %s\n  %s\n", name, login)
		}
		if name != "source.test" {
			tags = append(tags, name+"/app:1")
		}
	}
	folder := t.TempDir()
	var out bytes.Buffer
	status := app.Main(t.Context(), app.Env{
		Args: append([]string{"--source", from, "--tags", strings.Join(tags, "\n"), "--registry-auth", "-", "--summary", "false"}, inputs...),
		Environ: []string{"HOME=" + folder, "TMPDIR=" + folder, "ACTIONS_ID_TOKEN_REQUEST_URL=https://" + idTokens + "/token?v=1",
			"ACTIONS_ID_TOKEN_REQUEST_TOKEN=the-request-token"}, Stdin: strings.NewReader(auth.String()), Stdout: &out, Stderr: &out,
		Definition: definition, Transport: f,
	})
	took := float64(time.Since(f.start)) / float64(trip)
	if status != 0 {
		t.Fatalf("exit status %d\n%s", status, out.String())
	}
	if testing.Verbose() {
		for _, name := range slices.Sorted(maps.Keys(f.requests)) {
			t.Logf("%s\n%s", name, strings.Join(f.requests[name], "\n"))
		}
	}
	return took
}

func TestRoundTrips(t *testing.T) {
	definition, err := os.ReadFile("../../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	small := images.Build(images.Options{Layers: 12, Shared: -1, LayerBytes: 20 << 10, NoAttestations: true})
	if n := len(small.Blobs); n != 26 {
		t.Fatalf("the image has %d blobs", n)
	}
	whole := small.Archive(t)
	old := images.Build(images.Options{Layers: 12, LayerBytes: 20 << 10, NoAttestations: true, SharedSeed: 1}).Archive(t)
	changed := images.Build(images.Options{Layers: 12, LayerBytes: 20 << 10, NoAttestations: true, SharedSeed: 2}).Archive(t)
	const remote = "docker://source.test/app:1"
	for name, c := range map[string]struct {
		before, from  string // before is published first
		want, secured float64
		requests      int // at most, with tokens
	}{
		"archive":                    {"", whole, 8, 13, 264},
		"archive again":              {whole, whole, 3, 8, 24},
		"archive, one layer changed": {old, changed, 7, 12, 129},
		"registry":                   {"", remote, 9, 14, 295},
		"registry again":             {remote, remote, 3, 8, 29},
	} {
		for _, secured := range []bool{false, true} {
			name, want := name, c.want
			if secured {
				name, want = name+", with TLS and tokens", c.secured
			}
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFar(t, secured, c.from == remote)
					if c.before != "" {
						f.publish(t, definition, c.before)
					}
					if n := f.publish(t, definition, c.from); n != want {
						t.Errorf("%v round trips, want %v", n, want)
					}
					if n := f.total(); n > c.requests {
						t.Errorf("%d requests, want at most %d", n, c.requests)
					}
				})
			})
		}
	}
}

// newFar returns three registries, and one with an image in it if that is wanted.
func newFar(t *testing.T, secured, source bool) *far {
	t.Helper()
	f := &far{hosts: map[string]http.Handler{}, secured: secured}
	add := func(name string, r *light.Registry) {
		f.hosts[name] = r
		if secured {
			f.hosts[name] = guarded(r)
		}
	}
	for _, name := range []string{"one.test", "two.test", "three.test"} {
		add(name, light.New())
	}
	if source {
		p := &place{Registry: light.New()}
		p.image(t, 24, 2, 20<<10)
		add("source.test", p.Registry)
	}
	if secured {
		f.hosts[tokenService] = http.HandlerFunc(issue)
	}
	return f
}

// uploads counts what is under way to a host.
type uploads struct{ opened, sending, mostOpened, mostSending int }

// upload counts an upload from the POST that opens it, and a blob while its PUT sends it.
func (f *far) upload(name, method string) (answered func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	u := f.uploads[name]
	switch method {
	case http.MethodPost:
		u.opened++
		u.mostOpened = max(u.mostOpened, u.opened)
	case http.MethodPut:
		u.sending++
		u.mostSending = max(u.mostSending, u.sending)
	}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		switch method {
		case http.MethodPut:
			u.sending--
			u.opened--
		case http.MethodDelete:
			u.opened--
		}
	}
}

// A number of blobs at a time holds for every registry, and each gets that many: in the same
// instant some are sent and others opened, and the upload that proves the permission may be open
// beside them.
func TestConcurrencyHoldsForEveryRegistry(t *testing.T) {
	definition, err := os.ReadFile("../../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	archive := images.Build(images.Options{Layers: 12, Shared: -1, LayerBytes: 20 << 10, NoAttestations: true}).Archive(t)
	for _, n := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			f := newFar(t, false, false)
			f.publish(t, definition, archive, "--concurrency", fmt.Sprint(n))
			for name := range f.hosts {
				if u := f.uploads[name]; u.mostSending > n || u.mostOpened < n || u.mostOpened > n+1 {
					t.Errorf("concurrency %d: %d uploads were open at %s at once, and %d blobs sent", n, u.mostOpened, name, u.mostSending)
				}
			}
		})
	}
}

// total counts the requests of the last run.
func (f *far) total() (n int) {
	for _, all := range f.requests {
		n += len(all)
	}
	return n
}
