// Package selftest is what every kind of server in the kit must do.
package selftest

import (
	"net/http"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
)

// Run runs the tests against servers that start starts.
func Run(t *testing.T, start func(testing.TB, servers.Options) *servers.Server) {
	for _, c := range []struct {
		name    string
		options servers.Options
	}{
		{"basic", servers.Options{}},
		{"token", servers.Options{Auth: servers.Token}},
		{"token on the same host", servers.Options{Auth: servers.Token, SameHost: true}},
		{"tokens spent fast", servers.Options{Auth: servers.Token, UsesPerToken: 3}},
		{"TLS", servers.Options{Auth: servers.Token, TLS: true}},
		{"none", servers.Options{Auth: servers.None}},
	} {
		t.Run(c.name, func(t *testing.T) { pushAndPull(t, start(t, c.options)) })
	}
	for _, auth := range []servers.Auth{servers.Basic, servers.Token} {
		t.Run("grants", func(t *testing.T) {
			grants(t, start(t, servers.Options{Auth: auth, Users: []servers.User{servers.DefaultUser(), servers.PullUser()}}))
		})
	}
}

func pushAndPull(t *testing.T, s *servers.Server) {
	image := images.Build(images.Options{})
	ref := s.Reference("acme/app", "1")
	client := s.Transport()
	defer client.CloseIdleConnections()
	options := []remote.Option{remote.WithAuth(s.Authenticator()), remote.WithTransport(client)}
	image.Push(t, ref, options...)
	image.Compare(t, ref, options...)
	image.Compare(t, ref, s.Inspect()...)

	puts := 0
	for _, r := range s.Log.Find(http.MethodPut, servers.ManifestPath) {
		if r.Status == http.StatusCreated {
			puts++
		}
	}
	if puts != len(image.Manifests)+1 {
		t.Errorf("%d manifests put, want %d", puts, len(image.Manifests)+1)
	}
	gets := s.Log.BlobGets()
	if len(gets) != len(image.Blobs) {
		t.Errorf("%d blobs got, want %d", len(gets), len(image.Blobs))
	}
	var in int64
	for _, r := range s.Log.Settled() {
		in += r.BytesIn
	}
	if in < image.Size() {
		t.Errorf("%d bytes came in, of an image of %d", in, image.Size())
	}

	s.Stop()
	if _, err := images.Fetch(ref, options...); err == nil {
		t.Error("a stopped server answers")
	}
	image.Compare(t, ref, s.Inspect()...)
	s.Restart(t)
	image.Compare(t, ref, options...)
}

func grants(t *testing.T, s *servers.Server) {
	image := images.Build(images.Options{Single: true})
	image.Push(t, s.Reference("acme/app", "1"), s.Inspect()...)
	ref, err := name.ParseReference(s.Reference("acme/app", "1"))
	if err != nil {
		t.Fatal(err)
	}
	client := s.Transport()
	defer client.CloseIdleConnections()
	for _, c := range []struct {
		user, password string
		pull, push     bool
	}{
		{s.Users[0].Name, s.Users[0].Password, true, true},
		{s.Users[1].Name, s.Users[1].Password, true, false},
		{s.Users[0].Name, "wrong", false, false},
		{"stranger", "", false, false},
	} {
		as := remote.WithAuth(&authn.Basic{Username: c.user, Password: c.password})
		_, err := remote.Get(ref, as, remote.WithTransport(client))
		judge(t, s, c.user+" pulls", err, c.pull)
		d, err := remote.Get(ref, s.Inspect()...)
		if err != nil {
			t.Fatal(err)
		}
		judge(t, s, c.user+" pushes", remote.Put(ref, d, as, remote.WithTransport(client)), c.push)
	}
}

// judge goes by the server's log: go-containerregistry loses the answer when it repeats a
// request whose body it has already sent.
func judge(t *testing.T, s *servers.Server, what string, err error, allowed bool) {
	t.Helper()
	log := s.Log.Settled()
	last := log[len(log)-1].Status
	refused := last == http.StatusUnauthorized || last == http.StatusForbidden
	if allowed != (err == nil) || !allowed && !refused {
		t.Errorf("%s: %v (answered %d)", what, err, last)
	}
}
