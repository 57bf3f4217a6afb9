package source

import (
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

func TestLayoutArrivesWhole(t *testing.T) {
	b := newBuilder(t)
	root := b.twoPlatforms()
	members := b.files(named(root, imageName, "ghcr.io/me/app:1", refName, "1"))
	dir, file := writeFolder(t, members...), writeFile(t, "image.tar", tarOf(t, members...))
	for _, value := range []string{
		"oci:" + dir, "oci-archive:" + file, dir, file, "oci:" + file,
		file + ":1", "oci-archive:" + file + ":ghcr.io/me/app:1", "oci:" + dir + ":1", file + ":" + root.Digest.String(),
	} {
		t.Run(filepath.Base(value), func(t *testing.T) {
			i, got := mustOpen(t, value, Options{})
			if got.Descriptor.Digest != root.Digest || got.Descriptor.MediaType != types.OCIImageIndex {
				t.Errorf("root is %v", got.Descriptor)
			}
			sameContent(t, everything(t, got), b.blobs)
			if i.Remote() || len(i.PendingBlobs()) != 0 || i.Reference != value {
				t.Errorf("remote %v, ahead %d, reference %q", i.Remote(), len(i.PendingBlobs()), i.Reference)
			}
			platforms, err := i.Platforms(t.Context())
			must(t, err)
			if len(platforms) != 2 || platforms[0] != "linux/amd64" || platforms[1] != "linux/arm64" {
				t.Errorf("platforms are %v", platforms)
			}
		})
	}
}

func TestSameDigestIsSameBlob(t *testing.T) {
	b := newBuilder(t)
	shared := b.layer("shared")
	root := b.index(b.image("linux/amd64", shared, shared), b.image("linux/arm64", shared))
	_, got := mustOpen(t, writeFile(t, "image.tar", tarOf(t, b.files(root)...)), Options{})
	amd, arm := got.Manifests[0], got.Manifests[1]
	if len(amd.Blobs) != 2 { // config and the layer, once
		t.Fatalf("%d blobs", len(amd.Blobs))
	}
	if amd.Blobs[1] != arm.Blobs[1] {
		t.Error("one digest has two blobs")
	}
}

func TestMissingArchive(t *testing.T) {
	_, err := open(t, "./no such.tar", Options{})
	wantProblem(t, err, usererror.SourceNotFound, "no such.tar", "is not there", "Relative paths start at")
}
