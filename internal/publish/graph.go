package publish

import (
	"context"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/source"
)

// manifests returns everything below roots, and the roots, each digest once and every
// manifest behind those that it points at: the order in which they can be written.
func manifests(roots ...*source.Manifest) []*source.Manifest {
	var out []*source.Manifest
	seen := map[v1.Hash]bool{}
	var visit func(*source.Manifest)
	visit = func(m *source.Manifest) {
		if seen[m.Descriptor.Digest] {
			return
		}
		seen[m.Descriptor.Digest] = true
		for _, c := range m.Manifests {
			visit(c)
		}
		out = append(out, m)
	}
	for _, m := range roots {
		visit(m)
	}
	return out
}

// writeOrder is manifests, with subjects too before what refers to them, as far as they
// are among them: some registries refuse a manifest whose subject is not there.
func writeOrder(all []*source.Manifest) []*source.Manifest {
	var out []*source.Manifest
	by := map[v1.Hash]*source.Manifest{}
	for _, m := range all {
		by[m.Descriptor.Digest] = m
	}
	seen := map[v1.Hash]bool{}
	var visit func(*source.Manifest)
	visit = func(m *source.Manifest) {
		if m == nil || seen[m.Descriptor.Digest] {
			return
		}
		seen[m.Descriptor.Digest] = true
		for _, c := range m.Manifests {
			visit(by[c.Descriptor.Digest])
		}
		if subject, ok := subjectOf(m); ok {
			visit(by[subject])
		}
		out = append(out, m)
	}
	for _, m := range all {
		visit(m)
	}
	return out
}

// totalSize adds up manifests and blobs, each digest once.
func totalSize(ctx context.Context, root *source.Manifest) (int64, error) {
	var size int64
	seen := map[v1.Hash]bool{}
	for _, m := range manifests(root) {
		size += int64(len(m.Raw))
		for _, b := range m.Blobs {
			d, err := b.Descriptor(ctx)
			if err != nil {
				return 0, err
			}
			if !seen[d.Digest] {
				seen[d.Digest] = true
				size += d.Size
			}
		}
	}
	return size, nil
}
