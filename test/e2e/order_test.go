package e2e

import (
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
)

// ordered checks the order of what the step wrote, across all its registries: what a server
// sees by itself is checked when that ends.
func (j job) ordered(t testing.TB, o outcome, began int64) {
	t.Helper()
	run := servers.Run{Began: began, Atomic: j.inputs["atomic"] == "true"}
	run.Permissions = run.Atomic || j.inputs["missing-credentials"] == "fail" || strings.Contains(j.auth, "required: true")
	var required []servers.Target // those that an atomic run waits for
	for _, registry := range o.results.Registries {
		s := j.hosts[registry.Registry]
		if s == nil {
			s = servers.At(registry.Registry)
		}
		if s == nil || registry.Status == report.Skipped || j.optional(registry.Registry) {
			continue
		}
		for _, ref := range registry.References {
			repository := strings.TrimPrefix(repositoryOf(ref.Reference), registry.Registry+"/")
			required = append(required, servers.Target{Server: s, Repository: repository, Digest: ref.Digest})
		}
	}
	run.Targets = required
	for _, wrong := range run.Disorder() {
		t.Errorf("%s\n%s", wrong, o.text())
	}
	if !run.Atomic || !tagged(run) {
		return
	}
	for _, target := range required {
		if target.Digest == "" {
			t.Errorf("a tag was written, and an image is not known\n%s", o.text())
			continue
		}
		if _, err := images.Fetch(target.Server.Host+"/"+target.Repository+"@"+target.Digest, target.Server.Inspect()...); err != nil {
			t.Errorf("a tag was written while %s was not whole: %v\n%s", target.Server.Host, err, o.text())
		}
	}
}

// tagged reports whether the run wrote a tag of its images.
func tagged(run servers.Run) bool {
	for _, target := range run.Targets {
		for _, w := range target.Server.Writes(run.Began) {
			if w.Kind == servers.Tag && w.Digest == target.Digest {
				return true
			}
		}
	}
	return false
}

// optional reports whether an item of registry-auth says that a registry may fail.
func (j job) optional(host string) bool {
	for item := range strings.SplitSeq("\n"+j.auth, "\n- ") {
		if strings.Contains(item, host) && strings.Contains(item, "required: false") {
			return true
		}
	}
	return false
}
