package e2e

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
	"github.com/multi-registry-push/multi-registry-push/test/servers/distribution"
)

// A user who may only pull fails at login, before a byte of the image is read.
func TestPullOnlyUserFailsAtLogin(t *testing.T) {
	image := images.Build(images.Options{})
	source := servers.Olareg(t, servers.Options{})
	image.Push(t, source.Reference("acme/built", "1"), source.Inspect()...)
	for name, options := range map[string]servers.Options{"basic": {}, "token": {Auth: servers.Token}} {
		t.Run(name, func(t *testing.T) {
			options.Users = []servers.User{servers.PullUser()}
			s := distribution.Start(t, options)
			source.Log.Reset()
			o := job{source: source.Reference("acme/built", "1"), tags: []string{s.Reference("acme/app", "1")}, auth: source.Item(0) + s.Item(0)}.run(t)
			keepsSecrets(t, o, s)
			o.exits(1).has(map[string]report.Status{s.Host: report.Failed}).says("no-push-permission", s.Host+"/acme/app")
			if gets := source.Log.BlobGets(); len(gets) > 0 {
				t.Errorf("blobs were read: %v", gets)
			}
			if n := s.Log.Count("PUT|PATCH", ""); n > 0 {
				t.Errorf("something was written:\n%s", s.Log)
			}
		})
	}
}

// One repository of two may not be pushed to: the other one gets the image.
func TestPartOfARegistry(t *testing.T) {
	image := images.Build(images.Options{})
	user := servers.User{Name: "acme", Password: "s3cret-of-acme", Grants: []servers.Grant{{Repository: "acme/*", Actions: []string{"*"}}}}
	s := distribution.Start(t, servers.Options{Auth: servers.Token, Users: []servers.User{user}})
	o := job{source: image.Archive(t), auth: s.Item(0), tags: []string{s.Reference("acme/app", "1"), s.Reference("other/app", "1")}}.run(t)
	o.exits(1).has(map[string]report.Status{s.Host: report.Failed}).says("other/app")
	image.Compare(t, s.Reference("acme/app", "1"), s.Inspect()...)
	if got := o.list("pushed"); len(got) != 1 || got[0] != s.Reference("acme/app", "1") {
		t.Errorf("pushed: %q", got)
	}
}

// Several accounts on one host: the longest match wins.
func TestAccountsByPath(t *testing.T) {
	image := images.Build(images.Options{})
	one := servers.User{Name: "one", Password: "password-of-one", Grants: []servers.Grant{{Repository: "one/*", Actions: []string{"*"}}}}
	two := servers.User{Name: "two", Password: "password-of-two", Grants: []servers.Grant{{Repository: "two/*", Actions: []string{"*"}}}}
	for name, options := range map[string]servers.Options{"basic": {}, "token": {Auth: servers.Token}} {
		t.Run(name, func(t *testing.T) {
			options.Users = []servers.User{one, two, servers.DefaultUser()}
			s := distribution.Start(t, options)
			auth := s.Item(0) + strings.Replace(s.Item(1), s.Host, s.Host+"/two", 1)
			job{source: image.Archive(t), auth: auth, tags: []string{s.Reference("one/app", "1"), s.Reference("two/app", "1")}}.run(t).exits(0)
			s.Users[0] = servers.DefaultUser() // to look into it
			image.Compare(t, s.Reference("one/app", "1"), s.Inspect()...)
			image.Compare(t, s.Reference("two/app", "1"), s.Inspect()...)
		})
	}
}

// Registries that cannot be reached fail alone and say why.
func TestRegistriesThatDoNotAnswer(t *testing.T) {
	image := images.Build(images.Options{Single: true, Layers: 1})
	down := servers.Nobody(t)
	good := servers.Olareg(t, servers.Options{})
	o := job{source: image.Archive(t), tags: []string{down + "/acme/app:1", "registry.invalid/acme/app:1", good.Reference("acme/app", "1")},
		auth:  items(good.Item(0), login(down), login("registry.invalid")),
		clock: newClock(),
	}.run(t)
	o.exits(1).has(map[string]report.Status{down: report.Failed, "registry.invalid": report.Failed, good.Host: report.Pushed})
	if r := o.registry(down); !strings.Contains(r.Reason, "registry-unreachable") || !strings.Contains(r.Reason, down) {
		t.Errorf("down: %q", r.Reason)
	}
	if r := o.registry("registry.invalid"); !strings.Contains(r.Reason, "unknown-host") {
		t.Errorf("unknown: %q", r.Reason)
	}
	image.Compare(t, good.Reference("acme/app", "1"), good.Inspect()...)
}

func login(host string) string {
	return "- registry: " + host + "\n  username: acme\n  password: \"password-elsewhere\"\n"
}

// TLS is tried first everywhere. Plain HTTP is for loopback, where the other side answers in plain HTTP.
func TestTLS(t *testing.T) {
	image := images.Build(images.Options{Single: true, Layers: 1})
	for name, start := range map[string]func(testing.TB, servers.Options) *servers.Server{"olareg": servers.Olareg, "distribution": distribution.Start} {
		t.Run(name, func(t *testing.T) {
			s := start(t, servers.Options{TLS: true, Auth: servers.Token})
			j := job{source: image.Archive(t), tags: []string{s.Reference("acme/app", "1")}, auth: s.Item(0), clock: newClock()}
			j.run(t).exits(1).says("unknown-authority", s.Host)
			if len(s.Log.All()) > 0 {
				t.Errorf("asked although the certificate is not trusted:\n%s", s.Log)
			}
			j.env = map[string]string{"SSL_CERT_FILE": s.CAFile}
			j.run(t).exits(0)
			image.Compare(t, s.Reference("acme/app", "1"), s.Inspect()...)

			other := start(t, servers.Options{TLS: true, Auth: servers.Token})
			j = job{source: image.Archive(t), tags: []string{other.Reference("acme/app", "1")}, auth: other.Item(0) + "  insecure: true\n"}
			j.run(t).exits(0)
			image.Compare(t, other.Reference("acme/app", "1"), other.Inspect()...)
		})
	}
}

// On another host than loopback plain HTTP is refused before a password is sent, unless the item
// says insecure. An address of this machine that is not loopback stands for it.
func TestPlainHTTPElsewhere(t *testing.T) {
	address := notLoopback(t)
	image := images.Build(images.Options{Single: true, Layers: 1})
	s := servers.Olareg(t, servers.Options{Addr: net.JoinHostPort(address, "0")})
	j := job{source: image.Archive(t), tags: []string{s.Reference("acme/app", "1")}, auth: s.Item(0), clock: newClock()}
	j.run(t).exits(1).says("tls-mismatch", s.Host, "insecure")
	for _, r := range s.Log.All() {
		if r.Header.Get("Authorization") != "" {
			t.Errorf("credentials in clear: %s", r)
		}
	}
	j.auth += "  insecure: true\n"
	j.run(t).exits(0)
	image.Compare(t, s.Reference("acme/app", "1"), s.Inspect()...)
}

func notLoopback(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if ip, ok := a.(*net.IPNet); ok && !ip.IP.IsLoopback() && ip.IP.To4() != nil {
			return ip.IP.String()
		}
	}
	servers.Missing(t, "needs an address that is not loopback")
	return ""
}

// Tokens that live shorter than the job, and the credentials of the registry's Docker config. A
// repository's first token is spent in the middle of the copy; all that follows is less than the
// second is good for: one that is spent before the request it was taken for is a refusal.
func TestShortTokens(t *testing.T) {
	image := images.Build(images.Options{})
	s := distribution.Start(t, servers.Options{Auth: servers.Token, UsesPerToken: 40})
	o := job{source: image.Archive(t), tags: []string{s.Reference("acme/app", "1"), s.Reference("acme/mirror", "1")}, auth: s.Item(0)}.run(t).exits(0)
	keepsSecrets(t, o, s)
	if n := s.Tokens.Log.Count(http.MethodGet, "/auth/token") + s.Tokens.Log.Count(http.MethodPost, "/auth/token"); n < 5 { // four where none is spent
		t.Errorf("%d tokens were enough", n)
	}
	image.Compare(t, s.Reference("acme/app", "1"), s.Inspect()...)
	image.Compare(t, s.Reference("acme/mirror", "1"), s.Inspect()...)
}

// A source that is not there is named once in the sentence that says so.
func TestMissingSourceIsNamedOnce(t *testing.T) {
	s := servers.Olareg(t, servers.Options{Auth: servers.Token})
	missing := s.Reference("acme/built", "nope")
	o := job{source: missing, auth: s.Item(0), tags: []string{s.Reference("acme/app", "1")}}.run(t).exits(1)
	told := 0
	for line := range strings.Lines(o.stdout) {
		if _, sentence, ok := strings.Cut(line, missing+" is not in the registry: "); ok {
			told++
			if strings.Contains(sentence, s.Host) || !strings.Contains(sentence, "404") {
				t.Errorf("it says %q", line)
			}
		}
	}
	if told == 0 {
		t.Errorf("nothing is told:\n%s", o.stdout)
	}
}

// What has to be public and is not fails its registry in every run, by tag and by digest: also
// where all is there already.
func TestPublic(t *testing.T) {
	w := newWorld(t)
	for auth, private := range map[string]servers.Options{"basic": {Auth: servers.Basic}, "token": {Auth: servers.Token}} {
		t.Run(auth, func(t *testing.T) {
			closed, open := servers.Olareg(t, private), servers.Olareg(t, servers.Options{Auth: servers.Token, AnonymousPull: true})
			for _, byDigest := range []string{"true", "false", "false", "true"} {
				o := job{source: w.source, tags: []string{closed.Reference("acme/app", "1"), open.Reference("acme/app", "1")}, clock: newClock(),
					auth: closed.Item(0) + "  public: true\n" + open.Item(0) + "  public: true\n", inputs: map[string]string{"push-by-digest": byDigest}}.
					run(t).exits(1).says("cannot be pulled without a login")
				if o.registry(closed.Host).Status != report.Failed || o.registry(open.Host).Status == report.Failed {
					t.Errorf("by digest: %s; %+v", byDigest, o.results.Registries)
				}
			}
		})
	}
}
