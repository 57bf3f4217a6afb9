package image

import (
	"context"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// ChildrenFirst returns roots and everything below them, each digest once, every manifest
// behind those that it points at.
func ChildrenFirst(roots ...*Manifest) []*Manifest {
	var out []*Manifest
	seen := map[v1.Hash]bool{}
	var visit func(*Manifest)
	visit = func(m *Manifest) {
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

// Levels returns roots and everything below them, each digest once, in the order in which
// registries take them: a level holds manifests that can be written at the same time once
// all levels before it are there. A manifest comes after what it points at and, where that
// is among them, after its subject: GitLab refuses one whose subject it lacks.
func Levels(roots ...*Manifest) [][]*Manifest {
	all := ChildrenFirst(roots...)
	byDigest := make(map[v1.Hash]*Manifest, len(all))
	for _, m := range all {
		byDigest[m.Descriptor.Digest] = m
	}
	var levels [][]*Manifest
	level := make(map[v1.Hash]int, len(all))
	var of func(*Manifest) int
	of = func(m *Manifest) int {
		if n, known := level[m.Descriptor.Digest]; known {
			return n
		}
		level[m.Descriptor.Digest] = 0 // ends a circle, which no honest digests can make
		n := 0
		for _, c := range m.Manifests {
			n = max(n, of(byDigest[c.Descriptor.Digest])+1)
		}
		if m.Subject != nil {
			if subject := byDigest[m.Subject.Digest]; subject != nil {
				n = max(n, of(subject)+1)
			}
		}
		level[m.Descriptor.Digest] = n
		return n
	}
	for _, m := range all {
		n := of(m)
		for len(levels) <= n {
			levels = append(levels, nil)
		}
		levels[n] = append(levels[n], m)
	}
	return levels
}

// Blobs returns the blobs of roots and of everything below them, each digest once. It
// waits until all digests are known.
func Blobs(ctx context.Context, roots ...*Manifest) ([]Blob, error) {
	var out []Blob
	seen := map[v1.Hash]bool{}
	for _, m := range ChildrenFirst(roots...) {
		for _, b := range m.Blobs {
			d, err := b.Descriptor(ctx)
			if err != nil {
				return nil, err
			}
			if !seen[d.Digest] {
				seen[d.Digest] = true
				out = append(out, b)
			}
		}
	}
	return out, nil
}

// TotalSize adds up the bytes of roots' manifests and blobs, each digest once.
func TotalSize(ctx context.Context, roots ...*Manifest) (int64, error) {
	var size int64
	for _, m := range ChildrenFirst(roots...) {
		size += int64(len(m.Raw))
	}
	blobs, err := Blobs(ctx, roots...)
	if err != nil {
		return 0, err
	}
	for _, b := range blobs {
		d, err := b.Descriptor(ctx)
		if err != nil {
			return 0, err
		}
		size += d.Size
	}
	return size, nil
}
