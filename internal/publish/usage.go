package publish

import (
	"context"
	"io"
	"sync/atomic"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/internal/source"
)

// usage counts what was received from a remote source. The client's own totals
// would not do: a host that is read from and written to has one client.
type usage struct{ bytes, requests atomic.Int64 }

// receiving returns a context for a call whose answer's bytes are counted.
func (u *usage) receiving(ctx context.Context) context.Context {
	return registry.WithReceived(ctx, func(n int64) { u.bytes.Add(n) })
}

// countUses adds what was received from the sources to sum, and puts down which part's it was.
func (im *sourceImage) countUses(sum *SourceUse) {
	uses := make([]SourceUse, len(im.uses))
	for i, use := range im.uses {
		uses[i] = SourceUse{BytesRead: use.bytes.Load(), Requests: use.requests.Load()}
		sum.BytesRead += uses[i].BytesRead
		sum.Requests += uses[i].Requests
	}
	for _, part := range im.plan.Parts[:len(im.result.Parts)] {
		use := SourceUse{}
		if part.Repository() != nil && im.same == nil { // else it was read for another image
			use, uses = uses[0], uses[1:]
		}
		im.result.PartUses = append(im.result.PartUses, use)
	}
}

// counted is a repository whose answers are counted.
type counted struct {
	source.RemoteRepository
	c *usage
}

func (r counted) Manifest(ctx context.Context, ref string) ([]byte, v1.Descriptor, error) {
	r.c.requests.Add(1)
	return r.RemoteRepository.Manifest(r.c.receiving(ctx), ref)
}

func (r counted) Stat(ctx context.Context, ref string) (v1.Descriptor, error) {
	r.c.requests.Add(1)
	return r.RemoteRepository.Stat(ctx, ref)
}

func (r counted) OpenBlob(ctx context.Context, d v1.Descriptor, offset int64) (io.ReadCloser, error) {
	r.c.requests.Add(1)
	return r.RemoteRepository.OpenBlob(r.c.receiving(ctx), d, offset)
}

func (r counted) Referrers(ctx context.Context, digest string) ([]v1.Descriptor, bool, error) {
	r.c.requests.Add(1)
	return r.RemoteRepository.Referrers(ctx, digest)
}

func (r counted) Tags(ctx context.Context) ([]string, error) {
	r.c.requests.Add(1)
	return r.RemoteRepository.Tags(ctx)
}
