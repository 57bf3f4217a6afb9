package registry_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"strings"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	client "github.com/multi-registry-push/multi-registry-push/internal/registry"
)

// layer is a blob in memory.
type layer string

// Open implements registry.Content.
func (l layer) Open(_ context.Context, offset int64) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(string(l[offset:]))), nil
}

// A blob is sent in the upload that proved the permission to push: two requests in all.
func ExampleRepository_Upload() {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	c := client.New(client.Options{Host: strings.TrimPrefix(server.URL, "http://")})
	defer c.Close()
	ctx := context.Background()

	r := c.Repository("acme/app")
	if err := r.StartUpload(ctx); err != nil {
		fmt.Println(err)
		return
	}
	const text = "a layer"
	digest, size, err := v1.SHA256(strings.NewReader(text))
	if err != nil {
		fmt.Println(err)
		return
	}
	how, err := r.Upload(ctx, v1.Descriptor{Digest: digest, Size: size}, nil, layer(text), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	n, err := r.StatBlob(ctx, digest.String())
	fmt.Println(how, n, err)
	// Output: uploaded 7 <nil>
}

// A manifest is written under its digest or a tag, and read by either.
func ExampleRepository_PutManifest() {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	c := client.New(client.Options{Host: strings.TrimPrefix(server.URL, "http://")})
	defer c.Close()
	ctx := context.Background()

	const index = "application/vnd.oci.image.index.v1+json"
	raw := []byte(`{"schemaVersion":2,"mediaType":"` + index + `","manifests":[]}`)
	r := c.Repository("acme/app")
	if _, err := r.PutManifest(ctx, "1.0.0", raw, index, client.Condition{}); err != nil {
		fmt.Println(err)
		return
	}
	d, err := r.Stat(ctx, "1.0.0")
	if err != nil {
		fmt.Println(err)
		return
	}
	again, _, err := r.Manifest(ctx, d.Digest.String())
	fmt.Println(bytes.Equal(again, raw), err)
	// Output: true <nil>
}
