package publish

import (
	"fmt"
	"slices"

	"github.com/multi-registry-push/multi-registry-push/internal/config"
	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/source"
)

// Plan is where images go. Making it sends nothing.
type Plan struct {
	Images     []Image
	Registries []RegistryPlan // by host, in the order in which tags first names them, skipped ones included
	Skipped    []config.Skip  // lines and items that name no destination
	Policy     Policy

	// Credentials are those of every repository that is written to or read from. Those of
	// sources are added when sources are parsed, which happens only if Enabled.
	Credentials map[imageref.Repository]credentials.Credential
}

// Image is what was asked for; what it is, an ImageResult tells.
type Image struct {
	Name      string // empty unless the input images was used
	Line      int    // in images, from 1
	Parts     []source.Spec
	Merge     bool // several lines, or a glob
	Platforms []string
}

// RegistryPlan is one host of a plan.
type RegistryPlan struct {
	Host         string
	Repositories []RepositoryPlan // enabled ones; none: the registry is skipped
	Left         []Left           // references that are left out, by reason
}

// RepositoryPlan is one repository that gets images.
type RepositoryPlan struct {
	Repository imageref.Repository
	Credential credentials.Credential
	Required   Required
	Public     bool // public: true, an anonymous pull is proved
	Targets    []Target
}

// Target is what fails alone: one image in one repository.
type Target struct {
	Image int      // index of Plan.Images
	Tags  []string // none: by digest
}

// Required is an item's key of that name.
type Required string

// The values of Required.
const (
	RequiredDefault Required = ""      // failures fail the step, missing credentials skip
	RequiredAlways  Required = "true"  // missing credentials are an error, too
	RequiredNever   Required = "false" // failures are warnings
)

// Left are references that are left out for one reason.
type Left struct {
	Image      int
	References []string
	Reason     string
	Why        SkipKind
	Required   Required
}

// Policy is what the inputs say of every image, and what is known of the job.
type Policy struct {
	config.Policy
	Untrusted bool // a pull request from a fork or by Dependabot
}

// Enabled reports whether any registry gets anything: if none does, nobody looks at the
// sources.
func (p Plan) Enabled() bool { return slices.ContainsFunc(p.Registries, RegistryPlan.Enabled) }

// Publishes reports whether any registry gets the image with this index.
func (p Plan) Publishes(index int) bool {
	return slices.ContainsFunc(p.Registries, func(r RegistryPlan) bool {
		return slices.ContainsFunc(r.Repositories, func(one RepositoryPlan) bool {
			return slices.ContainsFunc(one.Targets, func(t Target) bool { return t.Image == index })
		})
	})
}

// Enabled reports whether the registry gets anything.
func (r RegistryPlan) Enabled() bool { return len(r.Repositories) > 0 }

// Optional reports whether all of the registry's failures are warnings only.
func (r RegistryPlan) Optional() bool {
	never := func(p RepositoryPlan) bool { return p.Required == RequiredNever }
	return r.Enabled() && !slices.ContainsFunc(r.Repositories, func(p RepositoryPlan) bool { return !never(p) })
}

// NewPlan groups the destinations of settings by registry and repository and decides which
// of them are enabled. resolved holds the credential of every repository that they name.
// It is pure: it sends nothing, opens nothing and reads no clock.
func NewPlan(settings config.Settings, resolved map[imageref.Repository]credentials.Credential) Plan {
	p := Plan{Skipped: settings.Skipped, Credentials: resolved, Policy: Policy{Policy: settings.Policy}}
	for i, one := range settings.Images {
		platforms := one.Platforms
		if len(platforms) == 0 {
			platforms = settings.Platforms
		}
		p.Images = append(p.Images, Image{Name: one.Name, Line: one.Line, Platforms: platforms})
		for _, d := range one.Destinations {
			p.add(i, d.Reference, resolved[d.Reference.Repository])
		}
	}
	for i := range p.Registries {
		if p.Policy.PushByDigest {
			p.Registries[i].dropPublished()
		}
	}
	for _, s := range settings.Skipped {
		if s.Host != "" {
			p.leaveLine(s)
		}
	}
	return p
}

// registry returns the plan of host, which is new if it was not named before.
func (p *Plan) registry(host string) *RegistryPlan {
	i := slices.IndexFunc(p.Registries, func(r RegistryPlan) bool { return r.Host == host })
	if i < 0 {
		i = len(p.Registries)
		p.Registries = append(p.Registries, RegistryPlan{Host: host})
	}
	return &p.Registries[i]
}

func (p *Plan) add(index int, ref imageref.Reference, c credentials.Credential) {
	r := p.registry(ref.Host)
	item := c.Item
	left := Left{Image: index, Required: required(c)}
	switch {
	case item != nil && item.TagsMatching != nil && !item.TagsMatching.MatchString(ref.Tag):
		left.Reason, left.Why, left.Required = "tags-matching is "+item.TagsWritten, SkipTagsMatching, RequiredDefault
		r.leave(left, p.name(ref))
		return
	case c.Skip != "":
		left.Reason, left.Why = c.Skip, SkipCredentials
		r.leave(left, p.name(ref))
		return
	}
	i := slices.IndexFunc(r.Repositories, func(x RepositoryPlan) bool { return x.Repository == ref.Repository })
	if i < 0 {
		i = len(r.Repositories)
		r.Repositories = append(r.Repositories, RepositoryPlan{
			Repository: ref.Repository, Credential: c, Required: required(c), Public: item != nil && item.Public,
		})
	}
	r.Repositories[i].add(index, ref.Tag, p.Policy.PushByDigest)
}

// name is how reports call ref. By digest it is the repository: what the digest is, only the
// source tells.
func (p *Plan) name(ref imageref.Reference) string {
	if p.Policy.PushByDigest {
		return ref.Repository.String()
	}
	return ref.String()
}

func (r *RepositoryPlan) add(index int, tag string, byDigest bool) {
	i := slices.IndexFunc(r.Targets, func(t Target) bool { return t.Image == index })
	if i < 0 {
		i = len(r.Targets)
		r.Targets = append(r.Targets, Target{Image: index})
	}
	if t := &r.Targets[i]; !byDigest && !slices.Contains(t.Tags, tag) {
		t.Tags = append(t.Tags, tag)
	}
}

func (r *RegistryPlan) leave(l Left, reference string) {
	i := slices.IndexFunc(r.Left, func(o Left) bool {
		return o.Image == l.Image && o.Reason == l.Reason && o.Why == l.Why && o.Required == l.Required
	})
	if i < 0 {
		i = len(r.Left)
		r.Left = append(r.Left, l)
	}
	if !slices.Contains(r.Left[i].References, reference) {
		r.Left[i].References = append(r.Left[i].References, reference)
	}
}

// dropPublished takes out of what is left out, by digest, the repositories that another of their tags
// has the image published to.
func (r *RegistryPlan) dropPublished() {
	for i := range r.Left {
		l := &r.Left[i]
		l.References = slices.DeleteFunc(l.References, func(reference string) bool {
			return slices.ContainsFunc(r.Repositories, func(p RepositoryPlan) bool {
				return p.Repository.String() == reference &&
					slices.ContainsFunc(p.Targets, func(t Target) bool { return t.Image == l.Image })
			})
		})
	}
	r.Left = slices.DeleteFunc(r.Left, func(l Left) bool { return len(l.References) == 0 })
}

// leaveLine makes the registry that a line still names a skipped one, if nothing else
// names it.
func (p *Plan) leaveLine(s config.Skip) {
	r := p.registry(s.Host)
	if r.Enabled() || len(r.Left) > 0 {
		return
	}
	r.Left = append(r.Left, Left{
		Reason: fmt.Sprintf("%s, line %d, %s %s", s.Input, s.Line, s.Text, s.Reason), Why: SkipUnconfigured,
	})
}

func required(c credentials.Credential) Required {
	switch {
	case c.Item == nil || c.Item.Required == nil:
		return RequiredDefault
	case *c.Item.Required:
		return RequiredAlways
	}
	return RequiredNever
}

// lacks reports whether missing credentials of a repository are an error.
func (p Policy) lacks(r Required) bool {
	return r == RequiredAlways || p.FailOnMissing && r != RequiredNever
}
