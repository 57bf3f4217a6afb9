package images

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Compare fails the test unless reference serves the image: every manifest and every blob
// is fetched from the registry, by another client than the one under test, and compared byte for byte.
func (i *Image) Compare(t testing.TB, reference string, options ...remote.Option) {
	t.Helper()
	got, err := Fetch(reference, options...)
	if err != nil {
		t.Errorf("%s: %v", reference, err)
		return
	}
	if got.Digest() != i.Digest() {
		t.Errorf("%s serves %s, not %s", reference, got.Digest(), i.Digest())
		return
	}
	if got.Root.MediaType != i.Root.MediaType {
		t.Errorf("%s has media type %s, not %s", reference, got.Root.MediaType, i.Root.MediaType)
	}
	same(t, reference, "manifest", got.Manifests, i.Manifests)
	same(t, reference, "blob", got.Blobs, i.Blobs)
}

func same(t testing.TB, reference, kind string, got, want []Content) {
	t.Helper()
	have := map[v1.Hash][]byte{}
	for _, c := range got {
		have[c.Descriptor.Digest] = c.Bytes
	}
	for _, c := range want {
		if b, ok := have[c.Descriptor.Digest]; !ok || !bytes.Equal(b, c.Bytes) {
			t.Errorf("%s: %s %s differs or is missing", reference, kind, c.Descriptor.Digest)
		}
		delete(have, c.Descriptor.Digest)
	}
	for d := range have {
		t.Errorf("%s: %s %s is not in the source", reference, kind, d)
	}
}

// Fetch reads a whole image from a registry and checks every digest and size. An error says what is
// missing or wrong: an image that can be fetched is whole.
func Fetch(reference string, options ...remote.Option) (*Image, error) {
	ref, err := name.ParseReference(reference, name.Insecure)
	if err != nil {
		return nil, err
	}
	f := &fetch{repository: ref.Context(), options: options, seen: map[v1.Hash]bool{}, image: &Image{}}
	root, err := remote.Get(ref, options...)
	if err != nil {
		return nil, err
	}
	if err := f.manifest(root.Descriptor); err != nil {
		return nil, err
	}
	f.image.Root = v1.Descriptor{MediaType: root.MediaType, Size: root.Size, Digest: root.Digest}
	return f.image, nil
}

type fetch struct {
	repository name.Repository
	options    []remote.Option
	seen       map[v1.Hash]bool
	image      *Image
}

func (f *fetch) manifest(d v1.Descriptor) error {
	if f.seen[d.Digest] {
		return nil
	}
	f.seen[d.Digest] = true
	got, err := remote.Get(f.repository.Digest(d.Digest.String()), f.options...)
	if err != nil {
		return fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	if got.Size != d.Size || digest(got.Manifest) != d.Digest {
		return fmt.Errorf("manifest %s: got %d bytes of digest %s", d.Digest, got.Size, digest(got.Manifest))
	}
	var m struct {
		Manifests []v1.Descriptor
		Config    *v1.Descriptor
		Layers    []v1.Descriptor
	}
	if err := json.Unmarshal(got.Manifest, &m); err != nil {
		return fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	for _, child := range m.Manifests {
		if err := f.manifest(child); err != nil {
			return err
		}
	}
	if m.Config != nil {
		m.Layers = append(m.Layers, *m.Config)
	}
	for _, blob := range m.Layers {
		if err := f.blob(blob); err != nil {
			return err
		}
	}
	f.image.Manifests = append(f.image.Manifests, Content{Descriptor: got.Descriptor, Bytes: got.Manifest})
	return nil
}

func (f *fetch) blob(d v1.Descriptor) error {
	if f.seen[d.Digest] {
		return nil
	}
	f.seen[d.Digest] = true
	l, err := remote.Layer(f.repository.Digest(d.Digest.String()), f.options...)
	if err != nil {
		return fmt.Errorf("blob %s: %w", d.Digest, err)
	}
	r, err := l.Compressed()
	if err != nil {
		return fmt.Errorf("blob %s: %w", d.Digest, err)
	}
	raw, err := io.ReadAll(r)
	_ = r.Close()
	if err != nil {
		return fmt.Errorf("blob %s: %w", d.Digest, err)
	}
	if int64(len(raw)) != d.Size || digest(raw) != d.Digest {
		return fmt.Errorf("blob %s: got %d bytes of digest %s", d.Digest, len(raw), digest(raw))
	}
	f.image.Blobs = append(f.image.Blobs, Content{Descriptor: d, Bytes: raw})
	return nil
}

// Digest asks a registry what digest reference points at, "" when there is nothing.
func Digest(t testing.TB, reference string, options ...remote.Option) string {
	t.Helper()
	ref, err := name.ParseReference(reference, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	d, err := remote.Get(ref, options...)
	var refused *transport.Error
	if errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound {
		return ""
	}
	if err != nil {
		t.Fatalf("%s: %v", reference, err)
	}
	return d.Digest.String()
}
