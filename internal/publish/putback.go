package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// putBackTime is how long tags are put back when the job was cancelled: the runner
// kills the container within seconds.
const putBackTime = 2500 * time.Millisecond

// putBack returns every tag that moved to what it served before. It touches only tags
// that still serve our digest, and deletes new ones by name, never by digest, which
// would take other tags along.
func (r *run) putBack(ctx context.Context, sites []*site, moves [][]*move) {
	why := "a tag could not be written elsewhere"
	if ctx.Err() != nil {
		why = "the job was cancelled"
	}
	ctx, cancel := outlive(ctx, putBackTime)
	defer cancel()
	index := make([]int, len(sites))
	for i := range sites {
		index[i] = i
	}
	atOnce(index, func(i int) {
		few(tagsAtOnce, moves[i], func(m *move) {
			if m.stays() {
				if m.asked && slices.Contains(m.t.unsettled(), m.tag) { // the writes may have stopped before it
					r.tagDone(m.t, m.tag, report.Unchanged, m.before, m.before, "")
				}
				return
			}
			if !m.attempted {
				r.heldBack(m, cmp.Or(m.failure, "not moved, because "+why))
				return
			}
			now, err := r.putOneBack(ctx, m)
			switch {
			case err != nil:
				err = usererror.New(usererror.NotPutBack, sites[i].Host, fmt.Sprintf("putting %s back to %s", m, orNothing(m.before)), m.byHand(now), err)
				r.emit(report.RegistryFailed{At: r.at(), Registry: sites[i].Host, Optional: m.t.Optional(), Err: err})
				m.t.failTag(err)
				if m.asked {
					r.tagDone(m.t, m.tag, report.Failed, m.before, now, err.Error())
				}
			default:
				reason := cmp.Or(m.failure, "put back, because "+why)
				if now != m.before {
					reason = "left alone: somebody else has moved it since"
				}
				if m.asked {
					r.tagDone(m.t, m.tag, report.Failed, m.before, now, reason)
				}
			}
		})
	})
}

// byHand is what is left to a person where a tag was not put back and serves now.
func (m *move) byHand(now string) string {
	if m.before == "" {
		return fmt.Sprintf("Remove the tag %s by hand; it serves %s.", m, orUnknown(now))
	}
	return fmt.Sprintf("Set %s to %s by hand; it serves %s.", m, m.before, orUnknown(now))
}

var errNoTime = errors.New("the registry did not answer within the seconds that are left to a cancelled job")

// outlive returns a context that ends d after ctx does, whether that has ended already or
// does so meanwhile.
func outlive(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(d, func() { cancel(errNoTime) })
		context.AfterFunc(longer, func() { timer.Stop() })
	})
	return longer, func() { stop(); cancel(nil) }
}

// putOneBack returns what the tag serves afterwards, "?" if that is not known.
func (r *run) putOneBack(ctx context.Context, m *move) (now string, err error) {
	now, err = r.servedAfterWrite(ctx, m)
	switch {
	case err != nil:
		return unknown, err
	case now == m.digest.String():
	case m.written && now == m.before:
		return unknown, errors.New("the registry took the write and does not show it: it may yet move")
	default:
		return now, nil
	}
	switch {
	case m.before == "":
		if err = m.t.repository.DeleteTag(ctx, m.tag); errors.Is(err, registry.ErrNotFound) {
			err = nil
		}
	case m.old == nil:
		err = errors.New("the manifest that it served is gone")
	default:
		_, err = m.t.repository.PutManifest(ctx, m.tag, m.old, m.oldType, registry.Condition{IfMatch: m.digest.String()})
	}
	if err == nil {
		return m.before, nil
	}
	now, statErr := m.serves(ctx)
	switch {
	case statErr != nil:
		return unknown, err
	case now == m.before, // it was only the answer that was lost
		now != m.digest.String() && errors.Is(err, registry.ErrPrecondition): // somebody moved it while we looked
		return now, nil
	}
	return now, err
}

// servedAfterWrite asks what a tag serves to which a write was sent. A registry may show
// the write late, so one that still shows what was there before is asked again: a few
// times if it said that it took the write, once if it did not say.
func (r *run) servedAfterWrite(ctx context.Context, m *move) (string, error) {
	pauses := r.VerifyPauses
	if !m.written && len(pauses) > 1 {
		pauses = pauses[:1]
	}
	for try := 0; ; try++ {
		now, err := m.serves(ctx)
		if err != nil || now != m.before || try == len(pauses) || !pause(ctx, pauses[try]) {
			return now, err
		}
	}
}

// serves returns the digest that the tag serves, "" for none.
func (m *move) serves(ctx context.Context) (string, error) {
	d, err := m.t.repository.Stat(ctx, m.tag)
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return "", nil
	case err != nil:
		return "", err
	}
	return d.Digest.String(), nil
}

const unknown = "?"

func orUnknown(digest string) string {
	if digest == unknown {
		return "what cannot be told, since the registry does not answer"
	}
	return orNothing(digest)
}
