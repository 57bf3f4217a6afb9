package source

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const (
	// BuildKit's annotations of attestation manifests
	// (moby/buildkit, docs/attestations/attestation-storage.md).
	attestationType = "vnd.docker.reference.type"
	attestedDigest  = "vnd.docker.reference.digest"
)

// subset says what of an index is published.
type subset struct {
	graph *graph
	// platforms that are asked for; none means all.
	platforms []platform
	// present reports whether a store has a manifest; nil where all are there.
	// What is not present is left out.
	present func(v1.Descriptor) bool

	found map[platform]bool // those of platforms that are there
	there []string          // all that are there
}

// of returns the descriptor of what is left of d, which is d itself if nothing is left
// out: then nothing is rewritten.
func (s *subset) of(ctx context.Context, d v1.Descriptor) (v1.Descriptor, error) {
	if len(s.platforms) == 0 && s.present == nil {
		return d, nil
	}
	s.found = map[platform]bool{}
	left, n, _, err := s.prune(ctx, d, 0)
	if err != nil {
		return d, err
	}
	var missing []platform
	for _, p := range s.platforms {
		if !s.found[p] && !slices.Contains(missing, p) {
			missing = append(missing, p)
		}
	}
	if len(missing) > 0 {
		return d, notThere(missing, s.there)
	}
	if n == 0 {
		return d, broken(nil, "none of the manifests that index %s names is there", d.Digest)
	}
	return left, nil
}

// prune returns what is left of d and how many manifests that are. lost says that
// something is left out that has a platform, or that is missing.
func (s *subset) prune(ctx context.Context, d v1.Descriptor, depth int) (left v1.Descriptor, n int, lost bool, err error) {
	if depth > maxDepth {
		return d, 0, false, broken(nil, "indexes nest more than %d deep", maxDepth)
	}
	m, doc, err := s.graph.one(ctx, d)
	if err != nil {
		return d, 0, false, err
	}
	if !m.Descriptor.MediaType.IsIndex() {
		return s.image(ctx, d, doc)
	}
	raws, err := descriptors(m)
	if err != nil {
		return d, 0, false, err
	}
	kept, changed := make([]json.RawMessage, len(raws)), false // nil: left out
	images, count := map[string]bool{}, 0                      // digests of what is kept
	for i, child := range doc.Manifests {
		if child.Annotations[attestationType] != "" {
			continue // decided below
		}
		left, n, gone, err := s.child(ctx, child, depth)
		if err != nil {
			return d, 0, false, err
		}
		lost = lost || gone
		if n == 0 {
			continue
		}
		count += n
		images[child.Digest.String()] = true
		kept[i] = raws[i]
		if left.Digest != child.Digest {
			changed = true
			if kept[i], err = readdress(raws[i], left); err != nil {
				return d, 0, false, err
			}
		}
	}
	for i, child := range doc.Manifests {
		if child.Annotations[attestationType] == "" {
			continue
		}
		if s.present != nil && !s.present(child) {
			lost = true
			continue
		}
		if images[child.Annotations[attestedDigest]] {
			kept[i] = raws[i]
		}
	}
	if !lost && !changed { // all platforms are kept, and so is what has none
		return d, max(count, 1), false, nil
	}
	if count == 0 {
		return d, 0, true, nil
	}
	made, err := s.make(m, slices.DeleteFunc(kept, func(r json.RawMessage) bool { return r == nil }))
	return made, count, true, err
}

// child decides on one manifest of an index.
func (s *subset) child(ctx context.Context, d v1.Descriptor, depth int) (left v1.Descriptor, n int, lost bool, err error) {
	if err := checkDescriptor(d); err != nil {
		return d, 0, false, err
	}
	if s.present != nil && !s.present(d) {
		return d, 0, true, nil
	}
	if p, ok := platformOf(d); ok && !d.MediaType.IsIndex() {
		if !s.matches(p) {
			return d, 0, true, nil
		}
		return d, 1, false, nil
	}
	if !isManifest(d) { // not an image: it belongs to no platform
		if len(s.platforms) > 0 {
			return d, 0, false, nil
		}
		return d, 1, false, nil
	}
	return s.prune(ctx, d, depth+1)
}

// image decides on an image that no index states a platform of: its config does.
func (s *subset) image(ctx context.Context, d v1.Descriptor, doc document) (left v1.Descriptor, n int, lost bool, err error) {
	if len(s.platforms) == 0 {
		return d, 1, false, nil
	}
	p, ok, err := s.graph.configPlatform(ctx, doc)
	if err != nil || !ok {
		return d, 0, false, err
	}
	if !s.matches(p) {
		return d, 0, true, nil
	}
	return d, 1, false, nil
}

// matches notes a platform that is there, and reports whether it is asked for.
func (s *subset) matches(p platform) bool {
	s.there = append(s.there, p.String())
	if len(s.platforms) == 0 {
		return true
	}
	if !slices.Contains(s.platforms, p) {
		return false
	}
	s.found[p] = true
	return true
}

// make writes an index that lists only kept, and otherwise says what m says.
func (s *subset) make(m *Manifest, kept []json.RawMessage) (v1.Descriptor, error) {
	var fields map[string]json.RawMessage
	if err := decode(m.Raw, &fields, "index "+m.Descriptor.Digest.String()); err != nil {
		return v1.Descriptor{}, err
	}
	list, err := encode(kept)
	if err != nil {
		return v1.Descriptor{}, err
	}
	fields["manifests"] = list
	raw, err := encode(fields) // keys sorted: the same subset has the same digest
	if err != nil {
		return v1.Descriptor{}, err
	}
	d := m.Descriptor
	d.Digest = digestOf(raw)
	d.Size, d.Data = int64(len(raw)), nil
	s.graph.made[d.Digest] = raw
	return d, nil
}

// descriptors returns the descriptors in an index as they are written, so that what we
// don't know of them is kept.
func descriptors(m *Manifest) ([]json.RawMessage, error) {
	var doc struct {
		Manifests []json.RawMessage `json:"manifests"`
	}
	if err := decode(m.Raw, &doc, "index "+m.Descriptor.Digest.String()); err != nil {
		return nil, err
	}
	return doc.Manifests, nil
}

// readdress points a descriptor at other bytes.
func readdress(raw json.RawMessage, d v1.Descriptor) (json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, err
	}
	delete(fields, "data")
	fields["digest"] = json.RawMessage(fmt.Sprintf("%q", d.Digest))
	fields["size"] = json.RawMessage(fmt.Sprint(d.Size))
	return encode(fields)
}

func encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// configPlatform reads the platform of an image from its config; ok is false for
// artifacts, whose config says nothing of the kind.
func (g *graph) configPlatform(ctx context.Context, doc document) (p platform, ok bool, err error) {
	if doc.Config == nil || !doc.Config.MediaType.IsConfig() {
		return platform{}, false, nil
	}
	raw, err := g.config(ctx, *doc.Config)
	if err != nil {
		return platform{}, false, err
	}
	var c v1.Platform
	if err := decode(raw, &c, "config "+doc.Config.Digest.String()); err != nil {
		return platform{}, false, err
	}
	if cmp.Or(c.OS, c.Architecture) == "" {
		return platform{}, false, nil
	}
	return normalize(c.OS, c.Architecture, c.Variant), true, nil
}

// config reads a config into memory. The blob is read from there ever after: nothing is
// fetched twice.
func (g *graph) config(ctx context.Context, d v1.Descriptor) ([]byte, error) {
	if raw, ok := g.configs[d.Digest]; ok {
		return raw, nil
	}
	if err := checkDescriptor(d); err != nil {
		return nil, err
	}
	if d.Size > maxManifest {
		return nil, unsupported("", "config %s takes %d bytes, more than 4 MiB", d.Digest, d.Size)
	}
	b, err := g.blob(d)
	if err != nil {
		return nil, err
	}
	raw, err := readBlob(ctx, b, d)
	if err != nil {
		return nil, err
	}
	g.configs[d.Digest] = raw
	d.Data = nil
	g.blobs[d.Digest], err = newLocalBlob(d, inMemory(raw))
	return raw, err
}
