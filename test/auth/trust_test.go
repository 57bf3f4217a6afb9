package auth

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

var update = flag.Bool("update", false, "write golden files anew")

// sentToken is an OIDC token of a job that can be refused.
type sentToken struct {
	name        string
	subject     string
	claims      map[string]any // beside the usual ones
	env         []string
	pullRequest bool // no rule shall be shown
}

var sentClaims = []sentToken{
	{
		name: "a branch", subject: "repo:acme/app:ref:refs/heads/main",
		env: []string{"GITHUB_REPOSITORY=acme/app", "GITHUB_REPOSITORY_ID=456789", "GITHUB_REPOSITORY_OWNER_ID=123456"},
	},
	{name: "a branch, with ids", subject: "repo:acme@123456/app@456789:ref:refs/heads/main"},
	{
		name: "an environment, for a pull request", subject: `repo:acme@123456/app@456789:environment:it's "live"`,
		claims: map[string]any{"environment": `it's "live"`, "ref": "refs/pull/7/merge"},
	},
	{name: "a subject of its own", subject: "repository_id:456789"},
	{
		name: "a pull request", subject: "repo:acme/app:pull_request",
		claims: map[string]any{"ref": "refs/pull/7/merge"}, pullRequest: true,
	},
	{
		name: "a pull request, with a subject of its own", subject: "repository_id:456789",
		claims: map[string]any{"ref": "refs/pull/7/merge"}, pullRequest: true,
	},
}

// A provider's refusal shows what was sent and the rule to paste there, and nothing else of
// the token.
func TestTrustExplained(t *testing.T) {
	for _, p := range providers() {
		t.Run(p.name, func(t *testing.T) {
			var all strings.Builder
			for _, sent := range sentClaims {
				text, oidc := refusedTrust(t, p, sent)
				if !oidc {
					t.Skip("needs no OIDC token")
				}
				fmt.Fprintf(&all, "== %s\n%s\n", sent.name, text)
			}
			golden(t, strings.ReplaceAll(strings.ToLower(p.name), " ", "-")+".txt", all.String())
		})
	}
}

// refusedTrust has a provider refuse a job that sends these claims, and returns what people
// read of it; oidc is false if the provider is not asked with an OIDC token.
func refusedTrust(t *testing.T, p provider, sent sentToken) (text string, oidc bool) {
	t.Helper()
	j := newJob(t)
	s := p.setUp(j)
	if s.code != usererror.OIDCRefused {
		return "", false
	}
	s.distrust()
	j.github.Subject, j.github.Claims = sent.subject, sent.claims
	j.set(sent.env...)
	c := j.choose(j.resolver(s.item), p.host, p.path)
	if c.Subject == nil || c.Subject() != "" {
		t.Error("a subject is known before a token is asked for")
	}
	_, err := c.Auth.Authorization()
	var refused *credentials.TrustRefused
	if !errors.As(err, &refused) || !usererror.Is(err, usererror.OIDCRefused) {
		t.Fatalf("got %v", err)
	}
	if sent.pullRequest != (refused.Rule == "") || strings.Contains(refused.Rule, "*") {
		t.Errorf("the rule for %s is %q", sent.subject, refused.Rule)
	}
	if c.Subject() != sent.subject {
		t.Errorf("the subject sent is said to be %q", c.Subject())
	}
	all := fmt.Sprintf("%s\n%s\n", usererror.Text(err), usererror.Advice(err))
	for _, token := range j.github.Issued() {
		hides(t, all, append(strings.Split(token, "."), s.secrets()...)...)
	}
	for _, other := range []string{"octocat", "4711", "jti"} {
		if strings.Contains(all, other) {
			t.Errorf("%s is shown, which trust is not decided by", other)
		}
	}
	return all, true
}

// A rule is made of the claims; a provider that cannot be asked refused nothing.
func TestNoTrustToExplain(t *testing.T) {
	each(t, func(t *testing.T, j *job, p provider, s setUp) {
		if s.code != usererror.OIDCRefused {
			t.Skip("needs no OIDC token")
		}
		j.net.Unplug(p.hosts[0])
		_, err := j.choose(j.resolver(s.item), p.host, p.path).Auth.Authorization()
		var refused *credentials.TrustRefused
		if err == nil || errors.As(err, &refused) {
			t.Errorf("got %v", err)
		}
	})
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "trust", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs:\n%s\nwant:\n%s", path, got, want)
	}
}
