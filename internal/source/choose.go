package source

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/image"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
)

const (
	refName   = "org.opencontainers.image.ref.name" // image-spec 1.1, annotations.md
	imageName = "io.containerd.image.name"          // containerd, images/annotations.go
	// cosignKind is what `cosign save` marks its manifests with (cosign, pkg/oci/layout).
	cosignKind = "kind"
	cosignBase = "dev.cosignproject.cosign/"
	// containerdSubject is what containerd notes in the index.json of an export for what it
	// found to refer to the image (containerd, core/images/archive/exporter.go).
	containerdSubject = "io.containerd.manifest.subject"
)

// candidate is an image in a layout or archive, under all its names.
type candidate struct {
	descriptor v1.Descriptor
	names      []string // some perhaps more than once
	refersTo   string   // digest or tag of what it is about, if it is no image of its own
	tag        string   // cosign's, if it refers by that
	noted      bool     // only an annotation in index.json says what it refers to
	inside     bool     // the index of another candidate reaches it
}

// alone reports whether c counts as an image when none is picked.
func (c *candidate) alone() bool { return c.refersTo == "" && !c.inside }

// contents returns what index.json lists, counted by digest.
func contents(index document) []*candidate {
	var all []*candidate
	byDigest := map[v1.Hash]*candidate{}
	for _, d := range index.Manifests {
		c := byDigest[d.Digest]
		if c == nil {
			c = &candidate{descriptor: d}
			byDigest[d.Digest] = c
			all = append(all, c)
		}
		for _, key := range []string{imageName, refName} {
			if n := d.Annotations[key]; n != "" {
				c.names = append(c.names, n)
			}
		}
	}
	return all
}

// derivedTag matches the tags that say what a manifest refers to: the fallback of
// distribution-spec 1.1 ("Referrers Tag Schema") and cosign's.
var derivedTag = regexp.MustCompile(`(?:^|:)(sha256|sha512)-([0-9a-f]+)(\.(?:sig|att|sbom))?$`)

// markReferrers finds out which candidates are no images of their own.
func markReferrers(ctx context.Context, g *graph, l layout, all []*candidate) error {
	if len(all) < 2 {
		return nil
	}
	for _, c := range all {
		for _, n := range c.names {
			if m := derivedTag.FindStringSubmatch(n); m != nil && imageref.IsDigest(m[1]+":"+m[2]) {
				c.refersTo = m[1] + ":" + m[2]
				if m[3] != "" {
					c.tag = m[1] + "-" + m[2] + m[3]
				}
			}
		}
		if c.descriptor.Annotations[attestationType] != "" {
			c.refersTo = c.descriptor.Annotations[attestedDigest]
		}
		if c.refersTo != "" || !isManifest(c.descriptor) || !l.has(c.descriptor) {
			continue
		}
		_, doc, err := g.one(ctx, c.descriptor)
		if err != nil {
			return err
		}
		if doc.Subject != nil {
			c.refersTo = doc.Subject.Digest.String()
		} else if subject := c.descriptor.Annotations[containerdSubject]; subject != "" {
			c.refersTo, c.noted = subject, true
		}
	}
	markCosign(all)
	return markInside(ctx, g, l, all)
}

// markInside marks the candidates that another one's index reaches, as tools that copy
// every manifest of an image on its own list them.
func markInside(ctx context.Context, g *graph, l layout, all []*candidate) error {
	byDigest := map[v1.Hash]*candidate{}
	var open []v1.Descriptor
	for _, c := range all {
		byDigest[c.descriptor.Digest] = c
		if c.refersTo == "" {
			open = append(open, c.descriptor)
		}
	}
	return l.walk(ctx, g, open, func(doc document) (indexes []v1.Descriptor) {
		for _, child := range doc.Manifests {
			if c := byDigest[child.Digest]; c != nil {
				c.inside = true
			}
			if child.MediaType.IsIndex() {
				indexes = append(indexes, child)
			}
		}
		return indexes
	})
}

// markCosign finds what `cosign save` wrote: one image, and its signatures and
// attestations marked by kind.
func markCosign(all []*candidate) {
	suffixes := map[string]string{"sigs": "sig", "atts": "att", "sboms": "sbom"}
	var signed *candidate
	for _, c := range all {
		switch kind, _ := strings.CutPrefix(c.descriptor.Annotations[cosignKind], cosignBase); kind {
		case "image", "imageIndex":
			signed = c
		}
	}
	if signed == nil {
		return
	}
	for _, c := range all {
		kind, ok := strings.CutPrefix(c.descriptor.Annotations[cosignKind], cosignBase)
		if suffix := suffixes[kind]; ok && suffix != "" {
			c.refersTo = signed.descriptor.Digest.String()
			c.tag = image.CosignTag(signed.descriptor.Digest, suffix)
		}
	}
}

// choose returns the image that pick names; without a pick there must be one only.
func choose(all []*candidate, pick string) (v1.Descriptor, error) {
	images := all
	if pick == "" || !slices.ContainsFunc(all, func(c *candidate) bool { return !c.alone() && c.named(pick) }) {
		images = slices.DeleteFunc(slices.Clone(all), func(c *candidate) bool { return !c.alone() })
	}
	if len(images) == 0 {
		images = all // nothing but artifacts that refer to what is elsewhere
	}
	matching := images
	if pick != "" {
		matching = slices.DeleteFunc(slices.Clone(images), func(c *candidate) bool { return !c.named(pick) })
	}
	switch {
	case len(images) == 0:
		return v1.Descriptor{}, wrong(NotFound, "there is no image in it")
	case len(matching) == 0:
		return v1.Descriptor{}, wrong(NoSuchName, "it holds no image called %q; it holds %s", short(pick), list(images))
	case len(matching) > 1 && pick == "":
		return v1.Descriptor{}, wrong(Ambiguous, "it holds %d images and none is picked: %s", len(matching),
			list(matching))
	case len(matching) > 1:
		return v1.Descriptor{}, wrong(NameAmbiguous, "%d images in it are called %q: %s", len(matching), short(pick),
			list(matching))
	}
	return matching[0].descriptor, nil
}

// named reports whether pick is one of the names, its tag, or the digest.
func (c *candidate) named(pick string) bool {
	if pick == c.descriptor.Digest.String() || pick == "@"+c.descriptor.Digest.String() {
		return true
	}
	return slices.ContainsFunc(c.names, func(n string) bool { return sameName(n, pick) })
}

// sameName reports whether pick means n: as written, as the tag of it, or as another
// spelling of the same reference (app:1 is docker.io/library/app:1).
func sameName(n, pick string) bool {
	if n == pick {
		return true
	}
	if _, tag, ok := imageref.CutTag(n); ok && tag == pick {
		return true
	}
	if !strings.ContainsAny(pick, ":/") {
		return false
	}
	a, err := name.ParseReference(n)
	if err != nil {
		return false
	}
	b, err := name.ParseReference(pick)
	return err == nil && a.Name() == b.Name()
}

// list names candidates, at most so many that a person can read them.
func list(all []*candidate) string {
	const most = 10
	var b strings.Builder
	for n, c := range all {
		if n == most {
			fmt.Fprintf(&b, " and %d more", len(all)-most)
			break
		}
		if n > 0 {
			b.WriteString(", ")
		}
		digest := c.descriptor.Digest.String()
		if len(c.names) == 0 {
			b.WriteString(digest)
			continue
		}
		names := slices.Clone(c.names)
		slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
		names = slices.Compact(names)
		fmt.Fprintf(&b, "%s (%s)", short(strings.Join(names[:min(len(names), 3)], ", ")), digest)
	}
	return b.String()
}

// withoutSubject counts candidates that refer to an image by an annotation only: in a
// registry nothing would tell that they do.
func withoutSubject(all []*candidate) (n int) {
	for _, c := range all {
		if c.noted && !c.inside {
			n++
		}
	}
	return n
}

// layoutReferrers returns what refers to a manifest among what the layout lists.
func layoutReferrers(g *graph, l layout, all []*candidate) func(context.Context, *Manifest) ([]Referrer, error) {
	return func(ctx context.Context, m *Manifest) ([]Referrer, error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		digest := m.Descriptor.Digest.String()
		var found []Referrer
		known := map[v1.Hash]bool{}
		add := func(d v1.Descriptor, tag string) error {
			if known[d.Digest] {
				return nil
			}
			known[d.Digest] = true
			loaded, err := g.load(ctx, d)
			if err != nil {
				return err
			}
			found = append(found, Referrer{Manifest: loaded, Tag: tag})
			return nil
		}
		for _, c := range all {
			if c.refersTo != digest || c.noted || c.descriptor.Annotations[attestationType] != "" {
				continue
			}
			loaded, doc, err := g.one(ctx, c.descriptor)
			if err != nil {
				return nil, err
			}
			if c.tag == "" && doc.Subject == nil && loaded.Descriptor.MediaType.IsIndex() {
				// The fallback tag's index: what it lists are the referrers.
				for _, d := range doc.Manifests {
					if !l.has(d) {
						continue
					}
					if err := add(d, ""); err != nil {
						return nil, err
					}
				}
				continue
			}
			if err := add(c.descriptor, c.tag); err != nil {
				return nil, err
			}
		}
		return found, nil
	}
}
