package registry

import (
	"bytes"
	"context"
	"io"

	"golang.org/x/sync/semaphore"
)

const (
	// smallDocument is what a manifest or a page of a list may take, in bytes, that any number
	// are read of at once.
	smallDocument = 256 << 10
	// largeDocuments is how many larger ones are read from a host at once: nobody needs them, and
	// a registry may send hundreds.
	largeDocuments = 2
)

// documents holds the places for large documents that are being read from one host.
type documents struct{ places *semaphore.Weighted }

func newDocuments() documents { return documents{semaphore.NewWeighted(largeDocuments)} }

// read returns a body, or what it takes to tell that it has more than maxManifest bytes.
func (d documents) read(ctx context.Context, body io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(body, smallDocument))
	if err != nil || len(raw) < smallDocument {
		return raw, err
	}
	if d.places.Acquire(ctx, 1) != nil {
		return nil, context.Cause(ctx)
	}
	defer d.places.Release(1)
	// In one piece: what grows leaves five times as much behind.
	large := bytes.NewBuffer(make([]byte, 0, maxManifest+1+bytes.MinRead))
	large.Write(raw)
	_, err = large.ReadFrom(io.LimitReader(body, maxManifest+1-smallDocument))
	return bytes.Clone(large.Bytes()), err
}
