package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// rollBack returns every tag that moved to what it served before. It touches only tags
// that still serve our digest, or, where the registry has just taken the write, do not show
// it yet. New ones are deleted by name, never by digest, which would take other tags along.
func (r *run) rollBack(ctx context.Context, registries []*registryRun, updates [][]*tagUpdate) {
	why, status := heldBack("", culprits(registries)), HeldBack
	if ctx.Err() != nil {
		why, status = "the job was cancelled", Failed
	}
	ctx, cancel := outlive(ctx, cmp.Or(r.deps.RollBackTime, rollBackTime))
	defer cancel()
	var all []*tagUpdate
	broken := map[*registryRun]bool{} // that failed by themselves
	for i, s := range registries {
		all = append(all, updates[i]...)
		broken[s] = anyRequiredFailed([]*registryRun{s})
	}
	statusOf := func(u *tagUpdate) Status {
		if broken[u.t.registry] {
			return Failed
		}
		return status
	}
	stayed := func(u *tagUpdate) bool { return !u.attempted || u.stays() || u.tag == "" }
	if n := len(slices.DeleteFunc(slices.Clone(all), stayed)); n > 0 {
		r.note(Note{}, fmt.Sprintf("atomic: tags to be put back where they have moved: %d", n))
	}
	limited(requestsAtOnce, all, func(u *tagUpdate) {
		switch { // in this order: what serves ours already was never attempted, and a digest cannot move
		case u.stays():
			u.settleIfOpen(Unchanged, u.before) // the writes stopped before it
		case !u.attempted:
			u.settle(statusOf(u), u.before, cmp.Or(u.failure, "not moved, because "+why))
		case u.tag == "":
			u.settle(statusOf(u), u.now(), cmp.Or(u.failure, "stays: what was written by digest is not deleted"))
		default:
			r.rollBackOne(ctx, u, statusOf(u), why)
		}
	})
}

func (u *tagUpdate) now() string {
	if u.written {
		return u.digest.String()
	}
	return u.before
}

func (r *run) rollBackOne(ctx context.Context, u *tagUpdate, status Status, why string) {
	now, put := notKnown, false
	err := r.guarded(u.t.registry, func() (err error) {
		now, put, err = r.putOneBack(ctx, u)
		return err
	})
	if err != nil {
		err = usererror.New(usererror.NotPutBack, u.t.Repository.Host,
			fmt.Sprintf("putting %s back to %s", u, orNothing(u.before)), u.byHand(now), err)
		r.failTag(u.t, err)
		u.settle(Failed, now, err.Error())
		return
	}
	what := "put back, because " + why
	switch {
	case now != u.before:
		what = fmt.Sprintf("%s is left alone: somebody else has moved it since, to %s", u, orNothing(now))
		if u.failure != "" {
			what = u.failure + "; " + what
		}
	case u.failure != "":
		what = u.failure
	case !put:
		what = fmt.Sprintf("the write of %s got no answer; it serves what it served before, and may yet move", u)
	}
	u.settle(status, now, what)
}

// byHand is what is left to a person where a tag was not put back and serves now.
func (u *tagUpdate) byHand(now string) string {
	if u.before == "" {
		return fmt.Sprintf("Remove the tag %s by hand; it serves %s.", u, orUnknown(now))
	}
	return fmt.Sprintf("Set %s to %s by hand; it serves %s.", u, u.before, orUnknown(now))
}

// putOneBack returns what the tag serves afterwards, "?" if that is not known, and whether it
// serves that because it was put back: a tag that does not serve our digest is not touched, unless
// the registry took the write.
func (r *run) putOneBack(ctx context.Context, u *tagUpdate) (now string, put bool, err error) {
	now, err = r.servedAfterWrite(ctx, u)
	if err != nil {
		return notKnown, false, err
	}
	seen := now == u.digest.String()
	if !seen && (!u.written || now != u.before) {
		return now, false, nil
	}
	switch u.before {
	case "":
		err = u.t.client.DeleteTag(ctx, u.tag)
		if errors.Is(err, registry.ErrNotFound) {
			if err = nil; !seen {
				err = errors.New("the registry took the write and does not show it: it may yet move")
			}
		}
	default:
		cond := registry.Condition{}
		if seen {
			cond.IfMatch = u.digest.String()
		}
		err = r.putOld(ctx, u, cond)
	}
	if err == nil {
		return u.before, true, nil
	}
	now, statErr := u.serves(ctx)
	switch {
	case statErr != nil:
		return notKnown, false, err
	case seen && now == u.before: // it was only the answer that was lost
		return now, true, nil
	case now != u.digest.String() && errors.Is(err, registry.ErrPrecondition): // somebody moved it while we looked
		return now, now == u.before, nil
	}
	return now, false, err
}

// servedAfterWrite asks what a tag serves to which a write was sent. A registry may show
// the write late, so one that still shows what was there before is asked again: a few
// times if it took the write, once if it did not say.
func (r *run) servedAfterWrite(ctx context.Context, u *tagUpdate) (string, error) {
	pauses := r.deps.VerifyPauses
	pauses = pauses[:min(len(pauses), patience)]
	if !u.written && len(pauses) > 1 {
		pauses = pauses[:1]
	}
	for try := 0; ; try++ {
		now, err := u.serves(ctx)
		if err != nil || now != u.before || try == len(pauses) || !pause(ctx, pauses[try]) {
			return now, err
		}
	}
}

const notKnown = "?"

func orUnknown(digest string) string {
	if digest == notKnown {
		return "what cannot be told, since the registry does not answer"
	}
	return orNothing(digest)
}
