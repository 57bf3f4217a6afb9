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

// far is a network of registries that are one round trip away. It speaks HTTP/2, so that no
// connection has to be opened, and has no TLS and no tokens.
type far struct {
	hosts map[string]*light.Registry
	admit func(r *http.Request, body []byte) int // a status in place of an answer, unless 0; nil admits all

	mu       sync.Mutex
	requests map[string][]string // by host: when and what
	start    time.Time
}

func (f *far) RoundTrip(r *http.Request) (*http.Response, error) {
	name := strings.TrimSuffix(r.URL.Host, ":443")
	host := f.hosts[name]
	if host == nil {
		return nil, fmt.Errorf("there is no %s here", r.URL.Host)
	}
	f.mu.Lock()
	f.requests[name] = append(f.requests[name], fmt.Sprintf("%4.1f %s %s", float64(time.Since(f.start))/float64(trip), r.Method, r.URL.Path))
	f.mu.Unlock()
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
	f.requests, f.start = map[string][]string{}, time.Now()
	var auth strings.Builder
	var tags []string
	for _, name := range slices.Sorted(maps.Keys(f.hosts)) {
		fmt.Fprintf(&auth, "- registry: %s\n  anonymous: true\n", name)
		if name != "source.test" {
			tags = append(tags, name+"/app:1")
		}
	}
	folder := t.TempDir()
	var out bytes.Buffer
	status := app.Main(t.Context(), app.Env{
		Args:    append([]string{"--source", from, "--tags", strings.Join(tags, "\n"), "--registry-auth", "-", "--summary", "false"}, inputs...),
		Environ: []string{"HOME=" + folder, "TMPDIR=" + folder}, Stdin: strings.NewReader(auth.String()), Stdout: &out, Stderr: &out,
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
	for name, c := range map[string]struct {
		before, from string // before is published first
		want         float64
	}{
		"archive":                    {"", whole, 8},
		"archive again":              {whole, whole, 3},
		"archive, one layer changed": {old, changed, 8},
		"registry":                   {"", "docker://source.test/app:1", 10},
		"registry again":             {"docker://source.test/app:1", "docker://source.test/app:1", 5},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &far{hosts: map[string]*light.Registry{}}
				for _, host := range []string{"one.test", "two.test", "three.test"} {
					f.hosts[host] = light.New()
				}
				if strings.HasPrefix(c.from, "docker://") {
					source := &place{Registry: light.New()}
					source.image(t, 24, 2, 20<<10)
					f.hosts["source.test"] = source.Registry
				}
				if c.before != "" {
					f.publish(t, definition, c.before)
				}
				if n := f.publish(t, definition, c.from); n != c.want {
					t.Errorf("%v round trips, want %v", n, c.want)
				}
			})
		})
	}
}
