package publish

import (
	"context"
	"slices"
	"sync"
)

// sendGate is what a registry waits at before the first byte of a blob goes to it. It is
// open from the start, unless atomic, missing-credentials: fail or a required: true makes
// everybody wait for everybody: then it opens when each target that counts has arrived.
type sendGate struct {
	open chan struct{}

	mu       sync.Mutex
	waiting  int      // targets that count and have not arrived
	lacking  bool     // credentials are missing where that is an error
	failures []string // hosts of which a target that counts failed before it was sent anything
}

func (r *run) newSendGate() *sendGate {
	g := &sendGate{open: make(chan struct{})}
	waits := r.Atomic || slices.ContainsFunc(r.plan.Registries, func(s RegistryPlan) bool {
		return slices.ContainsFunc(s.Repositories, func(p RepositoryPlan) bool { return r.lacks(p.Required) })
	})
	for _, s := range r.registries {
		for _, t := range s.targets {
			if waits && !r.DryRun && !t.optional {
				g.waiting++
			}
		}
	}
	if g.waiting == 0 {
		close(g.open)
	}
	return g
}

// arrive says that a target can be sent to, or never will. It counts once.
func (g *sendGate) arrive(t *target) {
	t.mu.Lock()
	first, failed := !t.arrived, t.failure != nil
	t.arrived = true
	t.mu.Unlock()
	if !first || t.optional {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if failed && !slices.Contains(g.failures, t.Repository.Host) {
		g.failures = append(g.failures, t.Repository.Host)
	}
	if g.waiting--; g.waiting == 0 { // never, where it was open from the start
		close(g.open)
	}
}

// lack says that credentials are missing where that is an error.
func (g *sendGate) lack() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lacking = true
}

// mayCopy waits at the gate and reports whether the registry may be sent the image. Where
// it may not, its targets are left out, or held back.
func (r *run) mayCopy(ctx context.Context, s *registryRun, im *sourceImage) bool {
	select {
	case <-r.gate.open:
	case <-ctx.Done():
		return false
	}
	g := r.gate
	g.mu.Lock()
	lacking, failures := g.lacking, g.failures
	g.mu.Unlock()
	for _, t := range s.alive(im) {
		switch {
		case lacking:
			r.leaveOut(t, Skipped, SkipElsewhere, string(ReasonElsewhere))
		case r.Atomic && len(failures) > 0:
			r.holdBack(t, failures)
		}
	}
	return len(s.alive(im)) > 0
}
