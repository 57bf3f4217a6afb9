package source

import (
	"context"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/image"
)

// parsePlatform reads one of the input platforms.
func parsePlatform(s string) (image.Platform, error) {
	p, err := image.ParsePlatform(s)
	if err != nil {
		return p, wrong(InvalidPlatform, "platforms: %q is not OS/ARCHITECTURE[/VARIANT]", short(s))
	}
	return p, nil
}

// checkPlatforms reports what is wrong with a list of platforms, so that an input can
// be refused before anything is opened.
func checkPlatforms(list []string) error {
	_, err := parsePlatforms(list)
	return err
}

func parsePlatforms(list []string) ([]image.Platform, error) {
	var all []image.Platform
	for _, text := range list {
		p, err := parsePlatform(text)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// platformsOf returns the platforms below a manifest, attestations aside. As written in
// the index, which is what people read elsewhere too. Of a remote image no config is
// fetched for that.
func (g *graph) platformsOf(ctx context.Context, root *Manifest, local bool) ([]string, error) {
	var all []string
	seen := map[*Manifest]bool{}
	var walk func(*Manifest) error
	walk = func(m *Manifest) error {
		if seen[m] {
			return nil
		}
		seen[m] = true
		doc := g.documents[m.Descriptor.Digest]
		if !m.Descriptor.MediaType.IsIndex() {
			if !local && (doc.Config == nil || g.configs[doc.Config.Digest] == nil) {
				return nil
			}
			p, ok, err := g.configPlatform(ctx, doc)
			if ok {
				all = append(all, image.NormalizePlatform(p.OS, p.Architecture, p.Variant).String())
			}
			return err
		}
		stated := map[v1.Hash]bool{}
		for _, d := range doc.Manifests {
			if p := d.Platform; p != nil && p.OS != "" && !d.MediaType.IsIndex() {
				stated[d.Digest] = true
				if p.OS != "unknown" {
					all = append(all, asWritten(*p))
				}
			}
			if d.Annotations[attestationType] != "" {
				stated[d.Digest] = true
			}
		}
		for _, child := range m.Manifests {
			if !stated[child.Descriptor.Digest] {
				if err := walk(child); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := walk(root); err != nil {
		return nil, err
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// asWritten returns OS/ARCHITECTURE[/VARIANT] in the index's own spelling.
func asWritten(p v1.Platform) string {
	return strings.TrimSuffix(strings.Join([]string{p.OS, p.Architecture, p.Variant}, "/"), "/")
}

// notThere is an error of this kind. It lists the platforms that are there, and those that an
// index names though the source lacks them.
func notThere(kind ErrorKind, missing []image.Platform, there, absent []string) error {
	names := make([]string, len(missing))
	for i, p := range missing {
		names[i] = p.String()
	}
	has := "it states no platform"
	if len(there) > 0 {
		slices.Sort(there)
		has = "it has " + strings.Join(slices.Compact(there), ", ")
	}
	if len(absent) > 0 {
		has += "; its index also names " + strings.Join(absent, ", ") + ", of which the manifests are not there"
	}
	return wrong(kind, "the image has no %s; %s", strings.Join(names, ", "), short(has))
}
