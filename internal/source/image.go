package source

import (
	"context"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/image"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
)

// The content graph's types are package image's.
type (
	// Blob is a config, a layer or any other bytes that a manifest points at.
	Blob = image.Blob
	// Manifest is an image manifest, an index or an artifact's manifest.
	Manifest = image.Manifest
	// Referrer is a manifest that refers to an image.
	Referrer = image.Referrer
)

// Image is what is published.
type Image struct {
	// Reference is the source as reports show it.
	Reference string
	// Origin is the repository a remote image is read from, nil for local ones:
	// blobs can be mounted from it where it is on the destination's host.
	Origin *imageref.Repository

	root      func(context.Context) (*Manifest, error)
	referrers func(context.Context, *Manifest) ([]Referrer, error)
	platforms func(context.Context) ([]string, error)
	pending   []Blob
	close     func() error

	parts []Part
	lazy  bool // the graph is not known before somebody waits for Root
	// imagePlatform returns the platform in an image's config; nil and not ok for what is
	// no image.
	imagePlatform func(context.Context, *Manifest) (p v1.Platform, ok bool, err error)
	knows         func(v1.Hash) bool // a manifest was read
	passedOver    func(context.Context) (PassedOver, error)
	absent        func(context.Context) ([]string, error)
}

// PassedOver counts manifests that refer to the image, but not to what is published.
type PassedOver struct {
	Unpublished    int // their subject is an index or a platform that is not published
	WithoutSubject int // only a layout's annotation, io.containerd.manifest.subject, says so
}

// NewImage returns an image whose graph is known already. referrers, which may be nil,
// finds what refers to a manifest.
func NewImage(name string, origin *imageref.Repository, root *Manifest,
	referrers func(context.Context, *Manifest) ([]Referrer, error)) *Image {
	return &Image{
		Reference: name, Origin: origin, referrers: referrers,
		root: func(context.Context) (*Manifest, error) { return root, nil },
	}
}

// Remote reports whether any blob comes over the network. Of one blob, image.IsRemote tells.
func (i *Image) Remote() bool {
	return i.Origin != nil || slices.ContainsFunc(i.parts, func(p Part) bool { return p.Remote })
}

// Parts returns what a merged image is made from, in order; none for one that is not merged.
func (i *Image) Parts() []Part { return i.parts }

// PendingBlobs returns blobs whose digest is not known yet because they are being
// compressed. They can be sent, each as it becomes known, before Root returns.
// It is empty for images that are compressed already.
func (i *Image) PendingBlobs() []Blob { return i.pending }

// Root waits until the whole graph is known and returns its root. Every call
// returns the same value.
func (i *Image) Root(ctx context.Context) (*Manifest, error) { return i.root(ctx) }

// Platforms returns what the image runs on, such as linux/arm64, sorted, each once.
// It waits for Root. It is empty for artifacts, and for a single image in a registry,
// whose config alone would tell.
func (i *Image) Platforms(ctx context.Context) ([]string, error) {
	if i.platforms == nil {
		return nil, nil
	}
	return i.platforms(ctx)
}

// Referrers returns what refers to m in the source, not recursively. Sources that
// cannot hold referrers return none.
func (i *Image) Referrers(ctx context.Context, m *Manifest) ([]Referrer, error) {
	if i.referrers == nil {
		return nil, nil
	}
	return i.referrers(ctx, m)
}

// Absent returns the platforms that the source's index names, and that are left out because
// the source lacks them, as engines save images of which they hold some platforms only. It
// waits for Root.
func (i *Image) Absent(ctx context.Context) ([]string, error) {
	if i.absent == nil {
		return nil, nil
	}
	return i.absent(ctx)
}

// PassedOver counts what refers to the source in it, and cannot be copied along. It asks
// the source, so it is only for those that want referrers.
func (i *Image) PassedOver(ctx context.Context) (PassedOver, error) {
	if i.passedOver == nil {
		return PassedOver{}, nil
	}
	return i.passedOver(ctx)
}

// Close stops what still runs, waits for it, and frees files.
func (i *Image) Close() error {
	if i.close == nil {
		return nil
	}
	return i.close()
}
