package credentials

import (
	"errors"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// An error of a login names the user and where its credential stands, several on one host
// apart, and never the secret.
func TestRefusedNamesTheAccount(t *testing.T) {
	quay := Item{Line: 9, Registry: "quay.io", Path: "robots", QuayRobot: set("acme+publisher")}
	named := Item{Line: 11, Registry: "quay.io", Path: "env", Username: set("eve"), PasswordEnv: set("TOKEN")}
	r, _ := NewResolver(Options{
		Items:       []Item{login(1, "quay.io", "", "alice", "pw-alice"), login(5, "quay.io", "org", "bob", "pw-bob"), quay, named},
		GitHubToken: redact.New("ghs_x"), Job: jobOf(env("GITHUB_SERVER_URL", github, "GITHUB_ACTOR", "octocat", "ACTIONS_ID_TOKEN_REQUEST_URL", "x")),
		Getenv: env("TOKEN", "pw-eve", "DOCKER_AUTH_CONFIG", `{"auths":{"docker.example":{"auth":"`+basicAuth("carol", "pw-carol")+`"}}}`),
	})
	cause := errors.New("401")
	answer := usererror.New(usererror.WrongCredentials, "quay.io", "quay.io/a: logging in", "", cause)
	bareAnswer := usererror.New(usererror.WrongCredentials, "quay.io", "quay.io/a: logging in", "", bareRefusal{cause})
	for _, tt := range []struct {
		host, path string
		err        error
		want       string
	}{
		{"quay.io", "a/b", bareAnswer, `user "alice" of registry-auth, line 1, was refused: wrong password or expired token [wrong-credentials]`},
		{"quay.io", "robots/b", bareAnswer, `OIDC, Quay robot account acme+publisher of registry-auth, line 9, was refused: quay.io/a: logging in: 401`},
		{"quay.io", "a/b", answer, `user "alice" of registry-auth, line 1, was refused: wrong password or expired token: 401 [wrong-credentials]`},
		{"quay.io", "org/b", answer, `user "bob" of registry-auth, line 5, was refused: wrong password or expired token: `},
		{"quay.io", "env/b", answer, `user "eve" of registry-auth, line 11, was refused: wrong password or expired token: `},
		{"ghcr.io", "a/b", answer, `user "octocat" of github-token was refused: wrong password or expired token: `},
		{"docker.example", "a/b", answer, `user "carol" of DOCKER_AUTH_CONFIG was refused: wrong password or expired token: `},
		{"quay.io", "robots/b", answer, `OIDC, Quay robot account acme+publisher of registry-auth, line 9, was refused: `},
		{"quay.io", "robots/b", usererror.New(usererror.OIDCRefused, "", "exchanging", "rule", nil), `OIDC, Quay robot account acme+publisher of registry-auth, line 9, was refused: exchanging [oidc-refused]`},
		{"quay.io", "org/b", usererror.New(usererror.NoPushPermission, "", "opening an upload", "", nil), `user "bob" of registry-auth, line 5, may not push: opening an upload [no-push-permission]`},
		{"quay.io", "org/b", usererror.New(usererror.Unreachable, "", "logging in", "", nil), `logging in [registry-unreachable]`},
		{"elsewhere.example", "a/b", answer, `quay.io/a: logging in: 401 [wrong-credentials]`},
	} {
		err := r.For(t.Context(), repo(tt.host, tt.path)).Refused(tt.host, tt.err)
		if !strings.HasPrefix(usererror.Text(err), tt.want) || !errors.Is(err, tt.err) && !errors.Is(err, cause) || usererror.Advice(err) != usererror.Advice(tt.err) {
			t.Errorf("%s/%s: %v\nwant %s", tt.host, tt.path, err, tt.want)
		}
		if strings.Contains(err.Error(), "pw-") {
			t.Errorf("the secret is shown: %v", err)
		}
	}
	if err := r.For(t.Context(), repo("quay.io", "a/b")).Refused("quay.io", nil); err != nil {
		t.Errorf("no error became %v", err)
	}
}

// bareRefusal is a refusal in a registry's usual words.
type bareRefusal struct{ error }

func (bareRefusal) Bare() bool      { return true }
func (b bareRefusal) Unwrap() error { return b.error }
