package credentials

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

const (
	hiddenLogins = "logins of earlier steps in ~/.docker (docker/login-action) cannot be seen from a container action: " +
		"set DOCKER_CONFIG to a folder under the runner's temporary folder before those steps, or give the registry an item in registry-auth"
	ecrPrivate = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
	github     = "https://github.com"
)

func TestWhichCredentialApplies(t *testing.T) {
	awsEnv := []string{"AWS_ACCESS_KEY_ID", "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY", "aws-secret"}
	oidc := []string{"ACTIONS_ID_TOKEN_REQUEST_URL", "https://token.example/?a=b"}
	item := func(registry string, change func(*Item)) []Item {
		i := Item{Line: 1, Registry: registry, ECR: "auto"}
		change(&i)
		return []Item{i}
	}
	tests := []struct {
		name      string
		items     []Item
		env       []string
		github    string
		server    string
		untrusted bool
		host      string
		origin    string
		skip      string
	}{
		{name: "item", items: []Item{login(1, "quay.io", "", "acme", "pw12")}, host: "quay.io", origin: `password from registry-auth (user "acme")`},
		{name: "nothing", host: "quay.io", skip: "no credentials in registry-auth or Docker's configuration"},
		{name: "user is the secret", items: []Item{login(1, "registry.digitalocean.com", "", "dop_v1_secret", "dop_v1_secret")}, host: "registry.digitalocean.com", origin: `password from registry-auth (user "***")`},
		{name: "password empty", items: []Item{login(1, "quay.io", "", "acme", "")}, host: "quay.io", skip: "password in registry-auth is empty (item in line 1)"},
		{name: "user name empty", items: []Item{login(1, "quay.io", "", "", "pw12")}, host: "quay.io", skip: "username in registry-auth is empty (item in line 1)"},
		{name: "empty item does not fall through to github-token", items: []Item{login(1, "ghcr.io", "", "acme", "")}, github: "ghs_x", server: github, host: "ghcr.io", skip: "password in registry-auth is empty (item in line 1)"},
		{name: "empty item does not fall through to the environment", items: []Item{login(1, ecrPrivate, "", "", "")}, env: awsEnv, host: ecrPrivate, skip: "username in registry-auth is empty (item in line 1)"},
		{name: "options only fall through", items: item("ghcr.io", func(i *Item) { i.Insecure = true }), github: "ghs_x", server: github, host: "ghcr.io", origin: "github-token"},
		{name: "anonymous", items: item("ghcr.io", func(i *Item) { i.Anonymous = true }), github: "ghs_x", server: github, host: "ghcr.io", origin: "anonymous"},
		{name: "not configured", items: item("quay.io", func(i *Item) { i.Skip = "scope is empty" }), host: "quay.io", skip: "scope is empty"},
		{name: "partial", items: item("quay.io", func(i *Item) { i.Username = set("acme") }), host: "quay.io", skip: "its item in registry-auth is incomplete: username needs password beside it"},

		{name: "github-token", github: "ghs_x", server: github, host: "ghcr.io", origin: "github-token"},
		{name: "github-token empty", server: github, host: "ghcr.io", skip: "github-token is empty"},
		{name: "github-token is not for other hosts", github: "ghs_x", server: github, host: "quay.io", skip: "no credentials in registry-auth or Docker's configuration"},
		{name: "github-token of another server stays away from ghcr.io", github: "ghs_x", server: "https://github.example.com", host: "ghcr.io", skip: "no credentials; github-token is for the registry of https://github.example.com only"},
		{name: "github-token of another server", github: "ghs_x", server: "https://github.example.com", host: "containers.github.example.com", origin: "github-token"},
		{name: "github-token of no server", github: "ghs_x", host: "ghcr.io", skip: "no credentials; github-token goes there only where GITHUB_SERVER_URL is https://github.com"},
		{name: "github-token of Forgejo", github: "t", server: "https://codeberg.org", env: []string{"FORGEJO_ACTIONS", "true", "GITEA_ACTIONS", "true"}, host: "codeberg.org", origin: "github-token"},
		{name: "github-token of Gitea", github: "t", server: "http://gitea:3000", env: []string{"GITEA_ACTIONS", "true"}, host: "gitea:3000", origin: "github-token"},
		{name: "github-token of Gitea is not for containers.HOST", github: "t", server: "https://git.example.com", env: []string{"GITEA_ACTIONS", "true"}, host: "containers.git.example.com", skip: "no credentials in registry-auth or Docker's configuration"},
		{name: "github-token of Gitea stays away from ghcr.io", github: "t", server: "https://github.com", env: []string{"GITEA_ACTIONS", "true"}, host: "ghcr.io", skip: "no credentials; github-token is for the registry of https://github.com only"},
		{name: "github-token of GitHub is not for its own host", github: "ghs_x", server: "https://github.example.com", host: "github.example.com", skip: "no credentials in registry-auth or Docker's configuration"},
		{name: "in a container", env: []string{"HOME", "/github/home"}, host: "quay.io", skip: "no credentials in registry-auth or Docker's configuration; " + hiddenLogins},
		{name: "in a container with DOCKER_CONFIG", env: []string{"HOME", "/github/home", "DOCKER_CONFIG", "/github/runner_temp/docker"}, host: "quay.io", skip: "no credentials in registry-auth or Docker's configuration"},
		{name: "no server and no github-token", host: "ghcr.io", skip: "no credentials in registry-auth or Docker's configuration"},

		{name: "ECR with an access key", items: []Item{func() Item { i := login(1, ecrPrivate, "", "AKIAEXAMPLE", "aws-secret"); i.ECR = "auto"; return i }()}, host: ecrPrivate, origin: "AWS access key from registry-auth"},
		{name: "ECR with its own password", items: []Item{login(1, ecrPrivate, "", "AWS", "eyJwYXlsb2Fk")}, host: ecrPrivate, origin: `password from registry-auth (user "AWS")`},
		{name: "ECR turned off", items: []Item{func() Item { i := login(1, ecrPrivate, "", "u", "pw12"); i.ECR = "false"; return i }()}, host: ecrPrivate, origin: `password from registry-auth (user "u")`},
		{name: "ECR by the environment", env: awsEnv, host: ecrPrivate, origin: "AWS default chain"},
		{name: "ECR Public by the environment", env: awsEnv, host: "public.ecr.aws", origin: "AWS default chain"},
		{name: "ECR by the environment, options only", items: item(ecrPrivate, func(*Item) {}), env: awsEnv, host: ecrPrivate, origin: "AWS default chain"},
		{name: "ECR without anything", host: ecrPrivate, skip: "AWS credentials are unset"},
		{name: "ECR with half a key in the environment", env: awsEnv[:2], host: ecrPrivate, skip: "AWS credentials are unset"},
		{name: "ECR with ecr: true asks the whole chain", items: item(ecrPrivate, func(i *Item) { i.ECR = "true" }), host: ecrPrivate, origin: "AWS default chain"},
		{name: "no AWS credentials for hosts that look like ECR", env: awsEnv, host: ecrPrivate + ".evil.example", skip: "no credentials in registry-auth or Docker's configuration"},
		{name: "AWS role", items: item(ecrPrivate, func(i *Item) { i.AWSRole = set("arn:aws:iam::1:role/r") }), env: oidc, host: ecrPrivate, origin: "OIDC, AWS role arn:aws:iam::1:role/r"},
		{name: "AWS role empty", items: item(ecrPrivate, func(i *Item) { i.AWSRole = set("") }), env: append(awsEnv, oidc...), host: ecrPrivate, skip: "aws-role in registry-auth is empty (item in line 1)"},
		{name: "AWS role elsewhere", items: item("quay.io", func(i *Item) { i.AWSRole = set("r") }), env: oidc, host: "quay.io", skip: "its item in registry-auth is incomplete: aws-role is for an ECR registry (or with `ecr: true`) only, not for quay.io"},
		{name: "AWS role without OIDC", items: item(ecrPrivate, func(i *Item) { i.AWSRole = set("r") }), host: ecrPrivate, origin: "OIDC, AWS role r"},
		{name: "AWS role on a fork", items: item(ecrPrivate, func(i *Item) { i.AWSRole = set("r") }), untrusted: true, host: ecrPrivate, skip: "the job has no OIDC token: it runs for a pull request from a fork or by Dependabot"},
		{name: "AWS role, OIDC by hand on a fork", items: item(ecrPrivate, func(i *Item) { i.AWSRole = set("r") }), env: oidc, untrusted: true, host: ecrPrivate, origin: "OIDC, AWS role r"},

		{name: "Docker Hub connection", items: item("docker.io", func(i *Item) { i.Username, i.DockerHubConnection = set("acme"), set("c1") }), env: oidc, host: "docker.io", origin: `OIDC, Docker Hub connection (user "acme")`},
		{name: "Docker Hub connection in the environment", items: item("docker.io", func(i *Item) { i.Username = set("acme") }), env: append(oidc, dockerHubConnection, "c1"), host: "docker.io", origin: `OIDC, Docker Hub connection (user "acme")`},
		{name: "a password wins over the environment's connection", items: []Item{login(1, "docker.io", "", "acme", "pw12")}, env: append(oidc, dockerHubConnection, "c1"), host: "docker.io", origin: `password from registry-auth (user "acme")`},
		{name: "Docker Hub user alone", items: item("docker.io", func(i *Item) { i.Username = set("acme") }), host: "docker.io", skip: "its item in registry-auth has no password, and DOCKERHUB_OIDC_CONNECTIONID is unset"},
		{name: "Docker Hub connection empty", items: item("docker.io", func(i *Item) { i.Username, i.DockerHubConnection = set("acme"), set("") }), env: oidc, host: "docker.io", skip: "dockerhub-connection in registry-auth is empty (item in line 1)"},
		{name: "Docker Hub connection elsewhere", items: item("quay.io", func(i *Item) { i.Username, i.DockerHubConnection = set("acme"), set("c1") }), env: oidc, host: "quay.io", skip: "its item in registry-auth is incomplete: dockerhub-connection is for docker.io and dhi.io only, not for quay.io"},

		{name: "Docker's hardened images by a connection", items: item("dhi.io", func(i *Item) { i.Username, i.DockerHubConnection = set("acme"), set("c1") }), env: oidc, host: "dhi.io", origin: `OIDC, Docker Hub connection (user "acme")`},
		{name: "Docker's hardened images by the environment's connection", items: item("dhi.io", func(i *Item) { i.Username = set("acme") }), env: append(oidc, dockerHubConnection, "c1"), host: "dhi.io", origin: `OIDC, Docker Hub connection (user "acme")`},

		{name: "Quay", items: item("quay.io", func(i *Item) { i.QuayRobot = set("acme+publisher") }), env: oidc, host: "quay.io", origin: "OIDC, Quay robot account acme+publisher"},
		{name: "Quay, robot empty", items: item("quay.io", func(i *Item) { i.QuayRobot = set("") }), env: oidc, host: "quay.io", skip: "quay-robot in registry-auth is empty (item in line 1)"},
		{name: "Quay, audience empty", items: item("quay.io", func(i *Item) { i.QuayRobot, i.QuayAudience = set("acme+publisher"), set("") }), env: oidc, host: "quay.io", origin: "OIDC, Quay robot account acme+publisher"},
		{name: "Quay on a fork", items: item("quay.io", func(i *Item) { i.QuayRobot = set("acme+publisher") }), untrusted: true, host: "quay.io", skip: "the job has no OIDC token: it runs for a pull request from a fork or by Dependabot"},
		{name: "JFrog", items: item("acme.jfrog.io", func(i *Item) { i.JFrogProvider = set("github") }), env: oidc, host: "acme.jfrog.io", origin: "OIDC, JFrog integration github"},
		{name: "JFrog, platform empty", items: item("acme.jfrog.io", func(i *Item) { i.JFrogProvider, i.JFrogURL = set("github"), set("") }), env: oidc, host: "acme.jfrog.io", skip: "jfrog-url in registry-auth is empty (item in line 1)"},

		{name: "Google", items: item("eu.gcr.io", func(i *Item) { i.GCPProvider = set("projects/1") }), env: oidc, host: "eu.gcr.io", origin: "OIDC, Google workload identity"},
		{name: "Google with a service account", items: item("europe-docker.pkg.dev", func(i *Item) { i.GCPProvider, i.GCPServiceAccount = set("projects/1"), set("a@b") }), env: oidc, host: "europe-docker.pkg.dev", origin: "OIDC, Google workload identity (service account a@b)"},
		{name: "Google, service account empty", items: item("europe-docker.pkg.dev", func(i *Item) { i.GCPProvider, i.GCPServiceAccount = set("projects/1"), set("") }), env: oidc, host: "europe-docker.pkg.dev", skip: "gcp-service-account in registry-auth is empty (item in line 1)"},
		{name: "Google elsewhere", items: item("pkg.dev.evil.example", func(i *Item) { i.GCPProvider = set("projects/1") }), env: oidc, host: "pkg.dev.evil.example", skip: "its item in registry-auth is incomplete: gcp-provider is for *.pkg.dev and gcr.io only, not for pkg.dev.evil.example"},
		{name: "Azure", items: item("acme.azurecr.io", func(i *Item) { i.AzureClient, i.AzureTenant = set("c"), set("t") }), env: oidc, host: "acme.azurecr.io", origin: "OIDC, Microsoft Entra application c"},
		{name: "Azure without tenant", items: item("acme.azurecr.io", func(i *Item) { i.AzureClient = set("c") }), env: oidc, host: "acme.azurecr.io", skip: "its item in registry-auth is incomplete: azure-client needs azure-tenant beside it"},
		{name: "Azure elsewhere", items: item("evilazurecr.io", func(i *Item) { i.AzureClient, i.AzureTenant = set("c"), set("t") }), env: oidc, host: "evilazurecr.io", skip: "its item in registry-auth is incomplete: azure-client is for *.azurecr.io only, not for evilazurecr.io"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, warnings := NewResolver(Options{
				Items: tt.items, GitHubToken: redact.New(tt.github), Untrusted: tt.untrusted,
				Getenv:   env(tt.env...),
				Job:      jobOf(env(append([]string{"GITHUB_SERVER_URL", tt.server}, tt.env...)...)),
				ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist },
			})
			if len(warnings) > 0 {
				t.Errorf("warnings: %v", warnings)
			}
			c := r.For(t.Context(), repo(tt.host, "acme/app"))
			if c.Origin != tt.origin || c.Skip != tt.skip {
				t.Errorf("origin %q, skip %q; want %q, %q", c.Origin, c.Skip, tt.origin, tt.skip)
			}
			if c.Auth == nil {
				t.Fatal("no authenticator")
			}
			if tt.skip != "" {
				if user, password := credential(t, c); user+password != "" {
					t.Errorf("a skipped registry would be sent %q", user)
				}
			}
			if (c.Item != nil) != (len(tt.items) > 0) {
				t.Errorf("item: %v", c.Item)
			}
			if text := fmt.Sprintf("%v %+v %#v", c, c, c.Auth); strings.Contains(text, "pw12") || strings.Contains(text, "ghs_x") {
				t.Errorf("the choice prints its secret: %s", text)
			}
		})
	}
}

func TestLongestItemWins(t *testing.T) {
	r, _ := NewResolver(Options{Items: []Item{
		login(1, "quay.io", "", "host", "pw-host"),
		login(2, "quay.io", "org/app", "app", "pw-app"),
		login(3, "quay.io", "org", "org", "pw-org"),
		login(4, "docker.io", "acme", "hub", "pw-hub"),
	}})
	for path, want := range map[string]string{
		"org/app": "app", "org/app/sub": "app", "org/application": "org", "org": "org", "organic/app": "host", "other/app": "host",
	} {
		if user, _ := credential(t, r.For(t.Context(), repo("quay.io", path))); user != want {
			t.Errorf("quay.io/%s got %q, want %q", path, user, want)
		}
	}
	if c := r.For(t.Context(), repo("docker.io", "other/app")); c.Skip == "" {
		t.Error("the item for docker.io/acme was used for docker.io/other/app")
	}
	if c := r.For(t.Context(), repo("dhi.io", "acme/app")); c.Skip == "" {
		t.Error("the item for docker.io/acme was used for dhi.io")
	}
	a, b := r.For(t.Context(), repo("quay.io", "org/app")), r.For(t.Context(), repo("quay.io", "org/app/sub"))
	if a.Key != b.Key || a.Key == r.For(t.Context(), repo("quay.io", "org/x")).Key {
		t.Error("accounts do not have one key each")
	}
}

func TestOptionsHideNoCredentials(t *testing.T) {
	no := false
	options := Item{Line: 2, Registry: "quay.io", Path: "org", ECR: "auto", Required: &no}
	r, _ := NewResolver(Options{Items: []Item{
		login(1, "quay.io", "", "host", "pw-host"), options,
		{Line: 3, Registry: "quay.io", Path: "org/open", Anonymous: true}, {Line: 4, Registry: "quay.io", Path: "org/open/x"},
		{Line: 5, Registry: "quay.io", Path: "org/unset", Username: set(""), Password: redact.New("p"), PasswordSet: true}, {Line: 6, Registry: "quay.io", Path: "org/unset/x"},
	}})
	c := r.For(t.Context(), repo("quay.io", "org/app"))
	if user, _ := credential(t, c); user != "host" || c.Skip != "" {
		t.Errorf("the credentials of quay.io are not used for quay.io/org/app: %q, %q", user, c.Skip)
	}
	if c.Item == nil || c.Item.Line != 2 {
		t.Errorf("the options are those of %+v", c.Item)
	}
	if other := r.For(t.Context(), repo("quay.io", "other")); other.Key != c.Key || other.Item.Line != 1 {
		t.Errorf("one account has two keys, %q and %q", other.Key, c.Key)
	}
	if c := r.For(t.Context(), repo("quay.io", "org/open/x/y")); !c.Anonymous || c.Skip != "" || c.Item.Line != 4 {
		t.Errorf("anonymous does not reach below: %q, item %+v", c.Skip, c.Item)
	}
	if c := r.For(t.Context(), repo("quay.io", "org/unset/x")); !strings.Contains(c.Skip, "username in registry-auth is empty (item in line 5, quay.io/org/unset)") || c.Item.Line != 6 {
		t.Errorf("an unset credential fell through: skip %q, item %+v", c.Skip, c.Item)
	}
}

func TestJobTokenIsKnownHoweverItCame(t *testing.T) {
	token := redact.New("ghs_own")
	r, _ := NewResolver(Options{
		GitHubToken: token, Job: Job{ServerURL: github, Actor: "octocat"},
		Items: []Item{login(1, "quay.io", "", "u", "ghs_own"), login(2, "docker.io", "", "u", "other")},
	})
	for host, want := range map[string]bool{"ghcr.io": true, "quay.io": true, "docker.io": false, "gcr.io": false} {
		if got := r.For(t.Context(), repo(host, "a/b")).JobToken; got != want {
			t.Errorf("%s: JobToken = %v", host, got)
		}
	}
	if user, password := credential(t, r.For(t.Context(), repo("ghcr.io", "a/b"))); user != "octocat" || password != "ghs_own" {
		t.Errorf("sent %q as %q", password, user)
	}
}

func TestSecretsAreLearned(t *testing.T) {
	redactor := redact.NewRedactor(nil)
	NewResolver(Options{
		Redactor: redactor, GitHubToken: redact.New("ghs_token_1"),
		Items:  []Item{login(1, "quay.io", "", "u", "item-password")},
		Getenv: env("AWS_SECRET_ACCESS_KEY", "aws-secret-key", "AWS_SESSION_TOKEN", "aws-session"),
	})
	text := "ghs_token_1 item-password aws-secret-key aws-session"
	if got := redactor.Redact(text); got != "*** *** *** ***" {
		t.Errorf("redacted to %q", got)
	}
}

func TestOIDCMissingIsSaid(t *testing.T) {
	r, _ := NewResolver(Options{Items: []Item{{Line: 1, Registry: ecrPrivate, AWSRole: set("arn:aws:iam::1:role/r")}}})
	_, err := r.For(t.Context(), repo(ecrPrivate, "app")).Auth.Authorization()
	if !usererror.Is(err, usererror.OIDCMissing) || !strings.Contains(usererror.Advice(err), "id-token: write") {
		t.Errorf("got %v; advice %q", err, usererror.Advice(err))
	}
	r, _ = NewResolver(Options{Items: []Item{{Line: 1, Registry: "quay.io", QuayRobot: set("acme+publisher")}}, Job: Job{ServerURL: "https://codeberg.org", Forge: true}})
	_, err = r.For(t.Context(), repo("quay.io", "acme/app")).Auth.Authorization()
	if !usererror.Is(err, usererror.OIDCMissing) || !strings.Contains(usererror.Advice(err), "enable-openid-connect: true") {
		t.Errorf("on Forgejo: %v; advice %q", err, usererror.Advice(err))
	}
	r, _ = NewResolver(Options{Items: []Item{{Line: 1, Registry: "quay.io", QuayRobot: set("acme+publisher")}}, Job: Job{CommandLine: true}})
	_, err = r.For(t.Context(), repo("quay.io", "acme/app")).Auth.Authorization()
	if !usererror.Is(err, usererror.OIDCMissing) || !strings.Contains(usererror.Advice(err), "password-env") {
		t.Errorf("on a command line: %v; advice %q", err, usererror.Advice(err))
	}
}

func TestNeedsCreate(t *testing.T) {
	r, _ := NewResolver(Options{
		Items:  []Item{login(1, ecrPrivate, "", "AWS", "docker-login")},
		Getenv: env("AWS_ACCESS_KEY_ID", "", "AWS_SECRET_ACCESS_KEY", "x"),
	})
	c := r.For(t.Context(), repo(ecrPrivate, "app"))
	if !c.NeedsCreate || c.CreateRepository == nil {
		t.Fatal("ECR does not create repositories on push")
	}
	if _, err := c.CreateRepository(context.Background(), "app", false); !usererror.Is(err, usererror.CannotCreate) {
		t.Errorf("a Docker login created a repository: %v", err)
	}
	if c := r.For(t.Context(), repo("ghcr.io", "a/b")); c.NeedsCreate || c.CreateRepository != nil {
		t.Error("ghcr.io needs no repository")
	}
}
