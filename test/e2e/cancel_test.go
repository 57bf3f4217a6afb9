package e2e

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
	"github.com/multi-registry-push/multi-registry-push/test/servers/distribution"
)

// runCancelled runs the job in the background, so that a run which does not end is a failure of the
// test and not its end.
func (j job) runCancelled(ctx context.Context, t *testing.T) outcome {
	t.Helper()
	ended := make(chan outcome, 1)
	go func() { ended <- j.runUntil(ctx, t) }()
	select {
	case o := <-ended:
		return o
	case <-time.After(10 * time.Minute):
		t.Fatal("the run does not end")
	}
	return outcome{}
}

// Cancelled while an upload is on its way: ends, tags nothing, gives the upload up, says what is
// and what is not published.
func TestCancelledInCopy(t *testing.T) {
	for name, start := range map[string]func(testing.TB, servers.Options) *servers.Server{"distribution": distribution.Start, "olareg": servers.Olareg} {
		for _, atomic := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t)
				s := start(t, servers.Options{Auth: servers.Token})
				r := w.round(t, "r", s)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				blocked := make(chan struct{})
				s.Faults.Add(servers.Fault{Match: servers.Matching("PATCH|PUT", servers.UploadPath), Nth: 3, Count: servers.Forever, Wait: blocked, Pass: true,
					Reached: func(*http.Request) { cancel() }})
				j := r.job(atomic)
				j.clock = nil
				o := j.runCancelled(ctx, t).exits(130).says("cancelled", s.Host)
				s.Faults.Clear()
				close(blocked)
				s.Log.Settled() // what was held up is not the next run's
				o.has(map[string]report.Status{s.Host: report.Failed})
				for _, ref := range r.tags {
					if now := images.Digest(t, ref, s.Inspect()...); now != r.was[ref] {
						t.Errorf("%s has moved to %s", ref, now)
					}
				}
				if o.outputs["digest"] != w.image.Digest() || o.outputs["pushed"] != "" || o.summary == "" {
					t.Errorf("digest %q, pushed %q, summary %q", o.outputs["digest"], o.outputs["pushed"], o.summary)
				}
				opened := map[string]bool{}
				for _, q := range s.Log.All() {
					if q.Method == "PATCH" || q.Method == "PUT" && q.Query.Has("digest") {
						opened[q.Path] = q.Status == 0
					}
				}
				for _, q := range s.Log.Find("DELETE", servers.UploadPath) {
					delete(opened, q.Path)
				}
				for path, broken := range opened {
					if broken {
						t.Errorf("the upload %s was not given up", path)
					}
				}
				r.again(t, atomic)
			})
		}
	}
}

// Cancelled in the tag phase of atomic: tags that have moved are put back first.
func TestCancelledWhileTagging(t *testing.T) {
	w := newWorld(t)
	for _, atomic := range []bool{true, false} {
		s, slow := distribution.Start(t, servers.Options{Auth: servers.Token, Delete: true}), servers.Olareg(t, servers.Options{Delete: true})
		r := w.round(t, "r", s, slow)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		blocked := make(chan struct{})
		verified := make(chan struct{})
		// The second registry's first tag is written only when all of the first one's are.
		s.Faults.Add(servers.Fault{Match: servers.Matching("PUT", "/manifests/(latest|1.0.0)$"), Count: 4, Pass: true, Reached: nth(4, func() { close(verified) })})
		slow.Faults.Add(servers.Fault{Match: servers.Matching("PUT", "/manifests/(latest|1.0.0)$"), Count: servers.Forever, Wait: blocked, Pass: true,
			Reached: func(*http.Request) { <-verified; s.Log.Settled(); cancel() }})
		j := r.job(atomic)
		j.clock = nil
		o := j.runCancelled(ctx, t).exits(130)
		close(blocked)
		slow.Stop()
		s.Stop()
		for _, ref := range r.tags {
			now := images.Digest(t, ref, r.on[ref].Inspect()...)
			switch {
			case atomic && r.on[ref] == s && now != r.was[ref]:
				t.Errorf("%s was not put back: %q\n%s", ref, now, o.text())
			case !atomic && r.on[ref] == s && now != w.image.Digest():
				t.Errorf("%s serves %q although it was written\n%s", ref, now, o.text())
			}
		}
		o.says("ancelled")
		if atomic {
			o.says("put back, because the job was cancelled")
			o.says("got no answer; it serves what it served before, and may yet move")
		}
	}
}

// Cancelled at every request of a run in turn: it ends in time, tells what is published, leaves no
// tag on half an image and, with atomic, either all tags as they were or all new.
func TestCancelledAtEveryRequest(t *testing.T) {
	for _, atomic := range []bool{false, true} {
		t.Run(fmt.Sprintf("atomic=%t", atomic), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			one, two := servers.Olareg(t, servers.Options{Delete: true, Unchecked: true}), servers.Olareg(t, servers.Options{Delete: true, Unchecked: true})
			n := 1
			for hit := true; hit; n += stride() {
				r := w.round(t, fmt.Sprintf("r%d", n), one, two)
				ctx, cancel := context.WithCancel(t.Context())
				armed := one.Faults.Add(servers.Fault{Nth: n, Pass: true, Reached: func(*http.Request) { cancel() }})
				j := r.job(atomic)
				j.clock = nil
				o := j.runCancelled(ctx, t)
				hit = armed.Hits() > 0
				cancel()
				if hit != (o.status == 130) {
					t.Errorf("exit status %d, cancelled: %t", o.status, hit)
				}
				r.check(t, o, atomic)
				one.Faults.Clear()
				r.again(t, atomic)
				if t.Failed() {
					t.Fatalf("cancelled at request %d of the run:\n%s\nlog:\n%s", n, o.text(), one.Log)
				}
				one.Log.Reset()
				two.Log.Reset()
			}
			if n < 30 {
				t.Errorf("only %d requests were tried", n)
			}
		})
	}
}

// Cancelled before anything: nothing is sent, outputs are there.
func TestCancelledAtOnce(t *testing.T) {
	w := newWorld(t)
	s := servers.Olareg(t, servers.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	j := job{source: w.source, tags: []string{s.Reference("acme/app", "1")}, auth: s.Item(0)}
	o := j.runCancelled(ctx, t).exits(130)
	if len(s.Log.Writes()) > 0 || o.summary == "" {
		t.Errorf("%s\n%s", s.Log, o.summary)
	}
}

// Cancelled while tags are being put back for another reason: that goes on.
func TestCancelledWhilePuttingBack(t *testing.T) {
	w := newWorld(t)
	well, ill := servers.Olareg(t, servers.Options{Delete: true}), servers.Olareg(t, servers.Options{Delete: true})
	r := w.round(t, "r", well, ill)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	written := make(chan struct{})
	well.Faults.Add(servers.Fault{Match: servers.Matching("PUT", "/manifests/(latest|1.0.0)$"), Count: 4, Pass: true, Reached: nth(4, func() { close(written) })})
	ill.Faults.Add(servers.Fault{Match: servers.Matching("PUT", "/manifests/(latest|1.0.0)$"), Count: servers.Forever, Wait: written, Status: 400})
	well.Faults.Add(servers.Fault{Match: func(q *http.Request) bool {
		return q.Method == http.MethodDelete && servers.Matching("", "/manifests/1.0.0$")(q)
	}, Pass: true, Reached: func(*http.Request) { cancel() }})
	o := r.job(true).runCancelled(ctx, t).exits(130)
	for _, ref := range r.tags {
		if now := images.Digest(t, ref, r.on[ref].Inspect()...); now != r.was[ref] {
			t.Errorf("%s serves %q, want %q again\n%s", ref, now, r.was[ref], o.text())
		}
	}
	o.has(map[string]report.Status{well.Host: report.HeldBack, ill.Host: report.Failed}).
		says("put back, because atomic is on, and " + ill.Host + " failed")
}
