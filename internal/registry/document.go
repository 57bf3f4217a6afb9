package registry

import (
	"bytes"
	"context"
	"io"
	"sync"
)

const (
	// smallDocument is what a manifest or a page of a list may take, in bytes, that any number
	// are read of at once.
	smallDocument = 256 << 10
	// largeDocuments is how many larger ones are read from a host at once: nobody needs them, and
	// a registry may send hundreds.
	largeDocuments = 2
)

// documents are the places for large documents that are being read from one host.
type documents struct {
	once   sync.Once
	places chan struct{}
}

func (d *documents) acquire(ctx context.Context) (release func(), err error) {
	d.once.Do(func() { d.places = make(chan struct{}, largeDocuments) })
	select {
	case d.places <- struct{}{}:
		return func() { <-d.places }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// read returns a body, or what it takes to tell that it has more than maxManifest bytes.
func (d *documents) read(ctx context.Context, body io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(body, smallDocument))
	if err != nil || len(raw) < smallDocument {
		return raw, err
	}
	release, err := d.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	// In one piece: what grows leaves five times as much behind.
	large := bytes.NewBuffer(make([]byte, 0, maxManifest+1+bytes.MinRead))
	large.Write(raw)
	_, err = large.ReadFrom(io.LimitReader(body, maxManifest+1-smallDocument))
	return bytes.Clone(large.Bytes()), err
}
