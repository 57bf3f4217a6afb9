package source

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/image"
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
	platforms []image.Platform
	// present reports whether a store has a manifest; nil where all are there.
	// What is not present is left out.
	present func(v1.Descriptor) bool

	found map[image.Platform]bool // those of platforms that are there
	there []string                // all that are there
	// absent are the platforms that an index names and that are not there.
	absent []string
	known  map[v1.Hash]pruned // what was decided: indexes may name one manifest again and again
}

// pruned is what is left of a manifest.
type pruned struct {
	descriptor v1.Descriptor
	some       bool // anything is left
	lost       bool // something is left out that has a platform, or that is missing
}

// of returns the descriptor of what is left of d, which is d itself if nothing is left
// out: then nothing is rewritten.
func (s *subset) of(ctx context.Context, d v1.Descriptor) (v1.Descriptor, error) {
	if len(s.platforms) == 0 && s.present == nil {
		return d, nil
	}
	s.found, s.known = map[image.Platform]bool{}, map[v1.Hash]pruned{}
	left, err := s.prune(ctx, d, 0)
	if err != nil {
		return d, err
	}
	var missing []image.Platform
	for _, p := range s.platforms {
		if !s.found[p] && !slices.Contains(missing, p) {
			missing = append(missing, p)
		}
	}
	if len(missing) > 0 {
		return d, notThere(PlatformNotFound, missing, s.there, s.absentPlatforms())
	}
	if !left.some {
		return d, broken(nil, "none of the manifests that index %s names is there", d.Digest)
	}
	return left.descriptor, nil
}

// absentPlatforms returns the platforms that are named only, sorted, each once.
func (s *subset) absentPlatforms() []string {
	return slices.Compact(slices.Sorted(slices.Values(s.absent)))
}

// prune decides on what d names, and below it.
func (s *subset) prune(ctx context.Context, d v1.Descriptor, depth int) (pruned, error) {
	if depth > maxDepth {
		return pruned{}, broken(nil, "indexes nest more than %d deep", maxDepth)
	}
	m, doc, err := s.graph.one(ctx, d)
	if err != nil {
		return pruned{}, err
	}
	if left, ok := s.known[d.Digest]; ok {
		return left, nil
	}
	var left pruned
	if m.Descriptor.MediaType.IsIndex() {
		left, err = s.index(ctx, d, m, doc, depth)
	} else {
		left, err = s.image(ctx, d, doc)
	}
	s.known[d.Digest] = left
	return left, err
}

// index decides on an index: what is left of its children is what is left of it.
func (s *subset) index(ctx context.Context, d v1.Descriptor, m *Manifest, doc document, depth int) (pruned, error) {
	raws, _, err := descriptors(m)
	if err != nil {
		return pruned{}, err
	}
	kept, changed, lost := make([]json.RawMessage, len(raws)), false, false // nil: left out
	images := map[string]bool{}                                             // digests of what is kept
	for i, child := range doc.Manifests {
		if child.Annotations[attestationType] != "" {
			continue // decided below
		}
		left, err := s.child(ctx, child, depth)
		if err != nil {
			return pruned{}, err
		}
		lost = lost || left.lost
		if !left.some {
			continue
		}
		images[child.Digest.String()] = true
		kept[i] = raws[i]
		if left.descriptor.Digest != child.Digest {
			changed = true
			if kept[i], err = readdress(raws[i], left.descriptor); err != nil {
				return pruned{}, err
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
		return pruned{d, true, false}, nil
	}
	if len(images) == 0 {
		return pruned{d, false, true}, nil
	}
	made, err := s.make(m, slices.DeleteFunc(kept, func(r json.RawMessage) bool { return r == nil }))
	return pruned{made, true, true}, err
}

// child decides on one manifest of an index.
func (s *subset) child(ctx context.Context, d v1.Descriptor, depth int) (pruned, error) {
	if err := checkDescriptor(d); err != nil {
		return pruned{}, err
	}
	if s.present != nil && !s.present(d) {
		if p, ok := image.PlatformOf(d); ok {
			s.absent = append(s.absent, p.String())
		}
		return pruned{d, false, true}, nil
	}
	if p, ok := image.PlatformOf(d); ok && !d.MediaType.IsIndex() {
		matches := s.matches(p)
		return pruned{d, matches, !matches}, nil
	}
	if !isManifest(d) { // not an image: it belongs to no platform
		return pruned{d, len(s.platforms) == 0, false}, nil
	}
	return s.prune(ctx, d, depth+1)
}

// image decides on an image that no index states a platform of: its config does.
func (s *subset) image(ctx context.Context, d v1.Descriptor, doc document) (pruned, error) {
	if len(s.platforms) == 0 {
		return pruned{d, true, false}, nil
	}
	p, ok, err := s.graph.configPlatform(ctx, doc)
	if err != nil || !ok {
		return pruned{d, false, false}, err
	}
	matches := s.matches(image.NormalizePlatform(p.OS, p.Architecture, p.Variant))
	return pruned{d, matches, !matches}, nil
}

// matches notes a platform that is there, and reports whether it is asked for.
func (s *subset) matches(p image.Platform) bool {
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
	d.Digest = image.Digest(raw)
	d.Size, d.Data = int64(len(raw)), nil
	s.graph.made[d.Digest] = raw
	return d, nil
}

// descriptors returns the descriptors in an index as they are written, so that what we
// don't know of them is kept, and as they are understood.
func descriptors(m *Manifest) ([]json.RawMessage, []v1.Descriptor, error) {
	var doc struct {
		Manifests []json.RawMessage `json:"manifests"`
	}
	what := "index " + m.Descriptor.Digest.String()
	if err := decode(m.Raw, &doc, what); err != nil {
		return nil, nil, err
	}
	var listed struct {
		Manifests []v1.Descriptor `json:"manifests"`
	}
	return doc.Manifests, listed.Manifests, decode(m.Raw, &listed, what)
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
func (g *graph) configPlatform(ctx context.Context, doc document) (p v1.Platform, ok bool, err error) {
	if doc.Config == nil || !doc.Config.MediaType.IsConfig() {
		return p, false, nil
	}
	raw, err := g.config(ctx, *doc.Config)
	if err != nil {
		return p, false, err
	}
	if err := decode(raw, &p, "config "+doc.Config.Digest.String()); err != nil {
		return p, false, err
	}
	p.Features = nil // no field of a config (image-spec 1.1, config.md)
	return p, cmp.Or(p.OS, p.Architecture) != "", nil
}

// imagePlatform returns the platform that the config of m states. m points at the config
// that was read from then on, so that nobody fetches it again.
func (g *graph) imagePlatform(ctx context.Context, m *Manifest) (p v1.Platform, ok bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	doc := g.documents[m.Descriptor.Digest]
	if p, ok, err = g.configPlatform(ctx, doc); !ok || err != nil {
		return p, ok, err
	}
	if p.OS == "" || p.Architecture == "" || p.OS == "unknown" {
		return p, false, nil
	}
	for n, b := range m.Blobs {
		if d, err := b.Descriptor(ctx); err == nil && d.Digest == doc.Config.Digest {
			m.Blobs[n] = g.blobs[d.Digest]
		}
	}
	return p, true, nil
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
		return nil, wrong(Unsupported, "config %s takes %d bytes, more than 4 MiB", d.Digest, d.Size)
	}
	if err := g.budget.hold(d.Size); err != nil {
		return nil, err
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
	held, err := newLocalBlob(d, inMemory(raw))
	if err != nil {
		return nil, err
	}
	g.blobs[d.Digest] = held
	if origin, ok := image.Origin(b); ok {
		g.blobs[d.Digest] = heldBlob{held, origin}
	}
	return raw, nil
}
