// Package selftest is what every kind of server in the kit must do.
package selftest

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

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
	for _, auth := range []servers.Auth{servers.Basic, servers.Token, servers.None} {
		t.Run("order", func(t *testing.T) { disorder(t, start(t, servers.Options{Auth: auth, Unchecked: true})) })
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

// disorder feeds a server each order that a client must not have, and sees it seen, also where
// the registry refuses it.
func disorder(t *testing.T, s *servers.Server) {
	image := images.Build(images.Options{LayerBytes: 100})
	index := image.Manifests[len(image.Manifests)-1]
	child := image.Manifests[0]
	put := func(repository, name string, c images.Content) {
		ask(t, s, http.MethodPut, repository, "manifests/"+name, string(c.Descriptor.MediaType), c.Bytes)
	}
	seen := func(wants ...string) {
		t.Helper()
		got := s.Disorder()
		for _, want := range wants {
			if !slices.ContainsFunc(got, func(g string) bool { return strings.Contains(g, want) }) {
				t.Errorf("%q is not seen, but %q", want, got)
			}
		}
		if len(wants) == 0 && len(got) > 0 {
			t.Errorf("seen without a reason: %q", got)
		}
	}
	const upload = "blobs/uploads/00000000-0000-0000-0000-000000000000"
	ask(t, s, http.MethodPatch, "acme/bytes", upload, "application/octet-stream", []byte("bytes"))
	seen("5 bytes to acme/bytes before an upload was allowed there")
	put("acme/early", child.Descriptor.Digest.String(), child)
	seen("before blobs/" + image.Blobs[0].Descriptor.Digest.String())
	put("acme/parent", index.Descriptor.Digest.String(), index)
	seen("before manifests/" + child.Descriptor.Digest.String())
	signature := images.Artifact(&image.Root, "application/vnd.test",
		images.Layer{MediaType: "text/plain", Content: []byte("signed")})
	put("acme/signed", signature.Digest(), signature.Manifests[len(signature.Manifests)-1])
	seen("before manifests/" + image.Digest())

	// A tag of an image whose child has lost a blob; the tag of a whole one; what was deleted.
	image.Push(t, s.Host+"/acme/whole@"+image.Digest(), s.Inspect()...)
	put("acme/whole", "1", index)
	seen()
	half := images.Build(images.Options{LayerBytes: 100, Seed: 1, SharedSeed: 1}) // some share blobs between repositories
	for _, m := range half.Manifests[:len(half.Manifests)-1] {
		put("acme/half", m.Descriptor.Digest.String(), m)
	}
	s.Disorder()
	put("acme/half", "1", half.Manifests[len(half.Manifests)-1])
	seen("tag 1 of acme/half is written before ")
}

// ask sends one request with the rights of the first user.
func ask(t *testing.T, s *servers.Server, method, repository, path, mediaType string, body []byte) {
	t.Helper()
	repo, err := name.NewRepository(s.Host+"/"+repository, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	plain := s.Transport()
	defer plain.CloseIdleConnections()
	scopes := []string{repo.Scope(transport.PushScope)}
	client, err := transport.NewWithContext(t.Context(), repo.Registry, s.Authenticator(), plain, scopes)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/v2/"+repository+"/"+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", mediaType)
	answer, err := client.RoundTrip(r)
	if err != nil {
		t.Fatalf("%v\n%s", err, s.Log)
	}
	_ = answer.Body.Close()
}
