package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

func (r *run) at() report.At { return report.At{Time: r.Now()} }

// phases remembers how far the run as a whole has come.
type phases struct {
	mu      sync.Mutex
	reached int
}

var order = []report.Phase{report.Plan, report.Login, report.Copy, report.Tag, report.Verify}

// phase says that the run entered p, unless it has been there already: registries
// go through copy, tag and verify at their own pace.
func (r *run) phase(p report.Phase) {
	r.phases.mu.Lock()
	defer r.phases.mu.Unlock()
	if i := slices.Index(order, p) + 1; i > r.phases.reached {
		r.phases.reached = i
		r.emit(report.PhaseStarted{At: r.at(), Phase: p})
	}
}

// enter says that s is in phase p, until the function that it returns is called.
func (r *run) enter(ctx context.Context, s *site, p report.Phase) (leave func()) {
	r.phase(p)
	r.emit(report.RegistryPhase{At: r.at(), Registry: s.Host, Phase: p})
	return func() {
		r.emit(report.RegistryPhase{At: r.at(), Registry: s.Host, Phase: p, Done: true, Failed: ctx.Err() != nil || len(s.alive()) == 0})
		r.use(s)
	}
}

// use says what the registry has cost so far.
func (r *run) use(s *site) {
	stats := s.host.Stats()
	use := report.RegistryUse{At: r.at(), Registry: s.Host, BytesUploaded: stats.BytesSent, Requests: stats.Requests, Retries: stats.Retries}
	if l := stats.RateLimit; l != nil {
		use.RateLimit = &report.RateLimit{Limit: l.Limit, Remaining: l.Remaining, Window: l.Window}
	}
	r.emit(use)
}

// sayPullsLeft says how many pulls the source's registry still allows, with a warning
// when few are left: a job that runs out of them fails in the middle of something else.
func (r *run) sayPullsLeft(from *origin) {
	l := from.host.Stats().RateLimit
	if l == nil || l.Limit <= 0 {
		return
	}
	text := fmt.Sprintf("%s: %d of %d pulls left", from.at.Host, l.Remaining, l.Limit)
	if l.Window > 0 {
		text += " in " + report.Period(l.Window)
	}
	few := l.Remaining*10 <= l.Limit
	if few {
		text += "; log in, or use an account with a higher limit"
	}
	r.emit(report.Notice{At: r.at(), Warning: few, Registry: from.at.Host, Text: text})
}

// missingElsewhere is why a registry gets nothing although it could.
const missingElsewhere = "nothing is sent, because credentials are missing elsewhere"

// announce says the plan, and reports whether there is anything to do.
func (r *run) announce(plan Plan) bool {
	missing := plan.missing(r.FailOnMissing)
	unconfigured := r.FailOnMissing && len(r.Unconfigured) > 0
	for _, u := range r.Unconfigured {
		if r.FailOnMissing {
			r.emit(report.RunFailed{At: r.at(), Err: usererror.New(usererror.MissingCredentials, "",
				fmt.Sprintf("%s, line %d, %q is not configured (%s), and missing-credentials is fail", u.Input, u.Line, u.Text, u.Reason),
				"Set the variable that should stand there, or leave the line out. Pull requests from forks have no variables: leave `missing-credentials` at `skip` for them.", nil)})
			continue
		}
		r.emit(report.LineSkipped{At: r.at(), Input: u.Input, Number: u.Line, Line: u.Text, Reason: u.Reason})
	}
	for _, g := range plan.Registries {
		said := report.RegistryPlanned{At: r.at(), Registry: g.Host, References: g.references(), Accounts: g.accounts(), Skip: g.skip(), Optional: g.Enabled() && g.Optional()}
		switch {
		case missing[g.Host] != nil:
			said.References, said.Skip = g.asked(), ""
		case len(missing) > 0 || unconfigured:
			said.References, said.Skip = g.asked(), missingElsewhere
		case said.Skip != "":
			said.References = g.asked()
		}
		r.emit(said)
		r.choiceWarnings(g, plan)
		if err := missing[g.Host]; err != nil {
			r.emit(report.RegistryFailed{At: r.at(), Registry: g.Host, Err: err})
			for _, ref := range g.asked() {
				r.emit(report.TagDone{At: r.at(), Registry: g.Host, Reference: ref, Status: report.Failed, Reason: "credentials are missing"})
			}
			continue
		}
		if said.Skip != "" && (said.Skip == missingElsewhere || len(g.Left) == 1) {
			continue
		}
		for _, l := range g.Left {
			r.emit(report.TagsSkipped{At: r.at(), Registry: g.Host, References: l.References, Reason: l.Reason})
		}
	}
	return plan.Enabled() && len(missing) == 0 && !unconfigured
}

// choiceWarnings says what came up when the credentials of g were chosen: above all
// where that is why there are none.
func (r *run) choiceWarnings(g Registry, plan Plan) {
	var said []string
	for repository, c := range plan.choices {
		if repository.Host == g.Host {
			said = append(said, c.Warnings...)
		}
	}
	slices.Sort(said)
	for _, w := range slices.Compact(said) {
		r.emit(report.Notice{At: r.at(), Warning: true, Registry: g.Host, Text: w})
	}
}

// hostWide are the problems that concern a host, not one repository of it: they are
// said once however many repositories meet them.
var hostWide = []usererror.Code{
	usererror.WrongCredentials, usererror.Unreachable, usererror.UnknownHost, usererror.TLSMismatch,
	usererror.UnknownAuthority, usererror.OIDCMissing, usererror.OIDCRefused, usererror.RegistryGaveUp, usererror.AtomicHeldBack,
}

// fail ends t for err. What is said of a run that was cancelled is said by settle.
func (r *run) fail(ctx context.Context, s *site, t *target, err error) {
	if ctx.Err() != nil {
		err = cancelled(ctx, "publishing to "+t.Repository.String(), t.Repository.Host)
	}
	if !t.fail(err) || ctx.Err() != nil {
		return
	}
	var broken *sourceError
	if errors.As(err, &broken) {
		r.sourceFailed(ctx, broken.err)
		// Whatever its own code is, for this registry it is what was just said.
		err = usererror.New(usererror.SourceBroken, s.Host, "publishing to "+t.Repository.String(), "", err)
	}
	for _, code := range hostWide {
		if usererror.Is(err, code) && !s.firstOf(fmt.Sprint(code, t.Credential.Key, t.Optional())) {
			return
		}
	}
	r.emit(report.RegistryFailed{At: r.at(), Registry: s.Host, Optional: t.Optional(), Err: err})
}

// sourceFailed says, once, that the source cannot be read.
func (r *run) sourceFailed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	r.broken.Do(func() { r.emit(report.RunFailed{At: r.at(), Err: err}) })
}

// tagDone says the last word on a tag.
func (r *run) tagDone(t *target, tag string, status report.Status, before, now, reason string) {
	t.settle(tag)
	r.emit(report.TagDone{
		At: r.at(), Registry: t.Repository.Host, Status: status, Before: before, Now: now, Reason: reason,
		Reference: imageref.Reference{Repository: t.Repository, Tag: tag}.String(),
	})
}

// settle says a last word on every tag that has none: those of targets that failed,
// that were held back, or that the run did not get to.
func (r *run) settle(ctx context.Context, sites []*site) {
	for _, s := range sites {
		for _, t := range s.targets {
			tags := t.unsettled()
			if len(tags) == 0 {
				continue
			}
			err := t.err()
			switch {
			case ctx.Err() != nil:
				err = cancelled(ctx, "publishing to "+s.Host, s.Host)
				if s.firstOf(string(usererror.Cancelled)) {
					r.emit(report.RegistryFailed{At: r.at(), Registry: s.Host, Optional: t.Optional(), Err: err})
				}
			case err == nil:
				err = usererror.New(usererror.SourceBroken, s.Host, "the source could not be read, so nothing was published to "+t.Repository.String(), "", nil)
				if s.firstOf(string(usererror.SourceBroken)) {
					r.emit(report.RegistryFailed{At: r.at(), Registry: s.Host, Optional: t.Optional(), Err: err})
				}
			}
			for _, tag := range tags {
				r.tagDone(t, tag, report.Failed, "", "", err.Error())
			}
		}
		r.use(s)
	}
}

func cancelled(ctx context.Context, doing, host string) error {
	return usererror.New(usererror.Cancelled, host, doing, "", context.Cause(ctx))
}

// finish says the last words.
func (r *run) finish(ctx context.Context) {
	if ctx.Err() != nil {
		r.emit(report.Cancelled{At: r.at()})
	}
	r.emit(report.Finished{At: r.at()})
}

// pause waits for d, and reports whether that was not cut short.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
