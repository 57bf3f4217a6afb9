package blobcache_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/blobcache"
)

// source is a repository that counts how often it is asked.
type source struct {
	content []byte
	asked   int
}

func (s *source) Open(_ context.Context, offset int64) (io.ReadCloser, error) {
	s.asked++
	return io.NopCloser(bytes.NewReader(s.content[offset:])), nil
}

// Two destinations read a blob that the source is asked for once.
func Example() {
	ctx := context.Background()
	cache, err := blobcache.New(blobcache.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = cache.Close() }()
	from := &source{content: []byte("a layer")}
	digest, size, err := v1.SHA256(bytes.NewReader(from.content))
	if err != nil {
		log.Fatal(err)
	}
	blob := cache.Blob(v1.Descriptor{Digest: digest, Size: size}, from, 2)
	for range 2 {
		lease := blob.Lease()
		defer lease.Release()
		body, err := lease.Open(ctx, 2)
		if err != nil {
			log.Fatal(err)
		}
		text, err := io.ReadAll(body) // checked against the digest
		if err != nil {
			log.Fatal(err)
		}
		_ = body.Close()
		fmt.Println(string(text))
	}
	fmt.Println("asked", from.asked, "time")
	// Output:
	// layer
	// layer
	// asked 1 time
}
