package publish

import (
	"context"
	"errors"
	"fmt"

	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// patience is how many of the pauses between questions are spent on a tag of which that many tell:
// it serves neither what was written nor what it served before, is refused, or is about to be put
// back.
const patience = 4

// verify asks again for everything that was written under a tag, or by digest, and then,
// where that was asked for, as somebody does who has no account.
func (r *run) verify(ctx context.Context, s *registryRun, updates []*tagUpdate) {
	written := only(updates, func(u *tagUpdate) bool { return u.written })
	if len(written) > 0 {
		leave := s.results.enter(Verify)
		limited(requestsAtOnce, written, func(u *tagUpdate) { r.verifyOne(ctx, u) })
		leave(ctx.Err() != nil || anyFailed(written))
	}
	r.verifyPublic(ctx, s, updates)
}

func (r *run) verifyOne(ctx context.Context, u *tagUpdate) {
	if u.renew != nil {
		if err := r.listed(ctx, u); err != nil && ctx.Err() == nil {
			r.failTag(u.t, usererror.New(usererror.VerifyMismatch, u.t.Repository.Host,
				"asking for "+u.String()+" after it was written", usererror.Advice(err), err))
		}
		return
	}
	serves, err := r.servesNow(ctx, u)
	switch {
	case ctx.Err() != nil: // it was written; whether it is served was not asked
	case err != nil:
		err = usererror.New(usererror.VerifyMismatch, u.t.Repository.Host,
			"asking for "+u.String()+" after it was written", usererror.Advice(err), err)
		r.failTag(u.t, err)
		u.settle(Failed, "", err.Error())
	case serves == u.digest.String():
	case serves == u.before || serves == "":
		r.unseen(u, serves)
	default:
		err = usererror.New(usererror.VerifyMismatch, u.t.Repository.Host,
			fmt.Sprintf("%s serves %s, not %s", u, orNothing(serves), u.digest), "", nil)
		r.failTag(u.t, err)
		u.settle(Failed, serves, err.Error())
	}
}

// unseen puts down that a registry took a write and does not show it yet.
func (r *run) unseen(u *tagUpdate, serves string) {
	text := fmt.Sprintf("%s was taken by the registry, which still serves %s after half a minute", u, orNothing(serves))
	r.note(Note{Host: u.t.Repository.Host, Warning: true}, text)
	if !u.asked {
		return
	}
	u.t.registry.results.settle(slot{u.t.image.index, u.t.Repository, u.tag}, ReferenceResult{
		Reference: u.String(), Status: Pushed, Before: u.before, Now: serves, Unseen: true, Reason: r.deps.Clean(text),
	})
}

// servesNow returns the digest that the tag serves, "" for none, after asking until it is
// ours or the time for that is over. One that is neither ours nor what was there before, and one
// that the registry refuses to tell, are given less time.
func (r *run) servesNow(ctx context.Context, u *tagUpdate) (digest string, err error) {
	for try := 0; ; try++ {
		digest, err = u.serves(ctx)
		unclear := errors.Is(err, registry.ErrUnclear)
		third := unclear || digest != u.before && digest != ""
		if err != nil && !unclear || digest == u.digest.String() || third && try >= patience ||
			try == len(r.deps.VerifyPauses) || !pause(ctx, r.deps.VerifyPauses[try]) {
			return digest, err
		}
	}
}

// serves returns the digest that the tag serves, "" for none.
func (u *tagUpdate) serves(ctx context.Context) (string, error) {
	d, err := u.t.client.Stat(ctx, u.ref())
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return "", nil
	case err != nil:
		return "", err
	}
	return d.Digest.String(), nil
}

func orNothing(digest string) string {
	if digest == "" {
		return "nothing"
	}
	return digest
}
