package e2e

import (
	"net/http"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
	"github.com/multi-registry-push/multi-registry-push/test/servers/distribution"
)

// A dry run says what would be done and only reads: the registries' own logs prove it.
func TestDryRun(t *testing.T) {
	w := newWorld(t)
	source := servers.Olareg(t, servers.Options{})
	w.image.Push(t, source.Reference("acme/built", "1"), source.Inspect()...)
	partly, done := distribution.Start(t, servers.Options{Auth: servers.Token}), servers.Olareg(t, servers.Options{})
	r := w.round(t, "r", partly)
	for _, tag := range []string{"latest", "1.0.0"} {
		w.image.Push(t, done.Reference("acme/app", tag), done.Inspect()...)
	}
	for _, atomic := range []bool{false, true} {
		j := r.job(atomic)
		j.source = source.Reference("acme/built", "1")
		j.auth += done.Item(0) + source.Item(0)
		j.tags = append(j.tags[:4:4], done.Reference("acme/app", "latest"), done.Reference("acme/app", "1.0.0"))
		j.inputs["dry-run"] = "true"
		o := j.run(t).exits(0)
		o.has(map[string]report.Status{partly.Host: report.Planned, done.Host: report.Unchanged})
		o.says("push permission is unproven", w.before.Digest(), w.image.Digest())
		for _, s := range []*servers.Server{source, partly, done} {
			if writes := s.Log.Writes(); len(writes) > 0 {
				t.Errorf("%s: a dry run sends %v", s.Host, writes)
			}
			if gets := s.Log.BlobGets(); len(gets) > 0 {
				t.Errorf("%s: a dry run reads blobs: %v", s.Host, gets)
			}
		}
		if o.outputs["pushed"] != "" || o.outputs["digest"] != w.image.Digest() {
			t.Errorf("pushed %q, digest %q", o.outputs["pushed"], o.outputs["digest"])
		}
		for _, ref := range r.tags {
			if now := images.Digest(t, ref, r.on[ref].Inspect()...); now != r.was[ref] {
				t.Errorf("%s has moved", ref)
			}
		}
	}
}

func TestDryRunWithAWrongPassword(t *testing.T) {
	w := newWorld(t)
	s := servers.Olareg(t, servers.Options{})
	job{source: w.source, tags: []string{s.Reference("acme/app", "1")}, auth: login(s.Host), inputs: map[string]string{"dry-run": "true"}}.
		run(t).exits(1).says("wrong-credentials")
}

func TestDryRunOfAnImmutableTag(t *testing.T) {
	w := newWorld(t)
	s := servers.Olareg(t, servers.Options{})
	ref := s.Reference("acme/app", "1.0.0")
	w.before.Push(t, ref, s.Inspect()...)
	job{source: w.source, tags: []string{ref}, auth: s.Item(0), inputs: map[string]string{"dry-run": "true", "immutable-tags": ".*"}}.
		run(t).exits(1).says("immutable-tag")
	if n := s.Log.Count(http.MethodPut, ""); n > 0 {
		t.Errorf("%d writes", n)
	}
}
