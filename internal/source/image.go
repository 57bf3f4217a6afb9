// Package source turns what a workflow calls its image (a reference, an OCI
// layout or archive, a docker archive, an image in the engine) into one thing:
// a content graph whose blobs can be read from any offset.
package source

import (
	"context"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
)

// Blob is a config, a layer or any other bytes that a manifest points at. The
// same digest is the same Blob throughout one Image.
type Blob interface {
	// Descriptor waits until digest and size are known: at once for all but
	// layers that are compressed on the way.
	Descriptor(ctx context.Context) (v1.Descriptor, error)
	// Open reads from offset on. It may be called at any time after Descriptor
	// has returned, any number of times at once. A local blob's reader checks
	// the digest before it returns the last byte; a remote blob's does not
	// (the spool does).
	Open(ctx context.Context, offset int64) (io.ReadCloser, error)
}

// Manifest is an image manifest, an index or an artifact's manifest, with what
// it points at. Raw is never rewritten: its digest is the source's.
type Manifest struct {
	Descriptor v1.Descriptor
	Raw        []byte
	Manifests  []*Manifest // children of an index, in its order
	Blobs      []Blob      // config and layers; non-distributable layers are left out
}

// Referrer is a manifest that refers to an image: by its subject (Tag empty), or by a
// tag derived from the image's digest, as cosign does (Tag set).
type Referrer struct {
	Manifest *Manifest
	Tag      string
}

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
	ahead     []Blob
	close     func() error
}

// NewImage returns an image whose graph is known already. referrers, which may be nil,
// finds what refers to a manifest.
func NewImage(name string, origin *imageref.Repository, root *Manifest, referrers func(context.Context, *Manifest) ([]Referrer, error)) *Image {
	return &Image{
		Reference: name, Origin: origin, referrers: referrers,
		root: func(context.Context) (*Manifest, error) { return root, nil },
	}
}

// Remote reports whether blobs come over the network, and so go through the
// spool.
func (i *Image) Remote() bool { return i.Origin != nil }

// Ahead returns blobs whose digest is not known yet because they are being
// compressed. They can be sent, each as it becomes known, before Root returns.
// It is empty for images that are compressed already.
func (i *Image) Ahead() []Blob { return i.ahead }

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

// Close stops what still runs, waits for it, and frees files.
func (i *Image) Close() error {
	if i.close == nil {
		return nil
	}
	return i.close()
}
