package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/internal/source"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// tagUpdate is a tag that is to serve a manifest which its repository holds whole. The steps set its
// fields one after the other, each on its own:
//
//	inventory    before, beforeUnknown; of the image's tags raw, mediaType and digest once the root is known
//	             (point); of referrers' tags kept, passedOver
//	commit       before and beforeUnknown anew, old and oldType (lookAgain)
//	tag          the same for what the last look looks at, raw and digest of a list (refresh), kept;
//	             then attempted, and written or failure
//	roll back    none: it reads them
type tagUpdate struct {
	t         *target
	tag       string // empty: the image's root, by digest
	raw       []byte
	mediaType string
	digest    v1.Hash
	asked     bool // by the user; else a referrer's tag
	// renew is set for a list of referrers, which others add to as well: it returns the
	// update that makes the list as it is now name ours, nil if it does.
	renew func(ctx context.Context) (*tagUpdate, error)
	// signature is the manifest of a signature's tag, which is moved only if it holds all
	// that is there.
	signature  *source.Manifest
	passedOver []v1.Hash // referrers that are not to be copied
	kept       bool      // the signatures that are there stay

	before        string // what the tag served, empty for nothing or unknown
	beforeSize    int64  // of the manifest that before names, in bytes, as the registry announces it
	beforeUnknown bool   // the registry does not tell what the tag serves
	old           []byte // the manifest that before names, kept for putting it back; nil if it is not kept
	oldType       string
	attempted     bool // a write was sent: the tag may have moved
	written       bool // the registry took the write
	failure       string
}

// askedUpdates returns the updates that the user asked for. What they point at is known
// later.
func (t *target) askedUpdates(byDigest bool) (all []*tagUpdate) {
	if byDigest {
		return []*tagUpdate{{t: t, asked: true}}
	}
	for _, tag := range t.tags {
		all = append(all, &tagUpdate{t: t, tag: tag, asked: true})
	}
	return all
}

// point makes an update that was asked for one to root.
func (u *tagUpdate) point(root *source.Manifest) {
	if !u.asked {
		return
	}
	u.raw, u.mediaType, u.digest = root.Raw, string(root.Descriptor.MediaType), root.Descriptor.Digest
	if u.tag == "" && !lacks(u.t.missing, root) {
		u.before = root.Descriptor.Digest.String()
	}
}

func lacks(missing []*source.Manifest, m *source.Manifest) bool {
	same := func(other *source.Manifest) bool { return other.Descriptor.Digest == m.Descriptor.Digest }
	return slices.ContainsFunc(missing, same)
}

func (u *tagUpdate) String() string {
	if u.tag == "" {
		return u.t.Repository.String() + "@" + u.digest.String()
	}
	return imageref.Reference{Repository: u.t.Repository, Tag: u.tag}.String()
}

// ref is what the manifest is written under.
func (u *tagUpdate) ref() string {
	if u.tag == "" {
		return u.digest.String()
	}
	return u.tag
}

// stays reports whether the tag serves the digest already.
func (u *tagUpdate) stays() bool { return !u.beforeUnknown && u.before == u.digest.String() }

// settle puts down the last word on a reference that was asked for.
func (u *tagUpdate) settle(status Status, now string, reason string) {
	if !u.asked {
		return
	}
	r := u.t.registry.results.r
	u.t.registry.results.settle(slot{u.t.image.index, u.t.Repository, u.tag}, ReferenceResult{
		Reference: u.String(), Status: status, Before: u.before, Now: now, Reason: r.deps.Clean(reason),
	})
}

// settleIfOpen settles a reference of which nothing was put down.
func (u *tagUpdate) settleIfOpen(status Status, now string) {
	if slices.Contains(u.t.registry.results.unsettled(u.t), slot{u.t.image.index, u.t.Repository, u.tag}) {
		u.settle(status, now, "")
	}
}

// lookUpAll finds out, by look, what every tag serves now.
func (r *run) lookUpAll(ctx context.Context, t *target, updates []*tagUpdate,
	look func(context.Context, *tagUpdate) error) {
	within, cancel := t.within(ctx)
	defer cancel()
	limited(requestsAtOnce, updates, func(u *tagUpdate) {
		if u.tag == "" || t.out() {
			return
		}
		if err := look(within, u); err != nil {
			r.failWithin(ctx, t, err)
		}
	})
}

// lookUp asks what the tag serves. What was kept of what it served before is forgotten.
func (r *run) lookUp(ctx context.Context, u *tagUpdate) error {
	d, err := u.t.client.Stat(ctx, u.tag)
	r.old.Release(int64(len(u.old)))
	u.before, u.beforeUnknown, u.old, u.oldType = "", false, nil, ""
	switch {
	case err == nil:
		u.before, u.beforeSize = d.Digest.String(), d.Size
	case errors.Is(err, registry.ErrNotFound):
	case errors.Is(err, registry.ErrUnclear):
		u.beforeUnknown = true
		return r.mustKnow(u)
	default:
		return err
	}
	return nil
}

// lookAgain is lookUp when the tag may soon be written: with atomic, the manifest that it
// serves is kept for putting it back.
func (r *run) lookAgain(ctx context.Context, u *tagUpdate) error {
	if err := r.lookUp(ctx, u); err != nil || !r.Atomic {
		return err
	}
	return r.keepOld(ctx, u)
}

// mustKnow returns an error if a tag of which the registry does not tell what it serves must
// not be moved for that.
func (r *run) mustKnow(u *tagUpdate) error {
	if !r.Atomic && !r.SkipExisting && !r.mustStay(u.tag) && u.signature == nil {
		return nil
	}
	return usererror.New(usererror.TagRefused, u.t.Repository.Host,
		u.String()+": the registry does not tell whether this tag is there",
		"A tag that is immutable, holds signatures or may have to be put back cannot be moved unseen. Let the account "+
			"read the repository.", nil)
}

// mustStay reports whether immutable-tags protects a tag.
func (r *run) mustStay(tag string) bool {
	return r.ImmutableTags != nil && r.ImmutableTags.MatchString(tag)
}

// conflicts reports whether the update is one that immutable-tags forbids.
func (r *run) conflicts(u *tagUpdate) bool {
	return u.asked && u.before != "" && !u.stays() && r.mustStay(u.tag)
}

// settleConflicts ends what immutable-tags forbids: with skip-existing the repository is
// left out, else none of the image's tags in this registry move. A repository with
// required: false stops no other.
func (r *run) settleConflicts(ctx context.Context, s *registryRun, im *sourceImage) {
	for _, optional := range []bool{false, true} {
		var conflict *tagUpdate
		for _, t := range s.alive(im) {
			for _, u := range t.updates {
				if t.optional != optional || !r.conflicts(u) {
					continue
				}
				if r.SkipExisting {
					r.skipExisting(u)
					break
				}
				if conflict == nil {
					conflict = u
				}
				u.settle(Failed, u.before, "immutable, and serves another digest")
			}
		}
		if conflict == nil {
			continue
		}
		what := fmt.Sprintf("%s is immutable and serves %s, not %s", conflict, conflict.before, conflict.digest)
		if !optional {
			what += "; none of this registry's tags were moved"
		}
		for _, t := range s.alive(im) {
			if t.optional || !optional {
				r.fail(ctx, t, usererror.New(usererror.ImmutableTag, s.Host, what, "", nil))
			}
		}
	}
}

// skipExisting leaves an image out in a repository.
func (r *run) skipExisting(u *tagUpdate) {
	reason := fmt.Sprintf("%s is there already, at %s", u, u.before)
	if u.t.out() {
		return
	}
	r.note(Note{Host: u.t.Repository.Host},
		fmt.Sprintf("%s: the image is left out in %s, all its tags (skip-existing)", reason, u.t.Repository))
	r.leaveOut(u.t, Skipped, SkipExisting, reason)
}

// resolved returns the updates of an image's repositories that nothing has ended yet.
func (r *run) resolved(s *registryRun, im *sourceImage) (all []*tagUpdate) {
	for _, t := range s.alive(im) {
		all = append(all, t.updates...)
	}
	return all
}

// writeTags points the tags at the image. Of what a registry protects by itself, only its refusal
// tells: then no other of its tags moves that has not yet.
func (r *run) writeTags(ctx context.Context, s *registryRun, updates []*tagUpdate) {
	var refused atomic.Pointer[tagUpdate]
	r.writeEach(ctx, s, updates, func(u *tagUpdate) bool {
		by := refused.Load()
		if by == nil || u.stays() || by.t.optional && !u.t.optional {
			return true
		}
		u.settle(Failed, u.before, "not moved, because the registry does not let "+by.String()+" move")
		return false
	}, func(u *tagUpdate, err error) {
		if u.asked && usererror.Is(err, usererror.ImmutableTag) {
			refused.Store(u)
		}
	})
}

// writeEach writes the tags that may be written: first those of referrers, then those that were
// asked for.
func (r *run) writeEach(ctx context.Context, s *registryRun, updates []*tagUpdate,
	may func(*tagUpdate) bool, failed func(*tagUpdate, error)) {
	if len(updates) == 0 {
		return
	}
	leave := s.results.enter(Tag)
	defer func() { leave(ctx.Err() != nil || anyFailed(updates)) }()
	for _, wave := range r.waves(updates) {
		limited(requestsAtOnce, wave, func(u *tagUpdate) {
			if ctx.Err() != nil || u.t.out() || !may(u) {
				return
			}
			if err := r.guarded(s, func() error { return r.writeTag(ctx, u) }); err != nil {
				failed(u, err)
				r.writeRefused(ctx, u, err)
			}
		})
	}
}

func anyFailed(updates []*tagUpdate) bool {
	return slices.ContainsFunc(updates, func(u *tagUpdate) bool { return u.t.err() != nil })
}

// waves orders updates: referrers' tags, those that may turn out not to move, the rest.
func (r *run) waves(updates []*tagUpdate) (out [3][]*tagUpdate) {
	first := likeliestRefused(updates)
	for _, u := range updates {
		switch {
		case !u.asked:
			out[0] = append(out[0], u)
		case u == first, r.mustStay(u.tag):
			out[1] = append(out[1], u)
		default:
			out[2] = append(out[2], u)
		}
	}
	return out
}

// likeliestRefused returns the update to try before all others, nil if none can be refused as
// immutable: of the tags that point elsewhere now, the most specific version, since rules that
// protect only some tags protect those.
func likeliestRefused(updates []*tagUpdate) (first *tagUpdate) {
	for _, u := range updates {
		if u.asked && u.before != "" && !u.stays() &&
			(first == nil || strings.Count(u.tag, ".") > strings.Count(first.tag, ".")) {
			first = u
		}
	}
	return first
}

// lookTries is how often a tag of referrers is looked at and written while others write it, too.
const lookTries = 3

// writeTag writes one tag after a last look at what must not be lost by it.
func (r *run) writeTag(ctx context.Context, u *tagUpdate) error {
	for try := 1; ; try++ {
		cond, err := r.lastLook(ctx, u, try)
		if err != nil || u.t.out() || u.kept {
			return err
		}
		if u.stays() {
			u.settle(Unchanged, u.before, "")
			return nil
		}
		err = r.putTag(ctx, u, cond)
		if u.asked || try == lookTries || !errors.Is(err, registry.ErrPrecondition) {
			return err
		}
	}
}

// lastLook looks, right before the write, at what must not be lost by it: between the look
// and the write somebody may have been faster. What it returns lets registries that honour
// conditions close the gap that is left.
func (r *run) lastLook(ctx context.Context, u *tagUpdate, try int) (registry.Condition, error) {
	cond := registry.Condition{Whole: true}
	switch {
	case u.stays():
	case u.renew != nil:
		if err := r.refresh(ctx, u, try > 1); err != nil {
			return cond, err
		}
		cond.Whole = false
	case u.signature != nil:
		if err := r.lookAtSignature(ctx, u); err != nil {
			return cond, err
		}
	case u.asked && r.mustStay(u.tag):
		if err := r.lookAgain(ctx, u); err != nil {
			return cond, err
		}
		switch {
		case !r.conflicts(u):
		case r.SkipExisting:
			r.skipExisting(u)
		default:
			return cond, usererror.New(usererror.ImmutableTag, u.t.Repository.Host,
				fmt.Sprintf("%s is immutable and serves %s by now, not %s", u, u.before, u.digest), "", nil)
		}
		cond.IfNoneMatch = true
	}
	if !u.asked && try < lookTries { // the last attempt is unconditional
		cond.IfMatch, cond.IfNoneMatch = u.before, u.before == ""
	}
	return cond, nil
}

// putTag writes the tag.
func (r *run) putTag(ctx context.Context, u *tagUpdate, cond registry.Condition) error {
	u.attempted = true
	// A write that has begun is not cut off by a cancellation: nobody could say whether
	// the registry carried it out.
	begun, cancel := outlive(ctx, writeTime)
	defer cancel()
	put := func() error {
		_, err := u.t.client.PutManifest(begun, u.ref(), u.raw, u.mediaType, cond)
		return err
	}
	var err error
	switch {
	case u.tag == "" && !r.late(u.t)[u.digest]: // the root is there: something refers to it
	case u.asked:
		err = r.orRepair(ctx, u.t, put)
	default:
		err = put()
	}
	switch {
	case errors.Is(err, registry.ErrImmutable), errors.Is(err, registry.ErrPrecondition):
		return usererror.New(usererror.ImmutableTag, u.t.Repository.Host,
			"the registry does not let "+u.String()+" move", "", err)
	case err != nil && ctx.Err() == nil:
		return usererror.New(usererror.TagRefused, u.t.Repository.Host, u.String()+" was not tagged",
			usererror.Advice(err), err)
	case err != nil:
		u.settle(Failed, "", fmt.Sprintf("cancelled while %s was written: it may yet move", u))
		return err
	}
	u.written = true
	u.t.registry.results.change(func(out *RegistryResult) {
		if out.Wrote = true; u.signature != nil {
			out.Referrers.Copied++
		}
	})
	u.settle(Pushed, u.digest.String(), "")
	return nil
}

// writeRefused puts down that one tag was not written. Other tags of the target go on.
func (r *run) writeRefused(ctx context.Context, u *tagUpdate, err error) {
	if ctx.Err() != nil {
		return
	}
	u.failure = usererror.Text(err)
	now := ""
	if usererror.Is(err, usererror.ImmutableTag) {
		now = u.before // it did not move, for sure
	}
	r.failTag(u.t, err)
	u.settle(Failed, now, u.failure)
	stuck := usererror.Is(err, usererror.ImmutableTag)
	if !u.asked && !stuck || usererror.Is(err, usererror.RegistryGaveUp) || usererror.Is(err, usererror.Unreachable) {
		u.t.end(err) // no tag before its signatures; and others would wait as long for the same answer
	}
}
