package images

import (
	"bytes"
	"io"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Push writes the whole image to a registry under reference, a tag or a digest, by another client
// than the one under test.
func (i *Image) Push(t testing.TB, reference string, options ...remote.Option) {
	t.Helper()
	ref, err := name.ParseReference(reference, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range i.Blobs {
		if err := remote.WriteLayer(ref.Context(), content(c), options...); err != nil {
			t.Fatalf("push %s: %v", reference, err)
		}
	}
	for _, c := range i.Manifests {
		if err := remote.Put(ref.Context().Digest(c.Descriptor.Digest.String()), content(c), options...); err != nil {
			t.Fatalf("push %s: %v", reference, err)
		}
	}
	if tag, ok := ref.(name.Tag); ok {
		if err := remote.Put(tag, content(i.Manifests[len(i.Manifests)-1]), options...); err != nil {
			t.Fatalf("push %s: %v", reference, err)
		}
	}
}

// content is a manifest or a layer to go-containerregistry, as it is.
type content Content

func (c content) RawManifest() ([]byte, error)        { return c.Bytes, nil }
func (c content) MediaType() (types.MediaType, error) { return c.Descriptor.MediaType, nil }
func (c content) Digest() (v1.Hash, error)            { return c.Descriptor.Digest, nil }
func (c content) DiffID() (v1.Hash, error)            { return c.Descriptor.Digest, nil }
func (c content) Size() (int64, error)                { return c.Descriptor.Size, nil }
func (c content) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(c.Bytes)), nil
}
func (c content) Uncompressed() (io.ReadCloser, error) { return c.Compressed() }
