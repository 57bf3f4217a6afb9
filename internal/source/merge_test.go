package source

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multi-registry-push/multi-registry-push/internal/image"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// merged opens lines as one image.
func merged(t testing.TB, o Options, lines ...string) (*Image, *Manifest, error) {
	t.Helper()
	specs, merge, err := ParseAll(strings.Join(lines, "\n"), o.Paths)
	must(t, err)
	if !merge {
		t.Fatal("not merged")
	}
	o.TempDir = t.TempDir()
	i, err := OpenMerged(t.Context(), specs, o)
	if err != nil {
		return nil, nil, err
	}
	t.Cleanup(func() { must(t, i.Close()) })
	root, err := i.Root(t.Context())
	return i, root, err
}

func mustMerge(t testing.TB, o Options, lines ...string) (*Image, *Manifest) {
	t.Helper()
	i, root, err := merged(t, o, lines...)
	must(t, err)
	return i, root
}

// archiveOf writes an archive that lists entries.
func (b *builder) archiveOf(entries ...v1.Descriptor) string {
	return writeFile(b.t, "part.tar", tarOf(b.t, b.files(entries...)...))
}

func rawEntries(t testing.TB, root *Manifest) []string {
	t.Helper()
	raws, _, err := descriptors(root)
	must(t, err)
	var out []string
	for _, r := range raws {
		out = append(out, string(r))
	}
	return out
}

func TestMergeArchivesOfBuildKit(t *testing.T) {
	amd, arm := newBuilder(t), newBuilder(t)
	a, b := amd.image("linux/amd64", amd.layer("shared"), amd.layer("a")), arm.image("linux/arm64/v8", arm.layer("shared"), arm.layer("b"))
	attA, attB := amd.attestation(a), arm.attestation(b)
	one, two := amd.archiveOf(amd.index(a, attA)), arm.archiveOf(named(arm.index(b, attB), refName, "never enters"))
	i, root := mustMerge(t, Options{}, one, two)
	if got, want := children(root), []string{a.Digest.String(), attA.Digest.String(), b.Digest.String(), attB.Digest.String()}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if strings.Contains(string(root.Raw), "never enters") || root.Descriptor.MediaType != types.OCIImageIndex || image.Digest(root.Raw) != root.Descriptor.Digest {
		t.Errorf("%s", root.Raw)
	}
	everything(t, root)
	platforms, err := i.Platforms(t.Context())
	must(t, err)
	if fmt.Sprint(platforms) != "[linux/amd64 linux/arm64/v8]" {
		t.Error(platforms)
	}
	if parts := i.Parts(); len(parts) != 2 || parts[0].Reference != one || parts[1].Spec.Line != 2 || parts[0].Remote || i.Remote() {
		t.Errorf("%+v", i.Parts())
	}
	_, again := mustMerge(t, Options{}, one, two)
	_, turned := mustMerge(t, Options{}, two, one)
	if again.Descriptor.Digest != root.Descriptor.Digest || turned.Descriptor.Digest == root.Descriptor.Digest {
		t.Error("the digest is not that of the parts in their order")
	}
}

// What the index of a part says of its children stays byte for byte, whatever it is.
func TestMergedDescriptorsStayByteForByte(t *testing.T) {
	b := newBuilder(t)
	d := b.image("linux/amd64", b.layer("a"))
	entry := fmt.Sprintf(`{ "digest":%q,
	 "size" : %d, "mediaType":%q, "platform":{"os":"linux","architecture":"amd64","os.version":"1.2","os.features":["x","a"],"variant":"v1"},
	 "annotations":{"a":"<b>&"},"x-unknown":[1.0,1e3]}`, d.Digest, d.Size, d.MediaType)
	index := b.add(types.OCIImageIndex, []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","annotations":{"of.the":"part"},"manifests":[`+entry+`]}`))
	_, root := mustMerge(t, Options{}, b.archiveOf(index), b.archiveOf(index))
	if got := string(root.Raw); got != `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[`+entry+`]}` {
		t.Error(got)
	}
}

func TestMergeBareManifests(t *testing.T) {
	b := newBuilder(t)
	full := map[string]any{"os": "windows", "architecture": "arm64", "variant": "v8", "os.version": "10.0.17763.1", "os.features": []string{"win32k"}, "rootfs": map[string]any{"type": "layers"}}
	windows := b.json(types.OCIManifestSchema1, map[string]any{
		"schemaVersion": 2, "mediaType": types.OCIManifestSchema1, "config": b.json(types.OCIConfigJSON, full), "layers": []v1.Descriptor{b.layer("w")},
	})
	linux := b.image("linux/amd64", b.layer("l"))
	_, root := mustMerge(t, Options{}, b.archiveOf(named(windows, imageName, "me/app:1")), b.archiveOf(linux))
	want := []string{
		fmt.Sprintf(`{"mediaType":%q,"size":%d,"digest":%q,"platform":{"architecture":"arm64","os":"windows","os.version":"10.0.17763.1","os.features":["win32k"],"variant":"v8"}}`, windows.MediaType, windows.Size, windows.Digest),
		fmt.Sprintf(`{"mediaType":%q,"size":%d,"digest":%q,"platform":{"architecture":"amd64","os":"linux"}}`, linux.MediaType, linux.Size, linux.Digest),
	}
	if got := rawEntries(t, root); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	t.Run("one file that * matches", func(t *testing.T) {
		path := b.archiveOf(linux)
		_, root := mustMerge(t, Options{}, strings.TrimSuffix(path, "part.tar")+"*.tar")
		if got := children(root); !slices.Equal(got, []string{linux.Digest.String()}) {
			t.Error(got)
		}
	})
}

// Docker's manifests stay Docker's in an OCI index; what docker save wrote has its digest
// only when its layers are compressed.
func TestMergeDockerManifests(t *testing.T) {
	b := newBuilder(t)
	docker := b.json(types.DockerManifestSchema2, map[string]any{
		"schemaVersion": 2, "mediaType": types.DockerManifestSchema2,
		"config": b.json(types.DockerConfigJSON, config("linux/s390x")), "layers": []v1.Descriptor{b.add(types.DockerLayer, gzipOf(t, layerTar(t, "d", 10)))},
	})
	saved := writeFile(t, "saved.tar", tarOf(t, save(t, classic, newDockerImage(t, "linux/arm/v7", []string{"app:1"}, layerTar(t, "x", 3000)))...))
	i, root := mustMerge(t, Options{}, saved, b.archiveOf(docker))
	if len(i.PendingBlobs()) != 1 {
		t.Errorf("%d blobs ahead", len(i.PendingBlobs()))
	}
	if root.Descriptor.MediaType != types.OCIImageIndex || root.Manifests[1].Descriptor.MediaType != types.DockerManifestSchema2 {
		t.Errorf("%v", root.Descriptor)
	}
	platforms, err := i.Platforms(t.Context())
	must(t, err)
	if fmt.Sprint(platforms) != "[linux/arm/v7 linux/s390x]" {
		t.Error(platforms)
	}
	everything(t, root)
}

func TestMergeSameDigestAndSamePlatform(t *testing.T) {
	b := newBuilder(t)
	amd := b.image("linux/amd64", b.layer("a"))
	first, second := amd, amd
	first.Annotations, second.Annotations = map[string]string{"n": "1"}, map[string]string{"n": "2"}
	_, root := mustMerge(t, Options{}, b.archiveOf(b.index(first)), b.archiveOf(b.index(second)))
	if got := rawEntries(t, root); len(got) != 1 || !strings.Contains(got[0], `"n":"1"`) {
		t.Errorf("%v", got)
	}
	for _, c := range []struct {
		name, one, two string
		clash          bool
	}{
		{"the same", "linux/amd64", "linux/amd64", true},
		{"another spelling", "linux/arm64", "linux/arm64/v8", true},
		{"another spelling of arm", "linux/arm", "linux/arm/v7", true},
		{"variants", "linux/arm/v6", "linux/arm/v7", false},
		{"levels of amd64", "linux/amd64", "linux/amd64/v3", false},
	} {
		one, two := b.image(c.one, b.layer(c.name+"1")), b.image(c.two, b.layer(c.name+"2"))
		for _, parts := range [][]string{{b.archiveOf(one), b.archiveOf(two)}, {b.archiveOf(b.index(one)), b.archiveOf(b.index(two))}} {
			_, _, err := merged(t, Options{}, parts...)
			if !c.clash {
				must(t, err)
				continue
			}
			wantProblem(t, err, usererror.SourceAmbiguous, "line 1", "line 2", one.Digest.String(), two.Digest.String())
		}
	}
	t.Run("os.version and os.features", func(t *testing.T) {
		one, two, three, four := b.image("windows/amd64", b.layer("w1")), b.image("windows/amd64", b.layer("w2")), b.image("windows/amd64", b.layer("w3")), b.image("windows/amd64", b.layer("w4"))
		one.Platform = &v1.Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.1"}
		two.Platform = &v1.Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.2"}
		three.Platform = &v1.Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.2", OSFeatures: []string{"a", "b"}}
		four.Platform = &v1.Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.2", OSFeatures: []string{"b", "a"}}
		_, root := mustMerge(t, Options{}, b.archiveOf(b.index(one)), b.archiveOf(b.index(two)), b.archiveOf(b.index(three)))
		if len(root.Manifests) != 3 {
			t.Errorf("%d", len(root.Manifests))
		}
		_, _, err := merged(t, Options{}, b.archiveOf(b.index(three)), b.archiveOf(b.index(four)))
		wantProblem(t, err, usererror.SourceAmbiguous, "windows/amd64 (10.0.2)")
	})
}

func TestMergeRefusesWhatIsNoImage(t *testing.T) {
	b := newBuilder(t)
	amd := b.image("linux/amd64", b.layer("a"))
	nested := b.index(b.index(amd))
	chart := b.artifact("chart", nil)
	cache := b.index(b.add(types.OCILayer, []byte("layer")))
	good := b.archiveOf(b.image("linux/arm64", b.layer("b")))
	for name, c := range map[string]struct {
		part v1.Descriptor
		says string
	}{
		"an index in an index": {nested, "another index"},
		"an artifact":          {chart, "no image"},
		"an artifact, listed":  {b.index(chart), "no image"},
		"a cache":              {cache, "no image"},
		"an empty index":       {b.index(), "no image"},
		"no platform":          {b.image("", b.layer("n")), "no image"},
	} {
		_, _, err := merged(t, Options{}, good, b.archiveOf(c.part))
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, _, err := merged(t, Options{}, good, "./not-there.tar")
	wantProblem(t, err, usererror.SourceNotFound, "line 2", "not-there.tar")
}

func TestMergedPlatforms(t *testing.T) {
	b := newBuilder(t)
	amd, arm := b.image("linux/amd64", b.layer("a")), b.image("linux/arm64", b.layer("b"))
	attAmd, attArm := b.attestation(amd), b.attestation(arm)
	one, two := b.archiveOf(b.index(amd, attAmd)), b.archiveOf(b.index(arm, attArm))
	_, whole := mustMerge(t, Options{}, one, two)
	_, all := mustMerge(t, Options{Platforms: []string{"linux/arm64/v8", "linux/x86-64"}}, one, two)
	if all.Descriptor.Digest != whole.Descriptor.Digest {
		t.Error("with all platforms kept, the index differs")
	}
	i, some := mustMerge(t, Options{Platforms: []string{"linux/arm64"}}, one, two)
	if got := children(some); !slices.Equal(got, []string{arm.Digest.String(), attArm.Digest.String()}) {
		t.Errorf("%v", got)
	}
	if platforms, err := i.Platforms(t.Context()); err != nil || fmt.Sprint(platforms) != "[linux/arm64]" {
		t.Errorf("%v, %v", platforms, err)
	}
	_, _, err := merged(t, Options{Platforms: []string{"linux/amd64", "linux/s390x"}}, one, two)
	wantProblem(t, err, usererror.PlatformNotFound, "has no linux/s390x", "it has linux/amd64, linux/arm64", "the job that builds it")
}

func TestMergedAnnotations(t *testing.T) {
	b := newBuilder(t)
	index := b.json(types.OCIImageIndex, map[string]any{"schemaVersion": 2, "mediaType": types.OCIImageIndex, "annotations": map[string]string{"part": "dropped"}, "manifests": []v1.Descriptor{b.image("linux/amd64", b.layer("a"))}})
	path := b.archiveOf(index)
	_, root := mustMerge(t, Options{Annotations: map[string]string{"z": "<1>&2", "org.opencontainers.image.version": "1.0"}}, path, path)
	if !strings.HasSuffix(string(root.Raw), `],"annotations":{"org.opencontainers.image.version":"1.0","z":"<1>&2"}}`) || strings.Contains(string(root.Raw), "dropped") {
		t.Errorf("%s", root.Raw)
	}
	var read v1.IndexManifest
	must(t, json.Unmarshal(root.Raw, &read))
}

// Remote parts are read once, and a blob says where it can be mounted from; one that is
// here as well is read here.
func TestMergeRemoteAndLocal(t *testing.T) {
	remote := &fakeRepository{builder: newBuilder(t), tags: map[string]v1.Descriptor{}}
	local := newBuilder(t)
	shared, own := remote.layer("shared"), remote.layer("own")
	amd := remote.image("linux/amd64", shared, own)
	remote.tags["amd"] = amd
	arm := local.image("linux/arm64", local.layer("shared"), local.layer("arm"))
	var asked []string
	o := Options{Repository: func(r imageref.Repository) RemoteRepository {
		asked = append(asked, r.String())
		return remote
	}}
	i, root := mustMerge(t, o, "registry.example/me/app:amd", local.archiveOf(arm), "registry.example/me/app@"+amd.Digest.String())
	if fmt.Sprint(asked) != "[registry.example/me/app registry.example/me/app]" || !i.Remote() || i.Origin != nil {
		t.Error(asked, i.Remote(), i.Origin)
	}
	where := map[v1.Hash]string{}
	blobs, err := image.Blobs(t.Context(), root)
	must(t, err)
	for _, b := range blobs {
		d, err := b.Descriptor(t.Context())
		must(t, err)
		origin, _ := image.Origin(b)
		where[d.Digest] = fmt.Sprint(image.IsRemote(b), " ", origin)
	}
	var doc v1.Manifest
	must(t, json.Unmarshal(remote.blobs[amd.Digest], &doc))
	for h, want := range map[v1.Hash]string{shared.Digest: "false /", own.Digest: "true registry.example/me/app", doc.Config.Digest: "false registry.example/me/app"} {
		if where[h] != want {
			t.Errorf("%s: %s, want %s", h, where[h], want)
		}
	}
	everything(t, root)
	counts := map[string]int{}
	for _, ask := range remote.asks {
		counts[ask]++
	}
	if counts["blob "+doc.Config.Digest.String()] != 2 { // once a part, for its platform
		t.Errorf("%v", remote.asks)
	}
	if counts["blob "+own.Digest.String()] != 1 || counts["blob "+shared.Digest.String()] != 0 {
		t.Errorf("%v", remote.asks)
	}
}

func TestMergedReferrers(t *testing.T) {
	b := newBuilder(t)
	amd := b.image("linux/amd64", b.layer("a"))
	index := b.index(amd)
	ofImage, ofIndex := b.artifact("image", &amd), b.artifact("index", &index)
	ofReferrer := b.artifact("signature", &ofImage)
	one := b.archiveOf(named(index, refName, "1"), ofImage, ofIndex, ofReferrer)
	other := newBuilder(t)
	arm := other.image("linux/arm64", other.layer("b"))
	ofArm := other.artifact("arm", &arm)
	two := other.archiveOf(named(other.index(arm), refName, "1"), ofArm)
	for _, c := range []struct {
		platforms []string
		copied    []v1.Descriptor
		passed    int
	}{
		{nil, []v1.Descriptor{ofImage, ofReferrer, ofArm}, 1},
		{[]string{"linux/amd64"}, []v1.Descriptor{ofImage, ofReferrer}, 2},
	} {
		i, root := mustMerge(t, Options{Platforms: c.platforms}, one, two)
		var got, want []string
		open := image.ChildrenFirst(root)
		for len(open) > 0 {
			found, err := i.Referrers(t.Context(), open[0])
			must(t, err)
			open = open[1:]
			for _, r := range found {
				got = append(got, r.Manifest.Descriptor.Digest.String())
				open = append(open, r.Manifest)
				if r.Manifest.Subject == nil || !strings.HasPrefix(r.Manifest.ReferrerDescriptor().ArtifactType, "application/x-") {
					t.Errorf("%+v", r.Manifest)
				}
			}
		}
		for _, d := range c.copied {
			want = append(want, d.Digest.String())
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%v: %v, want %v", c.platforms, got, want)
		}
		passed, err := i.PassedOver(t.Context())
		must(t, err)
		if passed.Unpublished != c.passed {
			t.Errorf("%v: %+v passed over", c.platforms, passed)
		}
	}
}

func TestCheckMerged(t *testing.T) {
	b := newBuilder(t)
	one, two := b.archiveOf(b.image("linux/amd64", b.layer("1"))), b.archiveOf(b.image("linux/amd64", b.layer("2")))
	check := func(lines ...string) error {
		specs, _, err := ParseAll(strings.Join(lines, "\n"), Paths{})
		must(t, err)
		return CheckMerged(t.Context(), specs, Options{TempDir: t.TempDir()})
	}
	must(t, check(one, one))
	must(t, check(one, "ghcr.io/me/app:1"))
	wantProblem(t, check(one, two), usererror.SourceAmbiguous, "line 1", "line 2")
	err := check("./missing-1.tar", one, "./missing-3.tar")
	wantProblem(t, err, usererror.SourceNotFound, "line 1", "missing-1", "line 3", "missing-3")
}

func TestMergedRootWaitsNoLongerThanItsCaller(t *testing.T) {
	saved := writeFile(t, "saved.tar", tarOf(t, save(t, classic, newDockerImage(t, "linux/arm/v7", nil, layerTar(t, "x", 3000)))...))
	specs, _, err := ParseAll(saved+"\n"+saved, Paths{})
	must(t, err)
	i, err := OpenMerged(t.Context(), specs, Options{TempDir: t.TempDir()})
	must(t, err)
	defer func() { must(t, i.Close()) }()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := i.Root(ended); err == nil {
		t.Error("no error")
	}
	if _, err := i.Root(t.Context()); err != nil {
		t.Errorf("an ended caller spoils the image: %v", err)
	}
}
