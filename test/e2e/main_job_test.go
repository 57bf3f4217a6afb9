package e2e

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
	"github.com/multi-registry-push/multi-registry-push/test/servers/distribution"
)

// Two registries get the image at once, one is skipped, one fails with a wrong password.
func TestTheMainJob(t *testing.T) {
	image := images.Build(images.Options{})
	archive := image.Archive(t, "docker.io/acme/app:1.0.0", "docker.io/acme/app:1.0", "docker.io/acme/app:latest")
	basic := distribution.Start(t, servers.Options{})
	token := distribution.Start(t, servers.Options{Auth: servers.Token})
	unset := servers.Olareg(t, servers.Options{})
	wrong := servers.Olareg(t, servers.Options{})
	all := []*servers.Server{basic, token, unset, wrong}
	var tags []string
	for _, s := range all {
		tags = append(tags, s.Reference("acme/app", "1.0.0"), s.Reference("acme/app", "latest"))
	}
	o := job{
		source: "oci-archive:" + archive, tags: tags,
		auth: items(basic.Item(0), token.Item(0),
			"- registry: "+unset.Host+"\n  username: acme\n  password: null\n",
			"- registry: "+wrong.Host+"\n  username: acme\n  password: \"hunter2-hunter2\"\n"),
	}.run(t)
	keepsSecrets(t, o, all...)

	o.exits(1).has(map[string]report.Status{
		basic.Host: report.Pushed, token.Host: report.Pushed, unset.Host: report.Skipped, wrong.Host: report.Failed,
	})
	for _, s := range []*servers.Server{basic, token} {
		for _, tag := range []string{"1.0.0", "latest"} {
			image.Compare(t, s.Reference("acme/app", tag), s.Inspect()...)
			if !slices.Contains(o.list("pushed"), s.Reference("acme/app", tag)) {
				t.Errorf("pushed does not list %s", s.Reference("acme/app", tag))
			}
		}
	}
	if len(unset.Log.All()) > 0 {
		t.Errorf("the registry without credentials was asked:\n%s", unset.Log)
	}
	if got := o.outputs["digest"]; got != image.Digest() {
		t.Errorf("digest %q, want %s", got, image.Digest())
	}
	if got := o.list("pushed"); len(got) != 4 {
		t.Errorf("pushed: %q", got)
	}
	if got := o.outputs["skipped"]; got != unset.Host {
		t.Errorf("skipped: %q", got)
	}
	if got := o.outputs["failed"]; got != wrong.Host {
		t.Errorf("failed: %q", got)
	}
	if got := o.results.Platforms; !slices.Equal(got, []string{"linux/amd64", "linux/arm64"}) {
		t.Errorf("platforms: %q", got)
	}
	if o.results.SizeBytes != image.Size() || o.results.Source.BytesRead != 0 {
		t.Errorf("size %d, want %d; read %d from a file", o.results.SizeBytes, image.Size(), o.results.Source.BytesRead)
	}
	if r := o.registry(basic.Host); r.Blobs.Uploaded != len(image.Blobs) || r.BytesUploaded < image.BlobBytes() {
		t.Errorf("%+v, want %d blobs of %d bytes", r, len(image.Blobs), image.BlobBytes())
	}
	if !strings.Contains(o.registry(unset.Host).Reason, "password") || !strings.Contains(o.registry(wrong.Host).Reason, "wrong-credentials") {
		t.Errorf("reasons: %q, %q", o.registry(unset.Host).Reason, o.registry(wrong.Host).Reason)
	}
	for _, s := range all {
		if !strings.Contains(o.summary, s.Host) {
			t.Errorf("the summary does not name %s:\n%s", s.Host, o.summary)
		}
	}
	if !strings.Contains(o.summary, image.Digest()) {
		t.Errorf("the summary does not name the digest:\n%s", o.summary)
	}
}

// keepsSecrets checks that no password and no token is in anything that was written, and that
// each token is masked. Call it before the test itself buys tokens.
func keepsSecrets(t *testing.T, o outcome, all ...*servers.Server) {
	t.Helper()
	text := o.text()
	secrets := []string{"hunter2-hunter2"}
	for _, s := range all {
		for _, u := range s.Users {
			secrets = append(secrets, u.Password)
		}
		if s.Tokens != nil {
			issued := s.Tokens.Issued()
			if len(issued) == 0 {
				t.Error("no token was issued")
			}
			for _, token := range issued {
				if !strings.Contains(o.stdout, "::add-mask::"+token) {
					t.Error("a token is not masked")
				}
			}
			secrets = append(secrets, issued...)
		}
	}
	for _, s := range secrets {
		if strings.Contains(text, s) {
			t.Errorf("secret %q is written in\n%s", s, text)
		}
	}
}

// One remote source, four destinations of three kinds: each blob is fetched once, and a second
// run fetches none and keeps within the budget of requests.
func TestOneSourceFourDestinations(t *testing.T) {
	image := images.Build(images.Options{LayerBytes: 300 << 10})
	source := distribution.Start(t, servers.Options{Auth: servers.Token})
	image.Push(t, source.Reference("acme/built", "sha-1"), source.Inspect()...)
	to := []*servers.Server{
		distribution.Start(t, servers.Options{}),
		distribution.Start(t, servers.Options{Auth: servers.Token}),
		servers.Olareg(t, servers.Options{}),
		servers.Olareg(t, servers.Options{Auth: servers.Token, SameHost: true}),
	}
	j := job{source: source.Reference("acme/built", "sha-1"), auth: source.Item(0)}
	for _, s := range to {
		j.tags = append(j.tags, s.Reference("acme/app", "1"), s.Reference("acme/app", "latest"))
		j.auth += s.Item(0)
	}
	source.Log.Reset()

	o := j.run(t).exits(0)
	gets := source.Log.BlobGets()
	for _, b := range image.Blobs {
		if n := gets[b.Descriptor.Digest.String()]; n != 1 {
			t.Errorf("blob %s was fetched %d times", b.Descriptor.Digest, n)
		}
	}
	var out int64
	for _, r := range source.Log.Settled() {
		if r.Method == http.MethodGet && r.Path != "/v2/" && r.Status == 200 {
			out += r.BytesOut
		}
	}
	if out != image.Size() {
		t.Errorf("the source sent %d bytes of an image of %d", out, image.Size())
	}
	if got := o.results.Source.BytesRead; got != out {
		t.Errorf("bytesRead is %d, the source sent %d", got, out)
	}
	for _, s := range to {
		image.Compare(t, s.Reference("acme/app", "1"), s.Inspect()...)
		image.Compare(t, s.Reference("acme/app", "latest"), s.Inspect()...)
		if r := o.registry(s.Host); r.Status != report.Pushed {
			t.Errorf("%s is %s", s.Host, r.Status)
		}
		s.Log.Reset()
	}
	source.Log.Reset()

	o = j.run(t).exits(0)
	if gets := source.Log.BlobGets(); len(gets) != 0 {
		t.Errorf("the second run fetched %v", gets)
	}
	for _, s := range to {
		if r := o.registry(s.Host); r.Status != report.Unchanged || r.BytesUploaded != 0 {
			t.Errorf("%s: %+v", s.Host, r)
		}
		withinBudget(t, s, 1, len(image.Manifests)-1, 2)
	}
	if len(o.list("pushed")) != 8 {
		t.Errorf("pushed lists what is served now, too: %q", o.outputs["pushed"])
	}
}

// withinBudget checks a run with nothing to do: no request of a blob, and after login three
// requests a repository, one a child manifest, two a tag.
func withinBudget(t *testing.T, s *servers.Server, repositories, children, tags int) {
	t.Helper()
	var after []servers.Request
	for _, r := range s.Log.Settled() {
		if isLogin(r) || r.Status == http.StatusUnauthorized {
			continue
		}
		if strings.Contains(r.Path, "/blobs/") {
			t.Errorf("%s: %s", s.Host, r)
		}
		after = append(after, r)
	}
	if budget := 3*repositories + repositories*children + 2*tags; len(after) > budget {
		t.Errorf("%s: %d requests, the budget is %d\n%s", s.Host, len(after), budget, s.Log)
	}
}

// A blob that one repository of a registry has is mounted into the others.
func TestMounts(t *testing.T) {
	image := images.Build(images.Options{})
	source := image.Layout(t, "docker.io/acme/app:1")
	for name, s := range kinds(t, servers.Options{Auth: servers.Token}) {
		if name == "go-containerregistry" {
			continue // it mounts nothing
		}
		t.Run(name, func(t *testing.T) {
			o := job{source: "oci:" + source, auth: s.Item(0), tags: []string{
				s.Reference("acme/app", "1"), s.Reference("acme/mirror", "1"), s.Reference("other/app", "1"),
			}}.run(t).exits(0)
			for _, repository := range []string{"acme/app", "acme/mirror", "other/app"} {
				image.Compare(t, s.Reference(repository, "1"), s.Inspect()...)
			}
			r := o.registry(s.Host)
			if r.Blobs.Uploaded != len(image.Blobs) || r.Blobs.Mounted != 2*len(image.Blobs) {
				t.Errorf("%+v of %d blobs", r.Blobs, len(image.Blobs))
			}
			var in int64
			for _, q := range s.Log.Find("PATCH|PUT|POST", "/blobs/uploads/") {
				in += q.BytesIn
			}
			if in != image.BlobBytes() {
				t.Errorf("%d bytes sent of %d", in, image.BlobBytes())
			}
		})
	}
}

// What the source's own repository has is mounted from it where it is on the same registry.
func TestMountsFromTheSource(t *testing.T) {
	image := images.Build(images.Options{})
	s := distribution.Start(t, servers.Options{Auth: servers.Token})
	image.Push(t, s.Reference("acme/built", "1"), s.Inspect()...)
	s.Log.Reset()
	o := job{source: s.Reference("acme/built", "1"), auth: s.Item(0), tags: []string{s.Reference("acme/app", "1")}}.run(t).exits(0)
	image.Compare(t, s.Reference("acme/app", "1"), s.Inspect()...)
	if r := o.registry(s.Host); r.Blobs.Mounted != len(image.Blobs) {
		t.Errorf("%+v of %d blobs", r.Blobs, len(image.Blobs))
	}
	if gets := s.Log.BlobGets(); len(gets) > 0 {
		t.Errorf("fetched: %v", gets)
	}
}

// kinds starts one server of each kind that is there.
func kinds(t *testing.T, o servers.Options) map[string]*servers.Server {
	t.Helper()
	all := map[string]*servers.Server{"distribution 3": distribution.Start(t, o), "olareg": servers.Olareg(t, o),
		"ociregistry": servers.OCIRegistry(t, o), "go-containerregistry": servers.GoContainerRegistry(t, o)}
	t.Run("docker-registry", func(t2 *testing.T) { servers.Require(t2, "docker-registry") })
	if _, err := exec.LookPath("docker-registry"); err == nil {
		all["docker-registry 2.8"] = servers.Distribution2(t, o)
	}
	return all
}

// Every form of a local source arrives byte for byte.
func TestLocalSources(t *testing.T) {
	index, single := images.Build(images.Options{}), images.Build(images.Options{Single: true})
	for _, c := range []struct {
		name, source string
		image        *images.Image
	}{
		{"archive", "oci-archive:" + index.Archive(t, "docker.io/acme/app:1"), index},
		{"archive without a name", index.Archive(t), index},
		{"archive with three names", index.Archive(t, "docker.io/acme/app:1", "docker.io/acme/app:2", "ghcr.io/acme/app:3"), index},
		{"layout", "oci:" + index.Layout(t), index},
		{"layout by tag", "oci:" + index.Layout(t, "docker.io/acme/app:1", "docker.io/acme/app:2") + ":2", index},
		{"one platform", single.Archive(t, "docker.io/acme/app:1"), single},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := servers.Olareg(t, servers.Options{})
			job{source: c.source, auth: s.Item(0), tags: []string{s.Reference("acme/app", "1")}}.run(t).exits(0)
			c.image.Compare(t, s.Reference("acme/app", "1"), s.Inspect()...)
		})
	}
}

// The command line does the same as the workflow.
func TestCommandLine(t *testing.T) {
	image := images.Build(images.Options{})
	s := distribution.Start(t, servers.Options{})
	file := filepath.Join(t.TempDir(), "auth.yml")
	if err := os.WriteFile(file, []byte(s.Item(0)), 0o600); err != nil {
		t.Fatal(err)
	}
	o := job{args: []string{"--source", image.Archive(t), "--tags", s.Reference("acme/app", "1"), "--registry-auth", "@" + file}}.run(t).exits(0)
	image.Compare(t, s.Reference("acme/app", "1"), s.Inspect()...)
	if strings.Contains(o.stdout+o.stderr, "::add-mask::") {
		t.Error("masks are printed outside a workflow, where they show the secret")
	}
	if strings.Contains(o.stdout+o.stderr, s.Users[0].Password) {
		t.Error("the password is printed")
	}
}

// A source that breaks in the middle is said once, not once more for each registry that
// was to get it.
func TestBrokenSourceIsSaidOnce(t *testing.T) {
	image := images.Build(images.Options{Single: true, Layers: 2, LayerBytes: 2 << 20})
	from, one, two := servers.Olareg(t, servers.Options{}), servers.Olareg(t, servers.Options{}), servers.Olareg(t, servers.Options{})
	image.Push(t, from.Reference("acme/build", "1"), from.Inspect()...)
	from.Faults.Add(servers.Fault{Match: servers.Matching("GET", "/blobs/"), CorruptByte: 1, Count: servers.Forever})
	o := job{source: "docker://" + from.Reference("acme/build", "1"), tags: []string{one.Reference("acme/app", "1"), two.Reference("acme/app", "1")},
		auth: from.Item(0) + one.Item(0) + two.Item(0)}.run(t).exits(1)
	o.has(map[string]report.Status{one.Host: report.Failed, two.Host: report.Failed})
	log, after, _ := strings.Cut(o.stdout, "\nREGISTRY ")
	if n, m := strings.Count(log, "failed: "), strings.Count(after, "::error"); n != 1 || m != 1 {
		t.Errorf("said %d times in the log and %d times in annotations:\n%s", n, m, o.stdout)
	}
}
