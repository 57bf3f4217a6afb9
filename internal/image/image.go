package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
)

// Blob is a config, a layer or any other bytes that a manifest points at. The
// same digest is the same Blob throughout one image.
type Blob interface {
	// Descriptor waits until digest and size are known: at once for all but
	// layers that are compressed on the way.
	Descriptor(ctx context.Context) (v1.Descriptor, error)
	// Open reads from offset on. It may be called at any time after Descriptor
	// has returned, any number of times at once. A local blob's reader checks
	// the digest before it returns the last byte; a remote blob's does not
	// (package blobcache does).
	Open(ctx context.Context, offset int64) (io.ReadCloser, error)
}

// RemoteBlob is a Blob that a registry holds.
type RemoteBlob interface {
	Blob
	// Origin is the repository that holds the blob: on that host it can be mounted
	// from there.
	Origin() imageref.Repository
	// Held reports whether the bytes were read already and are in memory, so that
	// Open asks the registry for nothing.
	Held() bool
}

// Origin returns the repository that b can be mounted from; ok is false for a local blob.
func Origin(b Blob) (r imageref.Repository, ok bool) {
	if remote, is := b.(RemoteBlob); is {
		return remote.Origin(), true
	}
	return imageref.Repository{}, false
}

// IsRemote reports whether opening b reads from a registry, so that its bytes are worth
// caching.
func IsRemote(b Blob) bool {
	remote, is := b.(RemoteBlob)
	return is && !remote.Held()
}

// Manifest is an image manifest, an index or an artifact's manifest, with what
// it points at. Raw is never rewritten: its digest is the source's.
type Manifest struct {
	Descriptor v1.Descriptor
	Raw        []byte
	Manifests  []*Manifest // children of an index, in its order
	Blobs      []Blob      // config and layers; non-distributable layers are left out

	// Subject is what the manifest refers to, nil if nothing. ArtifactType and
	// Annotations are kept where Subject is set: a list of referrers repeats them.
	Subject      *v1.Descriptor
	ArtifactType string // of the manifest, else its config's media type
	Annotations  map[string]string
}

// Referrer is a manifest that refers to an image: by its subject (Tag empty), or by a
// tag derived from the image's digest, as cosign does (Tag set).
type Referrer struct {
	Manifest *Manifest
	Tag      string
}

// ReferrerDescriptor returns the descriptor by which a list of referrers names m: with
// its artifact type and annotations (OCI distribution spec 1.1, "Listing Referrers").
func (m *Manifest) ReferrerDescriptor() v1.Descriptor {
	return v1.Descriptor{
		MediaType: m.Descriptor.MediaType, Size: m.Descriptor.Size, Digest: m.Descriptor.Digest,
		ArtifactType: m.ArtifactType, Annotations: m.Annotations,
	}
}

// Digest returns the SHA-256 digest of raw.
func Digest(raw []byte) v1.Hash {
	h := sha256.Sum256(raw)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h[:])}
}
