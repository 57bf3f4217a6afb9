package source

import (
	"slices"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// An index.json may list more than the image: its parts, and what refers to it.
func TestMoreThanTheImageInAnIndex(t *testing.T) {
	b := newBuilder(t)
	amd, arm := b.image("linux/amd64", b.layer("amd")), b.image("linux/arm64", b.layer("arm"))
	att := b.attestation(amd)
	root := b.index(amd, arm, att)
	deep := b.index(root)
	sbom, noted := b.artifact("sbom", &root), b.artifact("noted", nil)
	noted.Annotations = map[string]string{containerdSubject: amd.Digest.String()}
	exported := v1.Descriptor{MediaType: att.MediaType, Size: att.Size, Digest: att.Digest, Annotations: map[string]string{containerdSubject: amd.Digest.String()}}
	plainAtt := v1.Descriptor{MediaType: att.MediaType, Size: att.Size, Digest: att.Digest}
	for name, c := range map[string]struct {
		entries []v1.Descriptor
		want    v1.Descriptor
		noted   int
	}{
		"as oras copy lists":   {[]v1.Descriptor{amd, arm, plainAtt, named(root, refName, "1")}, root, 0},
		"indexes of indexes":   {[]v1.Descriptor{amd, root, arm, deep}, deep, 0},
		"by subject":           {[]v1.Descriptor{root, sbom}, root, 0},
		"by containerd's note": {[]v1.Descriptor{named(root, imageName, "app:1"), noted}, root, 1},
		"as docker save lists": {[]v1.Descriptor{named(root, imageName, "app:1"), exported}, root, 0},
		"one of one platform":  {[]v1.Descriptor{named(amd, imageName, "app:1"), exported}, amd, 1},
	} {
		i, got := mustOpen(t, writeFile(t, "image.tar", tarOf(t, b.files(c.entries...)...)), Options{})
		if got.Descriptor.Digest != c.want.Digest {
			t.Errorf("%s: opens %s", name, got.Descriptor.Digest)
		}
		passed, err := i.PassedOver(t.Context())
		must(t, err)
		if passed.WithoutSubject != c.noted {
			t.Errorf("%s: %+v passed over", name, passed)
		}
		for _, m := range append(slices.Clone(got.Manifests), got) {
			found, err := i.Referrers(t.Context(), m)
			must(t, err)
			for _, r := range found {
				if r.Manifest.Descriptor.Digest != sbom.Digest {
					t.Errorf("%s: %s is copied, though nothing would tell what it refers to", name, r.Manifest.Descriptor.Digest)
				}
			}
		}
	}
	// What is listed can still be picked, and two images are two.
	path := writeFile(t, "image.tar", tarOf(t, b.files(named(arm, refName, "arm"), named(root, refName, "1"))...))
	if _, got := mustOpen(t, path+":arm", Options{}); got.Descriptor.Digest != arm.Digest {
		t.Errorf("picks %s", got.Descriptor.Digest)
	}
	other := b.image("linux/amd64", b.layer("other"))
	_, err := open(t, writeFile(t, "image.tar", tarOf(t, b.files(root, other, amd)...)), Options{})
	wantProblem(t, err, usererror.SourceAmbiguous, "2 images", other.Digest.String(), root.Digest.String())
}
