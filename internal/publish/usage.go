package publish

import (
	"context"
	"io"
	"sync/atomic"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/source"
)

// usage counts what was received from a remote source. The client's own totals
// would not do: a host that is read from and written to has one client.
type usage struct{ bytes, requests atomic.Int64 }

// counted is a repository whose answers are counted.
type counted struct {
	source.RemoteRepository
	c *usage
}

func (r counted) Manifest(ctx context.Context, ref string) ([]byte, v1.Descriptor, error) {
	r.c.requests.Add(1)
	raw, d, err := r.RemoteRepository.Manifest(ctx, ref)
	r.c.bytes.Add(int64(len(raw)))
	return raw, d, err
}

func (r counted) Stat(ctx context.Context, ref string) (v1.Descriptor, error) {
	r.c.requests.Add(1)
	return r.RemoteRepository.Stat(ctx, ref)
}

func (r counted) OpenBlob(ctx context.Context, d v1.Descriptor, offset int64) (io.ReadCloser, error) {
	r.c.requests.Add(1)
	rc, err := r.RemoteRepository.OpenBlob(ctx, d, offset)
	if err != nil {
		return nil, err
	}
	return countedBody{rc, r.c}, nil
}

func (r counted) Referrers(ctx context.Context, digest string) ([]v1.Descriptor, bool, error) {
	r.c.requests.Add(1)
	return r.RemoteRepository.Referrers(ctx, digest)
}

func (r counted) Tags(ctx context.Context) ([]string, error) {
	r.c.requests.Add(1)
	return r.RemoteRepository.Tags(ctx)
}

type countedBody struct {
	io.ReadCloser
	c *usage
}

func (b countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.c.bytes.Add(int64(n))
	return n, err
}
