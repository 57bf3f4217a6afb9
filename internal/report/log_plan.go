package report

import (
	"slices"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/config"
	"github.com/multi-registry-push/multi-registry-push/internal/publish"
)

// Plan writes what goes where. Call it before the run starts.
func (l *Log) Plan(p publish.Plan) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open(planGroup)
	l.images = len(p.Images)
	l.silent = p.Policy.DryRun || p.Policy.Atomic
	for _, g := range p.Registries {
		l.planned(g)
	}
	for _, s := range p.Skipped {
		if !toldBy(s, p) {
			l.say("%s", lineSkipped(s.Input, s.Line, s.Text, s.Reason))
		}
	}
}

// toldBy reports whether a registry is left out because of the line, and says so itself.
func toldBy(s config.Skip, p publish.Plan) bool {
	return s.Host != "" && slices.ContainsFunc(p.Registries, func(g publish.RegistryPlan) bool {
		unconfigured := func(l publish.Left) bool { return l.Why == publish.SkipUnconfigured }
		return g.Host == s.Host && slices.ContainsFunc(g.Left, unconfigured)
	})
}

func (l *Log) planned(p publish.RegistryPlan) {
	g := l.registry(p.Host)
	var names, accounts []string
	optional, anonymous := true, true
	for _, repository := range p.Repositories {
		for _, target := range repository.Targets {
			if len(target.Tags) == 0 {
				names = append(names, repository.Repository.Path+", by digest")
			}
			for _, tag := range target.Tags {
				names = append(names, repository.Repository.Path+":"+tag)
			}
		}
		optional = optional && repository.Required == publish.RequiredNever
		anonymous = anonymous && repository.Credential.Anonymous
		if origin := repository.Credential.Origin; origin != "" && !slices.Contains(accounts, origin) {
			accounts = append(accounts, origin)
		}
	}
	g.asked = len(names)
	if len(names) > 0 {
		text := p.Host + "  " + listed(names, manyReferences)
		g.anonymous = anonymous
		if anonymous {
			text += ", without login"
		} else if len(accounts) > 0 {
			text += ", with " + strings.Join(accounts, " and ")
		}
		if optional {
			text += ", not required"
		}
		l.say("%s", text)
	}
	for _, left := range p.Left {
		g.asked += len(left.References)
		if len(names) == 0 {
			l.once(Line{Text: l.inOneRow(p.Host+"  skipped: "+left.Reason, "")})
			continue
		}
		l.say("%s  left out: %s (%s)", p.Host, listed(tags(left.References), manyReferences), left.Reason)
	}
}
