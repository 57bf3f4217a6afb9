package publish

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// site is a registry that gets the image.
type site struct {
	Registry
	host    Host
	targets []*target
	in      chan struct{} // closed when the login has ended, well or not

	mu   sync.Mutex
	said map[string]bool // failures of the whole host that have been said
}

func newSite(planned Registry, host Host) *site {
	s := &site{Registry: planned, host: host, in: make(chan struct{}), said: map[string]bool{}}
	for _, t := range planned.Repositories {
		ctx, cancel := context.WithCancel(context.Background())
		s.targets = append(s.targets, &target{
			Target: t, repository: host.Repository(t.Repository.Path),
			done: ctx, giveUp: cancel, settled: map[string]bool{},
		})
	}
	return s
}

// waitForLogin waits until the login has ended and reports whether there is
// anything to do.
func (s *site) waitForLogin(ctx context.Context) bool {
	select {
	case <-s.in:
		return len(s.alive()) > 0
	case <-ctx.Done():
		<-s.in
		return false
	}
}

// alive returns the targets that have not failed and are not skipped.
func (s *site) alive() []*target {
	return slices.DeleteFunc(slices.Clone(s.targets), (*target).out)
}

// failed reports whether a target failed whose failure counts.
func (s *site) failed() bool {
	return slices.ContainsFunc(s.targets, func(t *target) bool { return t.err() != nil && !t.Optional() })
}

// firstOf reports whether the failure named key is new to the site.
func (s *site) firstOf(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := !s.said[key]
	s.said[key] = true
	return first
}

// target is a repository that gets the image.
type target struct {
	Target
	repository Repository
	lacking    atomic.Bool        // credentials are missing where that is an error
	absent     bool               // a dry run found no repository
	done       context.Context    // ends when the target fails: what is in flight for it ends too
	giveUp     context.CancelFunc // ends it

	mu         sync.Mutex
	failure    error
	tagFailure error // of one tag or several, while others may be well
	skipped    string
	settled    map[string]bool // tags of which a last word was said
}

// within returns ctx, ended also when the target fails.
func (t *target) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(t.done, cancel)
	return ctx, func() { stop(); cancel() }
}

func (t *target) err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return cmp.Or(t.failure, t.tagFailure)
}

// out reports whether nothing more goes to the target.
func (t *target) out() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failure != nil || t.skipped != ""
}

// fail takes the first failure and reports whether err was it.
func (t *target) fail(err error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failure != nil {
		return false
	}
	t.failure = err
	t.giveUp()
	return true
}

// failTag takes a failure that concerns one tag only: the target's other tags go on.
func (t *target) failTag(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tagFailure == nil {
		t.tagFailure = err
	}
}

func (t *target) skip(reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.skipped = reason
	for _, tag := range t.Tags {
		t.settled[tag] = true
	}
}

func (t *target) settle(tag string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settled[tag] = true
}

// unsettled returns the tags of which no last word was said.
func (t *target) unsettled() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(t.Tags), func(tag string) bool { return t.settled[tag] })
}
