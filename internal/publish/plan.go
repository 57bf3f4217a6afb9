package publish

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// Plan is where the image goes: what NewPlan makes of a request. It sent nothing.
type Plan struct {
	Registries []Registry // in the order in which tags first names them

	choices map[imageref.Repository]credentials.Credential
}

// Registry is one host of a plan.
type Registry struct {
	Host         string
	Repositories []Target // enabled ones; none: the registry is skipped
	Left         []Left   // references that are left out, by reason
}

// Target is a repository that gets the image.
type Target struct {
	Repository imageref.Repository
	Tags       []string
	Credential credentials.Credential
}

// Optional reports whether a failure here is a warning only.
func (t Target) Optional() bool {
	return t.Credential.Item != nil && t.Credential.Item.Required != nil && !*t.Credential.Item.Required
}

// Required reports whether missing credentials are an error, whatever
// missing-credentials says.
func (t Target) Required() bool {
	return t.Credential.Item != nil && t.Credential.Item.Required != nil && *t.Credential.Item.Required
}

// References returns the target's references in the order of its tags.
func (t Target) References() []string {
	var out []string
	for _, tag := range t.Tags {
		out = append(out, imageref.Reference{Repository: t.Repository, Tag: tag}.String())
	}
	return out
}

// Left are references that are left out for one reason.
type Left struct {
	References []string
	Reason     string
	Missing    bool // for want of credentials, not by choice
	Required   bool // required: true, so that it is an error
	Optional   bool // required: false, so that it never is
}

// Enabled reports whether the registry gets anything.
func (r Registry) Enabled() bool { return len(r.Repositories) > 0 }

// Optional reports whether all of the registry's failures are warnings only.
func (r Registry) Optional() bool {
	return !slices.ContainsFunc(r.Repositories, func(t Target) bool { return !t.Optional() })
}

// Enabled reports whether any registry gets anything: if none does, nobody looks
// at the source.
func (p Plan) Enabled() bool { return slices.ContainsFunc(p.Registries, Registry.Enabled) }

// Insecure reports whether the host may be reached without verified TLS: only if that
// was said for every repository that is used there, since they share one client. said
// tells whether it was said for any.
func (r Registry) Insecure() (all, said bool) {
	all = true
	for _, t := range r.Repositories {
		one := t.Credential.Item != nil && t.Credential.Item.Insecure
		all, said = all && one, said || one
	}
	return all && said, said
}

// NewPlan groups the destinations of r by registry and repository and decides,
// without sending anything, which are enabled. It means nothing once ctx is done: what
// could not be asked for then is missing.
func NewPlan(ctx context.Context, r Request) Plan {
	p := Plan{choices: map[imageref.Repository]credentials.Credential{}}
	for _, d := range r.Destinations {
		repository := d.Reference.Repository
		choice, ok := p.choices[repository]
		if !ok {
			choice = r.Choose(ctx, repository)
			p.choices[repository] = choice
		}
		i := slices.IndexFunc(p.Registries, func(r Registry) bool { return r.Host == repository.Host })
		if i < 0 {
			i = len(p.Registries)
			p.Registries = append(p.Registries, Registry{Host: repository.Host})
		}
		p.Registries[i].add(d.Reference, choice)
	}
	return p
}

func (r *Registry) add(ref imageref.Reference, c credentials.Credential) {
	switch {
	case c.Item != nil && c.Item.TagsMatching != nil && !c.Item.TagsMatching.MatchString(ref.Tag):
		r.leave(ref, Left{Reason: "tags-matching is " + c.Item.TagsWritten})
	case c.Skip != "":
		required := c.Item != nil && c.Item.Required != nil
		r.leave(ref, Left{Reason: c.Skip, Missing: true,
			Required: required && *c.Item.Required, Optional: required && !*c.Item.Required})
	default:
		i := slices.IndexFunc(r.Repositories, func(t Target) bool { return t.Repository == ref.Repository })
		if i < 0 {
			i = len(r.Repositories)
			r.Repositories = append(r.Repositories, Target{Repository: ref.Repository, Credential: c})
		}
		if !slices.Contains(r.Repositories[i].Tags, ref.Tag) {
			r.Repositories[i].Tags = append(r.Repositories[i].Tags, ref.Tag)
		}
	}
}

func (r *Registry) leave(ref imageref.Reference, l Left) {
	i := slices.IndexFunc(r.Left, func(o Left) bool {
		return o.Reason == l.Reason && o.Missing == l.Missing && o.Required == l.Required && o.Optional == l.Optional
	})
	if i < 0 {
		i = len(r.Left)
		r.Left = append(r.Left, l)
	}
	if !slices.Contains(r.Left[i].References, ref.String()) {
		r.Left[i].References = append(r.Left[i].References, ref.String())
	}
}

// missing returns the errors that a plan holds: credentials that are missing where
// that is not a skip.
func (p Plan) missing(failOnMissing bool) map[string]error {
	out := map[string]error{}
	for _, r := range p.Registries {
		for _, l := range r.Left {
			if l.Missing && !l.Optional && (l.Required || failOnMissing) && out[r.Host] == nil {
				why := "missing-credentials is fail"
				if l.Required {
					why = "its item has required: true"
				}
				out[r.Host] = usererror.New(usererror.MissingCredentials, r.Host,
					fmt.Sprintf("%s: %s, and %s", r.Host, l.Reason, why), "", nil)
			}
		}
	}
	return out
}

// accounts returns the credentials' origins, each once.
func (r Registry) accounts() []string {
	var out []string
	for _, t := range r.Repositories {
		if !slices.Contains(out, t.Credential.Origin) {
			out = append(out, t.Credential.Origin)
		}
	}
	return out
}

// references returns every reference that the registry gets.
func (r Registry) references() []string {
	var out []string
	for _, t := range r.Repositories {
		out = append(out, t.References()...)
	}
	return out
}

// asked returns every reference that was asked of the registry, left out or not.
func (r Registry) asked() []string {
	out := r.references()
	for _, l := range r.Left {
		out = append(out, l.References...)
	}
	return out
}

// skip returns why nothing goes to the registry.
func (r Registry) skip() string {
	switch {
	case r.Enabled() || len(r.Left) == 0:
		return ""
	case len(r.Left) == 1 && !r.Left[0].Missing:
		return "no tag matches: " + r.Left[0].Reason
	}
	var reasons []string
	for _, l := range r.Left {
		if !slices.Contains(reasons, l.Reason) {
			reasons = append(reasons, l.Reason)
		}
	}
	return strings.Join(reasons, "; ")
}
