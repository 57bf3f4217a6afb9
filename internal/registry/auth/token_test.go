package auth

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

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
	f.Fuzz(func(t *testing.T, header string) {
		ch, _ := choose([]string{header})
		if ch.scheme != "basic" && (ch.scheme != "bearer" || ch.realm == "") {
			t.Errorf("%+v", ch)
		}
	})
}

// Bearer where it is offered, else Basic, in any order and number of headers.
func TestChallenges(t *testing.T) {
	bearer := challenge{scheme: "bearer", realm: "https://auth.example/token", service: "a, b", scope: "repository:a/b:pull,push"}
	const text = `Bearer realm="https://auth.example/token",service="a, b",scope="repository:a/b:pull,push"`
	for _, test := range []struct {
		values  []string
		want    challenge
		offered bool
	}{
		{nil, challenge{scheme: "basic"}, false},
		{[]string{"Negotiate"}, challenge{scheme: "basic"}, false},
		{[]string{"Bearer"}, challenge{scheme: "basic"}, false},
		{[]string{`Negotiate, Basic realm="x"`}, challenge{scheme: "basic"}, true},
		{[]string{"Negotiate YII=, NTLM", `Basic realm="a \"quoted, \" one"`}, challenge{scheme: "basic"}, true},
		{[]string{text}, bearer, true},
		{[]string{`Basic realm="x", ` + text}, bearer, true},
		{[]string{text + `, Basic realm="x"`, "Negotiate"}, bearer, true},
		{[]string{"Negotiate", "NTLM", strings.Replace(text, "Bearer", "bEARER", 1)}, bearer, true},
		{[]string{"Bearer realm=https://auth.example/token , service=\"a, b\",scope = \"repository:a/b:pull,push\""}, bearer, true},
	} {
		got, offered := choose(test.values)
		if got != test.want || offered != test.offered {
			t.Errorf("%q: %+v, %v", test.values, got, offered)
		}
	}
}

func TestLifetime(t *testing.T) {
	for raw, want := range map[string]time.Duration{
		"300": 5 * time.Minute, `"300"`: 5 * time.Minute, "1.5": 1500 * time.Millisecond, `"59.5"`: 59500 * time.Millisecond,
		"": 0, "null": 0, `"soon"`: 0, "-1": 0, "{}": 0, "NaN": 0, "1e30": (1 << 31) * time.Second,
	} {
		if got := lifetime(json.RawMessage(raw)); got != want {
			t.Errorf("%s: %v, want %v", raw, got, want)
		}
	}
}
