package report

import (
	"slices"
	"strings"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/config"
	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/publish"
)

// planOf returns the plan that a result could have come of.
func planOf(r publish.Result) publish.Plan {
	p := publish.Plan{Skipped: r.Skipped, Policy: publish.Policy{Policy: config.Policy{DryRun: r.DryRun}, Untrusted: r.Untrusted}}
	for _, image := range r.Images {
		p.Images = append(p.Images, publish.Image{Name: image.Name})
	}
	for _, g := range r.Registries {
		p.Registries = append(p.Registries, registryPlanOf(g))
	}
	return p
}

func registryPlanOf(g publish.RegistryResult) publish.RegistryPlan {
	p := publish.RegistryPlan{Host: g.Host}
	if g.Skip != "" && g.SkipKind != publish.SkipFork {
		left := publish.Left{Reason: string(g.Skip), Why: g.SkipKind}
		for _, ref := range g.References {
			left.References = append(left.References, ref.Reference)
		}
		p.Left = []publish.Left{left}
		return p
	}
	for _, ref := range g.References {
		if ref.Status == Skipped && ref.SkipKind == publish.SkipTagsMatching {
			p.Left = append(p.Left, publish.Left{References: []string{ref.Reference}, Reason: string(ref.Reason), Why: ref.SkipKind})
			continue
		}
		name := repositoryOf(ref.Reference)
		i := slices.IndexFunc(p.Repositories, func(o publish.RepositoryPlan) bool { return o.Repository.String() == name })
		if i < 0 {
			one := publish.RepositoryPlan{Repository: imageref.Repository{Host: g.Host, Path: strings.TrimPrefix(name, g.Host+"/")}}
			if len(g.Accounts) > 0 {
				one.Credential = credentials.Credential{Origin: string(g.Accounts[0]), Anonymous: g.Accounts[0] == "anonymous"}
			}
			if g.Optional {
				one.Required = publish.RequiredNever
			}
			i, p.Repositories = len(p.Repositories), append(p.Repositories, one)
		}
		target := publish.Target{Image: ref.Image}
		if !strings.Contains(ref.Reference, "@") {
			target.Tags = []string{identifierOf(ref.Reference)}
		}
		p.Repositories[i].Targets = append(p.Repositories[i].Targets, target)
	}
	return p
}

// step is a call of an observer, at its time.
type step struct {
	at   time.Time
	rank int // of calls at the same time
	call func(*Log)
}

// replay tells a log what a result could have come of, second by second.
func replay(r publish.Result, o LogOptions) []Line {
	var lines []Line
	now := r.Start
	o.Now = func() time.Time { return now }
	log := NewLog(func(l Line) { lines = append(lines, l) }, o)
	log.Plan(planOf(r))
	for _, s := range steps(r) {
		now = s.at
		s.call(log)
	}
	now = r.End
	log.Result(r)
	return lines
}

func steps(r publish.Result) []step {
	var all []step
	add := func(at time.Time, rank int, call func(*Log)) { all = append(all, step{at, rank, call}) }
	login := r.Start
	for _, g := range r.Registries {
		for _, s := range g.Spans {
			if s.Phase == publish.Login && s.End.After(login) {
				login = s.End
			}
		}
		registrySteps(r, g, add)
	}
	for i, image := range r.Images {
		if image.Digest != "" {
			add(login, 1, func(l *Log) { l.Image(i, image) })
		}
	}
	for _, f := range runFailures(r) {
		add(f.At, 2, func(l *Log) { l.Failure("", f) })
	}
	for _, n := range r.Notes {
		add(n.At, 2, func(l *Log) { l.Note(n) })
	}
	if r.Cancelled {
		add(r.End.Add(-time.Second), 0, func(l *Log) { l.Cancelled() })
	}
	for at := r.Start.Add(time.Second); at.Before(r.End); at = at.Add(time.Second) {
		add(at, 9, func(l *Log) { l.Tick(at) })
	}
	slices.SortStableFunc(all, func(a, b step) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return a.rank - b.rank
	})
	return all
}

func registrySteps(r publish.Result, g publish.RegistryResult, add func(time.Time, int, func(*Log))) {
	for _, s := range g.Spans {
		add(s.Start, 1, func(l *Log) { l.Phase(g.Host, s.Phase, s.Start, publish.PhaseBegan) })
		change := publish.PhaseDone
		if s.Failed && len(g.Failures) > 0 {
			change = publish.PhaseFailed
		}
		add(s.End, 5, func(l *Log) { l.Phase(g.Host, s.Phase, s.End, change) })
		if s.Phase != publish.Copy || r.DryRun {
			continue
		}
		add(s.Start, 2, func(l *Log) { l.Bytes(g.Host, g.BytesExpected, 0, 0) })
		seconds := int64(s.End.Sub(s.Start) / time.Second)
		for i := range seconds {
			add(s.Start.Add(time.Duration(i+1)*time.Second), 2, func(l *Log) { l.Bytes(g.Host, 0, g.BytesCopied/(seconds+1), 0) })
		}
		add(s.End, 2, func(l *Log) { l.Bytes(g.Host, 0, g.BytesCopied-seconds*(g.BytesCopied/(seconds+1)), 0) })
	}
	for _, f := range g.Failures {
		add(f.At, 3, func(l *Log) { l.Failure(g.Host, f) })
	}
	for _, ref := range g.References {
		if ref.Status == Skipped && ref.SkipKind == publish.SkipTagsMatching || g.Skip != "" && g.SkipKind != publish.SkipFork {
			continue
		}
		add(g.End, 4, func(l *Log) { l.Reference(g.Host, ref) })
	}
}
