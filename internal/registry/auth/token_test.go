package auth

import (
	"net/http"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/registry/transport"
)

// A 401 does not choose what a token is good for.
func TestScopesAreOurs(t *testing.T) {
	for asked, want := range map[string]string{
		"repository:a/b:pull,push":                        "repository:a/b:pull,push",
		"repository:secret/*:*":                           "",
		"registry:catalog:*":                              "",
		"repository:a/b:*":                                "",
		"repository:a/b:pull repository:secret/x:pull":    "repository:a/b:pull",
		"repository:a/b:delete,pull repository:a/bc:push": "repository:a/b:pull",
		"repository:a/b:pull,push,pull,push":              "",
		"":                                                "",
	} {
		tokens := New(transport.New(transport.Options{Host: "registry.example"}), nil).Repository("a/b")
		if got := strings.Join(tokens.wanted(asked, Access{Write: true}), " "); got != want {
			t.Errorf("%q: asks for %q, want %q", asked, got, want)
		}
	}
	tokens := New(transport.New(transport.Options{Host: "registry.example"}), nil).Repository("a/b")
	if got := strings.Join(tokens.wanted("repository:a/b:pull,push,delete", Access{}), " "); got != "repository:a/b:pull" {
		t.Errorf("reading asks for %q", got)
	}
}

func FuzzChallenge(f *testing.F) {
	for _, s := range []string{
		`Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"`,
		`Basic realm="x"`, `Negotiate`, `Bearer`, `bearer realm=`, `Bearer realm="a,b",,="`, "Basic realm=\"\xff\\\"", `Bearer realm="http://169.254.169.254/"`,
	} {
		f.Add(s)
	}
	h := New(transport.New(transport.Options{Host: "registry.example"}), nil)
	f.Fuzz(func(t *testing.T, header string) {
		resp := &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{"Www-Authenticate": {header}}, Body: http.NoBody}
		ch := h.challengeOf(resp)
		if ch != nil && ch.Scheme != "basic" && ch.Scheme != "bearer" {
			t.Errorf("scheme %q", ch.Scheme)
		}
	})
}
