package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
	"github.com/multi-registry-push/multi-registry-push/test/servers/distribution"
)

// Results are a receipt: verify asks every registry whether it still serves what they say.
func TestVerifyCommand(t *testing.T) {
	image, other := images.Build(images.Options{}), images.Build(images.Options{Single: true})
	one, two := distribution.Start(t, servers.Options{Auth: servers.Token}), servers.Olareg(t, servers.Options{Auth: servers.None})
	publish := job{source: image.Archive(t), tags: []string{one.Reference("acme/app", "1"), one.Reference("acme/app", "2"), two.Reference("acme/app", "1")},
		auth: one.Item(0) + two.Item(0)}.run(t).exits(0)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	results, auth := file("results.json", publish.outputs["results"]), "@"+file("auth.yml", one.Item(0))
	verify := func(args ...string) outcome {
		return job{args: append([]string{"verify", results}, args...), clock: newClock()}.run(t)
	}

	one.Log.Reset()
	two.Log.Reset()
	verify("--registry-auth", auth).exits(0).says("3 of 3 references serve what was published", one.Reference("acme/app", "2")+" serves sha256:")
	for _, r := range append(one.Log.All(), two.Log.All()...) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			t.Errorf("verify sends %s", r)
		}
	}
	// Without an item the one that needs a login cannot be asked; the other needs none.
	verify().exits(2).says("1 of 3 references serve what was published, 2 could not be asked for", "the registry wants a login", "an item in the file")
	if o := verify("--registry-auth", auth, "--quiet").exits(0); o.stdout != "" {
		t.Errorf("--quiet prints %q", o.stdout)
	}

	two.Faults.Add(servers.Fault{Match: servers.Matching("", "/manifests/"), Status: 503, Count: servers.Forever})
	verify("--registry-auth", auth).exits(2).says(two.Reference("acme/app", "1") + " could not be asked for")
	two.Faults.Clear()

	other.Push(t, one.Reference("acme/app", "2"), one.Inspect()...)
	o := verify("--registry-auth", auth, "--output", "json").exits(1).says(one.Reference("acme/app", "2")+" serves sha256:", "1 differ")
	if strings.Count(o.stdout, "\n") != 1 || strings.Count(o.stdout, `"status":"same"`) != 2 || strings.Count(o.stdout, `"status":"differs"`) != 1 {
		t.Errorf("standard output %q", o.stdout)
	}
	results = file("truncated.json", strings.Replace(publish.outputs["results"], "{", `{"truncated":true,`, 1))
	verify("--registry-auth", auth, "--tags", "acme/app:1").exits(1).says("--tags has no meaning for verify")
	results = filepath.Join(dir, "none.json")
	verify().exits(2).says("the results cannot be read")
}
