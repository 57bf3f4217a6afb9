package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
	"github.com/multi-registry-push/multi-registry-push/test/servers/distribution"
)

// request names a request of a run by what it is: requests overlap, and their numbers change
// from run to run.
type request struct {
	kind string // see servers.Kind
	nth  int    // of its kind, from 1
}

func (q request) String() string { return fmt.Sprintf("%s %d", q.kind, q.nth) }

// requests names those of a run that went well. Where sweeps take a sample, the first of every
// kind is in it.
func requests(log *servers.Log) (all []request) {
	counts := log.Kinds()
	seen := 0
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		for n := 1; n <= counts[kind]; n++ {
			if seen++; n == 1 || seen%(2*stride()) == 0 || stride() == 1 {
				all = append(all, request{kind, n})
			}
		}
	}
	return all
}

// on returns the fault for that request. One that goes on and is not narrowed to the Same
// request goes on with everything.
func (q request) on(fault servers.Fault) servers.Fault {
	var mu sync.Mutex
	met := 0
	fault.Nth = 0
	fault.Match = func(r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if met < q.nth && servers.Kind(r) == q.kind {
			met++
			return met == q.nth
		}
		return met == q.nth && (!fault.Same || servers.Kind(r) == q.kind)
	}
	return fault
}

// sweep lets every request of a run to s, as a run that goes well shows them, meet the fault in
// turn. after checks the run that met it.
func (w world) sweep(t *testing.T, s *servers.Server, fault servers.Fault, atomic bool,
	prepare func(name string) round, after func(r round, q request, armed *servers.Armed, o outcome)) {
	t.Helper()
	clean := prepare("clean")
	s.Log.Reset()
	clean.job(atomic).run(t).exits(0)
	all := requests(s.Log)
	if t.Failed() || len(all) < 4 {
		t.Fatalf("%d requests of a run are named:\n%s", len(all), s.Log)
	}
	missed := 0
	for i, q := range all {
		r := prepare(fmt.Sprintf("r%d", i))
		s.Log.Reset()
		armed := s.Faults.Add(q.on(fault))
		o := r.job(atomic).run(t)
		r.check(t, o, atomic)
		if armed.Hits() == 0 {
			if missed++; o.status != 0 {
				t.Errorf("nothing was hit, and the run ends with %d:\n%s", o.status, o.text())
			}
		}
		after(r, q, armed, o)
		s.Faults.Clear()
		if !t.Failed() {
			r.again(t, atomic)
		}
		if t.Failed() {
			t.Fatalf("%s of the run:\n%s\nlog:\n%s", q, o.text(), s.Log)
		}
	}
	if missed > len(all)/5 {
		t.Errorf("%d of %d requests did not come", missed, len(all))
	}
}

// everywhere is the after of a sweep that has nothing more to check.
func everywhere(round, request, *servers.Armed, outcome) {}

// Every single request of a run fails in turn; after each the promise is checked: no tag
// points at something not whole; with atomic either no tag differs from before or all are new,
// except for tags that could not be put back, and those are exactly the ones reported; and a
// second run succeeds.
func TestEveryRequestFails(t *testing.T) {
	t.Parallel()
	type start func(testing.TB, servers.Options) *servers.Server
	refused := servers.Fault{Status: http.StatusForbidden, Count: servers.Forever, Same: true,
		Body: `{"errors":[{"code":"DENIED","message":"no"}]}`}
	for _, c := range []struct {
		name  string
		fault servers.Fault
		start start
		auth  servers.Auth
	}{
		{"500 for good", servers.Fault{Status: http.StatusInternalServerError, Count: servers.Forever, Same: true},
			distribution.Start, servers.Token},
		{"dropped for good", servers.Fault{Drop: true, Count: servers.Forever, Same: true}, distribution.Start, servers.Token},
		{"refused for good", refused, servers.Olareg, servers.Basic},
		{"dropped once", servers.Fault{Drop: true}, servers.Olareg, servers.Basic},
		{"answer lost once", servers.Fault{DropAnswer: true}, servers.Olareg, servers.Basic},
		{"answer lost for good", servers.Fault{DropAnswer: true, Count: servers.Forever, Same: true}, servers.Olareg, servers.Basic},
		{"dead from there", servers.Fault{Drop: true, Count: servers.Forever}, servers.Olareg, servers.Basic},
	} {
		for _, atomic := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/atomic=%t", c.name, atomic), func(t *testing.T) {
				t.Parallel()
				s := c.start(t, servers.Options{Delete: true, Auth: c.auth, Unchecked: true})
				w := newWorld(t)
				w.sweep(t, s, c.fault, atomic, func(name string) round { return w.round(t, name, s) }, everywhere)
			})
		}
	}
}

// The same for a release: two images and one that is merged, what is published by digest, and
// what has signatures.
func TestEveryRequestOfAReleaseFails(t *testing.T) {
	t.Parallel()
	dead := servers.Fault{Drop: true, Count: servers.Forever}
	refused := servers.Fault{Status: http.StatusForbidden, Count: servers.Forever, Same: true}
	for _, c := range []struct {
		name    string
		world   func(*testing.T) (w world, reads *servers.Server)
		options servers.Options
		fault   servers.Fault
	}{
		{"several images", severalWorld, servers.Options{}, dead},
		{"by digest", byDigestWorld, servers.Options{}, dead},
		{"referrers", signedWorld, servers.Options{}, dead},
		{"referrers without the API", signedWorld, servers.Options{NoReferrersAPI: true}, refused},
	} {
		for _, atomic := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/atomic=%t", c.name, atomic), func(t *testing.T) {
				t.Parallel()
				w, reads := c.world(t)
				c.options.Delete, c.options.Unchecked = true, true
				s := servers.Olareg(t, c.options)
				w.sweep(t, s, c.fault, atomic, func(name string) round {
					r := w.round(t, name, s)
					r.reads = reads
					return r
				}, everywhere)
			})
		}
	}
}

// severalWorld is two images from archives, and one that is merged from two.
func severalWorld(t *testing.T) (world, *servers.Server) {
	build := func(seed uint64, platforms ...string) *images.Image {
		return images.Build(images.Options{LayerBytes: 1 << 10, Layers: 2, Seed: seed, SharedSeed: 5, Single: true, Platforms: platforms})
	}
	api, web := build(1, "linux/amd64"), build(2, "linux/amd64")
	lines := build(3, "linux/amd64").Archive(t) + "\n" + build(4, "linux/arm64").Archive(t)
	w := newWorld(t)
	w.parts = []part{{"api", api.Archive(t), api}, {"web", web.Archive(t), web}, {"all", lines, published(t, lines)}}
	return w, nil
}

// published returns the image that a source becomes, from a registry.
func published(t *testing.T, source string) *images.Image {
	t.Helper()
	s := servers.Olareg(t, servers.Options{})
	job{source: source, tags: []string{s.Reference("acme/app", "1")}, auth: s.Item(0)}.run(t).exits(0)
	image, err := images.Fetch(s.Reference("acme/app", "1"), s.Inspect()...)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func byDigestWorld(t *testing.T) (world, *servers.Server) {
	w := newWorld(t)
	w.inputs = map[string]string{"push-by-digest": "true"}
	return w, nil
}

// signedWorld is an image in a registry with a signature of each kind.
func signedWorld(t *testing.T) (world, *servers.Server) {
	w, reads := newWorld(t), servers.Olareg(t, servers.Options{})
	layer := images.Layer{MediaType: "text/plain", Content: []byte("signed")}
	w.attached = []*images.Image{images.Artifact(&w.image.Root, "application/vnd.test.signature", layer)}
	w.signature = images.Artifact(nil, "", layer)
	repository := reads.Host + "/acme/built"
	w.source = repository + "@" + w.image.Digest()
	for name, image := range map[string]*images.Image{
		":1": w.image, "@" + w.attached[0].Digest(): w.attached[0],
		":sha256-" + w.image.Root.Digest.Hex + ".sig": w.signature,
	} {
		image.Push(t, repository+name, reads.Inspect()...)
	}
	w.inputs = map[string]string{"referrers": "true"}
	return w, reads
}

// Of two registries one dies at every point of a run in turn, between copy and tag included.
func TestOneOfTwoDies(t *testing.T) {
	t.Parallel()
	for _, fault := range []struct {
		name   string
		drop   bool
		status int
	}{
		{"dead from there", true, 0},
		{"503 from there", false, http.StatusServiceUnavailable},
	} {
		for _, atomic := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/atomic=%t", fault.name, atomic), func(t *testing.T) {
				t.Parallel()
				well := servers.Olareg(t, servers.Options{Delete: true, Unchecked: true})
				ill := servers.Olareg(t, servers.Options{Delete: true, Unchecked: true})
				w := newWorld(t)
				dies := servers.Fault{Count: servers.Forever, Drop: fault.drop, Status: fault.status}
				w.sweep(t, ill, dies, atomic, func(name string) round { return w.round(t, name, well, ill) },
					func(r round, _ request, _ *servers.Armed, o outcome) { r.checkWell(t, well, o, atomic) })
			})
		}
	}
}

// checkWell checks that the tags of a registry are what they are whatever became of the other.
func (r round) checkWell(t *testing.T, well *servers.Server, o outcome, atomic bool) {
	t.Helper()
	all := r.count(t) == len(r.tags) // died after the last tag: then all are new
	for _, ref := range r.tags {
		ours := images.Digest(t, ref, r.on[ref].Inspect()...) == r.image.Digest()
		switch {
		case r.on[ref] != well:
		case !atomic && !ours:
			t.Errorf("%s was held back by another registry", ref)
		case atomic && o.status != 0 && ours && !all:
			t.Errorf("%s was not put back, although its registry is well", ref)
		}
	}
	well.Log.Reset()
}

// Every request to the source fails in turn, for good or in a way that a run gets over; what it
// sends is cut or changed. The promise holds at every destination.
func TestEverySourceRequestFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault servers.Fault
		fails bool // a run that meets it cannot succeed
	}{
		{"500 for good", servers.Fault{Status: http.StatusInternalServerError, Count: servers.Forever, Same: true}, true},
		{"dead from there", servers.Fault{Drop: true, Count: servers.Forever}, true},
		{"dropped once", servers.Fault{Drop: true}, false},
		{"cut once", servers.Fault{CutAnswer: 100}, false},
		{"changed once", servers.Fault{CorruptByte: 50}, false},
		{"changed for good", servers.Fault{CorruptByte: 50, Count: servers.Forever, Same: true}, true},
	} {
		for _, atomic := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/atomic=%t", c.name, atomic), func(t *testing.T) {
				t.Parallel()
				sourceFails(t, c.name, c.fault, c.fails, atomic)
			})
		}
	}
}

// firstHit is the request that a fault hit first: method and path, nil for none.
type firstHit struct{ atomic.Pointer[string] }

func sourceFails(t *testing.T, name string, fault servers.Fault, fails, atomic bool) {
	source := servers.Olareg(t, servers.Options{})
	one := servers.Olareg(t, servers.Options{Delete: true, Unchecked: true})
	two := servers.Olareg(t, servers.Options{Delete: true, Unchecked: true})
	w := newWorld(t)
	w.image.Push(t, source.Reference("acme/built", "1"), source.Inspect()...)
	w.source = source.Reference("acme/built", "1")
	var met firstHit
	fault.Reached = func(r *http.Request) {
		hit := r.Method + " " + r.URL.Path
		met.CompareAndSwap(nil, &hit)
	}
	w.sweep(t, source, fault, atomic, func(name string) round {
		met.Store(nil)
		r := w.round(t, name, one, two)
		r.reads = source
		return r
	}, func(r round, q request, armed *servers.Armed, o outcome) {
		if all := r.count(t) == len(r.tags); armed.Hits() > 0 && fails && all && !harmless(source, met.Load()) {
			t.Errorf("published although %s of the source failed for good", q)
		} else if !fails && !strings.HasPrefix(name, "changed") && o.status != 0 {
			t.Errorf("one failure of the source was not got over:\n%s", o.text())
		}
	})
}

// harmless reports whether a request is one that a run can do without: a failing ping, or a body
// that is empty or shorter than the byte that was to change.
func harmless(s *servers.Server, met *string) bool {
	for _, r := range s.Log.Settled() {
		if met != nil && r.Method+" "+r.Path == *met {
			return r.Path == "/v2/" || r.BytesOut < 100 && r.Status < 400 && r.Status > 0
		}
	}
	return true
}
