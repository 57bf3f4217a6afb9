package e2e

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
)

// Archives and layouts that real builders wrote arrive byte for byte, under their own digest.
func TestWhatBuildersWrote(t *testing.T) {
	folder := filepath.Join(here(t), "..", "..", "testdata")
	var known map[string]struct {
		Images []struct{ Digest string }
	}
	if err := json.Unmarshal([]byte(read(t, filepath.Join(folder, "fixtures.json"))), &known); err != nil {
		t.Fatal(err)
	}
	// Two kinds with names of their own, and the digest that fixtures.json tells.
	to := kinds(t, servers.Options{Auth: servers.Token})
	tried := 0
	for name, fixture := range known {
		if len(fixture.Images) != 1 {
			continue
		}
		tried++
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(folder, name)
			image := images.Open(t, path)
			if image.Digest() != fixture.Images[0].Digest {
				t.Fatalf("the fixture holds %s", image.Digest())
			}
			j := job{source: path}
			for _, s := range to {
				j.tags = append(j.tags, s.Reference("acme/"+tagOf(name), "1.0.0"), s.Reference("acme/"+tagOf(name), "latest"))
				j.auth += s.Item(0)
			}
			o := j.run(t).exits(0)
			if o.outputs["digest"] != image.Digest() {
				t.Errorf("digest %s, want %s", o.outputs["digest"], image.Digest())
			}
			for _, s := range to {
				image.Compare(t, s.Reference("acme/"+tagOf(name), "1.0.0"), s.Inspect()...)
				image.Compare(t, s.Reference("acme/"+tagOf(name), "latest"), s.Inspect()...)
			}
		})
	}
	if tried < 6 {
		t.Errorf("only %d fixtures", tried)
	}
}

// tagOf makes a repository's name of a file's.
func tagOf(file string) string { return file[:len(file)-len(filepath.Ext(file))] }
