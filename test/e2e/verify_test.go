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
	verify().exits(2).says("1 of 3 references serve what was published, 2 could not be asked for", "could not be asked for: the registry wants a login, and there are no credentials for it [", "an item in the file")
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
	// What is wrong with an input is 1, as everywhere: a file that is not there, or that was not named.
	for _, results = range []string{filepath.Join(dir, "none.json"), auth[1:], dir} {
		verify().exits(1)
	}
	job{args: []string{"verify"}, clock: newClock()}.run(t).exits(1).says("the file with results is missing")
}

// At every kind of registry, with and without a login: what is served is compared, and a
// registry that is gone is not taken for one that serves something else.
func TestVerifyAtEveryKind(t *testing.T) {
	for name, c := range map[string]struct {
		options servers.Options
		login   bool
	}{
		"a token":            {servers.Options{Auth: servers.Token}, true},
		"a password":         {servers.Options{Auth: servers.Basic}, true},
		"an anonymous token": {servers.Options{Auth: servers.Token, AnonymousPull: true}, false},
		"no login":           {servers.Options{Auth: servers.None}, false},
	} {
		for at, s := range kinds(t, c.options) {
			t.Run(at+", "+name, func(t *testing.T) {
				auth := ""
				if c.login {
					auth = s.Item(0)
				}
				verifyAt(t, s, auth)
			})
		}
	}
}

// verifyAt publishes to a server and verifies that with auth, until the server is gone.
func verifyAt(t *testing.T, s *servers.Server, auth string) {
	image, other := images.Build(images.Options{}), images.Build(images.Options{Single: true, Seed: 9})
	tag := s.Reference("acme/app", "1")
	publish := job{source: image.Archive(t), tags: []string{tag}, auth: s.Item(0), clock: newClock()}
	results := publish.run(t).exits(0).outputs["results"]
	publish.inputs = map[string]string{"push-by-digest": "true"}
	byDigest := publish.run(t).exits(0).outputs["results"]
	truncated := strings.Replace(results, "{", `{"truncated":true,`, 1)

	receiptOf(t, byDigest, auth).exits(0).says(s.Host + "/acme/app@" + image.Digest() + " serves " + image.Digest())
	receiptOf(t, results, auth).exits(0).says("1 of 1 references serve what was published", tag+" serves "+image.Digest())
	receiptOf(t, truncated, auth).exits(2).says("1 of 1 references serve what was published; the results are truncated")
	none := strings.ReplaceAll(results, tag, s.Reference("acme/app", "none"))
	receiptOf(t, none, auth).exits(1).says("acme/app:none serves nothing; it was published with " + image.Digest())

	other.Push(t, tag, s.Inspect()...)
	receiptOf(t, results, auth).exits(1).says(tag+" serves "+other.Digest()+"; it was published with "+image.Digest(), "0 of 1", "1 differ")
	receiptOf(t, truncated, auth).exits(1).says("1 differ", "truncated")
	if auth != "" { // one who is refused is not told what is served
		receiptOf(t, results, "").exits(2).says(tag + " could not be asked for")
		stranger := strings.Replace(auth, "username: ", "username: not-", 1)
		receiptOf(t, results, stranger).exits(2).says(tag+" could not be asked for", `user "not-acme" of registry-auth, line 1, was refused: wrong password`)
	}
	s.Stop()
	receiptOf(t, results, auth).exits(2).says("0 of 1", tag+" could not be asked for", "1 could not be asked for")
}

// receiptOf verifies results on a command line, with the items of a file where there are any.
func receiptOf(t *testing.T, results, auth string) outcome {
	t.Helper()
	dir := t.TempDir()
	file, items := filepath.Join(dir, "results.json"), filepath.Join(dir, "auth.yml")
	for path, text := range map[string]string{file: results, items: auth} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"verify", file}
	if auth != "" {
		args = append(args, "--registry-auth", "@"+items)
	}
	return job{args: args, clock: newClock()}.run(t)
}
