package source

import (
	"context"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/image"
)

// referrers returns what refers to a manifest in the parts that hold it.
func (m *merge) referrers(ctx context.Context, of *Manifest) ([]Referrer, error) {
	if _, err := m.root(ctx); err != nil {
		return nil, err
	}
	type key struct {
		digest v1.Hash
		tag    string
	}
	var found []Referrer
	known := map[key]bool{}
	for _, p := range m.parts {
		if !p.holds(of.Descriptor.Digest) {
			continue
		}
		some, err := p.image.Referrers(ctx, of)
		if err != nil {
			return nil, withSource(p.describe(), err)
		}
		for _, r := range some {
			if k := (key{r.Manifest.Descriptor.Digest, r.Tag}); !known[k] {
				known[k] = true
				found = append(found, r)
			}
		}
	}
	return found, nil
}

// holds reports whether a manifest may belong to a part: one of its image, or a referrer,
// of which the part alone knows.
func (p part) holds(digest v1.Hash) bool {
	if p.image.referrers == nil {
		return false
	}
	own := func(m *Manifest) bool { return m.Descriptor.Digest == digest }
	return slices.ContainsFunc(image.ChildrenFirst(p.index), own) || p.image.knows != nil && p.image.knows(digest)
}

// passedOver counts what refers to manifests of the parts that are not published: their
// own indexes, and platforms that are left out.
func (m *merge) passedOver(ctx context.Context) (PassedOver, error) {
	index, err := m.root(ctx)
	if err != nil {
		return PassedOver{}, err
	}
	published := map[v1.Hash]bool{}
	for _, c := range image.ChildrenFirst(index) {
		published[c.Descriptor.Digest] = true
	}
	var sum PassedOver
	counted := map[v1.Hash]bool{}
	for _, p := range m.parts {
		own, err := p.image.PassedOver(ctx)
		if err != nil {
			return sum, withSource(p.describe(), err)
		}
		sum.Unpublished += own.Unpublished
		sum.WithoutSubject += own.WithoutSubject
		for _, c := range image.ChildrenFirst(p.index) {
			if published[c.Descriptor.Digest] || counted[c.Descriptor.Digest] {
				continue
			}
			counted[c.Descriptor.Digest] = true
			found, err := p.image.Referrers(ctx, c)
			if err != nil {
				return sum, withSource(p.describe(), err)
			}
			sum.Unpublished += len(found)
		}
	}
	return sum, nil
}
