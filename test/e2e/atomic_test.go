package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
	"github.com/multi-registry-push/multi-registry-push/test/servers/distribution"
)

// tagWrite chooses writes of a tag.
func tagWrite(tag string) func(*http.Request) bool {
	return servers.Matching(http.MethodPut, "^/v2/.+/manifests/"+regexp.QuoteMeta(tag)+"$")
}

// What fails before the tags are written holds back all tags everywhere.
func TestAtomicHoldsBack(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name  string
		fault servers.Fault
		auth  func(ill *servers.Server) string
		says  string
	}{
		{"wrong password", servers.Fault{}, func(ill *servers.Server) string { return login(ill.Host) }, "wrong-credentials"},
		{"upload refused", servers.Fault{Match: servers.Matching("PUT", servers.UploadPath), Status: 403, Count: servers.Forever}, nil, "403"},
		{"manifest refused", servers.Fault{Match: servers.Matching("PUT", "/manifests/sha256:"), Status: 400, Count: servers.Forever}, nil, "400"},
	} {
		t.Run(c.name, func(t *testing.T) {
			well, ill := distribution.Start(t, servers.Options{Auth: servers.Token}), servers.Olareg(t, servers.Options{})
			r := w.round(t, "r", well, ill)
			j := r.job(true)
			if c.auth != nil {
				j.auth = well.Item(0) + c.auth(ill)
			} else {
				ill.Faults.Add(c.fault)
			}
			o := j.run(t).exits(1).says("atomic-held-back", c.says)
			o.has(map[string]report.Status{well.Host: report.HeldBack, ill.Host: report.Failed})
			for _, ref := range r.tags {
				if now := images.Digest(t, ref, r.on[ref].Inspect()...); now != r.was[ref] {
					t.Errorf("%s has moved to %s", ref, now)
				}
			}
			if n := well.Log.Count("PUT", "/manifests/(latest|1.0.0)$"); n > 0 {
				t.Errorf("%d tags written", n)
			}
			if o.outputs["pushed"] != "" {
				t.Errorf("pushed: %q", o.outputs["pushed"])
			}
		})
	}
}

// A registry that is not required holds nobody back.
func TestAtomicWithoutTheOptional(t *testing.T) {
	w := newWorld(t)
	well, ill := servers.Olareg(t, servers.Options{}), servers.Olareg(t, servers.Options{})
	ill.Faults.Add(servers.Fault{Match: servers.Matching("PUT", servers.UploadPath), Status: 403, Count: servers.Forever})
	r := w.round(t, "r", well, ill)
	j := r.job(true)
	j.auth = well.Item(0) + ill.Item(0) + "  required: false\n"
	o := j.run(t).exits(0).has(map[string]report.Status{well.Host: report.Pushed, ill.Host: report.Failed})
	for _, ref := range r.tags {
		if moved := images.Digest(t, ref, r.on[ref].Inspect()...) == w.image.Digest(); moved != (r.on[ref] == well) {
			t.Errorf("%s moved: %t", ref, moved)
		}
	}
	if len(o.list("pushed")) != 4 {
		t.Errorf("pushed: %q", o.outputs["pushed"])
	}
}

// A tag write that fails in the second phase puts back what has moved, by name; where the registry
// deletes no tags, a new one stays and is named.
func TestAtomicPutsBack(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name   string
		start  func(testing.TB, servers.Options) *servers.Server
		delete bool
	}{
		{"distribution 3", distribution.Start, true},
		{"distribution 3 without deletion", distribution.Start, false},
		{"olareg", servers.Olareg, true},
		{"olareg without deletion", servers.Olareg, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			well, ill := c.start(t, servers.Options{Auth: servers.Token, Delete: c.delete}), servers.Olareg(t, servers.Options{Delete: true})
			r := w.round(t, "r", well, ill)
			// The failing write comes when the other registry's are done.
			written := make(chan struct{})
			well.Faults.Add(servers.Fault{Match: servers.Matching("HEAD|GET", "/manifests/(latest|1.0.0)$"), Pass: true, Count: servers.Forever})
			count := well.Faults.Add(servers.Fault{Match: servers.Matching("PUT", "/manifests/(latest|1.0.0)$"), Pass: true, Count: 4, Reached: nth(4, func() { close(written) })})
			ill.Faults.Add(servers.Fault{Match: servers.Matching("PUT", "/r/mirror/manifests/1.0.0$"), Wait: written, Status: 400, Body: "no such thing", Count: servers.Forever})
			o := r.job(true).run(t).exits(1)
			if count.Hits() != 4 {
				t.Errorf("%d tags were written first", count.Hits())
			}
			r.check(t, o, true)
			for _, ref := range r.tags {
				now := images.Digest(t, ref, r.on[ref].Inspect()...)
				stuck := !c.delete && r.on[ref] == well && r.was[ref] == ""
				if !stuck && now != r.was[ref] {
					t.Errorf("%s serves %q, want %q again", ref, now, r.was[ref])
				}
				if stuck && now != w.image.Digest() {
					t.Errorf("%s cannot be deleted, but serves %q", ref, now)
				}
				if stuck {
					o.says("tag-not-put-back", ref)
				}
			}
			for _, s := range r.servers {
				if n := s.Log.Count("DELETE", "/manifests/sha256:"); n > 0 {
					t.Errorf("a digest was deleted on %s", s.Host)
				}
			}
		})
	}
}

// A tag that somebody else moves meanwhile is left alone.
func TestAtomicLeavesOthersTagsAlone(t *testing.T) {
	w := newWorld(t)
	other := images.Build(images.Options{Single: true, Layers: 1, Seed: 77})
	well, ill := servers.Olareg(t, servers.Options{Delete: true}), servers.Olareg(t, servers.Options{Delete: true})
	r := w.round(t, "r", well, ill)
	mine := well.Reference("r/app", "latest")
	written := make(chan struct{})
	// After ours was written, and before it is looked at for putting back, another job writes it.
	well.Faults.Add(servers.Fault{Match: servers.Matching("PUT", "/r/mirror/manifests/latest$"), Pass: true, Reached: func(*http.Request) {}})
	well.Faults.Add(servers.Fault{Match: tagWrite("latest"), Pass: true, Reached: func(r *http.Request) { close(written) }})
	ill.Faults.Add(servers.Fault{Match: tagWrite("1.0.0"), Wait: written, Status: 400, Count: servers.Forever, Reached: func(*http.Request) {}})
	moved := false
	well.Faults.Add(servers.Fault{Match: func(q *http.Request) bool {
		if q.Method == http.MethodHead && strings.HasSuffix(q.URL.Path, "/r/app/manifests/latest") && images.Digest(t, mine, well.Inspect()...) == w.image.Digest() && !moved {
			moved = true
			return true
		}
		return false
	}, Pass: true, Reached: func(*http.Request) { other.Push(t, mine, well.Inspect()...) }})
	r.job(true).run(t).exits(1).says(mine + " is left alone: somebody else has moved it since, to " + other.Digest())
	if now := images.Digest(t, mine, well.Inspect()...); now != other.Digest() {
		t.Errorf("%s serves %s, want what the other job wrote", mine, now)
	}
}

// Immutable tags: never moved; the same digest is a success; a conflict means none of that
// registry's tags move, and with atomic none anywhere.
func TestImmutableTags(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name   string
		atomic bool
		there  *images.Image // under 1.0.0 on the first registry
		first  report.Status
		second report.Status
		exit   int
	}{
		{"new", false, nil, report.Pushed, report.Pushed, 0},
		{"same", false, w.image, report.Pushed, report.Pushed, 0},
		{"another", false, w.before, report.Failed, report.Pushed, 1},
		{"another, atomic", true, w.before, report.Failed, report.HeldBack, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			one, two := distribution.Start(t, servers.Options{Auth: servers.Token}), servers.Olareg(t, servers.Options{})
			r := w.round(t, "r", one, two)
			held := one.Reference("r/app", "1.0.0")
			if c.there != nil {
				c.there.Push(t, held, one.Inspect()...)
				r.was[held] = c.there.Digest()
			}
			j := r.job(c.atomic)
			j.inputs["immutable-tags"] = `v?\d+\.\d+\.\d+`
			o := j.run(t).exits(c.exit).has(map[string]report.Status{one.Host: c.first, two.Host: c.second})
			for _, ref := range r.tags {
				want := w.image.Digest()
				if r.on[ref] == one && c.first == report.Failed || r.on[ref] == two && c.second == report.HeldBack {
					want = r.was[ref]
				}
				if now := images.Digest(t, ref, r.on[ref].Inspect()...); now != want {
					t.Errorf("%s serves %q, want %q", ref, now, want)
				}
			}
			if c.exit != 0 {
				o.says("immutable-tag", held, w.before.Digest())
			}
		})
	}
}

// Between the look and the write somebody else writes the tag: a registry that honours conditions
// does not take ours.
func TestImmutableTagsAgainstARace(t *testing.T) {
	w := newWorld(t)
	s := servers.Olareg(t, servers.Options{Preconditions: true})
	ref := s.Reference("acme/app", "1.0.0")
	s.Faults.Add(servers.Fault{Match: tagWrite("1.0.0"), Pass: true, Reached: func(q *http.Request) {
		if q.Header.Get("If-None-Match") != "*" {
			t.Errorf("written without a condition: %v", q.Header)
		}
		w.before.Push(t, ref, s.Inspect()...)
	}})
	j := job{source: w.source, tags: []string{ref}, auth: s.Item(0), inputs: map[string]string{"immutable-tags": `\d.*`}}
	j.run(t).exits(1).has(map[string]report.Status{s.Host: report.Failed}).says("immutable-tag")
	if now := images.Digest(t, ref, s.Inspect()...); now != w.before.Digest() {
		t.Errorf("%s was moved to %s", ref, now)
	}
}

// A registry's own immutability: its refusal is understood.
func TestRegistryWithImmutableTags(t *testing.T) {
	w := newWorld(t)
	s := servers.Olareg(t, servers.Options{ImmutableTags: regexp.MustCompile(".*")})
	ref := s.Reference("acme/app", "1.0.0")
	j := job{source: w.source, tags: []string{ref}, auth: s.Item(0)}
	j.run(t).exits(0)
	j.run(t).exits(0).has(map[string]report.Status{s.Host: report.Unchanged})
	j.source = "oci:" + images.Build(images.Options{Seed: 3}).Layout(t)
	j.run(t).exits(1).says("immutable-tag", ref)
}

// A registry that protects some tags by itself: its refusal comes first, and no other tag moves.
func TestRegistryWithSomeImmutableTags(t *testing.T) {
	w := newWorld(t)
	for _, atomic := range []bool{false, true} {
		s := servers.Olareg(t, servers.Options{ImmutableTags: regexp.MustCompile(`^1\.0\.0$`)})
		var tags []string
		for _, tag := range []string{"new", "latest", "1", "1.0.0"} {
			ref := s.Reference("acme/app", tag)
			tags = append(tags, ref)
			if tag != "new" {
				w.before.Push(t, ref, s.Inspect()...)
			}
		}
		j := job{source: w.source, tags: tags, auth: s.Item(0), inputs: map[string]string{"atomic": fmt.Sprint(atomic)}}
		o := j.run(t).exits(1).says("immutable-tag", tags[3])
		for _, ref := range tags {
			want := w.before.Digest()
			if ref == tags[0] {
				want = ""
			}
			if now := images.Digest(t, ref, s.Inspect()...); now != want {
				t.Errorf("%s serves %q, want %q as before", ref, now, want)
			}
		}
		if n := s.Log.Count("PUT", "/manifests/(new|latest|1)$"); n > 0 || o.outputs["pushed"] != "" {
			t.Errorf("%d other tags were written; pushed: %q", n, o.outputs["pushed"])
		}
		for _, ref := range o.registry(s.Host).References {
			if ref.Status != report.Failed || ref.Now != ref.Before || ref.Reason == "" {
				t.Errorf("%+v", ref)
			}
		}
	}
}

// A registry that serves another digest after the write fails, and what it serves is said.
func TestVerify(t *testing.T) {
	w := newWorld(t)
	s := servers.Olareg(t, servers.Options{})
	ref := s.Reference("acme/app", "1")
	written := false
	s.Faults.Add(servers.Fault{Match: func(q *http.Request) bool {
		written = written || tagWrite("1")(q)
		return written && q.Method == http.MethodHead
	}, Pass: true, Reached: func(*http.Request) { w.before.Push(t, ref, s.Inspect()...) }})
	o := job{source: w.source, tags: []string{ref}, auth: s.Item(0)}.run(t)
	o.exits(1).says("verify-mismatch", w.before.Digest())
	if o.outputs["pushed"] != "" {
		t.Errorf("pushed: %q", o.outputs["pushed"])
	}
}

// A registry that serves a tag late, or does not see yet what it was given, is asked again before it is judged.
func TestEventualConsistency(t *testing.T) {
	w := newWorld(t)
	s := servers.Olareg(t, servers.Options{})
	unseen := s.Faults.Add(servers.Fault{Match: servers.Matching(http.MethodPut, "/manifests/"), Count: 2, Status: 404,
		Body: `{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}`})
	written := false
	s.Faults.Add(servers.Fault{Match: func(q *http.Request) bool {
		written = written || tagWrite("1")(q)
		return written && q.Method == http.MethodHead
	}, Count: 2, Status: 404})
	job{source: w.source, tags: []string{s.Reference("acme/app", "1")}, auth: s.Item(0)}.run(t).exits(0)
	if unseen.Hits() != 2 {
		t.Errorf("%d manifests were not seen", unseen.Hits())
	}
}

// What became of a tag is said once in the log, however the run goes on from there.
func TestAtomicSaysEachWordOnce(t *testing.T) {
	image := images.Build(images.Options{Single: true, Layers: 1})
	well, ill := servers.Olareg(t, servers.Options{Delete: true}), servers.Olareg(t, servers.Options{})
	there, moves, refused := well.Reference("acme/app", "there"), well.Reference("acme/app", "moves"), ill.Reference("acme/app", "1")
	image.Push(t, there, well.Inspect()...)
	written := make(chan struct{})
	well.Faults.Add(servers.Fault{Match: servers.Matching("PUT", "/manifests/moves$"), Pass: true, Reached: nth(1, func() { close(written) })})
	ill.Faults.Add(servers.Fault{Match: servers.Matching("PUT", "/manifests/1$"), Wait: written, Status: 403, Count: servers.Forever})
	o := job{source: image.Archive(t), tags: []string{there, moves, refused}, auth: well.Item(0) + ill.Item(0), inputs: map[string]string{"atomic": "true"}}.run(t).exits(1)
	log, _, _ := strings.Cut(o.stdout, "\nREGISTRY ")
	for _, said := range []string{there + "  was there already", "403 Forbidden", moves + "  not tagged: put back"} {
		if n := strings.Count(log, said); n != 1 {
			t.Errorf("%q is said %d times:\n%s", said, n, log)
		}
	}
}
