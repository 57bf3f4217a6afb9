package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
	"github.com/multi-registry-push/multi-registry-push/test/servers/distribution"
)

// Platforms that were built in several places, as an archive, a layout and a digest in a
// registry, become one index in every registry; what was remote is read once.
func TestMergedSources(t *testing.T) {
	build := func(platform string) *images.Image {
		return images.Build(images.Options{Platforms: []string{platform}, SharedSeed: 7, Seed: uint64(len(platform))})
	}
	amd, arm, s390x := build("linux/amd64"), build("linux/arm64"), build("linux/s390x")
	from := servers.Olareg(t, servers.Options{})
	s390x.Push(t, from.Reference("acme/built", "s390x"), from.Inspect()...)
	to := []*servers.Server{distribution.Start(t, servers.Options{Auth: servers.Token}), servers.Olareg(t, servers.Options{})}
	j := job{
		source: strings.Join([]string{amd.Archive(t, "acme/app:1"), "oci:" + arm.Layout(t), from.Host + "/acme/built@" + s390x.Digest()}, "\n"),
		auth:   from.Item(0) + to[0].Item(0) + to[1].Item(0),
		tags:   []string{to[0].Reference("acme/app", "1"), to[1].Reference("acme/app", "1")},
		inputs: map[string]string{"annotations": "index:org.opencontainers.image.version=1.0.0", "platforms": "linux/amd64,linux/arm64,linux/s390x"},
	}
	from.Log.Reset()
	o := j.run(t).exits(0)
	digest := o.results.Digest
	for n, part := range o.results.Sources {
		want := report.SourceResult{Reference: part.Reference, Image: "app"}
		if n == 2 { // the only one that is remote: all that was read is its
			want.BytesRead, want.Requests = o.results.Source.BytesRead, o.results.Source.Requests
		}
		if part != want || o.results.Source.BytesRead == 0 {
			t.Errorf("part %d: %+v, want %+v", n+1, part, want)
		}
	}
	for _, s := range to {
		if got := images.Digest(t, s.Reference("acme/app", "1"), s.Inspect()...); got != digest {
			t.Errorf("%s serves %s, not %s", s.Host, got, digest)
		}
		all, err := images.Fetch(s.Reference("acme/app", "1"), s.Inspect()...)
		if err != nil {
			t.Fatal(err)
		}
		var index v1.IndexManifest
		if err := json.Unmarshal(all.Manifests[len(all.Manifests)-1].Bytes, &index); err != nil {
			t.Fatal(err)
		}
		var platforms []string
		for _, d := range index.Manifests {
			platforms = append(platforms, d.Platform.String())
		}
		want := []string{"linux/amd64", "unknown/unknown", "linux/arm64", "unknown/unknown", "linux/s390x", "unknown/unknown"}
		if !slices.Equal(platforms, want) || index.Annotations["org.opencontainers.image.version"] != "1.0.0" {
			t.Errorf("%v, %v", platforms, index.Annotations)
		}
	}
	gets := from.Log.BlobGets()
	for blob, n := range gets {
		if n != 1 {
			t.Errorf("%s was read %d times", blob, n)
		}
	}
	if len(gets) == 0 {
		t.Error("nothing was read from the registry")
	}
	if again := j.run(t).exits(0); again.results.Digest != digest {
		t.Errorf("the same parts give %s, then %s", digest, again.results.Digest)
	}
	// A platform that got lost is an error, and so is an empty line; nothing is written.
	j.inputs["platforms"] += ",linux/riscv64"
	j.tags = []string{to[0].Reference("acme/app", "2")}
	if text := j.run(t).exits(1).text(); !strings.Contains(text, "linux/riscv64") {
		t.Error(text)
	}
	delete(j.inputs, "platforms")
	j.source = "\n" + j.source
	if text := j.run(t).exits(1).text(); !strings.Contains(text, "line 1") || !strings.Contains(text, "empty") {
		t.Error(text)
	}
}
