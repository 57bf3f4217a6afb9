package source_test

import (
	"context"
	"fmt"
	"log"

	"github.com/multi-registry-push/multi-registry-push/internal/image"
	"github.com/multi-registry-push/multi-registry-push/internal/source"
)

// An archive that a builder wrote is opened in place.
func ExampleOpen() {
	ctx := context.Background()
	spec, err := source.Parse("oci-archive:../../testdata/buildkit-zstd.tar", source.Paths{})
	if err != nil {
		log.Fatal(err)
	}
	opened, err := source.Open(ctx, spec, source.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = opened.Close() }()
	root, err := opened.Root(ctx)
	if err != nil {
		log.Fatal(err)
	}
	platforms, err := opened.Platforms(ctx)
	if err != nil {
		log.Fatal(err)
	}
	blobs, err := image.Blobs(ctx, root)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(platforms, len(blobs), "blobs")
	// Output: [linux/amd64] 3 blobs
}

// Several lines are the parts of one image, and so is all that a * matches: here one archive
// of docker save, whose image becomes the only child of an index.
func ExampleOpenMerged() {
	ctx := context.Background()
	specs, merge, err := source.ParseAll("docker-archive:../../testdata/docker20.*\n", source.Paths{})
	if err != nil {
		log.Fatal(err)
	}
	opened, err := source.OpenMerged(ctx, specs, source.Options{Annotations: map[string]string{"org.opencontainers.image.version": "1.0.0"}})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = opened.Close() }()
	root, err := opened.Root(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(merge, root.Descriptor.MediaType)
	fmt.Println(len(opened.Parts()), "part,", root.Manifests[0].Descriptor.MediaType)
	// Output:
	// true application/vnd.oci.image.index.v1+json
	// 1 part, application/vnd.oci.image.manifest.v1+json
}
