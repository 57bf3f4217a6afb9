package source

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"
)

const (
	// maxManifest is the size of a manifest, in bytes, that registries are asked to
	// accept (distribution-spec 1.1, "Pushing Manifests").
	maxManifest = 4 << 20
	// maxManifests bounds how many manifests an image has.
	maxManifests = 10_000
	// maxDepth bounds how deep indexes nest.
	maxDepth = 16
	// manifestsInFlight is how many manifests are asked for at a time.
	manifestsInFlight = 8
)

// store is where the parts of a graph are.
type store interface {
	// manifest returns a manifest's bytes, verified against digest and size. The
	// error of one that is not there is errMissing.
	manifest(ctx context.Context, d v1.Descriptor) ([]byte, error)
	// blob returns a blob. It checks what can be checked without reading it.
	blob(d v1.Descriptor) (Blob, error)
}

// missingError says that a store lacks something.
type missingError struct{ digest v1.Hash }

func (e missingError) Error() string { return fmt.Sprintf("%s is missing", e.digest) }

// document is what the kinds of manifests have in common (image-spec 1.1,
// manifest.md and image-index.md; Docker schema 2).
type document struct {
	SchemaVersion int             `json:"schemaVersion"`
	MediaType     types.MediaType `json:"mediaType"`
	ArtifactType  string          `json:"artifactType"`
	Config        *v1.Descriptor  `json:"config"`
	Layers        []v1.Descriptor `json:"layers"`
	Manifests     []v1.Descriptor `json:"manifests"`
	Blobs         []v1.Descriptor `json:"blobs"` // artifact manifest, a draft of image-spec 1.1
	Subject       *v1.Descriptor  `json:"subject"`
	FSLayers      json.RawMessage `json:"fsLayers"` // schema 1

	Annotations map[string]string `json:"annotations"`
}

// parseManifest takes a manifest apart. announced is the media type that it came
// with, "" if none. The media type it returns is the one to publish it with.
func parseManifest(digest v1.Hash, announced types.MediaType, raw []byte) (document, types.MediaType, error) {
	var doc document
	if err := decode(raw, &doc, "manifest "+digest.String()); err != nil {
		return doc, "", err
	}
	mediaType := doc.MediaType
	if mediaType == "" {
		mediaType = announced
	}
	if i := strings.IndexByte(string(mediaType), ';'); i >= 0 { // a header's parameters
		mediaType = types.MediaType(strings.TrimSpace(string(mediaType[:i])))
	}
	if doc.SchemaVersion == 1 || mediaType.IsSchema1() || doc.FSLayers != nil {
		return doc, "", wrong(Schema1, "manifest %s is Docker schema 1, which registries no longer take", digest)
	}
	index, image := doc.Manifests != nil, doc.Config != nil || doc.Layers != nil
	if index && (image || doc.Blobs != nil) {
		// One registry would take it for an index, another for an image (CVE-2021-41190).
		return doc, "", broken(nil, "manifest %s is both an index and an image", digest)
	}
	switch {
	case mediaType.IsIndex() && !index && !image, mediaType.IsImage() && image && doc.Config != nil:
	case mediaType.IsIndex() && !index, mediaType.IsImage():
		return doc, "", broken(nil, "manifest %s is not the %s it says it is", digest, mediaType)
	case mediaType.IsIndex():
	case index && generic(mediaType):
		mediaType = types.OCIImageIndex
	case doc.Config != nil && generic(mediaType):
		mediaType = types.OCIManifestSchema1
	case index || image || doc.Blobs != nil: // a kind of its own, but its shape is known
	default:
		return doc, "", wrong(Unsupported, "manifest %s is of the type %q, and what it points at cannot be known",
			digest, short(string(mediaType)))
	}
	return doc, mediaType, nil
}

// generic reports whether a media type says nothing of the kind of manifest.
func generic(m types.MediaType) bool {
	switch m {
	case "", "application/json", "application/octet-stream", "text/plain":
		return true
	}
	return false
}

// isManifest reports whether what a descriptor in an index names is a manifest. It
// may name anything else: BuildKit's cache exports list layers.
func isManifest(d v1.Descriptor) bool {
	switch d.MediaType {
	case "application/vnd.oci.artifact.manifest.v1+json", "":
		return true
	}
	return d.MediaType.IsImage() || d.MediaType.IsIndex() || d.MediaType.IsSchema1()
}

// isDistributable reports whether registries take a layer. Foreign layers stay
// where their URLs say.
func isDistributable(d v1.Descriptor) bool {
	return d.MediaType.IsDistributable() &&
		d.MediaType != "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"
}

// graph loads manifests and what they point at, each digest once.
type graph struct {
	mu    sync.Mutex // held by whoever uses the graph after the image is open
	store store
	// made holds manifests that are ours, not the store's.
	made map[v1.Hash][]byte

	manifests map[v1.Hash]*Manifest
	documents map[v1.Hash]document
	blobs     map[v1.Hash]Blob
	configs   map[v1.Hash][]byte    // those that were read for their platform
	found     func([]v1.Descriptor) // is told what is about to be read; nil for nobody
	budget    *Budget
}

// newGraph returns a graph of what s holds. budget may be nil.
func newGraph(s store, budget *Budget) *graph {
	if budget == nil {
		budget = &Budget{}
	}
	return &graph{
		store: s, budget: budget, made: map[v1.Hash][]byte{},
		manifests: map[v1.Hash]*Manifest{}, documents: map[v1.Hash]document{}, blobs: map[v1.Hash]Blob{},
		configs: map[v1.Hash][]byte{},
	}
}

// load returns the manifest that d names with all below it. It goes level by level,
// so that the manifests of a level are asked for at once.
func (g *graph) load(ctx context.Context, d v1.Descriptor) (*Manifest, error) {
	level, expanded := []v1.Descriptor{d}, map[v1.Hash]bool{}
	for depth := 0; len(level) > 0; depth++ {
		if depth > maxDepth {
			return nil, broken(nil, "indexes nest more than %d deep", maxDepth)
		}
		if err := g.fetch(ctx, level); err != nil {
			return nil, err
		}
		var below []v1.Descriptor
		for _, d := range level {
			if expanded[d.Digest] {
				continue
			}
			expanded[d.Digest] = true
			for _, child := range g.documents[d.Digest].Manifests {
				if isManifest(child) {
					below = append(below, child)
				}
			}
		}
		level = below
	}
	if err := g.link(d.Digest, map[v1.Hash]bool{}); err != nil {
		return nil, err
	}
	return g.manifests[d.Digest], nil
}

// one returns a manifest's bytes and what they say, without what is below it.
func (g *graph) one(ctx context.Context, d v1.Descriptor) (*Manifest, document, error) {
	if err := g.fetch(ctx, []v1.Descriptor{d}); err != nil {
		return nil, document{}, err
	}
	return g.manifests[d.Digest], g.documents[d.Digest], nil
}

// fetch reads those of ds that are not known yet.
func (g *graph) fetch(ctx context.Context, ds []v1.Descriptor) error {
	var want []v1.Descriptor
	asked := map[v1.Hash]bool{}
	for _, d := range ds {
		if err := checkDescriptor(d); err != nil {
			return err
		}
		if g.manifests[d.Digest] == nil && !asked[d.Digest] {
			asked[d.Digest] = true
			want = append(want, d)
		}
	}
	if len(g.manifests)+len(want) > maxManifests {
		return broken(nil, "the image has more than %d manifests", maxManifests)
	}
	if g.found != nil {
		g.found(ds)
	}
	raws := make([][]byte, len(want))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(manifestsInFlight)
	for i, d := range want {
		if err := g.budget.hold(d.Size); err != nil {
			_ = group.Wait()
			return err
		}
		group.Go(func() (err error) {
			raws[i], err = g.read(groupCtx, d)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, d := range want {
		if err := g.budget.parse(raws[i]); err != nil {
			return err
		}
		doc, mediaType, err := parseManifest(d.Digest, d.MediaType, raws[i])
		if err != nil {
			return err
		}
		d.MediaType, d.Size, d.Data = mediaType, int64(len(raws[i])), nil
		g.add(d, raws[i], doc)
	}
	for _, d := range ds { // not only want: two descriptors of one manifest may differ
		if err := agree(d, g.manifests[d.Digest].Descriptor); err != nil {
			return err
		}
	}
	return nil
}

// add keeps a manifest.
func (g *graph) add(d v1.Descriptor, raw []byte, doc document) {
	m := &Manifest{Descriptor: d, Raw: raw, Subject: doc.Subject, ArtifactType: doc.ArtifactType}
	if m.ArtifactType == "" && doc.Config != nil {
		m.ArtifactType = string(doc.Config.MediaType)
	}
	if m.Subject != nil {
		m.Annotations = doc.Annotations
	}
	doc.Annotations = nil
	g.manifests[d.Digest], g.documents[d.Digest] = m, doc
}

func (g *graph) read(ctx context.Context, d v1.Descriptor) ([]byte, error) {
	if raw, ok := g.made[d.Digest]; ok {
		return raw, nil
	}
	if d.Size > maxManifest {
		return nil, wrong(ManifestTooLarge, "manifest %s takes %d bytes, more than 4 MiB", d.Digest, d.Size)
	}
	return g.store.manifest(ctx, d)
}

// agree refuses a manifest of another size than announced, or whose own media type is of
// another kind: registries would not treat it alike.
func agree(announced, is v1.Descriptor) error {
	a, b := announced.MediaType, is.MediaType
	switch {
	case announced.Size != is.Size:
		return broken(nil, "manifest %s has %d bytes, but a descriptor says %d", is.Digest, is.Size, announced.Size)
	case a.IsIndex() && b.IsImage(), a.IsImage() && b.IsIndex():
		return broken(nil, "manifest %s is announced as %s but is %s", is.Digest, a, b)
	}
	return nil
}

// checkDescriptor refuses descriptors that name nothing.
func checkDescriptor(d v1.Descriptor) error {
	switch {
	case d.Digest.Hex == "":
		return broken(nil, "a descriptor has no digest")
	case d.Size < 0:
		return broken(nil, "%s has a size of %d", d.Digest, d.Size)
	}
	return nil
}

// link gives the manifest its children and blobs.
func (g *graph) link(digest v1.Hash, linked map[v1.Hash]bool) error {
	m := g.manifests[digest]
	if linked[digest] || m.Manifests != nil || m.Blobs != nil {
		return nil
	}
	linked[digest] = true
	doc := g.documents[digest]
	seen := map[v1.Hash]bool{}
	for _, d := range doc.Manifests {
		if !isManifest(d) {
			if err := g.addBlob(m, d, seen); err != nil {
				return err
			}
			continue
		}
		if seen[d.Digest] {
			continue
		}
		seen[d.Digest] = true
		if err := g.link(d.Digest, linked); err != nil {
			return err
		}
		m.Manifests = append(m.Manifests, g.manifests[d.Digest])
	}
	if doc.Config != nil {
		if err := g.addBlob(m, *doc.Config, seen); err != nil {
			return err
		}
	}
	for _, ds := range [][]v1.Descriptor{doc.Layers, doc.Blobs} {
		for _, d := range ds {
			if err := g.addBlob(m, d, seen); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *graph) addBlob(m *Manifest, d v1.Descriptor, seen map[v1.Hash]bool) error {
	if err := checkDescriptor(d); err != nil {
		return err
	}
	if !isDistributable(d) {
		return nil
	}
	b, err := g.blob(d) // each time: another size than before is an error
	if err != nil || seen[d.Digest] {
		return err
	}
	seen[d.Digest] = true
	m.Blobs = append(m.Blobs, b)
	return nil
}

// blob returns the one Blob of a digest.
func (g *graph) blob(d v1.Descriptor) (Blob, error) {
	b, ok := g.blobs[d.Digest]
	if ok {
		known, err := b.Descriptor(context.Background()) // a store's descriptors are known
		if err != nil {
			return nil, err
		}
		if known.Size != d.Size {
			return nil, broken(nil, "blob %s is said to have %d bytes in one place and %d in another", d.Digest,
				known.Size, d.Size)
		}
		return b, nil
	}
	var err error
	if d.Data != nil {
		b, err = embedded(d)
	} else {
		b, err = g.store.blob(d)
	}
	if err != nil {
		return nil, err
	}
	g.blobs[d.Digest] = b
	return b, nil
}

// embedded returns a blob whose bytes its descriptor carries (image-spec,
// descriptor.md, "data").
func embedded(d v1.Descriptor) (Blob, error) {
	if int64(len(d.Data)) != d.Size {
		return nil, broken(nil, "blob %s carries %d bytes but says it has %d", d.Digest, len(d.Data), d.Size)
	}
	if err := verify("blob "+d.Digest.String(), d.Digest, d.Data); err != nil {
		return nil, err
	}
	data := d.Data
	d.Data = nil
	return newLocalBlob(d, inMemory(data))
}

// inMemory returns bytes as a file.
func inMemory(data []byte) file {
	return file{size: int64(len(data)), open: func() (content, error) {
		return section{SectionReader: io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data)))}, nil
	}}
}

// verify checks bytes against a digest.
func verify(what string, want v1.Hash, raw []byte) error {
	h, err := v1.Hasher(want.Algorithm)
	if err != nil {
		return wrong(Unsupported, "%s: %v", what, err)
	}
	_, _ = h.Write(raw)
	if got := hex.EncodeToString(h.Sum(nil)); got != want.Hex {
		return mismatch(what, want.String(), want.Algorithm+":"+got)
	}
	return nil
}
