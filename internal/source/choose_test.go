package source

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

func TestOneImageUnderThreeNames(t *testing.T) {
	b := newBuilder(t)
	d := b.twoPlatforms()
	members := b.files(
		named(d, imageName, "ghcr.io/me/app:1", refName, "1"),
		named(d, imageName, "ghcr.io/me/app:latest", refName, "latest"),
		named(d, imageName, "docker.io/me/app:1", refName, "1"))
	for _, pick := range []string{"", ":1", ":latest", ":me/app:1", ":docker.io/me/app:1", ":ghcr.io/me/app:latest"} {
		_, root := mustOpen(t, writeFile(t, "image.tar", tarOf(t, members...))+pick, Options{})
		if root.Descriptor.Digest != d.Digest {
			t.Errorf("%q opens %s", pick, root.Descriptor.Digest)
		}
	}
	_, err := open(t, writeFile(t, "image.tar", tarOf(t, members...))+":2", Options{})
	wantProblem(t, err, usererror.SourceNotFound, `"2"`, "ghcr.io/me/app:latest", d.Digest.String())
}

func TestSeveralImages(t *testing.T) {
	b := newBuilder(t)
	one, two, three := b.image("linux/amd64", b.layer("1")), b.image("linux/amd64", b.layer("2")), b.image("linux/amd64", b.layer("3"))
	path := writeFile(t, "image.tar", tarOf(t, b.files(named(one, refName, "1.0"), named(two, imageName, "ghcr.io/me/app:1.0"), named(three, refName, "registry.example/other:2"))...))
	for pick, want := range map[string]v1.Descriptor{"ghcr.io/me/app:1.0": two, "2": three, one.Digest.String(): one, "@" + two.Digest.String(): two} {
		_, root := mustOpen(t, path+":"+pick, Options{})
		if root.Descriptor.Digest != want.Digest {
			t.Errorf("%s opens %s", pick, root.Descriptor.Digest)
		}
	}
	_, err := open(t, path, Options{})
	wantProblem(t, err, usererror.SourceAmbiguous, "3 images", "1.0", "ghcr.io/me/app:1.0", "registry.example/other:2", one.Digest.String())
	_, err = open(t, path+":1.0", Options{})
	wantProblem(t, err, usererror.SourceAmbiguous, "2 images", "full name")

	var many []v1.Descriptor
	for n := range 200 {
		many = append(many, named(b.image("linux/amd64", b.layer(fmt.Sprint(n))), refName, strings.Repeat("n", 500)+fmt.Sprint(n)))
	}
	_, err = open(t, writeFile(t, "image.tar", tarOf(t, b.files(many...)...)), Options{})
	wantProblem(t, err, usererror.SourceAmbiguous, "200 images", "190 more")
}

func digests(found []Referrer) []string {
	var out []string
	for _, r := range found {
		out = append(out, r.Manifest.Descriptor.Digest.Hex[:12]+" "+r.Tag)
	}
	slices.Sort(out)
	return out
}

// artifact returns a manifest that refers to subject.
func (b *builder) artifact(name string, subject *v1.Descriptor) v1.Descriptor {
	m := map[string]any{
		"schemaVersion": 2, "mediaType": types.OCIManifestSchema1, "artifactType": "application/x-" + name,
		"config": b.add(types.OCIEmptyJSON, []byte("{}")), "layers": []v1.Descriptor{b.add("x/y", []byte(name))},
	}
	if subject != nil {
		m["subject"] = v1.Descriptor{MediaType: subject.MediaType, Size: subject.Size, Digest: subject.Digest}
	}
	return b.json(types.OCIManifestSchema1, m)
}

func TestReferrersInALayout(t *testing.T) {
	b := newBuilder(t)
	root := b.twoPlatforms()
	sbom, sig := b.artifact("sbom", &root), b.artifact("sig", nil)
	viaIndex := b.artifact("via", &root)
	fallback := b.index(viaIndex, sbom)
	tag := "sha256-" + root.Digest.Hex
	members := b.files(named(root, refName, "1"), sbom, named(sig, refName, tag+".sig"), named(fallback, refName, tag))
	i, got := mustOpen(t, writeFile(t, "image.tar", tarOf(t, members...)), Options{})
	if got.Descriptor.Digest != root.Digest {
		t.Errorf("root is %s", got.Descriptor.Digest)
	}
	found, err := i.Referrers(t.Context(), got)
	must(t, err)
	want := []string{sbom.Digest.Hex[:12] + " ", sig.Digest.Hex[:12] + " " + tag + ".sig", viaIndex.Digest.Hex[:12] + " "}
	slices.Sort(want)
	if !slices.Equal(digests(found), want) {
		t.Errorf("%v, want %v", digests(found), want)
	}
	for _, r := range found {
		everything(t, r.Manifest)
	}
	found, err = i.Referrers(t.Context(), got.Manifests[0])
	must(t, err)
	if len(found) != 0 {
		t.Errorf("%v", digests(found))
	}

	t.Run("as cosign saves", func(t *testing.T) {
		members := b.files(named(root, "kind", "dev.cosignproject.cosign/imageIndex"), named(sig, "kind", "dev.cosignproject.cosign/sigs"))
		i, got := mustOpen(t, writeFile(t, "image.tar", tarOf(t, members...)), Options{})
		found, err := i.Referrers(t.Context(), got)
		must(t, err)
		if fmt.Sprint(digests(found)) != fmt.Sprint([]string{sig.Digest.Hex[:12] + " " + tag + ".sig"}) {
			t.Errorf("%v", digests(found))
		}
	})
	t.Run("alone", func(t *testing.T) {
		_, got := mustOpen(t, writeFile(t, "image.tar", tarOf(t, b.files(sbom)...)), Options{})
		if got.Descriptor.Digest != sbom.Digest {
			t.Error("an artifact that refers to what is elsewhere is not published")
		}
	})
}

func children(m *Manifest) []string {
	var out []string
	for _, c := range m.Manifests {
		out = append(out, c.Descriptor.Digest.String())
	}
	return out
}

func TestPlatforms(t *testing.T) {
	b := newBuilder(t)
	amd, armV8, armV7 := b.image("linux/amd64", b.layer("amd")), b.image("linux/arm64/v8", b.layer("arm")), b.image("linux/arm/v7", b.layer("arm7"))
	attAmd, attArm := b.attestation(amd), b.attestation(armV8)
	root := b.index(amd, armV8, armV7, attAmd, attArm)
	path := writeFile(t, "image.tar", tarOf(t, b.files(root)...))
	for _, c := range []struct {
		platforms []string
		want      []v1.Descriptor
	}{
		{[]string{"linux/amd64"}, []v1.Descriptor{amd, attAmd}},
		{[]string{"linux/arm64"}, []v1.Descriptor{armV8, attArm}},
		{[]string{"linux/arm64/v8"}, []v1.Descriptor{armV8, attArm}},
		{[]string{" Linux/x86_64 ", "linux/arm"}, []v1.Descriptor{amd, armV7, attAmd}},
		{[]string{"linux/arm/v7", "linux/arm/7"}, []v1.Descriptor{armV7}},
	} {
		var first string
		for range 2 {
			_, got := mustOpen(t, path, Options{Platforms: c.platforms})
			if got.Descriptor.Digest == root.Digest {
				t.Errorf("%v: the digest is the whole image's", c.platforms)
			}
			var want []string
			for _, d := range c.want {
				want = append(want, d.Digest.String())
			}
			if !slices.Equal(children(got), want) {
				t.Errorf("%v: %v, want %v", c.platforms, children(got), want)
			}
			if first == "" {
				first = string(got.Raw)
			} else if first != string(got.Raw) {
				t.Error("the same subset has two digests")
			}
			everything(t, got)
			var index v1.IndexManifest
			must(t, json.Unmarshal(got.Raw, &index))
			if index.SchemaVersion != 2 || index.MediaType != types.OCIImageIndex || index.Manifests[0].Platform == nil {
				t.Errorf("index is %s", got.Raw)
			}
		}
	}
	for _, all := range [][]string{nil, {"linux/amd64", "linux/arm64", "linux/arm/v7"}} {
		_, got := mustOpen(t, path, Options{Platforms: all})
		if got.Descriptor.Digest != root.Digest || !bytes.Equal(got.Raw, b.blobs[root.Digest]) {
			t.Errorf("%v: all are kept, but the digest is %s", all, got.Descriptor.Digest)
		}
	}
	_, err := open(t, path, Options{Platforms: []string{"linux/amd64", "linux/s390x", "windows/amd64"}})
	wantProblem(t, err, usererror.PlatformNotFound, "no linux/s390x, windows/amd64", "linux/amd64, linux/arm/v7, linux/arm64")
	for _, bad := range []string{"linux", "", "linux/", "/amd64", "linux/arm/v7/x", "linux/am d64", "all"} {
		_, err := open(t, path, Options{Platforms: []string{bad}})
		wantProblem(t, err, usererror.InvalidInput, "platforms")
	}
}

func TestPlatformOfASingleImage(t *testing.T) {
	b := newBuilder(t)
	d := b.image("linux/arm64/v8", b.layer("a"))
	d.Platform = nil
	path := writeFile(t, "image.tar", tarOf(t, b.files(d)...))
	i, got := mustOpen(t, path, Options{Platforms: []string{"linux/arm64"}})
	if got.Descriptor.Digest != d.Digest {
		t.Errorf("root is %s", got.Descriptor.Digest)
	}
	platforms, err := i.Platforms(t.Context())
	must(t, err)
	if fmt.Sprint(platforms) != "[linux/arm64]" {
		t.Errorf("%v", platforms)
	}
	for _, other := range [][]string{{"linux/amd64"}, {"linux/arm64", "linux/amd64"}} {
		_, err := open(t, path, Options{Platforms: other})
		wantProblem(t, err, usererror.PlatformNotFound, "no linux/amd64", "has linux/arm64")
	}
	_, err = open(t, writeFile(t, "image.tar", tarOf(t, b.files(b.artifact("x", nil))...)), Options{Platforms: []string{"linux/amd64"}})
	wantProblem(t, err, usererror.PlatformNotFound, "states no platform")
}

func TestPlatformsOfNestedAndUnmarkedImages(t *testing.T) {
	b := newBuilder(t)
	amd, arm := b.image("linux/amd64", b.layer("amd")), b.image("linux/arm64", b.layer("arm"))
	bare := arm
	bare.Platform = nil // only its config tells
	artifact := b.artifact("x", nil)
	nested := b.index(amd, bare)
	nested.Annotations = map[string]string{"keep": "me"}
	root := b.index(nested, artifact)
	path := writeFile(t, "image.tar", tarOf(t, b.files(root)...))
	_, got := mustOpen(t, path, Options{Platforms: []string{"linux/arm64"}})
	if len(got.Manifests) != 1 || !slices.Equal(children(got.Manifests[0]), []string{arm.Digest.String()}) {
		t.Errorf("%s", got.Raw)
	}
	if !strings.Contains(string(got.Raw), `"keep":"me"`) || strings.Contains(string(got.Raw), nested.Digest.Hex) {
		t.Errorf("%s", got.Raw)
	}
	everything(t, got)
	_, got = mustOpen(t, path, Options{Platforms: []string{"linux/arm64", "linux/amd64"}})
	if got.Descriptor.Digest != root.Digest {
		t.Error("all platforms are kept, but the digest changes")
	}
	i, _ := mustOpen(t, path, Options{})
	platforms, err := i.Platforms(t.Context())
	must(t, err)
	if fmt.Sprint(platforms) != "[linux/amd64 linux/arm64]" {
		t.Errorf("%v", platforms)
	}
}

// A layout may lack platforms, if they are not asked for.
func TestSparseLayout(t *testing.T) {
	b := newBuilder(t)
	amd, arm := b.image("linux/amd64", b.layer("amd")), b.image("linux/arm64", b.layer("arm"))
	members := without(b.files(b.index(amd, arm)), blobName(arm.Digest))
	_, err := layoutOf(t, members, Options{})
	wantProblem(t, err, usererror.SourceBroken, arm.Digest.String())
	i, err := layoutOf(t, members, Options{Platforms: []string{"linux/amd64"}})
	must(t, err)
	root, err := i.Root(t.Context())
	must(t, err)
	if !slices.Equal(children(root), []string{amd.Digest.String()}) {
		t.Errorf("%s", root.Raw)
	}
	_, err = layoutOf(t, members, Options{Platforms: []string{"linux/arm64"}})
	wantProblem(t, err, usererror.PlatformNotFound, "linux/amd64")
}

func TestNormalize(t *testing.T) {
	for _, c := range [][2]string{
		{"linux/arm64/v8", "linux/arm64"}, {"linux/aarch64", "linux/arm64"}, {"linux/amd64/v1", "linux/amd64"}, {"linux/amd64/v2", "linux/amd64/v2"},
		{"linux/arm", "linux/arm/v7"}, {"linux/armhf", "linux/arm/v7"}, {"linux/armel", "linux/arm/v6"}, {"linux/arm/6", "linux/arm/v6"},
		{"macos/arm64", "darwin/arm64"}, {"linux/i386", "linux/386"}, {"linux/riscv64", "linux/riscv64"},
	} {
		p, err := parsePlatform(c[0])
		must(t, err)
		if p.String() != c[1] {
			t.Errorf("%s is %s, want %s", c[0], p, c[1])
		}
	}
}
