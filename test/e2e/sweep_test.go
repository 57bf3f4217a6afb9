package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
	"github.com/multi-registry-push/multi-registry-push/test/servers/distribution"
)

// Every single request of a run fails in turn; after each the promise is checked: no tag
// points at something not whole; with atomic either no tag differs from before or all are new,
// except for tags that could not be put back, and those are exactly the ones reported; and a
// second run succeeds.
func TestEveryRequestFails(t *testing.T) {
	type start func(testing.TB, servers.Options) *servers.Server
	for _, c := range []struct {
		name  string
		fault servers.Fault
		start start
		auth  servers.Auth
	}{
		{"500 for good", servers.Fault{Status: http.StatusInternalServerError, Count: servers.Forever, Same: true}, distribution.Start, servers.Token},
		{"dropped for good", servers.Fault{Drop: true, Count: servers.Forever, Same: true}, distribution.Start, servers.Token},
		{"refused for good", servers.Fault{Status: http.StatusForbidden, Body: `{"errors":[{"code":"DENIED","message":"no"}]}`, Count: servers.Forever, Same: true}, servers.Olareg, servers.Basic},
		{"dropped once", servers.Fault{Drop: true}, servers.Olareg, servers.Basic},
		{"answer lost once", servers.Fault{DropAnswer: true}, servers.Olareg, servers.Basic},
		{"answer lost for good", servers.Fault{DropAnswer: true, Count: servers.Forever, Same: true}, servers.Olareg, servers.Basic},
		{"dead from there", servers.Fault{Drop: true, Count: servers.Forever}, servers.Olareg, servers.Basic},
	} {
		for _, atomic := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/atomic=%t", c.name, atomic), func(t *testing.T) {
				t.Parallel()
				sweep(t, c.start, c.auth, c.fault, atomic)
			})
		}
	}
}

func sweep(t *testing.T, start func(testing.TB, servers.Options) *servers.Server, auth servers.Auth, fault servers.Fault, atomic bool) {
	s := start(t, servers.Options{Delete: true, Auth: auth, Unchecked: true})
	w := newWorld(t)
	last := 1
	for n := 1; n <= last; n += stride() {
		round := w.round(t, fmt.Sprintf("r%d", n), s)
		clean := s.Faults.Seen()
		fault.Nth = n
		armed := s.Faults.Add(fault)
		o := round.job(atomic).run(t)
		if armed.Hits() > 0 {
			last = n + stride()
		} else if n == 1 || o.status != 0 {
			t.Fatalf("request %d was not hit, and the run ends with %d:\n%s", n, o.status, o.text())
		}
		if n > 500 {
			t.Fatalf("no end: %d requests in a run", s.Faults.Seen()-clean)
		}
		round.check(t, o, atomic)
		s.Faults.Clear()
		round.again(t, atomic)
		if t.Failed() {
			t.Fatalf("request %d of the run:\n%s\nlog:\n%s", n, o.text(), s.Log)
		}
		s.Log.Reset()
	}
	if last < 30 {
		t.Errorf("only %d requests were tried", last)
	}
}

// world is what rounds have in common: the image, and the one that was there before.
type world struct {
	image, before *images.Image
	source        string
}

func newWorld(t *testing.T) world {
	image := images.Build(images.Options{LayerBytes: 2 << 10, Layers: 2})
	return world{image: image, before: images.Build(images.Options{Single: true, Layers: 1, Seed: 9, LayerBytes: 100}), source: "oci:" + image.Layout(t)}
}

// round is one run against servers, in repositories of its own.
type round struct {
	world
	t       *testing.T
	servers []*servers.Server
	reads   *servers.Server   // of a remote source
	tags    []string          // references that were asked for
	was     map[string]string // what they served before
	on      map[string]*servers.Server
}

// round prepares two repositories on each server with two tags each: one that serves another
// image, one that is new.
func (w world) round(t *testing.T, name string, all ...*servers.Server) round {
	t.Helper()
	r := round{world: w, t: t, servers: all, was: map[string]string{}, on: map[string]*servers.Server{}}
	for _, s := range all {
		for _, repository := range []string{name + "/app", name + "/mirror"} {
			old, fresh := s.Reference(repository, "latest"), s.Reference(repository, "1.0.0")
			w.before.Push(t, old, s.Inspect()...)
			r.was[old], r.was[fresh] = w.before.Digest(), ""
			r.on[old], r.on[fresh] = s, s
			r.tags = append(r.tags, old, fresh)
		}
	}
	return r
}

func (r round) job(atomic bool) job {
	j := job{source: r.source, tags: r.tags, clock: newClock(), inputs: map[string]string{}}
	for _, s := range r.servers {
		j.auth += s.Item(0)
	}
	if r.reads != nil {
		j.auth += r.reads.Item(0)
	}
	if atomic {
		j.inputs["atomic"] = "true"
	}
	return j
}

// check checks the promise after a run.
func (r round) check(t *testing.T, o outcome, atomic bool) {
	t.Helper()
	results := map[string]report.ReferenceResult{}
	for _, registry := range o.results.Registries {
		for _, ref := range registry.References {
			results[ref.Reference] = ref
		}
	}
	pushed := map[string]bool{}
	for _, ref := range o.list("pushed") {
		pushed[ref] = true
	}
	moved, stayed := 0, 0
	now := map[string]string{}
	for _, ref := range r.tags {
		now[ref] = images.Digest(t, ref, r.on[ref].Inspect()...)
		switch now[ref] {
		case r.image.Digest():
			moved++
		case r.was[ref]:
			stayed++
		default:
			t.Errorf("%s serves %q, neither ours nor what it was", ref, now[ref])
		}
		if pushed[ref] && now[ref] != r.image.Digest() {
			t.Errorf("%s is said to be pushed, and serves %q", ref, now[ref])
		}
		if got, ok := results[ref]; !ok {
			t.Errorf("results do not name %s", ref)
		} else if serves := got.Status == report.Pushed || got.Status == report.Unchanged || got.Status == report.Failed && got.Now == r.image.Digest(); serves != pushed[ref] {
			t.Errorf("%s is %s in results; pushed: %t", ref, got.Status, pushed[ref])
		}
	}
	r.whole(t, now)
	if want := moved == len(r.tags); (o.status == 0) && !want {
		t.Errorf("exit status 0 with %d tags of %d", moved, len(r.tags))
	}
	if !atomic || moved == 0 || stayed == 0 {
		return
	}
	// Neither all nor nothing: what moved must be what could not be put back, and be reported.
	for _, ref := range r.tags {
		if now[ref] != r.image.Digest() {
			continue
		}
		reported := strings.Contains(results[ref].Reason, "tag-not-put-back") && results[ref].Status == report.Failed
		if !reported || !strings.Contains(o.stdout, ref) {
			t.Errorf("%s has moved and is not reported as not put back: %+v", ref, results[ref])
		}
	}
}

// whole checks that repositories with a tag that serves the image have all of it.
func (r round) whole(t *testing.T, now map[string]string) {
	t.Helper()
	asked := map[string]bool{}
	for _, ref := range r.tags {
		repository := ref[:strings.LastIndexByte(ref, ':')]
		if now[ref] == r.image.Digest() && !asked[repository] {
			asked[repository] = true
			r.image.Compare(t, ref, r.on[ref].Inspect()...)
		}
	}
}

// again runs once more, undisturbed.
func (r round) again(t *testing.T, atomic bool) {
	t.Helper()
	o := r.job(atomic).run(t).exits(0)
	now := map[string]string{}
	for _, ref := range r.tags {
		if now[ref] = images.Digest(t, ref, r.on[ref].Inspect()...); now[ref] != r.image.Digest() {
			t.Errorf("%s serves %s after the second run", ref, now[ref])
		}
	}
	r.whole(t, now)
	if got := len(o.list("pushed")); got != len(r.tags) {
		t.Errorf("the second run says %d of %d tags are served", got, len(r.tags))
	}
}

// Of two registries one dies at every point of a run in turn, between copy and tag included.
func TestOneOfTwoDies(t *testing.T) {
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
				well, ill := servers.Olareg(t, servers.Options{Delete: true, Unchecked: true}), servers.Olareg(t, servers.Options{Delete: true, Unchecked: true})
				w := newWorld(t)
				for n, hit := 1, true; hit; n += stride() {
					r := w.round(t, fmt.Sprintf("r%d", n), well, ill)
					armed := ill.Faults.Add(servers.Fault{Nth: n, Count: servers.Forever, Drop: fault.drop, Status: fault.status})
					o := r.job(atomic).run(t)
					hit = armed.Hits() > 0
					r.check(t, o, atomic)
					all := r.count(t) == len(r.tags) // died after the last tag: then all are new
					for _, ref := range r.tags {
						ours := images.Digest(t, ref, r.on[ref].Inspect()...) == w.image.Digest()
						switch {
						case r.on[ref] != well:
						case !atomic && !ours:
							t.Errorf("%s was held back by another registry", ref)
						case atomic && o.status != 0 && ours && !all:
							t.Errorf("%s was not put back, although its registry is well", ref)
						}
					}
					ill.Faults.Clear()
					r.again(t, atomic)
					if t.Failed() {
						t.Fatalf("request %d of the run:\n%s\nlog:\n%s", n, o.text(), ill.Log)
					}
					ill.Log.Reset()
					well.Log.Reset()
				}
			})
		}
	}
}

// count returns how many tags serve the image.
func (r round) count(t *testing.T) (n int) {
	t.Helper()
	for _, ref := range r.tags {
		if images.Digest(t, ref, r.on[ref].Inspect()...) == r.image.Digest() {
			n++
		}
	}
	return n
}

// Every request to the source fails in turn, for good or in a way that a run gets over; what it
// sends is cut or changed. The promise holds at every destination.
func TestEverySourceRequestFails(t *testing.T) {
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
				source, one, two := servers.Olareg(t, servers.Options{}), servers.Olareg(t, servers.Options{Delete: true, Unchecked: true}), servers.Olareg(t, servers.Options{Delete: true, Unchecked: true})
				w := newWorld(t)
				w.image.Push(t, source.Reference("acme/built", "1"), source.Inspect()...)
				w.source = source.Reference("acme/built", "1")
				for n, hit := 1, true; hit; n += stride() {
					r := w.round(t, fmt.Sprintf("r%d", n), one, two)
					r.reads = source
					fault := c.fault
					fault.Nth = n
					armed := source.Faults.Add(fault)
					o := r.job(atomic).run(t)
					hit = armed.Hits() > 0
					r.check(t, o, atomic)
					if moved := r.count(t); hit && c.fails && moved == len(r.tags) && !harmless(source, n) {
						t.Errorf("published although request %d of the source failed for good", n)
					} else if !c.fails && !strings.HasPrefix(c.name, "changed") && o.status != 0 {
						t.Errorf("one failure of the source was not got over:\n%s", o.text())
					}
					source.Faults.Clear()
					r.again(t, atomic)
					if t.Failed() {
						t.Fatalf("request %d of the source:\n%s\nlog:\n%s", n, o.text(), source.Log)
					}
					source.Log.Reset()
				}
			})
		}
	}
}

// harmless reports whether request n is one that a run can do without: a failing ping, or a body
// that is empty or shorter than the byte that was to change.
func harmless(s *servers.Server, n int) bool {
	log := s.Log.Settled()
	return n > len(log) || log[n-1].Path == "/v2/" || log[n-1].BytesOut < 100 && log[n-1].Status < 400 && log[n-1].Status > 0
}
