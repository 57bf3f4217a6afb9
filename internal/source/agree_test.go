package source

import (
	"encoding/json"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// Some programs read index.json, some manifest.json: both must name the same image.
func TestIndexAndManifestNameDifferentImages(t *testing.T) {
	b := newBuilder(t)
	one, other := b.image("linux/amd64", b.layer("1")), b.image("linux/arm64", b.layer("2"))
	root := b.index(one, b.attestation(one))
	entry := func(d v1.Descriptor, tag string) savedImage {
		var m v1.Manifest
		must(t, json.Unmarshal(b.blobs[d.Digest], &m))
		return savedImage{Config: blobName(m.Config.Digest), RepoTags: []string{tag}, Layers: []string{blobName(m.Layers[0].Digest)}}
	}
	archive := func(saved ...savedImage) string {
		raw, err := json.Marshal(saved)
		must(t, err)
		return writeFile(t, "image.tar", tarOf(t, append(b.files(named(root, imageName, "app:1")), member{name: "manifest.json", data: raw})...))
	}
	for _, prefix := range []string{"", "oci-archive:", "docker-archive:"} {
		_, got := mustOpen(t, prefix+archive(entry(one, "app:1")), Options{})
		if got.Descriptor.Digest != root.Digest {
			t.Errorf("%s opens %s", prefix, got.Descriptor.Digest)
		}
		for _, saved := range [][]savedImage{{entry(other, "other:2")}, {entry(one, "app:1"), entry(other, "other:2")}} {
			_, err := open(t, prefix+archive(saved...), Options{})
			wantProblem(t, err, usererror.SourceBroken, "other:2", "app:1", root.Digest.String(), "manifest.json", "index.json")
		}
	}
}
