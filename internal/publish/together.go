package publish

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// together publishes all or nothing: no tag is written anywhere until every required
// site holds the whole image and would take its tags. If a write fails even then, what
// has moved is put back. Optional sites follow when the others are done, and hold
// nobody back.
func (r *run) together(ctx context.Context, sites []*site, g *goods) {
	var required, optional []*site
	for _, s := range sites {
		if s.Optional() {
			optional = append(optional, s)
		} else {
			required = append(required, s)
		}
	}
	decided := make(chan struct{})
	committed := false
	optionalCtx, stopOptional := context.WithCancel(ctx)
	defer stopOptional()
	var late sync.WaitGroup
	for _, s := range optional {
		late.Go(func() {
			r.bring(optionalCtx, s, g)
			<-decided
			if committed {
				moves := r.weigh(ctx, s, g)
				r.write(ctx, s, moves, nil)
				r.verify(ctx, s, moves)
			}
		})
	}

	committed = r.commit(ctx, required, g)
	if !committed {
		stopOptional()
	}
	close(decided)
	late.Wait()
	if !committed {
		r.holdBack(ctx, sites)
	}
}

// commit brings the image to all sites and then moves their tags, and reports whether
// all were written.
func (r *run) commit(ctx context.Context, sites []*site, g *goods) bool {
	moves := make([][]*move, len(sites))
	index := make([]int, len(sites))
	for i := range sites {
		index[i] = i
	}
	atOnce(sites, func(s *site) { r.bring(ctx, s, g) })
	if ctx.Err() != nil || slices.ContainsFunc(sites, (*site).failed) {
		return false
	}
	// Only now: while the slowest copied, somebody else may have moved a tag.
	atOnce(index, func(i int) { moves[i] = r.weigh(ctx, sites[i], g) })
	if ctx.Err() != nil || slices.ContainsFunc(sites, (*site).failed) {
		return false
	}
	later := make([][]*move, len(sites))
	for i := range sites {
		later[i], moves[i] = optionalApart(moves[i])
	}
	var stop atomic.Bool
	atOnce(index, func(i int) { r.write(ctx, sites[i], moves[i], &stop) })
	if stop.Load() || ctx.Err() != nil && !allWritten(moves) {
		r.putBack(ctx, sites, moves)
		return false
	}
	atOnce(index, func(i int) {
		r.write(ctx, sites[i], later[i], nil)
		r.verify(ctx, sites[i], append(moves[i], later[i]...))
	})
	return true
}

// optionalApart parts the moves of repositories with required: false, on a host that
// has others: they follow when those are done, and undo nothing.
func optionalApart(moves []*move) (optional, required []*move) {
	for _, m := range moves {
		if m.t.Optional() {
			optional = append(optional, m)
		} else {
			required = append(required, m)
		}
	}
	return optional, required
}

func allWritten(moves [][]*move) bool {
	for _, of := range moves {
		for _, m := range of {
			if !m.written && !m.stays() {
				return false
			}
		}
	}
	return true
}

// holdBack fails every target that has not failed itself, if a required one has, and
// reports whether that is so.
func (r *run) holdBack(ctx context.Context, sites []*site) bool {
	var culprits []string
	for _, s := range sites {
		if s.failed() && !s.Optional() {
			culprits = append(culprits, s.Host)
		}
	}
	if len(culprits) == 0 {
		return false
	}
	for _, s := range sites {
		for _, t := range s.alive() {
			if t.err() != nil {
				continue // one of its tags was refused
			}
			r.fail(ctx, s, t, usererror.New(usererror.AtomicHeldBack, s.Host,
				s.Host+" was not tagged, because atomic is on and "+strings.Join(culprits, ", ")+" failed", "", nil))
		}
	}
	return true
}

// heldBack says the last word on a tag that is as it was.
func (r *run) heldBack(m *move, reason string) {
	if m.asked {
		r.tagDone(m.t, m.tag, report.Failed, m.before, m.before, reason)
	}
}
