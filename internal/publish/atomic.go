package publish

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// errNotCommitted ends what optional registries still do when the required ones have failed: they
// did nothing wrong.
var errNotCommitted = errors.New("atomic is on, and a registry failed")

// publishAtomically publishes all or nothing: no tag is written anywhere until every required
// registry holds all images whole and would take their tags. If a write fails even then,
// what has moved is put back. Optional registries follow when the others are done, and hold
// nobody back.
func (r *run) publishAtomically(ctx context.Context) {
	required := only(r.registries, func(s *registryRun) bool { return !s.Optional() })
	decided := make(chan struct{})
	committed := false
	optionalCtx, stopOptional := context.WithCancelCause(ctx)
	defer stopOptional(nil)
	var followers group
	for _, s := range only(r.registries, func(s *registryRun) bool { return s.Optional() }) {
		followers.run(func() { r.followCommit(ctx, optionalCtx, s, decided, &committed) })
	}
	if err := protect(func() { committed = r.commit(ctx, required) }); err != nil {
		for _, s := range required {
			r.failImages(s, err)
		}
	}
	if !committed {
		stopOptional(errNotCommitted)
	}
	close(decided)
	followers.wait()
	if !committed {
		r.holdBackAll(ctx)
	}
}

// followCommit copies all images to an optional registry, and tags them when the others have
// been tagged.
func (r *run) followCommit(ctx, copying context.Context, s *registryRun, decided <-chan struct{}, committed *bool) {
	r.everyImage(s, func(s *registryRun, im *sourceImage) {
		r.publishImage(ctx, copying, s, im, func() bool {
			<-decided
			return *committed
		})
	})
}

// commit copies all images to all registries and then moves their tags, and reports whether
// all were written.
func (r *run) commit(ctx context.Context, registries []*registryRun) bool {
	atOnce(registries, func(s *registryRun) {
		r.everyImage(s, func(s *registryRun, im *sourceImage) {
			l := r.newLeases(im)
			defer l.end()
			r.copyImage(ctx, s, im, l)
		})
	})
	if ctx.Err() != nil || anyRequiredFailed(registries) {
		return false
	}
	// Only now: while the slowest copied, somebody else may have moved a tag.
	atOnce(registries, func(s *registryRun) { r.step(s, func() { r.readTagsAgain(ctx, s) }) })
	if ctx.Err() != nil || anyRequiredFailed(registries) {
		return false
	}
	updates, optionalUpdates := make([][]*tagUpdate, len(registries)), make([][]*tagUpdate, len(registries))
	for i, s := range registries {
		for _, t := range s.targets {
			switch {
			case t.out():
			case t.optional:
				optionalUpdates[i] = append(optionalUpdates[i], t.updates...)
			default:
				updates[i] = append(updates[i], t.updates...)
			}
		}
	}
	var stop atomic.Bool
	atOnce(indexes(registries), func(i int) {
		r.writeEach(ctx, registries[i], updates[i], func(*tagUpdate) bool { return !stop.Load() },
			func(*tagUpdate, error) { stop.Store(true) })
	})
	if stop.Load() || ctx.Err() != nil && !allWritten(updates) {
		r.rollBack(ctx, registries, updates)
		return false
	}
	atOnce(indexes(registries), func(i int) {
		s := registries[i]
		r.step(s, func() {
			r.writeTags(ctx, s, optionalUpdates[i])
			for _, im := range s.images() {
				r.finishManifests(ctx, s, im)
			}
			r.verify(ctx, s, slices.Concat(updates[i], optionalUpdates[i]))
		})
	})
	return true
}

// readTagsAgain looks up every tag of a registry once more.
func (r *run) readTagsAgain(ctx context.Context, s *registryRun) {
	for _, im := range s.images() {
		atOnce(s.alive(im), func(t *target) {
			r.lookUpAll(ctx, t, t.updates, r.lookAgain)
		})
		r.settleConflicts(ctx, s, im)
	}
}

// finishManifests writes what could not be there before the root was.
func (r *run) finishManifests(ctx context.Context, s *registryRun, im *sourceImage) {
	for _, t := range s.alive(im) {
		late := r.late(t)
		for _, m := range t.missing {
			if !late[m.Descriptor.Digest] || m == im.root {
				continue
			}
			if err := r.putManifest(ctx, t, m); err != nil {
				r.failWithin(ctx, t, err)
			}
		}
	}
}

// anyRequiredFailed reports whether a target failed whose failure counts.
func anyRequiredFailed(registries []*registryRun) bool { return len(culprits(registries)) > 0 }

// culprits returns the hosts of targets that failed and whose failure counts.
func culprits(registries []*registryRun) (hosts []string) {
	for _, s := range registries {
		if slices.ContainsFunc(s.targets, func(t *target) bool { return t.err() != nil && !t.optional }) {
			hosts = append(hosts, s.Host)
		}
	}
	return hosts
}

func allWritten(updates [][]*tagUpdate) bool {
	return !slices.ContainsFunc(slices.Concat(updates...), func(u *tagUpdate) bool {
		return !u.written && !u.stays() && !u.kept
	})
}

// holdBackAll holds back every target that has not failed itself, if one that counts has.
func (r *run) holdBackAll(ctx context.Context) {
	hosts := culprits(r.registries)
	if ctx.Err() != nil || len(hosts) == 0 {
		return
	}
	for _, s := range r.registries {
		for _, t := range s.targets {
			if !t.out() && t.err() == nil {
				r.holdBack(t, hosts)
			}
		}
	}
}

// holdBack ends a target that did nothing wrong. Where all was there already it is unchanged
// whatever else happened.
func (r *run) holdBack(t *target, culprits []string) {
	if t.complete() {
		for _, u := range t.updates {
			u.settleIfOpen(Unchanged, u.before)
		}
		t.end(nil)
		return
	}
	r.leaveOut(t, HeldBack, "", heldBack(t.Repository.Host, culprits))
}

func heldBack(host string, culprits []string) string {
	return usererror.New(usererror.AtomicHeldBack, host,
		"atomic is on, and "+strings.Join(culprits, ", ")+" failed", "", nil).Error()
}
