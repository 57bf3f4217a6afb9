package credentials

import (
	"context"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
)

func basicAuth(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

// files is a file system of Docker configurations.
type files map[string]string

func (f files) read(name string) ([]byte, error) {
	if text, ok := f[name]; ok {
		return []byte(text), nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func entry(host, user, password string) string {
	return `{"auths":{"` + host + `":{"auth":"` + basicAuth(user, password) + `"}}}`
}

func TestDockerConfigOrder(t *testing.T) {
	all := files{
		"/auth.json":                  entry("quay.io", "registry-auth-file", "p2"),
		"/dc/config.json":             entry("quay.io", "docker-config", "p3"),
		"/home/x/.docker/config.json": entry("quay.io", "home", "p4"),
	}
	full := []string{
		"DOCKER_AUTH_CONFIG", entry("quay.io", "docker-auth-config", "p1"), "REGISTRY_AUTH_FILE", "/auth.json",
		"DOCKER_CONFIG", "/dc", "HOME", "/home/x", "AWS_ACCESS_KEY_ID", "a", "AWS_SECRET_ACCESS_KEY", "bbbb",
	}
	origins := []string{"DOCKER_AUTH_CONFIG", "REGISTRY_AUTH_FILE", "$DOCKER_CONFIG/config.json", "$HOME/.docker/config.json"}
	users := []string{"docker-auth-config", "registry-auth-file", "docker-config", "home"}
	for drop := range 5 {
		r, warnings := NewResolver(Options{Getenv: env(full[2*drop:]...), ReadFile: all.read})
		if len(warnings) > 0 {
			t.Errorf("warnings: %v", warnings)
		}
		c := r.For(t.Context(), repo("quay.io", "a/b"))
		if drop == 4 {
			if c.Skip == "" {
				t.Errorf("a credential out of nothing: %+v", c)
			}
			continue
		}
		user, password := credential(t, c)
		if want := origins[drop] + ` (user "` + users[drop] + `")`; c.Origin != want || user != users[drop] || !strings.HasPrefix(password, "p") {
			t.Errorf("origin %q (user %q), want %q", c.Origin, user, want)
		}
	}

	// Before what a host offers comes Docker's configuration.
	r, _ := NewResolver(Options{
		Getenv:      env("DOCKER_AUTH_CONFIG", `{"auths":{"ghcr.io":{"auth":"`+basicAuth("u", "p")+`"},"`+ecrPrivate+`":{"auth":"`+basicAuth("AWS", "p")+`"}}}`, "AWS_ACCESS_KEY_ID", "a", "AWS_SECRET_ACCESS_KEY", "bbbb"),
		GitHubToken: redact.New("ghs_x"), Job: Job{ServerURL: github},
	})
	for _, host := range []string{"ghcr.io", ecrPrivate} {
		if c := r.For(t.Context(), repo(host, "a/b")); !strings.HasPrefix(c.Origin, "DOCKER_AUTH_CONFIG") {
			t.Errorf("%s: %q", host, c.Origin)
		}
	}
}

func TestDockerConfigEntries(t *testing.T) {
	auth := func(user string) string { return `{"auth":"` + basicAuth(user, "pw-"+user) + `"}` }
	tests := []struct {
		name   string
		config string
		host   string
		path   string
		want   authn.AuthConfig // zero: skipped
	}{
		{"host", `{"auths":{"quay.io":` + auth("a") + `}}`, "quay.io", "x/y", authn.AuthConfig{Username: "a", Password: "pw-a"}},
		{"address", `{"auths":{"https://quay.io/v2/":` + auth("a") + `}}`, "quay.io", "x/y", authn.AuthConfig{Username: "a", Password: "pw-a"}},
		{"plain address", `{"auths":{"http://localhost:5000":` + auth("a") + `}}`, "localhost:5000", "x", authn.AuthConfig{Username: "a", Password: "pw-a"}},
		{"Docker Hub as Docker writes it", `{"auths":{"https://index.docker.io/v1/":` + auth("a") + `}}`, "docker.io", "x/y", authn.AuthConfig{Username: "a", Password: "pw-a"}},
		{"Docker Hub as Podman writes it", `{"auths":{"docker.io":` + auth("a") + `}}`, "docker.io", "x/y", authn.AuthConfig{Username: "a", Password: "pw-a"}},
		{"exact spelling first", `{"auths":{"https://quay.io":` + auth("b") + `,"quay.io":` + auth("a") + `}}`, "quay.io", "x/y", authn.AuthConfig{Username: "a", Password: "pw-a"}},
		{"per repository", `{"auths":{"quay.io":` + auth("host") + `,"quay.io/org":` + auth("org") + `,"quay.io/org/app":` + auth("app") + `}}`, "quay.io", "org/app", authn.AuthConfig{Username: "app", Password: "pw-app"}},
		{"per namespace", `{"auths":{"quay.io":` + auth("host") + `,"quay.io/org":` + auth("org") + `,"quay.io/org/app":` + auth("app") + `}}`, "quay.io", "org/application", authn.AuthConfig{Username: "org", Password: "pw-org"}},
		{"other namespace", `{"auths":{"quay.io/org":` + auth("org") + `}}`, "quay.io", "organic/app", authn.AuthConfig{}},
		{"repository of Docker Hub", `{"auths":{"docker.io/acme":` + auth("acme") + `}}`, "docker.io", "acme/app", authn.AuthConfig{Username: "acme", Password: "pw-acme"}},
		{"identity token", `{"auths":{"a.azurecr.io":{"auth":"` + basicAuth(acrUser, "") + `","identitytoken":"refresh-me"}}}`, "a.azurecr.io", "x", authn.AuthConfig{Username: acrUser, IdentityToken: "refresh-me"}},
		{"registry token", `{"auths":{"quay.io":{"registrytoken":"bear-me"}}}`, "quay.io", "x", authn.AuthConfig{RegistryToken: "bear-me"}},
		{"user and password apart", `{"auths":{"quay.io":{"username":"u","password":"pw12"}}}`, "quay.io", "x", authn.AuthConfig{Username: "u", Password: "pw12"}},
		{"placeholder", `{"auths":{"quay.io":{}}}`, "quay.io", "x", authn.AuthConfig{}},
		{"user without password", `{"auths":{"quay.io":{"auth":"` + basicAuth("u", "") + `"}}}`, "quay.io", "x", authn.AuthConfig{}},
		{"no config", ``, "quay.io", "x", authn.AuthConfig{}},
		{"null", `null`, "quay.io", "x", authn.AuthConfig{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			redactor := redact.NewRedactor(nil)
			r, warnings := NewResolver(Options{Redactor: redactor, Getenv: env("DOCKER_AUTH_CONFIG", tt.config)})
			c := r.For(t.Context(), repo(tt.host, tt.path))
			if len(warnings)+len(c.Warnings) > 0 {
				t.Errorf("warnings: %v %v", warnings, c.Warnings)
			}
			if got, err := c.Auth.Authorization(); err != nil || *got != tt.want {
				t.Errorf("got %+v, %v; want %+v", *got, err, tt.want)
			}
			if (c.Skip != "") != (tt.want == authn.AuthConfig{}) {
				t.Errorf("skip: %q", c.Skip)
			}
			for _, s := range []string{tt.want.Password, tt.want.IdentityToken, tt.want.RegistryToken} {
				if s != "" && redactor.Redact(s) != "***" {
					t.Errorf("the redactor does not know %q", s)
				}
			}
		})
	}
}

func TestDockerConfigThatCannotBeRead(t *testing.T) {
	r, warnings := NewResolver(Options{
		Getenv: env("DOCKER_AUTH_CONFIG", `{"auths":{"quay.io":{"auth":"c2VjcmV0LWhhbGY"`, "REGISTRY_AUTH_FILE", "/gone.json", "DOCKER_CONFIG", "/dc", "HOME", "/home/x"),
		ReadFile: func(name string) ([]byte, error) {
			if name == "/home/x/.docker/config.json" {
				return []byte(`{"auths":{"quay.io":{"auth":"!!!"},"gcr.io":{"auth":"` + basicAuth("u", "pw12") + `"}}}`), nil
			}
			return files{}.read(name)
		},
	})
	text := ""
	for _, w := range warnings {
		text += w.String() + "\n"
	}
	if len(warnings) != 2 || !strings.Contains(text, "DOCKER_AUTH_CONFIG: it is not Docker's configuration") || !strings.Contains(text, "REGISTRY_AUTH_FILE: file does not exist (/gone.json)") {
		t.Errorf("warnings:\n%s", text)
	}
	if strings.Contains(text, "c2VjcmV0") {
		t.Errorf("a warning quotes the secret:\n%s", text)
	}
	c := r.For(t.Context(), repo("quay.io", "x"))
	if c.Skip == "" || len(c.Warnings) != 1 || strings.Contains(c.Warnings[0], "!!!") {
		t.Errorf("%+v", c)
	}
	if c := r.For(t.Context(), repo("gcr.io", "x")); c.Skip != "" || len(c.Warnings) > 0 {
		t.Errorf("one broken entry took the others with it: %+v", c)
	}
}

func TestDockerConfigPathsAreMapped(t *testing.T) {
	f := files{"/github/runner_temp/docker/config.json": entry("quay.io", "u", "pw12")}
	r, _ := NewResolver(Options{
		Getenv: env("DOCKER_CONFIG", "/home/runner/_temp/docker"), ReadFile: f.read,
		MapPath: func(p string) string {
			return strings.Replace(p, "/home/runner/_temp", "/github/runner_temp", 1)
		},
	})
	if c := r.For(t.Context(), repo("quay.io", "x")); c.Skip != "" {
		t.Errorf("skipped: %s", c.Skip)
	}
}

func TestCredentialHelpers(t *testing.T) {
	asked := 0
	helper := func(_ context.Context, name, server string) (string, redact.Text, error) {
		asked++
		switch name + " " + server {
		case "hub https://index.docker.io/v1/":
			return "hubber", redact.New("from-helper"), nil
		case "store quay.io":
			return "<token>", redact.New("identity"), nil
		case "store gcr.io":
			return "", redact.Text{}, errNoCredentials
		}
		return "", redact.Text{}, errors.New("could not be started")
	}
	r, _ := NewResolver(Options{Helper: helper, Getenv: env("DOCKER_AUTH_CONFIG", `{
		"credHelpers": {"docker.io": "hub", "broken.example": "gone"}, "credsStore": "store",
		"auths": {"gcr.io": {"auth": "`+basicAuth("file", "pw12")+`"}, "broken.example": {"auth": "`+basicAuth("file", "pw12")+`"}, "docker.io": {"auth": "`+basicAuth("file", "pw12")+`"}}}`)})

	c := r.For(t.Context(), repo("docker.io", "a/b"))
	if user, password := credential(t, c); user != "hubber" || password != "from-helper" || c.Origin != `docker-credential-hub from DOCKER_AUTH_CONFIG (user "hubber")` {
		t.Errorf("%q %q, %q", user, password, c.Origin)
	}
	c = r.For(t.Context(), repo("quay.io", "a/b"))
	if got, _ := c.Auth.Authorization(); got.IdentityToken != "identity" || got.Username != "" {
		t.Errorf("%+v", got)
	}
	c = r.For(t.Context(), repo("gcr.io", "a/b"))
	if user, _ := credential(t, c); user != "file" || len(c.Warnings) > 0 {
		t.Errorf("a store that knows nothing: user %q, warnings %v", user, c.Warnings)
	}
	c = r.For(t.Context(), repo("broken.example", "a/b"))
	want := "docker-credential-gone, which DOCKER_AUTH_CONFIG names for broken.example, could not be started; the next credential applies"
	if user, _ := credential(t, c); user != "file" || len(c.Warnings) != 1 || c.Warnings[0] != want {
		t.Errorf("a helper that is not there: user %q, warnings %q", user, c.Warnings)
	}
	before := asked
	r.For(t.Context(), repo("broken.example", "a/c"))
	if asked != before {
		t.Error("a helper was asked twice about one server")
	}
}

func TestHelpersEndWithTheRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var ended error
	r, _ := NewResolver(Options{
		Getenv: env("DOCKER_AUTH_CONFIG", `{"credsStore": "store"}`),
		Helper: func(ctx context.Context, _, _ string) (string, redact.Text, error) {
			cancel()
			<-ctx.Done()
			ended = ctx.Err()
			return "", redact.Text{}, ended
		},
	})
	r.For(ctx, repo("quay.io", "a/b"))
	if !errors.Is(ended, context.Canceled) {
		t.Errorf("the helper was ended by: %v", ended)
	}
}

func TestExecHelper(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	script := func(name, body string) {
		if err := os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte("#!/bin/sh\n"+body), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	script("good", `read server; echo "{\"ServerURL\":\"$server\",\"Username\":\"$1-$server\",\"Secret\":\"s3cret\"}"`)
	script("empty", `echo "credentials not found in native keychain"; exit 1`)
	script("bad", `echo "half-a-secret"; exit 3`)
	script("odd", `echo "not json"`)
	user, password, err := execHelper(t.Context(), "good", "quay.io")
	if err != nil || user != "get-quay.io" || password.Reveal() != "s3cret" {
		t.Errorf("%q, %v", user, err)
	}
	for name, want := range map[string]string{
		"empty": errNoCredentials.Error(), "bad": "failed (exit status 3)", "odd": "answered something that is not JSON",
		"gone": "could not be started", "../docker-credential-good": "is not the name of a helper", "": "is not the name of a helper",
	} {
		if _, _, err := execHelper(t.Context(), name, "quay.io"); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

func FuzzDockerConfig(f *testing.F) {
	f.Add(`{"auths":{"quay.io/a/b":{"auth":"dTpw"}},"credHelpers":{"x":"y"}}`, "quay.io", "a/b")
	f.Add(`{"auths":{"":null,"/":{},"https://":{}}}`, "", "")
	f.Fuzz(func(t *testing.T, config, host, path string) {
		r, _ := NewResolver(Options{
			Getenv: env("DOCKER_AUTH_CONFIG", config),
			Helper: func(context.Context, string, string) (string, redact.Text, error) {
				return "", redact.Text{}, errNoCredentials
			},
		})
		r.For(t.Context(), repo(host, path))
	})
}
