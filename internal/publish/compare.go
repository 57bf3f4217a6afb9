package publish

import (
	"context"

	"github.com/multi-registry-push/multi-registry-push/internal/report"
)

// compare is a dry run's copy and tag: it reads what s has and says what would be
// done. It sends nothing that writes.
func (r *run) compare(ctx context.Context, s *site, g *goods) {
	sh := g.shelf(s)
	defer sh.releaseAll()
	if !s.waitForLogin(ctx) {
		return
	}
	defer r.enter(ctx, s, report.Copy)()
	roots, err := r.roots(ctx, g)
	if err != nil {
		r.failAll(ctx, s, markSource(err))
		return
	}
	missing := r.survey(ctx, s, roots)
	jobs, err := r.missingBlobs(ctx, s, missing, &holdings{})
	if err != nil {
		r.failAll(ctx, s, err)
		return
	}
	moves := r.weigh(ctx, s, g)
	if len(s.alive()) == 0 {
		return
	}
	note := "push permission is unproven: a dry run opens no upload"
	for _, t := range s.alive() {
		if t.absent {
			note += "; " + t.Repository.String() + " does not exist yet"
		}
	}
	r.emit(report.DryRunPlan{At: r.at(), Registry: s.Host, MissingBlobs: len(jobs), MissingBytes: lackingBytes(jobs), Note: note})
	for _, m := range moves {
		switch {
		case !m.asked:
		case m.stays() && len(missing[m.t]) == 0:
			r.tagDone(m.t, m.tag, report.Unchanged, m.before, m.before, "")
		case m.stays():
			r.tagDone(m.t, m.tag, report.Planned, m.before, m.before, "the tag stays; parts of the image are missing")
		case m.before == "":
			r.tagDone(m.t, m.tag, report.Planned, "", "", "would be new, at "+m.digest.String())
		default:
			r.tagDone(m.t, m.tag, report.Planned, m.before, m.before, "would move to "+m.digest.String())
		}
	}
}
