package publish

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// writeTime is how long the write of a tag that has begun may still take when the run is
// cancelled.
const writeTime = 1500 * time.Millisecond

// tagsAtOnce is how many tags of one site are asked for or written at a time.
const tagsAtOnce = 8

// move is a tag that is to point at a manifest which its repository holds whole.
type move struct {
	t         *target
	tag       string
	raw       []byte
	mediaType string
	digest    v1.Hash
	asked     bool // by the user; else a referrer's tag
	// renew is set for a list of referrers, which others add to as well: it returns the
	// move that makes the list as it is now name ours, nil if it does.
	renew func(ctx context.Context) (*move, error)

	before    string // what the tag served, empty for nothing
	old       []byte // the manifest that before names, kept for putting it back
	oldType   string
	attempted bool // a write was sent: the tag may have moved
	written   bool
	failure   string // why it was not written
}

func (m *move) String() string {
	return imageref.Reference{Repository: m.t.Repository, Tag: m.tag}.String()
}

// stays reports whether the tag serves the digest already.
func (m *move) stays() bool { return m.before == m.digest.String() }

// weigh finds out what every tag of s serves now and returns the moves of the targets
// that are whole. If a tag that must not move would, none of s's tags do.
func (r *run) weigh(ctx context.Context, s *site, g *goods) []*move {
	var moves []*move
	var mu sync.Mutex
	atOnce(s.alive(), func(t *target) {
		planned, err := r.movesOf(ctx, t, g)
		if err != nil {
			r.fail(ctx, s, t, err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		moves = append(moves, planned...)
	})
	few(tagsAtOnce, moves, func(m *move) {
		if m.t.out() {
			return
		}
		within, cancel := m.t.within(ctx)
		defer cancel()
		if err := m.lookUp(within, r.Atomic && !r.DryRun); err != nil && (!m.t.out() || ctx.Err() != nil) {
			r.fail(ctx, s, m.t, err)
		}
	})
	optional, required := optionalApart(moves)
	for _, these := range [][]*move{required, optional} {
		err := r.immutable(these)
		if err == nil {
			continue
		}
		for _, m := range these {
			if m.t.err() == nil && r.conflicts(m) {
				r.tagDone(m.t, m.tag, report.Failed, m.before, m.before, "immutable, and serves another digest")
			}
		}
		for _, t := range s.alive() {
			if t.Optional() || !these[0].t.Optional() { // an optional repository stops no other
				r.fail(ctx, s, t, err)
			}
		}
	}
	return living(moves)
}

// living returns the moves of targets that have not failed.
func living(moves []*move) []*move {
	var out []*move
	for _, m := range moves {
		if !m.t.out() {
			out = append(out, m)
		}
	}
	return out
}

// movesOf returns the tags that t gets: those of referrers first, those that were asked
// for last.
func (r *run) movesOf(ctx context.Context, t *target, g *goods) ([]*move, error) {
	root, err := r.root(ctx, g)
	if err != nil {
		return nil, markSource(err)
	}
	moves, err := r.referrerTags(ctx, t, g)
	if err != nil {
		return nil, err
	}
	for _, tag := range t.Tags {
		moves = append(moves, &move{t: t, tag: tag, raw: root.Raw, mediaType: string(root.Descriptor.MediaType), digest: root.Descriptor.Digest, asked: true})
	}
	return moves, nil
}

// lookUp asks what the tag serves and, with keep, gets that manifest so that it can be
// put back.
func (m *move) lookUp(ctx context.Context, keep bool) error {
	d, err := m.t.repository.Stat(ctx, m.tag)
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	m.before = d.Digest.String()
	if !keep || m.stays() {
		return nil
	}
	m.old, d, err = m.t.repository.Manifest(ctx, m.before)
	m.oldType = string(d.MediaType)
	if errors.Is(err, registry.ErrNotFound) {
		return nil // it cannot be put back then, which is said if it comes to that
	}
	return err
}

// conflicts reports whether the move is one that immutable-tags forbids.
func (r *run) conflicts(m *move) bool {
	return r.ImmutableTags != nil && m.asked && m.before != "" && !m.stays() && r.ImmutableTags.MatchString(m.tag)
}

// immutable returns an error that names the first move that immutable-tags forbids.
func (r *run) immutable(moves []*move) error {
	for _, m := range moves {
		if !r.conflicts(m) {
			continue
		}
		what := fmt.Sprintf("%s is immutable and serves %s, not %s", m, m.before, m.digest)
		if !m.t.Optional() {
			what += "; none of this registry's tags were moved"
		}
		return usererror.New(usererror.ImmutableTag, m.t.Repository.Host, what, "", nil)
	}
	return nil
}

// write points the tags at the image: first those of referrers, then those that were
// asked for, several at a time. With stop, it writes nothing more once a required
// write has failed anywhere. Of what a registry protects by itself, only its refusal tells:
// then no other of its tags moves that has not yet.
func (r *run) write(ctx context.Context, s *site, moves []*move, stop *atomic.Bool) {
	if len(moves) == 0 {
		return
	}
	defer r.enter(ctx, s, report.Tag)()
	var refused atomic.Pointer[move]
	one := func(m *move) {
		if ctx.Err() != nil || stop != nil && stop.Load() || m.t.out() {
			return
		}
		if by := refused.Load(); by != nil && !m.stays() && (m.t.Optional() || !by.t.Optional()) {
			r.heldBack(m, "not moved, because the registry does not let "+by.String()+" move")
			return
		}
		if err := r.writeOne(ctx, m); err != nil {
			switch {
			case stop != nil && !m.t.Optional():
				stop.Store(true)
			case stop == nil && m.asked && usererror.Is(err, usererror.ImmutableTag):
				refused.Store(m)
			}
			r.tagFailed(ctx, s, m, err)
		}
	}
	waves := [3][]*move{}
	first := likeliestRefused(moves)
	for _, m := range moves {
		switch {
		case !m.asked:
			waves[0] = append(waves[0], m)
		case m == first:
			waves[1] = append(waves[1], m)
		default:
			waves[2] = append(waves[2], m)
		}
	}
	for _, wave := range waves {
		few(tagsAtOnce, wave, one)
	}
}

// likeliestRefused returns the move to try before all others, nil if none can be refused as
// immutable: of the tags that point elsewhere now, the most specific version, since rules that
// protect only some tags protect those.
func likeliestRefused(moves []*move) (first *move) {
	for _, m := range moves {
		if m.asked && m.before != "" && !m.stays() && (first == nil || strings.Count(m.tag, ".") > strings.Count(first.tag, ".")) {
			first = m
		}
	}
	return first
}

func (r *run) writeOne(ctx context.Context, m *move) error {
	for try := 1; ; try++ {
		cond, err := r.lookAgain(ctx, m, try)
		if err != nil {
			return err
		}
		if m.stays() {
			if m.asked {
				r.tagDone(m.t, m.tag, report.Unchanged, m.before, m.before, "")
			}
			return nil
		}
		err = r.put(ctx, m, cond)
		if m.renew == nil || try == listTries || !errors.Is(err, registry.ErrPrecondition) {
			return err
		}
	}
}

// lookAgain looks, right before the write, at what must not be lost by it: between the look
// and the write somebody may have been faster. What it returns lets registries that honour
// conditions close the gap that is left.
func (r *run) lookAgain(ctx context.Context, m *move, try int) (registry.Condition, error) {
	cond := registry.Condition{Whole: true}
	switch {
	case m.stays():
	case m.renew != nil:
		if err := m.refresh(ctx, r.Atomic, try > 1); err != nil {
			return cond, err
		}
		if cond.Whole = false; try < listTries { // the last word is ours
			cond.IfMatch, cond.IfNoneMatch = m.before, m.before == ""
		}
	case m.asked && r.ImmutableTags != nil && r.ImmutableTags.MatchString(m.tag):
		if err := m.lookUp(ctx, false); err != nil {
			return cond, err
		}
		if r.conflicts(m) {
			return cond, usererror.New(usererror.ImmutableTag, m.t.Repository.Host,
				fmt.Sprintf("%s is immutable and serves %s by now, not %s", m, m.before, m.digest), "", nil)
		}
		cond.IfNoneMatch = true
	}
	return cond, nil
}

// put writes the tag.
func (r *run) put(ctx context.Context, m *move, cond registry.Condition) error {
	m.attempted = true
	// A write that has begun is not cut off by a cancellation: nobody could say whether
	// the registry carried it out.
	begun, cancel := outlive(ctx, writeTime)
	defer cancel()
	_, err := m.t.repository.PutManifest(begun, m.tag, m.raw, m.mediaType, cond)
	switch {
	case errors.Is(err, registry.ErrImmutable), errors.Is(err, registry.ErrPrecondition):
		return usererror.New(usererror.ImmutableTag, m.t.Repository.Host, "the registry does not let "+m.String()+" move", "", err)
	case err != nil && ctx.Err() == nil:
		return usererror.New(usererror.TagRefused, m.t.Repository.Host, m.String()+" was not tagged", usererror.Advice(err), err)
	case err != nil:
		return err
	}
	m.written = true
	if m.asked {
		r.tagDone(m.t, m.tag, report.Pushed, m.before, m.digest.String(), "")
	}
	return nil
}

// tagFailed says that one tag was not written. Other tags of the target go on.
func (r *run) tagFailed(ctx context.Context, s *site, m *move, err error) {
	if ctx.Err() != nil {
		return
	}
	m.failure = err.Error()
	r.emit(report.RegistryFailed{At: r.at(), Registry: s.Host, Optional: m.t.Optional(), Err: err})
	if m.asked {
		now := ""
		if usererror.Is(err, usererror.ImmutableTag) {
			now = m.before // it did not move, for sure
		}
		r.tagDone(m.t, m.tag, report.Failed, m.before, now, m.failure)
	}
	m.t.failTag(err)
	if usererror.Is(err, usererror.RegistryGaveUp) || usererror.Is(err, usererror.Unreachable) {
		m.t.fail(err) // its other tags would wait as long for the same answer
	}
}
