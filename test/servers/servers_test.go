package servers_test

import (
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"go.uber.org/goleak"

	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
	"github.com/multi-registry-push/multi-registry-push/test/servers/selftest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, servers.Lingers()) }

func TestOlareg(t *testing.T)              { selftest.Run(t, servers.Olareg) }
func TestDistribution2(t *testing.T)       { selftest.Run(t, servers.Distribution2) }
func TestOCIRegistry(t *testing.T)         { selftest.Run(t, servers.OCIRegistry) }
func TestGoContainerRegistry(t *testing.T) { selftest.Run(t, servers.GoContainerRegistry) }

func TestTLS(t *testing.T) {
	image := images.Build(images.Options{Single: true})
	s := servers.Olareg(t, servers.Options{TLS: true, Auth: servers.Token})
	client := transportFor(t, s)
	options := []remote.Option{remote.WithAuth(s.Authenticator()), remote.WithTransport(client)}
	image.Push(t, s.Reference("acme/app", "1"), options...)
	image.Compare(t, s.Reference("acme/app", "1"), options...)
	if _, err := images.Fetch(s.Reference("acme/app", "1"), remote.WithAuth(s.Authenticator())); err == nil {
		t.Error("the certificate is trusted without its authority")
	}
}

func TestFaults(t *testing.T) {
	wait := make(chan struct{})
	cases := []struct {
		name  string
		fault servers.Fault
		want  []string // of three requests: status and body, or "broken"
	}{
		{"first by default", servers.Fault{}, []string{"500 ", "200 {}", "200 {}"}},
		{"second, once", servers.Fault{Nth: 2, Status: 503, Body: "busy"}, []string{"200 {}", "503 busy", "200 {}"}},
		{"for good", servers.Fault{Nth: 2, Count: servers.Forever, Status: 429}, []string{"200 {}", "429 ", "429 "}},
		{"drop", servers.Fault{Nth: 2, Drop: true}, []string{"200 {}", "broken", "200 {}"}},
		{"drop the answer", servers.Fault{DropAnswer: true, Count: 2}, []string{"broken", "broken", "200 {}"}},
		{"cut", servers.Fault{CutAnswer: 1}, []string{"broken", "200 {}", "200 {}"}},
		{"corrupt", servers.Fault{CorruptByte: 2}, []string{"200 {\x82", "200 {}", "200 {}"}},
		{"another path", servers.Fault{Match: servers.Matching("PUT|POST", "/v2/"), Count: servers.Forever}, []string{"200 {}", "200 {}", "200 {}"}},
		{"wait", servers.Fault{Wait: wait, Pass: true, Reached: func(*http.Request) { close(wait) }}, []string{"200 {}", "200 {}", "200 {}"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := servers.Olareg(t, servers.Options{Auth: servers.None})
			armed := s.Faults.Add(c.fault)
			hits := 0
			for i, want := range c.want {
				got := get(t, s.URL+"/v2/")
				if got != want {
					t.Errorf("request %d: %q, want %q", i+1, got, want)
				}
				if want != "200 {}" {
					hits++
				}
			}
			if armed.Hits() != hits && c.fault.Wait == nil {
				t.Errorf("%d hits, want %d", armed.Hits(), hits)
			}
			log := s.Log.Settled()
			if len(log) != 3 {
				t.Fatalf("log has %d requests", len(log))
			}
			for i, r := range log {
				dropped := c.want[i] == "broken" && c.fault.CutAnswer == 0
				if (r.Status == 0) != dropped {
					t.Errorf("logged as %s", r)
				}
			}
		})
	}
}

func TestFaultOnTheSameRequest(t *testing.T) {
	s := servers.Olareg(t, servers.Options{Auth: servers.None})
	s.Faults.Add(servers.Fault{Nth: 2, Count: servers.Forever, Same: true})
	var got []string
	for _, path := range []string{"/v2/?a", "/v2/?b", "/v2/?a", "/v2/?b"} {
		got = append(got, get(t, s.URL+path)[:3])
	}
	if strings.Join(got, " ") != "200 500 200 500" {
		t.Error(got)
	}
}

func TestLimit(t *testing.T) {
	s := servers.Olareg(t, servers.Options{Auth: servers.None})
	at := time.Unix(1000, 0)
	s.Faults.Limit(nil, 2, 10*time.Second, func() time.Time { return at })
	var got []string
	for range 3 {
		got = append(got, get(t, s.URL+"/v2/")[:3])
	}
	at = at.Add(10 * time.Second)
	got = append(got, get(t, s.URL+"/v2/")[:3])
	if strings.Join(got, " ") != "200 200 429 200" {
		t.Error(got)
	}
	if after := s.Log.Settled()[2].Answer.Get("Retry-After"); after != "10" {
		t.Errorf("Retry-After %q", after)
	}
}

func TestBrokenUploadLeavesAPart(t *testing.T) {
	for name, start := range map[string]func(testing.TB, servers.Options) *servers.Server{"olareg": servers.Olareg, "2.8": servers.Distribution2} {
		t.Run(name, func(t *testing.T) {
			s := start(t, servers.Options{Auth: servers.None})
			s.Faults.Add(servers.Fault{Match: servers.Matching("PATCH", ""), DropBody: 1000})
			answer, err := http.Post(s.URL+"/v2/acme/app/blobs/uploads/", "", nil)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			location, err := answer.Location()
			if err != nil {
				t.Fatal(err)
			}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, location.String(), strings.NewReader(strings.Repeat("x", 5000)))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := http.DefaultClient.Do(r); err == nil {
				t.Fatal("the connection was not dropped")
			}
			if in := s.Log.Settled()[1].BytesIn; in != 1000 {
				t.Errorf("%d bytes read", in)
			}
			if name == "olareg" { // 2.8 forgets the session
				answer, err := http.Get(location.String())
				if err != nil {
					t.Fatal(err)
				}
				_ = answer.Body.Close()
				if answer.Header.Get("Range") != "0-999" {
					t.Errorf("%s: range %q", answer.Status, answer.Header.Get("Range"))
				}
			}
		})
	}
}

func TestConditions(t *testing.T) {
	one, two := images.Build(images.Options{Single: true}), images.Build(images.Options{Single: true, Seed: 1})
	cases := []struct {
		name    string
		options servers.Options
		header  http.Header
		image   *images.Image
		tag     string
		want    int
	}{
		{"no condition", servers.Options{Preconditions: true}, nil, two, "1", 201},
		{"if none match, there", servers.Options{Preconditions: true}, http.Header{"If-None-Match": {"*"}}, two, "1", 412},
		{"if none match, new", servers.Options{Preconditions: true}, http.Header{"If-None-Match": {"*"}}, two, "2", 201},
		{"if match", servers.Options{Preconditions: true}, http.Header{"If-Match": {`"` + one.Digest() + `"`}}, two, "1", 201},
		{"if match, another", servers.Options{Preconditions: true}, http.Header{"If-Match": {`"` + two.Digest() + `"`}}, two, "1", 412},
		{"immutable", servers.Options{ImmutableTags: regexp.MustCompile("^1$")}, nil, two, "1", 400},
		{"immutable, new", servers.Options{ImmutableTags: regexp.MustCompile("^1$")}, nil, two, "2", 201},
		{"not honoured", servers.Options{}, http.Header{"If-None-Match": {"*"}}, two, "1", 201},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.options.Auth = servers.None
			s := servers.Olareg(t, c.options)
			one.Push(t, s.Reference("acme/app", "1"), s.Inspect()...)
			two.Push(t, s.Host+"/acme/app@"+two.Digest(), s.Inspect()...)
			root := c.image.Manifests[len(c.image.Manifests)-1]
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL+"/v2/acme/app/manifests/"+c.tag, strings.NewReader(string(root.Bytes)))
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range c.header {
				r.Header[k] = v
			}
			r.Header.Set("Content-Type", string(root.Descriptor.MediaType))
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			if answer.StatusCode != c.want {
				t.Errorf("answered %s", answer.Status)
			}
		})
	}
}

func TestTokenServer(t *testing.T) {
	s := servers.Olareg(t, servers.Options{Auth: servers.Token, Users: []servers.User{
		{Name: "u", Password: "p", Grants: []servers.Grant{{Repository: "acme/*", Actions: []string{"pull"}}}}}})
	ask := func(user, password, query string) string {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Tokens.Realm+"?"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth(user, password)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		return answer.Status[:3] + " " + string(raw)
	}
	if got := ask("u", "wrong", "service=test-registry"); !strings.HasPrefix(got, "401") {
		t.Error(got)
	}
	if got := ask("u", "p", "service=other"); !strings.HasPrefix(got, "400") {
		t.Error(got)
	}
	got := ask("u", "p", "service=test-registry&offline_token=true&scope=repository:acme/app:pull,push&scope=repository:x:pull")
	if !strings.HasPrefix(got, "200") || !strings.Contains(got, "refresh_token") || len(s.Tokens.Issued()) != 2 {
		t.Error(got)
	}
	_, err := remote.Get(tag(t, s.Reference("acme/app", "1")), remote.WithAuth(&authn.Basic{Username: "u", Password: "p"}))
	if code(err) != 404 {
		t.Errorf("reads what it may: %v", err)
	}
	_, err = remote.Get(tag(t, s.Reference("other/app", "1")), remote.WithAuth(&authn.Basic{Username: "u", Password: "p"}))
	if code(err) != 401 {
		t.Errorf("reads what it may not: %v", err)
	}
}

func TestRequire(t *testing.T) {
	t.Setenv("REQUIRE_ALL", "0")
	skipped := false
	t.Run("missing", func(t *testing.T) {
		defer func() { skipped = t.Skipped() }()
		servers.Require(t, "no-such-program")
	})
	if !skipped {
		t.Error("not skipped")
	}
}

func code(err error) int {
	var refused *transport.Error
	if errors.As(err, &refused) {
		return refused.StatusCode
	}
	return 0
}

func tag(t *testing.T, reference string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// get asks over a connection of its own: a client repeats a request whose reused connection breaks.
func get(t *testing.T, url string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(url)
	if err != nil {
		return "broken"
	}
	raw, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil {
		return "broken"
	}
	return answer.Status[:3] + " " + string(raw)
}

func transportFor(t *testing.T, s *servers.Server) *http.Transport {
	t.Helper()
	client := s.Transport()
	t.Cleanup(client.CloseIdleConnections)
	return client
}
