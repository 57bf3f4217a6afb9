package container

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
)

// TestSeveralImages: paths inside of the input images, which the runner does not rewrite, are
// found in the folders that it mounts; each image is whole in each registry.
func TestSeveralImages(t *testing.T) {
	container := actionImage(t)
	first, second, c := job(t)
	r := newRunner(t)
	c["github.workspace"], c["runner.temp"] = r.workspace, r.temp
	built := map[string]*images.Image{}
	for i, name := range []string{"api", "web"} {
		built[name] = images.Build(images.Options{Seed: uint64(i) + 1, SharedSeed: 7})
		c["steps.meta-"+name+".outputs.tags"] = first.Reference("acme/"+name, "1.2.0") + "\n" + second.Reference("acme/"+name, "1.2.0")
	}
	copyFile(t, built["api"].Archive(t), filepath.Join(r.workspace, "api.tar"))
	copyFile(t, built["web"].Archive(t), filepath.Join(r.temp, "web.tar"))

	got := r.run(t, container, inputs(t, "images.yml", c))
	if got.status != 0 {
		t.Fatalf("exit status %d\n%s", got.status, got.log)
	}
	var digests map[string]string
	if err := json.Unmarshal([]byte(got.outputs["digests"]), &digests); err != nil {
		t.Fatalf("output digests: %v", err)
	}
	for name, image := range built {
		if digests[name] != image.Digest() {
			t.Errorf("output digests says %q of %s, want %s", digests[name], name, image.Digest())
		}
		for _, s := range []*servers.Server{first, second} {
			image.Compare(t, s.Reference("acme/"+name, "1.2.0"), s.Inspect()...)
		}
	}
	if !strings.Contains(got.summary, "api") || !strings.Contains(got.summary, "web") {
		t.Errorf("the summary does not name both images:\n%s", got.summary)
	}
}

// TestMergedImage: a glob in the runner's temporary folder becomes one index, the same in both
// registries; without one of its archives nothing is published.
func TestMergedImage(t *testing.T) {
	container := actionImage(t)
	first, second, c := job(t)
	r := newRunner(t)
	c["runner.temp"] = r.temp
	folder := filepath.Join(r.temp, "image")
	if err := os.Mkdir(folder, 0o755); err != nil { // #nosec G301 -- the container reads it
		t.Fatal(err)
	}
	with := inputs(t, "merged.yml", c)
	var parts []*images.Image
	for i, platform := range []string{"linux/amd64", "linux/arm64"} {
		part := images.Build(images.Options{Seed: uint64(i) + 1, Platforms: []string{platform}})
		copyFile(t, part.Archive(t), filepath.Join(folder, filepath.Base(platform)+".tar"))
		parts = append(parts, part)
		if i > 0 {
			break
		}
		if got := r.run(t, container, with); got.status != 1 || !strings.Contains(got.log, "linux/arm64") {
			t.Errorf("with one archive of two: exit status %d\n%s", got.status, got.log)
		}
		if writes := append(first.Log.Writes(), second.Log.Writes()...); len(writes) > 0 {
			t.Errorf("with one archive of two: %v", writes)
		}
	}

	got := r.run(t, container, with)
	if got.status != 0 {
		t.Fatalf("exit status %d\n%s", got.status, got.log)
	}
	for _, s := range []*servers.Server{first, second} {
		reference := s.Reference("acme/app", "1.2.0")
		mergedOf(t, reference, s.Inspect(), parts...)
		if digest := images.Digest(t, reference, s.Inspect()...); digest != got.outputs["digest"] {
			t.Errorf("%s serves %s, want %s", reference, digest, got.outputs["digest"])
		}
	}
}
