package publish

import (
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// Unended returns the result of a run of the plan that nobody brought to an end: what is true
// if the process is killed. It is written down before the run, and replaced after it.
func Unended(plan Plan, at time.Time, clean func(text string) redact.Redacted) Result {
	now := func() time.Time { return at }
	r := newRun(plan, Deps{Clean: clean, Now: now}, nil)
	killed := NewFailure(usererror.New(usererror.Unended, "", "the run ended without a word", "", nil), at,
		r.deps.Clean)
	out := Result{
		Start: at, End: at, DryRun: r.DryRun, Untrusted: r.Untrusted, Skipped: plan.Skipped,
		Failures: []Failure{killed},
	}
	for _, im := range r.images {
		out.Images = append(out.Images, ImageResult{Name: im.plan.Name})
	}
	for _, s := range r.results {
		for i := range s.out.References {
			if ref := &s.out.References[i]; ref.Status == "" {
				ref.Status, ref.Reason = Failed, killed.Message
			}
		}
		s.out.Skip, s.out.SkipKind = s.out.skip()
		out.Registries = append(out.Registries, s.out)
	}
	return out
}
