package source

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"github.com/multi-registry-push/multi-registry-push/internal/image"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
)

// partsInFlight is how many parts are opened at a time.
const partsInFlight = 8

// Part is one of the sources that a merged image is made from.
type Part struct {
	Spec      Spec
	Reference string // as reports show it
	Remote    bool
}

// OpenMerged opens what specs name, which ParseAll has read, and makes one OCI index of it.
// The same parts in the same order give the same digest. Options.Platforms applies to the
// result, Options.Annotations become the index's. Options.Repository is called once for
// each remote part, in their order. The image must be closed; ctx must live as long as it.
//
// Where layers are still to be compressed the index is known only when Root returns, and
// so is what is wrong with it; otherwise OpenMerged tells.
func OpenMerged(ctx context.Context, specs []Spec, o Options) (*Image, error) {
	if err := checkPlatforms(o.Platforms); err != nil {
		return nil, err
	}
	if o.Budget == nil {
		o.Budget = &Budget{}
	}
	m := &merge{options: o, turn: make(chan struct{}, 1)}
	for _, spec := range specs {
		m.parts = append(m.parts, part{spec: spec})
	}
	if err := m.open(ctx); err != nil {
		return nil, errors.Join(err, m.close())
	}
	i := &Image{Reference: m.reference(), root: m.root, platforms: m.platforms, referrers: m.referrers,
		passedOver: m.passedOver, close: m.close}
	for _, p := range m.parts {
		i.lazy = i.lazy || p.image.lazy
		i.parts = append(i.parts, Part{p.spec, p.image.Reference, p.image.Remote()})
		if len(o.Platforms) == 0 { // else some of them may not be published
			i.pending = append(i.pending, p.image.pending...)
		}
	}
	if i.lazy {
		return i, nil
	}
	if _, err := m.root(ctx); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return i, nil
}

// merge makes one index of several images.
type merge struct {
	parts   []part
	options Options

	turn    chan struct{} // holds a value while somebody works on what follows
	done    bool
	index   *Manifest
	entries []mergedEntry // those that are published
	err     error
}

type part struct {
	spec  Spec
	image *Image
	index *Manifest // its own root
}

// mergedEntry is a child of the merged index.
type mergedEntry struct {
	raw        []byte // its descriptor, as the part's own index writes it
	descriptor v1.Descriptor
	manifest   *Manifest
	part       int
	platform   *v1.Platform // nil for attestations
}

// describe names a part in an error.
func (p part) describe() string {
	if p.spec.Line == 0 {
		return "source " + short(p.spec.Text)
	}
	return fmt.Sprintf("source, line %d (%s)", p.spec.Line, short(p.spec.Text))
}

// reference sums the parts up.
func (m *merge) reference() string {
	const most = 3
	var names []string
	for _, p := range m.parts[:min(most, len(m.parts))] {
		names = append(names, p.image.Reference)
	}
	text := strings.Join(names, " + ")
	if n := len(m.parts) - most; n > 0 {
		text += fmt.Sprintf(" + %d more", n)
	}
	return text
}

// open opens all parts.
func (m *merge) open(ctx context.Context) error {
	var group errgroup.Group // without a context of its own: parts use theirs until they are closed
	group.SetLimit(partsInFlight)
	errs := make([]error, len(m.parts))
	for n, p := range m.parts {
		o := m.options
		o.Platforms, o.Found = nil, nil // the parts' own indexes are not published
		if at := p.spec.Repository(); at != nil && o.Repository != nil {
			repository := o.Repository(*at)
			o.Repository = func(imageref.Repository) RemoteRepository { return repository }
		}
		group.Go(func() error {
			m.parts[n].image, errs[n] = Open(ctx, p.spec, o)
			if errs[n] != nil && p.spec.Line > 0 {
				errs[n] = withSource(fmt.Sprintf("line %d", p.spec.Line), errs[n])
			}
			return nil
		})
	}
	_ = group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *merge) close() error {
	var errs []error
	for _, p := range m.parts {
		if p.image != nil {
			errs = append(errs, p.image.Close())
		}
	}
	return errors.Join(errs...)
}

// root waits for all parts and returns the index of them.
func (m *merge) root(ctx context.Context) (*Manifest, error) {
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if m.done {
		return m.index, m.err
	}
	index, entries, err := m.make(ctx)
	if err != nil && ctx.Err() != nil {
		return nil, err
	}
	m.index, m.entries, m.err, m.done = index, entries, err, true
	return index, err
}

func (m *merge) make(ctx context.Context) (*Manifest, []mergedEntry, error) {
	var all []mergedEntry
	for n := range m.parts {
		p := &m.parts[n]
		root, err := p.image.Root(ctx)
		if err != nil {
			return nil, nil, err
		}
		p.index = root
		entries, err := m.entriesOf(ctx, n, root)
		if err != nil {
			return nil, nil, withSource(p.describe(), err)
		}
		all = append(all, entries...)
	}
	all, err := m.unique(all)
	if err != nil {
		return nil, nil, err
	}
	if all, err = m.chosen(all); err != nil {
		return nil, nil, err
	}
	index, err := m.write(all)
	if err != nil {
		return nil, nil, err
	}
	return index, all, shareBlobs(ctx, index)
}

// entriesOf returns what the part n adds to the index.
func (m *merge) entriesOf(ctx context.Context, n int, root *Manifest) ([]mergedEntry, error) {
	if !root.Descriptor.MediaType.IsIndex() {
		e, err := m.bare(ctx, n, root)
		return []mergedEntry{e}, err
	}
	raws, listed, err := descriptors(root)
	if err != nil {
		return nil, err
	}
	below := map[v1.Hash]*Manifest{}
	for _, c := range root.Manifests {
		below[c.Descriptor.Digest] = c
	}
	var entries []mergedEntry
	for i, d := range listed {
		child := below[d.Digest]
		switch {
		case child == nil:
			return nil, wrong(Unsupported, "its index names %s, which is no image but %s", d.Digest,
				short(string(d.MediaType)))
		case child.Descriptor.MediaType.IsIndex():
			return nil, wrong(IndexInIndex, "its index names another index, %s, and indexes in an index are not merged",
				d.Digest)
		}
		e := mergedEntry{raw: raws[i], descriptor: d, manifest: own(child), part: n, platform: d.Platform}
		if d.Annotations[attestationType] != "" || d.Platform != nil && d.Platform.OS == "unknown" {
			e.platform = nil
		} else if d.Platform == nil || d.Platform.OS == "" {
			p, err := m.platformOf(ctx, n, child)
			if err != nil {
				return nil, err
			}
			e.platform = &p
		}
		entries = append(entries, e)
	}
	if len(entries) == 0 {
		return nil, broken(nil, "its index names no image")
	}
	return entries, nil
}

// bare describes an image that no index lists.
func (m *merge) bare(ctx context.Context, n int, root *Manifest) (mergedEntry, error) {
	p, err := m.platformOf(ctx, n, root)
	if err != nil {
		return mergedEntry{}, err
	}
	d := v1.Descriptor{MediaType: root.Descriptor.MediaType, Size: root.Descriptor.Size,
		Digest: root.Descriptor.Digest, Platform: &p}
	raw, err := encode(d)
	return mergedEntry{raw: raw, descriptor: d, manifest: own(root), part: n, platform: &p}, err
}

// own returns a copy of a part's manifest, whose blobs shareBlobs may exchange: other images can
// have the same part.
func own(m *Manifest) *Manifest {
	one := *m
	one.Blobs = slices.Clone(m.Blobs)
	return &one
}

func (m *merge) platformOf(ctx context.Context, n int, child *Manifest) (v1.Platform, error) {
	if of := m.parts[n].image.imagePlatform; of != nil {
		if p, ok, err := of(ctx, child); ok || err != nil {
			return p, err
		}
	}
	return v1.Platform{}, wrong(NotAnImage, "%s is no image: no config tells its platform",
		child.Descriptor.Digest)
}

// unique drops what was there before, and refuses two images for one platform.
func (m *merge) unique(all []mergedEntry) ([]mergedEntry, error) {
	known, on := map[v1.Hash]bool{}, map[string]mergedEntry{}
	var out []mergedEntry
	for _, e := range all {
		if known[e.descriptor.Digest] {
			continue
		}
		known[e.descriptor.Digest] = true
		if e.platform != nil {
			key := platformKey(*e.platform)
			if first, twice := on[key]; twice {
				return nil, wrong(PlatformTwice, "%s and %s both have an image for %s: %s and %s",
					m.parts[first.part].describe(), m.parts[e.part].describe(), platformText(*e.platform),
					first.descriptor.Digest, e.descriptor.Digest)
			}
			on[key] = e
		}
		out = append(out, e)
	}
	return out, nil
}

// platformKey is equal for equal platforms.
func platformKey(p v1.Platform) string {
	features := slices.Compact(slices.Sorted(slices.Values(p.OSFeatures)))
	name := image.NormalizePlatform(p.OS, p.Architecture, p.Variant).String()
	return strings.Join(append([]string{name, p.OSVersion}, features...), "\x00")
}

// platformText writes a platform for people.
func platformText(p v1.Platform) string {
	text := image.NormalizePlatform(p.OS, p.Architecture, p.Variant).String()
	if p.OSVersion != "" {
		text += " (" + p.OSVersion + ")"
	}
	return short(text)
}

// chosen returns what is left for the platforms that are asked for, and the attestations
// of that.
func (m *merge) chosen(all []mergedEntry) ([]mergedEntry, error) {
	asked, err := parsePlatforms(m.options.Platforms)
	if err != nil || len(asked) == 0 {
		return all, err
	}
	found, kept := map[image.Platform]bool{}, map[string]bool{}
	var there []string
	lost := false
	for _, e := range all {
		if e.platform == nil {
			continue
		}
		p := image.NormalizePlatform(e.platform.OS, e.platform.Architecture, e.platform.Variant)
		there = append(there, p.String())
		if !slices.Contains(asked, p) {
			lost = true
			continue
		}
		found[p], kept[e.descriptor.Digest.String()] = true, true
	}
	if missing := slices.DeleteFunc(asked, func(p image.Platform) bool { return found[p] }); len(missing) > 0 {
		return nil, withSource("source", notThere(PlatformLost, missing, there, nil))
	}
	if !lost {
		return all, nil
	}
	return slices.DeleteFunc(all, func(e mergedEntry) bool {
		return !kept[cmp.Or(e.descriptor.Annotations[attestedDigest], e.descriptor.Digest.String())]
	}), nil
}

// write makes the index. Descriptors stay byte for byte what they were.
func (m *merge) write(all []mergedEntry) (*Manifest, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"schemaVersion":2,"mediaType":%q,"manifests":[`, types.OCIImageIndex)
	index := &Manifest{}
	for n, e := range all {
		if n > 0 {
			b.WriteByte(',')
		}
		b.Write(e.raw)
		index.Manifests = append(index.Manifests, e.manifest)
	}
	b.WriteByte(']')
	if len(m.options.Annotations) > 0 {
		annotations, err := encode(m.options.Annotations) // keys sorted
		if err != nil {
			return nil, err
		}
		b.WriteString(`,"annotations":`)
		b.Write(annotations)
	}
	b.WriteByte('}')
	if b.Len() > maxManifest {
		return nil, wrong(ManifestTooLarge, "the merged index would take %d bytes, more than 4 MiB", b.Len())
	}
	index.Raw = b.Bytes()
	index.Descriptor = v1.Descriptor{MediaType: types.OCIImageIndex, Size: int64(b.Len()),
		Digest: image.Digest(b.Bytes())}
	return index, nil
}

// shareBlobs gives all manifests below index the same Blob for the same digest. One that is
// here is preferred to one in a registry.
func shareBlobs(ctx context.Context, index *Manifest) error {
	best := map[v1.Hash]Blob{}
	each := func(visit func(d v1.Descriptor, b *Blob) error) error {
		for _, m := range image.ChildrenFirst(index) {
			for n := range m.Blobs {
				d, err := m.Blobs[n].Descriptor(ctx)
				if err != nil {
					return err
				}
				if err := visit(d, &m.Blobs[n]); err != nil {
					return err
				}
			}
		}
		return nil
	}
	sizes := map[v1.Hash]int64{}
	if err := each(func(d v1.Descriptor, b *Blob) error {
		known, is := best[d.Digest]
		if is && sizes[d.Digest] != d.Size {
			return broken(nil, "blob %s is said to have %d bytes in one place and %d in another", d.Digest,
				sizes[d.Digest], d.Size)
		}
		sizes[d.Digest] = d.Size
		if !is || image.IsRemote(known) && !image.IsRemote(*b) {
			best[d.Digest] = *b
		}
		return nil
	}); err != nil {
		return err
	}
	return each(func(d v1.Descriptor, b *Blob) error {
		*b = best[d.Digest]
		return nil
	})
}

// platforms returns what the index's children run on, as their descriptors say.
func (m *merge) platforms(ctx context.Context) ([]string, error) {
	if _, err := m.root(ctx); err != nil {
		return nil, err
	}
	var all []string
	for _, e := range m.entries {
		if p := e.platform; p != nil {
			all = append(all, asWritten(*p))
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}
