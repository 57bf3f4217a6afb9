package auth

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/test/standins"
)

// dockerLogin writes what `docker login` writes for a user of a registry, which is what
// docker/login-action runs: Docker Hub under the name of its first API, every password as
// base64 behind its user.
func dockerLogin(t *testing.T, dir, registry, user, password string) {
	t.Helper()
	file := filepath.Join(dir, "config.json")
	config := struct {
		Auths map[string]map[string]string `json:"auths"`
	}{map[string]map[string]string{}}
	if text, err := os.ReadFile(file); err == nil {
		if err := json.Unmarshal(text, &config); err != nil {
			t.Fatal(err)
		}
	}
	if registry == "docker.io" {
		registry = "https://index.docker.io/v1/"
	}
	config.Auths[registry] = map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(user + ":" + password))}
	text, err := json.MarshalIndent(config, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Steps of docker/login-action before ours: their logins count where DOCKER_CONFIG makes
// them visible, and anywhere else the reason says why they do not.
func TestLoginsOfEarlierSteps(t *testing.T) {
	n := standins.NewInternet(t)
	g := standins.NewGitHub(t, n)
	hub := standins.NewDockerHub(t, n, g)
	hub.Passwords["acme"] = "dckr_pat_right"
	quay := standins.NewStatic(t, n, "quay.io")
	quay.Allow("acme+publisher", "robot:with:colons", false)
	dir := t.TempDir()
	dockerLogin(t, dir, "docker.io", "acme", "dckr_pat_right")
	dockerLogin(t, dir, "quay.io", "acme+publisher", "robot:with:colons")
	for host, origin := range map[string]string{
		"docker.io": `$DOCKER_CONFIG/config.json (user "acme")`,
		"quay.io":   `$DOCKER_CONFIG/config.json (user "acme+publisher")`,
	} {
		tags := host + "/acme/app:1"
		o := run{tags: tags, env: []string{"HOME=/github/home", "DOCKER_CONFIG=" + dir}}.do(t, n, g)
		check(t, o, expect{status: "pushed", origin: origin}, host)
		hides(t, o.all, "dckr_pat_right", "robot:with:colons")

		// Without it nothing is seen. In a container action, which this process is not, the
		// reason says so: see below.
		o = run{tags: tags, env: []string{"HOME=/github/home"}}.do(t, n, g)
		check(t, o, expect{status: "skipped", message: "no credentials in registry-auth or Docker's configuration"}, host)
	}
}

// In a container action the reason names both ways to make a login count, unless one was taken.
func TestReasonNamesEarlierLogins(t *testing.T) {
	dir := t.TempDir()
	dockerLogin(t, dir, "docker.io", "acme", "dckr_pat_right")
	for _, set := range []string{"", dir} {
		r, warnings := credentials.NewResolver(credentials.Options{
			Job: credentials.Job{ServerURL: "https://github.com", InContainer: true},
			Getenv: func(name string) string {
				return map[string]string{"HOME": "/github/home", "DOCKER_CONFIG": set}[name]
			},
		})
		if len(warnings) > 0 {
			t.Error(warnings)
		}
		hidden := r.For(t.Context(), repository("quay.io", "acme/app")).Skip
		says := strings.Contains(hidden, "docker/login-action") && strings.Contains(hidden, "set DOCKER_CONFIG") && strings.Contains(hidden, "an item in registry-auth")
		if says != (set == "") {
			t.Errorf("with DOCKER_CONFIG=%q: %s", set, hidden)
		}
		if c := r.For(t.Context(), repository("docker.io", "acme/app")); (c.Skip == "") != (set != "") {
			t.Errorf("with DOCKER_CONFIG=%q: %q from %q", set, c.Skip, c.Origin)
		}
	}
}

// On Gitea and Forgejo the job's token goes to the server's own host, and nowhere else.
func TestForges(t *testing.T) {
	n := standins.NewInternet(t)
	g := standins.NewGitHub(t, n)
	for _, host := range []string{"codeberg.org", "ghcr.io", "containers.codeberg.org", "github.com"} {
		standins.NewStatic(t, n, host).Allow("octocat", jobToken, false)
	}
	forge := []string{"GITEA_ACTIONS=true", "FORGEJO_ACTIONS=true", "GITHUB_SERVER_URL=https://codeberg.org"}
	o := run{tags: "codeberg.org/acme/app:1", token: jobToken, env: forge}.do(t, n, g)
	check(t, o, expect{status: "pushed", origin: "github-token"}, "codeberg.org")
	hides(t, o.all, strings.Split(jobToken, ".")[1:]...)
	for _, host := range []string{"ghcr.io", "containers.codeberg.org", "github.com"} {
		before := len(n.Asked())
		o := run{tags: host + "/acme/app:1", token: jobToken, env: forge}.do(t, n, g)
		check(t, o, expect{status: "skipped", message: "no credentials"}, host)
		if len(n.Asked()) != before {
			t.Errorf("asked %v", n.Asked()[before:])
		}
	}
	// GitHub's own host is no registry, and on GitHub nothing changes.
	check(t, run{tags: "github.com/acme/app:1", token: jobToken}.do(t, n, g), expect{status: "skipped", message: "no credentials"}, "github.com")
	check(t, run{tags: "ghcr.io/acme/app:1", token: jobToken}.do(t, n, g), expect{status: "pushed", origin: "github-token"}, "ghcr.io")
}
