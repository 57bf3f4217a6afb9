package credentials

import (
	"context"
	"encoding/base64"
	"io/fs"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
)

// Line ends behind a secret are dropped, however the secret is handed over.
func TestLineEndsBehindSecrets(t *testing.T) {
	helper := func(_ context.Context, _, server string) (string, redact.Text, error) {
		if server != "helped.example" {
			return "", redact.Text{}, errNoCredentials
		}
		return "u", redact.New("pw12\n"), nil
	}
	for _, end := range []string{"\n", "\r\n", "\n\n"} {
		encoded := base64.StdEncoding.EncodeToString([]byte("u:pw12" + end))
		fromEnv := Item{Line: 2, Registry: "env.example", Username: set("u"), PasswordEnv: set("QUAY_TOKEN")}
		redactor := redact.NewRedactor(nil)
		r, warnings := NewResolver(Options{
			Items:       []Item{login(1, "yaml.example", "", "u", "pw12"+end), fromEnv, login(3, "key.example", "", "_json_key", "{\n}"+end)},
			GitHubToken: redact.New("pw12" + end), Job: Job{ServerURL: github, Actor: "u"}, Redactor: redactor, Helper: helper,
			Getenv:   env("QUAY_TOKEN", "pw12"+end, "DOCKER_AUTH_CONFIG", `{"auths": {"auth.example": {"auth": "`+encoded+`"}}, "credsStore": "x"}`),
			ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist },
		})
		if len(warnings) > 0 {
			t.Error(warnings)
		}
		for _, host := range []string{"yaml.example", "env.example", "ghcr.io", "auth.example", "helped.example"} {
			c := r.For(t.Context(), repo(host, "acme/app"))
			if user, password := credential(t, c); user != "u" || password != "pw12" {
				t.Errorf("%s: %q, %q (%s)", host, user, password, c.Skip)
			}
		}
		if c := r.For(t.Context(), repo("ghcr.io", "acme/app")); !c.JobToken {
			t.Error("the job's token is not known with a line end behind it")
		}
		// What is between the lines stays.
		if _, password := credential(t, r.For(t.Context(), repo("key.example", "a/b"))); password != "{\n}" {
			t.Errorf("the key file became %q", password)
		}
		if got := redactor.Redact("pw12 " + encoded); got != "*** ***" {
			t.Errorf("redacted to %q", got)
		}
	}
}

func TestPasswordEnv(t *testing.T) {
	named := func(name string) []Item {
		return []Item{{Line: 1, Registry: "quay.io", Username: set("u"), PasswordEnv: set(name)}}
	}
	for _, tt := range []struct{ name, variable, skip string }{
		{"QUAY_TOKEN", "pw12", ""},
		{"QUAY_TOKEN", "", "the variable QUAY_TOKEN, which password-env in registry-auth names, is unset or empty (item in line 1)"},
		{"QUAY_TOKEN", "\n", "the variable QUAY_TOKEN, which password-env in registry-auth names, is unset or empty (item in line 1)"},
		{"", "pw12", "password-env in registry-auth is empty (item in line 1)"},
	} {
		redactor := redact.NewRedactor(nil)
		r, _ := NewResolver(Options{Items: named(tt.name), Getenv: env("QUAY_TOKEN", tt.variable), Redactor: redactor})
		c := r.For(t.Context(), repo("quay.io", "acme/app"))
		if c.Skip != tt.skip {
			t.Errorf("skip %q, want %q", c.Skip, tt.skip)
		}
		if _, password := credential(t, c); tt.skip == "" && (password != "pw12" || redactor.Redact("pw12") == "pw12") {
			t.Errorf("sent %q", password)
		}
	}
}
