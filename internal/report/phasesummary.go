package report

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// phaseSummary says how long a registry's phase that just ended took and what it did.
// A registry that failed or was skipped has nothing more to say.
func (r *Record) phaseSummary(e RegistryPhase) (took time.Duration, text string, failed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.registry(e.Registry)
	for _, s := range g.phases {
		if s.phase == e.Phase && !s.end.IsZero() {
			took, failed = s.end.Sub(s.start), s.failed
		}
	}
	failed = failed || g.skip != "" || g.broken || r.cancelled
	switch e.Phase {
	case Login:
		text = "logged in"
		if len(g.accounts) == 1 && g.accounts[0] == "anonymous" {
			text = "needs no login"
		}
	case Copy:
		if !r.dryRun { // which says what it would send in an event of its own
			text = g.copied(took)
		}
	case Verify:
		n := 0
		for _, ref := range g.references {
			if r.serves(ref) {
				n++
			}
		}
		text = fmt.Sprintf("serves %s under %s", short(r.source.Digest), count(n, "tag"))
	}
	return took, text, failed
}

// copied sums up what a registry was sent.
func (g *registry) copied(took time.Duration) string {
	reused := g.mounted + g.existing
	if g.uploaded == 0 && reused == 0 {
		return "has the image already"
	}
	parts := []string{fmt.Sprintf("sent %s, %s", count(g.uploaded, "blob"), amount(g.blobBytesSent()))}
	if g.uploaded == 0 {
		parts = []string{"nothing to send"}
	}
	if reused > 0 {
		parts = append(parts, fmt.Sprintf("reused %d, %s", reused, amount(g.reusedBytes)))
	}
	parts = append(parts, duration(took))
	if speed := rate(g.sent, took); speed != "" {
		parts = append(parts, speed)
	}
	return strings.Join(parts, ", ")
}

// busyBefore reports whether some registry has not ended the phase before this one,
// which is one after Copy.
func (r *Record) busyBefore(phase Phase) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := phases[order(phase)-1]
	return slices.ContainsFunc(r.registries, func(g *registry) bool {
		return g.skip == "" && len(g.errs) == 0 && len(g.phases) > 0 &&
			!slices.ContainsFunc(g.phases, func(s span) bool { return s.phase == before && !s.end.IsZero() })
	})
}

// said reports whether the reason for a registry's failure has been printed, or follows
// from what has been.
func (r *Record) said(host, reason string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.registry(host)
	return g.follows != "" || slices.ContainsFunc(g.errs, func(err error) bool { return err.Error() == reason })
}
