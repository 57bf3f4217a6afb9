package auth

import (
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
	"github.com/multi-registry-push/multi-registry-push/test/standins"
)

// The states in which a workflow can hand over a kind of credential.
const (
	noItem      = "no item"
	optionsOnly = "options only"
	isEmpty     = "empty"
	isNull      = "null"
	partial     = "partial"
	wrong       = "wrong"
	right       = "right"
)

// Tokens of a job in the shape that GitHub's have: some 520 characters, of which the first are
// as before and the rest is a JWT.
var (
	jobToken    = gitHubToken("right")
	readerToken = gitHubToken("reader")
	wrongToken  = gitHubToken("wrong")
)

func gitHubToken(seed string) string {
	encode := base64.RawURLEncoding.EncodeToString
	sum := func(part string) []byte { h := sha512.Sum512([]byte(seed + part)); return h[:] }
	payload := fmt.Sprintf(`{"sub":"%x","aud":"%x"}`, sum("a"), sum("b"))
	return "ghs_" + encode([]byte(`{"alg":"EdDSA","typ":"JWT"}`)) + "." + encode([]byte(payload)) + "." + encode(sum("signature"))
}

// expect is what a run must come to.
type expect struct {
	status  string         // of the registry; empty: the input is wrong, and no registry is reported
	message string         // in the registry's reason or, if the input is wrong, in the log
	code    usererror.Code // of a failure
	origin  string         // in the log, where something is pushed
}

// way is a kind of credential.
type way struct {
	name    string
	host    string
	keyless bool
	// run returns what a workflow would hand over in a state; path is the repository.
	run func(state string) run
	// want is what is expected of a push; see adjust for the rest.
	want    map[string]expect
	add     func(path string) // creates a repository, may be nil
	secrets func() []string
}

// items writes an item of registry-auth.
func items(lines ...string) string {
	return "- " + strings.Join(lines, "\n  ") + "\n"
}

func ways(t *testing.T, n *standins.Internet, g *standins.GitHub) []way {
	const unset = "no credentials in registry-auth or Docker's configuration"
	static := standins.NewStatic(t, n, "quay.io")
	static.Allow("acme", "right-password", false)
	ghcr := standins.NewStatic(t, n, "ghcr.io")
	ghcr.Allow("octocat", jobToken, false)
	ghcr.Allow("octocat", readerToken, true)
	docker := standins.NewStatic(t, n, "registry.gitlab.com")
	docker.Allow("deploy", "right-deploy-token", false)
	hub := standins.NewDockerHub(t, n, g)
	hub.Passwords["acme"] = "dckr_pat_right"
	google := standins.NewGoogle(t, n, g)
	azure := standins.NewMicrosoft(t, n, g)
	robot := standins.NewQuay(t, n, g, "quay.acme.example")
	platform := standins.NewJFrog(t, n, g, "acme.jfrog.io", "acme.jfrog.io")
	split := standins.NewJFrog(t, n, g, "platform.acme.example", "docker.acme.example")
	split.Audience = "acme-builds"
	aws := standins.NewAWS(t, n, g)
	aws.STS("sts.eu-west-1.amazonaws.com", "sts.amazonaws.com")
	aws.STS("sts.us-east-1.amazonaws.com", "sts.amazonaws.com")
	ecr := aws.Registry(ecrHost, ecrAPI, "123456789012", "eu-west-1")
	public := aws.PublicRegistry("acme")
	id, key := aws.User(standins.Everything()...)
	addECR := func(path string) { ecr.Add(path, standins.Repository{}) }

	// pair returns the run of a user name and a password in an item.
	pair := func(host, user, password string) func(string) run {
		return func(state string) run {
			registry := "registry: " + host
			switch state {
			case optionsOnly:
				return run{items: items(registry, "required: false")}
			case isEmpty:
				return run{items: items(registry, "username: "+user, "password: ")}
			case isNull:
				return run{items: items(registry, "username: "+user, "password: null")}
			case partial:
				return run{items: items(registry, "username: "+user)}
			case wrong:
				return run{items: items(registry, "username: "+user, "password: not-the-password")}
			case right:
				return run{items: items(registry, "username: "+user, `password: "`+password+`"`)}
			}
			return run{}
		}
	}
	return []way{
		{
			name: "user name and password", host: "quay.io", run: pair("quay.io", "acme", "right-password"),
			want: map[string]expect{
				noItem: {"skipped", unset, "", ""}, optionsOnly: {"skipped", unset, "", ""},
				isEmpty: {"skipped", "password in registry-auth is empty", "", ""}, isNull: {"skipped", "password in registry-auth is empty", "", ""},
				partial: {"", "username needs password beside it", usererror.InvalidAuth, ""},
				wrong:   {"failed", `user "acme" of registry-auth, line 1, was refused: wrong password or expired token`, usererror.WrongCredentials, ""},
				right:   {"pushed", "", "", `password from registry-auth (user "acme")`},
			},
			secrets: func() []string { return []string{"right-password", "not-the-password"} },
		},
		{
			name: "Docker Hub token", host: "docker.io", run: pair("docker.io", "acme", "dckr_pat_right"),
			want: map[string]expect{
				noItem: {"skipped", unset, "", ""}, optionsOnly: {"skipped", unset, "", ""},
				isEmpty: {"skipped", "password in registry-auth is empty", "", ""}, isNull: {"skipped", "password in registry-auth is empty", "", ""},
				partial: {"skipped", "its item in registry-auth has no password, and DOCKERHUB_OIDC_CONNECTIONID is unset", "", ""},
				wrong:   {"failed", `user "acme" of registry-auth, line 1, was refused: wrong password or expired token`, usererror.WrongCredentials, ""},
				right:   {"pushed", "", "", `password from registry-auth (user "acme")`},
			},
			secrets: func() []string { return []string{"dckr_pat_right", "not-the-password"} },
		},
		{
			name: "Docker's configuration", host: "registry.gitlab.com",
			run: func(state string) run {
				config := map[string]string{
					isEmpty: `{}`, isNull: `null`, partial: `{"auths":{"registry.gitlab.com":{"username":"deploy"}}}`,
					wrong: `{"auths":{"registry.gitlab.com":{"username":"deploy","password":"not-the-password"}}}`,
					right: `{"auths":{"registry.gitlab.com":{"username":"deploy","password":"right-deploy-token"}}}`,
				}[state]
				r := run{env: []string{"DOCKER_AUTH_CONFIG=" + config}}
				if state == optionsOnly {
					r.items = items("registry: registry.gitlab.com", "tags-matching: .*")
				}
				return r
			},
			want: map[string]expect{
				noItem: {"skipped", unset, "", ""}, optionsOnly: {"skipped", unset, "", ""}, isEmpty: {"skipped", unset, "", ""},
				isNull: {"skipped", unset, "", ""}, partial: {"skipped", unset, "", ""},
				wrong: {"failed", `user "deploy" of DOCKER_AUTH_CONFIG was refused: wrong password or expired token`, usererror.WrongCredentials, ""},
				right: {"pushed", "", "", `DOCKER_AUTH_CONFIG (user "deploy")`},
			},
			secrets: func() []string { return []string{"right-deploy-token", "not-the-password"} },
		},
		{
			name: "github-token", host: "ghcr.io",
			run: func(state string) run {
				switch state {
				case optionsOnly:
					return run{items: items("registry: ghcr.io", "required: false"), token: jobToken}
				case isEmpty:
					return run{items: items("registry: ghcr.io", `username: ""`, "password: "+jobToken), token: jobToken}
				case isNull:
					return run{items: items("registry: ghcr.io", "username: octocat", "password: null"), token: jobToken}
				case partial:
					return run{items: items("registry: ghcr.io", "password: "+jobToken), token: jobToken}
				case wrong:
					return run{token: wrongToken}
				case right:
					return run{token: jobToken}
				}
				return run{}
			},
			want: map[string]expect{
				noItem:      {"skipped", "github-token is empty", "", ""},
				optionsOnly: {"pushed", "", "", "github-token"},
				isEmpty:     {"skipped", "username in registry-auth is empty", "", ""}, isNull: {"skipped", "password in registry-auth is empty", "", ""},
				partial: {"", "password needs username beside it", usererror.InvalidAuth, ""},
				wrong:   {"failed", `user "octocat" of github-token was refused: wrong password or expired token`, usererror.WrongCredentials, ""},
				right:   {"pushed", "", "", "github-token"},
			},
			secrets: func() []string { return []string{jobToken, wrongToken} },
		},
		{
			name: "github-token that may only read", host: "ghcr.io",
			run: func(state string) run {
				if state == noItem {
					return run{}
				}
				return run{token: readerToken}
			},
			want: map[string]expect{
				noItem: {"skipped", "github-token is empty", "", ""},
				right:  {"failed", `user "octocat" of github-token may not push`, usererror.NoPushPermission, ""},
			},
			secrets: func() []string { return []string{readerToken} },
		},
		{
			name: "AWS access key", host: ecrHost, run: pair(ecrHost, id, key), add: addECR,
			want: map[string]expect{
				noItem: {"skipped", "AWS credentials are unset", "", ""}, optionsOnly: {"skipped", "AWS credentials are unset", "", ""},
				isEmpty: {"skipped", "password in registry-auth is empty", "", ""}, isNull: {"skipped", "password in registry-auth is empty", "", ""},
				partial: {"", "username needs password beside it", usererror.InvalidAuth, ""},
				wrong:   {"failed", "InvalidSignatureException", usererror.WrongCredentials, ""},
				right:   {"pushed", "", "", "AWS access key from registry-auth"},
			},
			secrets: aws.Secrets,
		},
		{
			name: "AWS default chain", host: ecrHost, add: addECR,
			run: func(state string) run {
				switch state {
				case optionsOnly:
					return run{items: items("registry: "+ecrHost, "ecr: auto")}
				case isEmpty, isNull:
					return run{env: []string{"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY="}}
				case partial:
					return run{env: []string{"AWS_ACCESS_KEY_ID=" + id, "AWS_SECRET_ACCESS_KEY="}}
				case wrong:
					return run{env: []string{"AWS_ACCESS_KEY_ID=" + id, "AWS_SECRET_ACCESS_KEY=not-the-password"}}
				case right:
					return run{env: []string{"AWS_ACCESS_KEY_ID=" + id, "AWS_SECRET_ACCESS_KEY=" + key}}
				}
				return run{}
			},
			want: map[string]expect{
				noItem: {"skipped", "AWS credentials are unset", "", ""}, optionsOnly: {"skipped", "AWS credentials are unset", "", ""},
				isEmpty: {"skipped", "AWS credentials are unset", "", ""}, isNull: {"skipped", "AWS credentials are unset", "", ""},
				partial: {"skipped", "AWS credentials are unset", "", ""},
				wrong:   {"failed", "InvalidSignatureException", usererror.WrongCredentials, ""},
				right:   {"pushed", "", "", "AWS default chain"},
			},
			secrets: func() []string { return append(aws.Secrets(), "not-the-password") },
		},
		keyless("AWS role", ecrHost, map[string]string{"aws-role": aws.Role}, "aws-role", "arn:aws:iam::999999999999:role/other",
			"Not authorized to perform sts:AssumeRoleWithWebIdentity", "OIDC, AWS role "+aws.Role, "AWS credentials are unset", "", addECR, aws.Secrets),
		keyless("AWS role, ECR Public", "public.ecr.aws", map[string]string{"aws-role": aws.Role}, "aws-role", "arn:aws:iam::999999999999:role/other",
			"Not authorized to perform sts:AssumeRoleWithWebIdentity", "OIDC, AWS role "+aws.Role, "AWS credentials are unset", "",
			func(path string) { public.Add(strings.TrimPrefix(path, "acme/"), standins.Repository{}) }, aws.Secrets),
		keyless("Docker Hub connection", "docker.io", map[string]string{"username": "acme", "dockerhub-connection": hub.Connection}, "dockerhub-connection", "8d1b9c3e-0000-4d0e-9f6e-2f3b1c0d4e5f",
			"no such connection", `OIDC, Docker Hub connection (user "acme")`, unset, "dockerhub-connection needs username", nil, hub.Issued),
		keyless("Docker Hub connection for hardened images", "dhi.io", map[string]string{"username": "acme", "dockerhub-connection": hub.Connection}, "dockerhub-connection", "8d1b9c3e-0000-4d0e-9f6e-2f3b1c0d4e5f",
			"no such connection", `OIDC, Docker Hub connection (user "acme")`, unset, "dockerhub-connection needs username", nil, hub.Issued),
		halfNamed(keyless("Quay robot account", "quay.acme.example", map[string]string{"quay-robot": robot.Robot}, "quay-robot", "acme+stranger",
			"Could not find robot", "OIDC, Quay robot account "+robot.Robot, unset, "quay-robot is not", nil, robot.Issued), "quay-robot: publisher"),
		keyless("Quay robot account with an audience", "quay.acme.example", map[string]string{"quay-robot": robot.Robot, "quay-audience": "quay.acme.example"}, "quay-audience", "another.example",
			"is not for", "OIDC, Quay robot account "+robot.Robot, unset, "quay-audience needs quay-robot", nil, robot.Issued),
		keyless("JFrog integration", "acme.jfrog.io", map[string]string{"jfrog-provider": platform.Provider}, "jfrog-provider", "another",
			"OIDC configuration for provider another not found", "OIDC, JFrog integration "+platform.Provider, unset, "", nil, platform.Issued),
		keyless("JFrog integration with an audience", "acme.jfrog.io", map[string]string{"jfrog-provider": platform.Provider, "jfrog-audience": platform.Audience}, "jfrog-audience", "another",
			"is not for", "OIDC, JFrog integration "+platform.Provider, unset, "jfrog-audience needs jfrog-provider", nil, platform.Issued),
		keyless("JFrog integration of a platform elsewhere", "docker.acme.example", map[string]string{"jfrog-provider": split.Provider, "jfrog-audience": split.Audience, "jfrog-url": "https://platform.acme.example"},
			"jfrog-url", "https://acme.jfrog.io", "is not for", "OIDC, JFrog integration "+split.Provider, unset, "jfrog-url needs jfrog-provider", nil, split.Issued),
		keyless("Google", standins.GoogleRegistry, map[string]string{"gcp-provider": google.Provider}, "gcp-provider", "projects/9/locations/global/workloadIdentityPools/x/providers/y",
			"invalid_target", "OIDC, Google workload identity", unset, "", nil, google.Issued),
		keyless("Google service account", standins.GoogleRegistry, map[string]string{"gcp-provider": google.Provider, "gcp-service-account": google.Account}, "gcp-service-account", "nobody@acme.iam.gserviceaccount.com",
			"PERMISSION_DENIED", "OIDC, Google workload identity (service account "+google.Account+")", unset, "gcp-service-account needs gcp-provider", nil, google.Issued),
		keyless("Azure", standins.AzureRegistry, map[string]string{"azure-client": azure.Client, "azure-tenant": azure.Tenant}, "azure-client", "00000000-1d6a-4c39-9a5d-6f0d9d4b8f11",
			"AADSTS700016", "OIDC, Microsoft Entra application "+azure.Client, unset, "azure-client needs azure-tenant", nil, azure.Issued),
	}
}

// keyless returns a login with the job's OIDC token. mark is the key that is emptied,
// left alone (partial, if there are others) or given another value.
func keyless(name, host string, keys map[string]string, mark, other, refusal, origin, unset, lacks string, add func(string), secrets func() []string) way {
	item := func(only string, value string) string {
		lines := []string{"registry: " + host}
		for _, k := range credentials.Keys() {
			switch v, ok := keys[k]; {
			case !ok || only != "" && k != only:
			case k == mark:
				lines = append(lines, k+": "+value)
			default:
				lines = append(lines, k+": "+v)
			}
		}
		return items(lines...)
	}
	w := way{name: name, host: host, keyless: true, add: add, secrets: secrets, want: map[string]expect{
		noItem: {"skipped", unset, "", ""}, optionsOnly: {"skipped", unset, "", ""},
		isEmpty: {"skipped", mark + " in registry-auth is empty", "", ""}, isNull: {"skipped", mark + " in registry-auth is empty", "", ""},
		wrong: {"failed", refusal, usererror.OIDCRefused, ""},
		right: {"pushed", "", "", origin},
	}}
	if mark == "quay-audience" || mark == "jfrog-audience" { // they have a default, which is right here
		w.want[isEmpty], w.want[isNull] = w.want[right], w.want[right]
	}
	if lacks != "" {
		w.want[partial] = expect{"", lacks, usererror.InvalidAuth, ""}
	}
	w.run = func(state string) run {
		r := run{oidc: true}
		switch state {
		case optionsOnly:
			r.items = items("registry: "+host, "required: false")
		case isEmpty:
			r.items = item("", "")
		case isNull:
			r.items = item("", "null")
		case partial:
			r.items = item(mark, keys[mark])
		case wrong:
			r.items = item("", other)
		case right:
			r.items = item("", keys[mark])
		}
		return r
	}
	return w
}

// halfNamed gives a way whose one key has no other to miss a partial state: the key with half a
// name.
func halfNamed(w way, half string) way {
	all := w.run
	w.run = func(state string) run {
		if state == partial {
			return run{oidc: true, items: items("registry: "+w.host, half)}
		}
		return all(state)
	}
	return w
}

// adjust turns what is expected of a push into what is expected with missing-credentials
// and on a pull request from a fork.
func (w way) adjust(e expect, state string, fork, fail bool) expect {
	if fork {
		switch {
		case w.keyless && e.status != "" && (state == right || state == wrong || e.status == "pushed"):
			e = expect{"skipped", "the job has no OIDC token: it runs for a pull request from a fork or by Dependabot", "", ""}
		case e.code == usererror.NoPushPermission && !fail:
			e = expect{"skipped", "the job's own token may not push here", "", ""}
		}
	}
	if fail && e.status == "skipped" {
		e.status, e.code = "failed", usererror.MissingCredentials
		if state == optionsOnly && (w.keyless || w.name == "user name and password" || w.name == "Docker Hub token" || w.name == "AWS access key") {
			// The only option in that item is required: false.
			e.status, e.code = "skipped", ""
		}
	}
	return e
}

// TestEveryLogin runs the whole program in every state of every kind of credential.
func TestEveryLogin(t *testing.T) {
	n := standins.NewInternet(t)
	g := standins.NewGitHub(t, n)
	count := 0
	for _, w := range ways(t, n, g) {
		for _, state := range []string{noItem, optionsOnly, isEmpty, isNull, partial, wrong, right} {
			want, ok := w.want[state]
			if !ok {
				continue
			}
			for _, fork := range []bool{false, true} {
				for _, fail := range []bool{false, true} {
					if testing.Short() && fork != fail && state != right {
						continue // a sample
					}
					count++
					path := fmt.Sprintf("acme/app%d", count)
					e := w.adjust(want, state, fork, fail)
					t.Run(fmt.Sprintf("%s/%s/fork=%t/fail=%t", w.name, state, fork, fail), func(t *testing.T) {
						if w.add != nil {
							w.add(path)
						}
						r := w.run(state)
						r.tags, r.fork, r.fail = w.host+"/"+path+":1", fork, fail
						before := len(n.Asked())
						o := r.do(t, n, g)
						check(t, o, e, w.host)
						if e.status != "pushed" && len(o.results.Registries) == 1 && len(o.results.Registries[0].Images) > 0 {
							t.Errorf("there are images: %v", o.results.Registries[0].Images)
						}
						if (e.status == "" || e.code == usererror.MissingCredentials) && len(n.Asked()) != before {
							t.Errorf("asked %v", n.Asked()[before:])
						}
						if e.code == usererror.OIDCRefused && strings.Count(o.all, "sub: repo:acme/app:ref:refs/heads/main") < 2 {
							t.Errorf("log and summary do not both show the subject that was sent:\n%s", o.all)
						}
						hides(t, o.all, append(w.secrets(), g.Issued()...)...)
						for _, token := range append(g.Issued(), jobToken, readerToken, wrongToken) {
							hides(t, o.all, strings.Split(token, ".")[1:]...)
						}
					})
				}
			}
		}
	}
	if hosts := n.Strangers(); len(hosts) > 0 {
		t.Errorf("strangers were asked: %v", hosts)
	}
}

func check(t *testing.T, o outcome, e expect, host string) {
	t.Helper()
	status := 0
	if e.code != "" {
		status = 1
	}
	if o.status != status {
		t.Errorf("exit status %d, want %d; the log:\n%s", o.status, status, o.log)
	}
	if e.code != "" && !strings.Contains(o.log, "["+string(e.code)+"]") {
		t.Errorf("no [%s] in the log:\n%s", e.code, o.log)
	}
	if e.status == "" {
		if !strings.Contains(o.log, e.message) {
			t.Errorf("no %q in the log:\n%s", e.message, o.log)
		}
		return
	}
	r := o.registry(t)
	if r.Registry != host || string(r.Status) != e.status {
		t.Errorf("%s: %s (%s), want %s: %s; the log:\n%s", r.Registry, r.Status, r.Reason, host, e.status, o.log)
	}
	if !strings.Contains(o.log, e.message) {
		t.Errorf("no %q in the log:\n%s", e.message, o.log)
	}
	if e.status == "skipped" && !strings.Contains(r.Reason, e.message) {
		t.Errorf("reason %q, want %q", r.Reason, e.message)
	}
	if !strings.Contains(o.log, e.origin) {
		t.Errorf("no %q in the log:\n%s", e.origin, o.log)
	}
}

// TestOIDCPermissionMissing: a keyless login in a job that may not ask for tokens.
func TestOIDCPermissionMissing(t *testing.T) {
	n := standins.NewInternet(t)
	g := standins.NewGitHub(t, n)
	for _, w := range ways(t, n, g) {
		if !w.keyless {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			r := w.run(right)
			r.tags, r.oidc = w.host+"/acme/app:1", false
			o := r.do(t, n, g)
			check(t, o, expect{"failed", "id-token: write", usererror.OIDCMissing, ""}, w.host)
		})
	}
}
