package replicate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/problem"
	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/internal/report"
)

// putBackTime is how long tags are put back when the job was cancelled: the runner
// kills the container within seconds.
const putBackTime = 4 * time.Second

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
				if m.asked {
					r.tagDone(m.t, m.tag, report.Unchanged, m.before, m.before, "")
				}
				return
			}
			if !m.attempted {
				r.heldBack(m, cmp.Or(m.failure, "not moved, because "+why))
				return
			}
			now, err := m.putBack(ctx)
			switch {
			case err != nil:
				err = problem.New(problem.NotPutBack, sites[i].Host, fmt.Sprintf("putting %s back to %s", m, orNothing(m.before)),
					fmt.Sprintf("set %s to %s by hand; it serves %s", m, orNothing(m.before), orUnknown(now)), err)
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

// outlive returns a context that ends d after ctx does, whether that has ended already or
// does so meanwhile.
func outlive(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(d, cancel)
		context.AfterFunc(longer, func() { timer.Stop() })
	})
	return longer, func() { stop(); cancel() }
}

// putBack returns what the tag serves afterwards, "?" if that is not known.
func (m *move) putBack(ctx context.Context) (now string, err error) {
	d, err := m.t.repository.Stat(ctx, m.tag)
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return "", nil
	case err != nil:
		return unknown, err
	case d.Digest != m.digest:
		return d.Digest.String(), nil
	case m.before == "":
		err = m.t.repository.DeleteTag(ctx, m.tag)
	case m.old == nil:
		err = errors.New("the manifest that it served is gone")
	default:
		_, err = m.t.repository.PutManifest(ctx, m.tag, m.old, m.oldType, registry.Condition{IfMatch: m.digest.String()})
	}
	if err != nil {
		return m.digest.String(), err
	}
	return m.before, nil
}

const unknown = "?"

func orUnknown(digest string) string {
	if digest == unknown {
		return "what cannot be told, since the registry does not answer"
	}
	return orNothing(digest)
}
