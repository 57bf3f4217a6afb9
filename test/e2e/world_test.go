package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
)

// world is what rounds have in common: what is published, and what was there before.
type world struct {
	image, before *images.Image
	source        string
	parts         []part            // several images, in place of image and source
	inputs        map[string]string // of every job
	attached      []*images.Image   // what refers to image, and is published with it
	signature     *images.Image     // the same in cosign's way, nil for none
}

// part is one of several images.
type part struct {
	name   string
	source string // of several lines: merged
	image  *images.Image
}

func newWorld(t *testing.T) world {
	image := images.Build(images.Options{LayerBytes: 2 << 10, Layers: 2})
	before := images.Build(images.Options{Single: true, Layers: 1, Seed: 9, LayerBytes: 100})
	return world{image: image, before: before, source: "oci:" + image.Layout(t)}
}

// byDigest reports whether no tag is written.
func (w world) byDigest() bool { return w.inputs["push-by-digest"] == "true" }

// round is one run against servers, in repositories of its own.
type round struct {
	world
	t       *testing.T
	servers []*servers.Server
	reads   *servers.Server   // of a remote source
	asked   map[string][]int  // tags that were asked for, and the parts that they are of
	tags    []string          // what is to serve an image: tags, or digests
	was     map[string]string // what they served before
	on      map[string]*servers.Server
	of      map[string]*images.Image
	stay    []string // tags that must not move
}

// round prepares two repositories on each server, or one for each part, with two tags each:
// one that serves another image, one that is new.
func (w world) round(t *testing.T, name string, all ...*servers.Server) round {
	t.Helper()
	r := round{world: w, t: t, servers: all, asked: map[string][]int{}, was: map[string]string{},
		on: map[string]*servers.Server{}, of: map[string]*images.Image{}}
	for _, s := range all {
		if len(w.parts) == 0 {
			r.prepare(s, name+"/app", 0, w.image)
			r.prepare(s, name+"/mirror", 0, w.image)
		}
		for i, p := range w.parts {
			r.prepare(s, name+"/"+p.name, i, p.image)
		}
	}
	return r
}

func (r *round) prepare(s *servers.Server, repository string, part int, image *images.Image) {
	old, fresh := s.Reference(repository, "latest"), s.Reference(repository, "1.0.0")
	r.before.Push(r.t, old, s.Inspect()...)
	r.asked[old], r.asked[fresh] = append(r.asked[old], part), append(r.asked[fresh], part)
	serve := []string{old, fresh}
	r.was[old], r.was[fresh] = r.before.Digest(), ""
	if r.byDigest() {
		r.stay = append(r.stay, serve...)
		serve = []string{s.Host + "/" + repository + "@" + image.Digest()}
	}
	for _, ref := range append(serve, r.stay...) {
		r.on[ref] = s
		r.of[ref] = image
	}
	r.tags = append(r.tags, serve...)
}

func (r round) job(atomic bool) job {
	j := job{source: r.source, clock: newClock(), inputs: map[string]string{}}
	for name, value := range r.inputs {
		j.inputs[name] = value
	}
	for _, s := range r.servers {
		j.auth += s.Item(0)
	}
	if r.reads != nil {
		j.auth += r.reads.Item(0)
	}
	if atomic {
		j.inputs["atomic"] = "true"
	}
	if len(r.parts) == 0 {
		if j.tags = r.tags; r.byDigest() {
			j.tags = r.stay
		}
		return j
	}
	type item struct {
		Name   string   `json:"name"`
		Source string   `json:"source"`
		Tags   []string `json:"tags"`
	}
	items := make([]item, len(r.parts))
	for i, p := range r.parts {
		items[i] = item{Name: p.name, Source: p.source}
	}
	for _, ref := range append(r.tags, r.stay...) {
		for _, i := range r.asked[ref] {
			items[i].Tags = append(items[i].Tags, ref)
		}
	}
	raw, err := json.Marshal(items)
	if err != nil {
		r.t.Fatal(err)
	}
	j.source, j.inputs["images"] = "", string(raw)
	return j
}

// serving returns what every reference serves, and checks that nothing but the new or the old
// is served.
func (r round) serving(t *testing.T) map[string]string {
	t.Helper()
	now := map[string]string{}
	for _, ref := range r.tags {
		now[ref] = images.Digest(t, ref, r.on[ref].Inspect()...)
		if now[ref] != r.of[ref].Digest() && now[ref] != r.was[ref] {
			t.Errorf("%s serves %q, neither ours nor what it was", ref, now[ref])
		}
	}
	for _, ref := range r.stay {
		if got := images.Digest(t, ref, r.on[ref].Inspect()...); got != r.was[ref] {
			t.Errorf("%s was moved to %q", ref, got)
		}
	}
	return now
}

// moved reports whether a reference serves ours.
func (r round) moved(now map[string]string, ref string) bool { return now[ref] == r.of[ref].Digest() }

// check checks the promise after a run.
func (r round) check(t *testing.T, o outcome, atomic bool) {
	t.Helper()
	for _, s := range r.servers {
		s.Log.Settled() // a write whose client has given up may still be carried out
	}
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
	now, moved := r.serving(t), 0
	for _, ref := range r.tags {
		if r.moved(now, ref) {
			moved++
		}
		got, ok := results[ref]
		if !ok && r.byDigest() {
			got, ok = results[repositoryOf(ref)] // it ended before the digest was known
		}
		serves := got.Status == report.Pushed || got.Status == report.Unchanged ||
			got.Status == report.Failed && got.Now == r.of[ref].Digest()
		switch {
		case pushed[ref] && !r.moved(now, ref):
			t.Errorf("%s is said to be pushed, and serves %q", ref, now[ref])
		case !ok:
			t.Errorf("results do not name %s", ref)
		case serves != pushed[ref]:
			t.Errorf("%s is %s in results; pushed: %t", ref, got.Status, pushed[ref])
		}
	}
	r.whole(t, now)
	if o.status == 0 && moved != len(r.tags) {
		t.Errorf("exit status 0 with %d tags of %d", moved, len(r.tags))
	}
	if !atomic || moved == 0 || moved == len(r.tags) || r.byDigest() {
		return
	}
	// Neither all nor nothing: what moved must be what could not be put back, and be reported.
	for _, ref := range r.tags {
		named, reported := ref, strings.Contains(results[ref].Reason, "tag-not-put-back")
		if strings.Contains(results[ref].Reason, "may yet move") { // a cancelled run waits for answers for seconds
			named, reported = strings.TrimPrefix(ref, r.on[ref].Host+"/"), true
		}
		reported = reported && results[ref].Status == report.Failed
		if r.moved(now, ref) && (!reported || !strings.Contains(o.stdout, named)) {
			t.Errorf("%s has moved and is not reported as not put back: %+v", ref, results[ref])
		}
	}
}

// whole checks that repositories with a reference that serves ours have all of it, and what
// refers to it.
func (r round) whole(t *testing.T, now map[string]string) {
	t.Helper()
	var asked []string
	for _, ref := range r.tags {
		repository := repositoryOf(ref)
		if !r.moved(now, ref) || slices.Contains(asked, repository) {
			continue
		}
		asked = append(asked, repository)
		s := r.on[ref]
		r.of[ref].Compare(t, ref, s.Inspect()...)
		for _, a := range r.attached {
			a.Compare(t, repository+"@"+a.Digest(), s.Inspect()...)
			if !listed(t, s, strings.TrimPrefix(repository, s.Host+"/"), r.image.Root)[a.Root.Digest] {
				t.Errorf("%s does not list %s", repository, a.Digest())
			}
		}
		if r.signature != nil {
			r.signature.Compare(t, fmt.Sprintf("%s:sha256-%s.sig", repository, r.image.Root.Digest.Hex), s.Inspect()...)
		}
	}
}

// repositoryOf returns a reference without its tag or digest.
func repositoryOf(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		ref = ref[:i]
	}
	return ref
}

// again runs once more, undisturbed.
func (r round) again(t *testing.T, atomic bool) {
	t.Helper()
	o := r.job(atomic).run(t).exits(0)
	now := r.serving(t)
	for _, ref := range r.tags {
		if !r.moved(now, ref) {
			t.Errorf("%s serves %s after the second run", ref, now[ref])
		}
	}
	r.whole(t, now)
	if got := len(o.list("pushed")); got != len(r.tags) {
		t.Errorf("the second run says %d of %d tags are served", got, len(r.tags))
	}
}

// count returns how many references serve ours.
func (r round) count(t *testing.T) (n int) {
	t.Helper()
	for _, ref := range r.tags {
		if images.Digest(t, ref, r.on[ref].Inspect()...) == r.of[ref].Digest() {
			n++
		}
	}
	return n
}
