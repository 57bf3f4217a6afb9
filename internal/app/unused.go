package app

import (
	"slices"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/config"
	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/publish"
)

// unusedItems returns the items of registry-auth that are for no tag and no source. resolved
// holds every repository that is named, with its credential.
func unusedItems(
	set *config.Settings, plan publish.Plan, resolved map[imageref.Repository]credentials.Credential,
) (unused []config.UnusedItem) {
	var used, without []imageref.Repository
	for repository := range resolved {
		used = append(used, repository)
	}
	for _, one := range set.Images {
		for _, d := range one.Destinations {
			// One that has an item, whose secret is unset, is called as it is meant to be.
			if at := d.Reference.Repository; resolved[at].Skip != "" && resolved[at].Item == nil {
				without = append(without, at)
			}
		}
	}
	for _, u := range config.UnusedItems(set.Items, used, without) {
		if !inUnreadSource(set, plan, u.Item.Registry) && !inSkippedLine(set, u.Item.Registry) {
			unused = append(unused, u)
		}
	}
	return unused
}

// emptyItems returns the items whose credential is empty and that only a source is for, which is
// then read without a login. A registry of tags tells of its own.
func emptyItems(
	set *config.Settings, plan publish.Plan, resolved map[imageref.Repository]credentials.Credential,
) (empty []config.Skip) {
	told := map[string]bool{}
	for _, one := range set.Images {
		for _, d := range one.Destinations {
			told[resolved[d.Reference.Repository].Skip] = true
		}
	}
	for _, one := range plan.Images {
		for _, part := range one.Parts {
			at := part.Repository()
			if at == nil {
				continue
			}
			c := resolved[*at]
			optional := c.Item != nil && c.Item.Required != nil && !*c.Item.Required
			if c.Skip == "" || told[c.Skip] || optional || c.Item == nil || !c.Item.HasCredentialKey() {
				continue
			}
			told[c.Skip] = true
			empty = append(empty, config.Skip{Input: "registry-auth", Line: c.Item.Line, Text: c.Item.Registry,
				Reason: c.Skip + "; the source is read without a login"})
		}
	}
	return empty
}

// inUnreadSource reports whether the source of an image that goes nowhere names the registry:
// nobody looks at such a source.
func inUnreadSource(set *config.Settings, plan publish.Plan, registry string) bool {
	for i, one := range set.Images {
		if len(plan.Images[i].Parts) == 0 && strings.Contains(one.Source, registry) {
			return true
		}
	}
	return false
}

// inSkippedLine reports whether a line that has an empty part still names the registry: its
// item would be used if the variable in that line were set.
func inSkippedLine(set *config.Settings, registry string) bool {
	host, _, _ := strings.Cut(registry, "/")
	return slices.ContainsFunc(set.Skipped, func(skip config.Skip) bool { return skip.Host != "" && skip.Host == host })
}
