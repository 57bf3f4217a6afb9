package source

import (
	"context"
	"errors"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/image"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/registry"
)

// remote is a store in a registry.
type remote struct {
	repository RemoteRepository
	origin     imageref.Repository
}

func (r remote) manifest(ctx context.Context, d v1.Descriptor) ([]byte, error) {
	raw, _, err := r.repository.Manifest(ctx, d.Digest.String())
	if err != nil {
		if errors.Is(err, registry.ErrNotFound) {
			return nil, broken(err, "manifest %s is not in the registry, though another names it", d.Digest)
		}
		return nil, err
	}
	if d.Size != int64(len(raw)) {
		return nil, broken(nil, "manifest %s has %d bytes, but its descriptor says %d", d.Digest, len(raw), d.Size)
	}
	return raw, verify("manifest "+d.Digest.String(), d.Digest, raw)
}

func (r remote) blob(d v1.Descriptor) (Blob, error) {
	d.Data = nil
	return remoteBlob{r.repository, r.origin, d}, nil
}

// remoteBlob is a blob in a registry.
type remoteBlob struct {
	repository RemoteRepository
	origin     imageref.Repository
	descriptor v1.Descriptor
}

func (b remoteBlob) Origin() imageref.Repository { return b.origin }

func (b remoteBlob) Held() bool { return false }

// heldBlob is a blob of a registry that was read into memory.
type heldBlob struct {
	Blob
	origin imageref.Repository
}

func (b heldBlob) Origin() imageref.Repository { return b.origin }

func (b heldBlob) Held() bool { return true }

func (b remoteBlob) Descriptor(context.Context) (v1.Descriptor, error) { return b.descriptor, nil }

func (b remoteBlob) Open(ctx context.Context, offset int64) (io.ReadCloser, error) {
	return b.repository.OpenBlob(ctx, b.descriptor, offset)
}

// openRemote opens an image in a registry. The tag is asked for once; from then on
// everything goes by digest, so that a tag that moves meanwhile mixes nothing.
func openRemote(ctx context.Context, spec Spec, o Options) (*Image, error) {
	if o.Repository == nil {
		return nil, fmt.Errorf("source %s: no access to registries", spec.Reference)
	}
	repository := o.Repository(spec.Reference.Repository)
	raw, d, err := repository.Manifest(ctx, spec.Reference.Identifier())
	if err != nil {
		if errors.Is(err, registry.ErrNotFound) {
			return nil, &Error{Kind: NotInRegistry, Host: spec.Reference.Host,
				What: fmt.Sprintf("%s is not in the registry", spec.Reference), Err: answerIn(err)}
		}
		return nil, err
	}
	d.Size = int64(len(raw))
	g := newGraph(remote{repository, spec.Reference.Repository}, o.Budget)
	g.made[d.Digest] = raw // read already
	origin := spec.Reference.Repository
	i := &Image{Reference: spec.Reference.String(), Origin: &origin}
	if err := i.setRoot(ctx, g, d, o, nil); err != nil {
		return nil, err
	}
	i.referrers = func(ctx context.Context, m *Manifest) ([]Referrer, error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		return remoteReferrers(ctx, g, repository, m.Descriptor.Digest)
	}
	return i, nil
}

// answerIn returns what a registry answered, without the sentence around it that names the image
// once more.
func answerIn(err error) error {
	if failed, ok := errors.AsType[*registry.OperationError](err); ok && failed.Err != nil {
		return failed.Err
	}
	return err
}

// remoteReferrers asks the registry for what refers to a digest, in both ways.
func remoteReferrers(ctx context.Context, g *graph, repository RemoteRepository, digest v1.Hash) ([]Referrer, error) {
	ds, _, err := repository.Referrers(ctx, digest.String())
	// What is no list means none to who reads (distribution spec, "Listing Referrers").
	if err != nil && !errors.Is(err, registry.ErrNotFound) && !errors.Is(err, registry.ErrNoList) {
		return nil, err
	}
	var found []Referrer
	for _, d := range ds {
		m, err := g.load(ctx, d)
		if err != nil {
			return nil, err
		}
		found = append(found, Referrer{Manifest: m})
	}
	for _, suffix := range image.CosignSuffixes {
		tag := image.CosignTag(digest, suffix)
		raw, d, err := repository.Manifest(ctx, tag)
		if errors.Is(err, registry.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		d.Size = int64(len(raw))
		g.made[d.Digest] = raw
		m, err := g.load(ctx, d)
		if err != nil {
			return nil, err
		}
		found = append(found, Referrer{Manifest: m, Tag: tag})
	}
	return found, nil
}
