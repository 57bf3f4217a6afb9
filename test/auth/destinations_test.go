package auth

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
	"github.com/multi-registry-push/multi-registry-push/test/standins"
)

// Hosts that only look like a provider's get none of its credentials.
func TestLookAlikesGetNothing(t *testing.T) {
	n := standins.NewInternet(t)
	g := standins.NewGitHub(t, n)
	for _, host := range []string{
		ecrHost + ".evil.example", "evil-" + ecrHost, "public.ecr.aws.evil.example", "ghcr.io.evil.example",
		"containers.github.com", "evilghcr.io", "acme.azurecr.io.evil.example",
	} {
		r := run{
			tags: host + "/acme/app:1", token: "ghs_right", oidc: true,
			env: []string{"AWS_ACCESS_KEY_ID=AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY=aws-secret", "AWS_REGION=eu-west-1"},
		}
		check(t, r.do(t, n, g), expect{"skipped", "no credentials in registry-auth or Docker's configuration", "", ""}, host)
	}
	for host, keys := range map[string][]string{
		"acme.azurecr.io.evil.example": {"azure-client: c", "azure-tenant: t"},
		"evilazurecr.io":               {"azure-client: c", "azure-tenant: t"},
		"pkg.dev.evil.example":         {"gcp-provider: projects/1"},
		"docker.io.evil.example":       {"username: acme", "dockerhub-connection: c"},
		ecrHost + ".evil.example":      {"aws-role: arn:aws:iam::123456789012:role/publisher"},
	} {
		r := run{tags: host + "/acme/app:1", items: items(append([]string{"registry: " + host}, keys...)...), oidc: true}
		check(t, r.do(t, n, g), expect{"", "only, not for " + host, usererror.InvalidAuth, ""}, host)
	}
	if len(n.Asked()) > 0 || len(n.Strangers()) > 0 {
		t.Errorf("asked %v, %v", n.Asked(), n.Strangers())
	}
}

// The token of another GitHub server is for that server's registry.
func TestTokenOfAnotherGitHubServer(t *testing.T) {
	n := standins.NewInternet(t)
	g := standins.NewGitHub(t, n)
	own := standins.NewStatic(t, n, "containers.github.example.com")
	own.Allow("octocat", "ghs_right", false)
	standins.NewStatic(t, n, "ghcr.io").Allow("octocat", "ghs_right", false)
	server := []string{"GITHUB_SERVER_URL=https://github.example.com"}
	r := run{tags: own.Host + "/acme/app:1", token: "ghs_right", env: server}
	check(t, r.do(t, n, g), expect{"pushed", "", "", "github-token"}, own.Host)
	r.tags = "ghcr.io/acme/app:1"
	check(t, r.do(t, n, g), expect{"skipped", "github-token is for the registry of https://github.example.com only", "", ""}, "ghcr.io")
	if slices.ContainsFunc(n.Asked(), func(s string) bool { return strings.Contains(s, " ghcr.io/") }) {
		t.Error("ghcr.io was asked")
	}
}

func TestUpperCaseOwner(t *testing.T) {
	n := standins.NewInternet(t)
	g := standins.NewGitHub(t, n)
	r := run{tags: "ghcr.io/Acme-Corp/App:1.0", token: "ghs_right"}
	o := r.do(t, n, g)
	check(t, o, expect{"", "acme-corp/app", usererror.InvalidTag, ""}, "ghcr.io")
	if len(n.Asked()) > 0 {
		t.Errorf("asked %v", n.Asked())
	}
}

// Several accounts on one host: each repository is sent its own, and the others nothing.
func TestSeveralAccountsOnOneHost(t *testing.T) {
	n := standins.NewInternet(t)
	g := standins.NewGitHub(t, n)
	quay := standins.NewStatic(t, n, "quay.io")
	quay.Allow("acme+ci", "token-of-acme", false)
	quay.Allow("other+ci", "token-of-other", false)
	r := run{
		tags:  "quay.io/acme/app:1,quay.io/other/app:1,quay.io/third/app:1",
		items: items("registry: quay.io/acme", "username: acme+ci", "password: token-of-acme") + items("registry: quay.io", "scope: other@push", "username: other+ci", "password: token-of-other"),
	}
	o := r.do(t, n, g)
	check(t, o, expect{"pushed", `(user "other+ci")`, "", `(user "acme+ci")`}, "quay.io")
	if got := o.registry(t).Images; !slices.Equal(got, []string{"quay.io/acme/app:1", "quay.io/other/app:1"}) {
		t.Errorf("images: %v", got)
	}
	hides(t, o.all, "token-of-acme", "token-of-other")
}

// All kinds of logins in one run.
func TestAllAtOnce(t *testing.T) {
	n := standins.NewInternet(t)
	g := standins.NewGitHub(t, n)
	r := run{oidc: true}
	var hosts []string
	var secrets []func() []string
	for _, w := range ways(t, n, g) {
		one := w.run(right)
		if slices.Contains(hosts, w.host) || strings.Contains(w.name, "only read") {
			continue
		}
		hosts = append(hosts, w.host)
		if w.add != nil {
			w.add("acme/all")
		}
		r.tags += w.host + "/acme/all:1\n" + w.host + "/acme/all:latest\n"
		r.items += one.items
		r.env = append(r.env, one.env...)
		r.token += one.token
		secrets = append(secrets, w.secrets)
	}
	o := r.do(t, n, g)
	if o.status != 0 || len(o.results.Registries) != len(hosts) {
		t.Fatalf("exit status %d:\n%s", o.status, o.log)
	}
	for _, got := range o.results.Registries {
		if got.Status != "pushed" || len(got.Images) != 2 {
			t.Errorf("%s: %s %s", got.Registry, got.Status, got.Reason)
		}
	}
	hides(t, o.all, g.Issued()...)
	for _, s := range secrets {
		hides(t, o.all, s()...)
	}
}

// What Docker Hub says of pulls is shown, with a warning when little is left.
func TestPullLimits(t *testing.T) {
	n := standins.NewInternet(t)
	g := standins.NewGitHub(t, n)
	hub := standins.NewDockerHub(t, n, g)
	hub.Passwords["acme"] = "dckr_pat_right"
	standins.NewStatic(t, n, "quay.io").Allow("acme", "right-password", false)
	account := items("username: acme", "password: dckr_pat_right")
	check(t, run{tags: "docker.io/acme/base:1", items: account}.do(t, n, g), expect{status: "pushed"}, "docker.io")

	for left, little := range map[int]bool{87: false, 3: true} {
		hub.Pulls = left
		r := run{
			tags:  fmt.Sprintf("quay.io/acme/app%d:1", left),
			items: account + items("registry: quay.io", "username: acme", "password: right-password"),
			env:   []string{"INPUT_SOURCE=docker://acme/base:1"},
		}
		o := r.do(t, n, g)
		check(t, o, expect{"pushed", fmt.Sprintf("%d of 100 pulls left in 6 hours", left), "", ""}, "quay.io")
		if warned := strings.Contains(o.log, "::warning title=docker.io"); warned != little {
			t.Errorf("%d pulls left: warned is %v:\n%s", left, warned, o.log)
		}
	}
}

// A credential store that is not in the container is a warning, and the next credential
// applies.
func TestCredentialStoreThatIsNotThere(t *testing.T) {
	n := standins.NewInternet(t)
	g := standins.NewGitHub(t, n)
	standins.NewStatic(t, n, "ghcr.io").Allow("octocat", "ghs_right", false)
	folder := t.TempDir()
	if err := os.WriteFile(folder+"/config.json", []byte(`{"auths":{"ghcr.io":{}},"credsStore":"nowhere"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	r := run{tags: "ghcr.io/acme/app:1", token: "ghs_right", env: []string{"DOCKER_CONFIG=" + folder}}
	o := r.do(t, n, g)
	check(t, o, expect{"pushed", "docker-credential-nowhere, which $DOCKER_CONFIG/config.json names for ghcr.io, could not be started", "", "github-token"}, "ghcr.io")
	if !strings.Contains(o.log, "::warning title=ghcr.io") {
		t.Errorf("no warning:\n%s", o.log)
	}
}
