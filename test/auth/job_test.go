package auth

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"go.uber.org/goleak"

	"github.com/multi-registry-push/multi-registry-push/internal/actions"
	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/retry/clocktest"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
	"github.com/multi-registry-push/multi-registry-push/test/standins"
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "auth")
	if err == nil {
		built, err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, servers.Lingers(), goleak.Cleanup(func(status int) {
		_ = os.RemoveAll(dir)
		os.Exit(status)
	}))
}

// job is a job of a workflow, and the internet that it sees.
type job struct {
	t        *testing.T
	net      *standins.Internet
	github   *standins.GitHub
	clock    *clocktest.Clock
	start    time.Time
	redactor *redact.Redactor
	env      map[string]string
	o        credentials.Options
}

// newJob returns a job that may ask for OIDC tokens.
func newJob(t *testing.T) *job {
	n := standins.NewInternet(t)
	j := &job{t: t, net: n, github: standins.NewGitHub(t, n), clock: clocktest.New(time.Now()), redactor: redact.NewRedactor(nil), env: map[string]string{}}
	j.start, j.github.Now = j.clock.Now(), j.clock.Now
	j.set(j.github.Env()...)
	transport := n.Transport(t)
	j.o = credentials.Options{
		Redactor: j.redactor, Clock: j.clock, Transport: func() http.RoundTripper { return transport },
		Getenv: func(name string) string { return j.env[name] },
	}
	t.Cleanup(func() {
		if hosts := n.Strangers(); len(hosts) > 0 {
			t.Errorf("strangers were asked: %v", hosts)
		}
	})
	return j
}

func (j *job) set(variables ...string) {
	for _, v := range variables {
		name, value, _ := strings.Cut(v, "=")
		j.env[name] = value
	}
}

// resolver returns the resolver of the job with these items.
func (j *job) resolver(items ...credentials.Item) *credentials.Resolver {
	j.t.Helper()
	j.o.Items, j.o.Job = items, j.facts()
	r, warnings := credentials.NewResolver(j.o)
	if len(warnings) > 0 {
		j.t.Errorf("warnings: %v", warnings)
	}
	return r
}

// facts are what the program knows of the job by its variables.
func (j *job) facts() credentials.Job {
	var environ []string
	for name, value := range j.env {
		environ = append(environ, name+"="+value)
	}
	runner := actions.New(actions.Options{Environ: environ, Clean: j.redactor.Redact, Learn: j.redactor.Learn})
	for _, secret := range runner.Secrets() {
		j.redactor.Learn("", secret)
	}
	known := runner.Job()
	facts := credentials.Job{
		ServerURL: known.ServerURL, Forge: known.Gitea, Actor: known.Actor,
		Repository: known.Repository, RepositoryID: known.RepositoryID, OwnerID: known.OwnerID, RunID: known.RunID,
		InContainer: j.env["HOME"] == "/github/home",
	}
	if known.IDToken {
		facts.IDToken = runner.WithClient(credentials.NewClient(j.o.Transport, j.clock, j.o.Timeout)).IDToken
	}
	return facts
}

// choose returns the choice for a repository, which must not be a skip.
func (j *job) choose(r *credentials.Resolver, host, path string) credentials.Credential {
	j.t.Helper()
	c := r.For(j.t.Context(), imageref.Repository{Host: host, Path: path})
	if c.Skip != "" {
		j.t.Fatalf("%s/%s is skipped: %s", host, path, c.Skip)
	}
	return c
}

// push pushes an image with a credential, to the registry behind the stand-in.
func (j *job) push(a authn.Authenticator, host, path string) error {
	j.t.Helper()
	image, err := random.Image(64, 1)
	if err != nil {
		j.t.Fatal(err)
	}
	ref, err := name.ParseReference(imageref.APIHost(host) + "/" + path + ":1")
	if err != nil {
		j.t.Fatal(err)
	}
	return remote.Write(ref, image, remote.WithAuth(a), remote.WithTransport(j.o.Transport()), remote.WithContext(j.t.Context()),
		remote.WithRetryStatusCodes(http.StatusTeapot))
}

// times returns how often a host was asked so far.
func (j *job) times(host string) int {
	n := 0
	for _, request := range j.net.Asked() {
		if strings.Contains(request, " "+host+"/") {
			n++
		}
	}
	return n
}

// hides checks that text holds none of the secrets, in no form that the redactor knows and in
// no part that would be of use.
func hides(t *testing.T, text string, secrets ...string) {
	t.Helper()
	for _, s := range secrets {
		if strings.Contains(text, s) || len(s) > 40 && strings.Contains(text, s[:40]) {
			t.Errorf("a secret is shown: %s", text)
		}
	}
}

func value(s string) credentials.Value { return credentials.Value{Set: true, Text: s} }

func withKey(i credentials.Item, user, password string) credentials.Item {
	i.Username, i.Password, i.PasswordSet = value(user), redact.New(password), true
	return i
}

func sorted(m map[string]standins.Repository) []string {
	var out []string
	for name := range m {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func repository(host, path string) imageref.Repository {
	return imageref.Repository{Host: host, Path: path}
}

// tokenFile writes an OIDC token of the job to a file, as Kubernetes does for its pods.
func tokenFile(t *testing.T, j *job, audience string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, j.env["ACTIONS_ID_TOKEN_REQUEST_URL"]+"&audience="+audience, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+j.env["ACTIONS_ID_TOKEN_REQUEST_TOKEN"])
	resp, err := j.o.Transport().RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	issued := j.github.Issued()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(issued[len(issued)-1]), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

type notFound struct{}

func (notFound) ServeHTTP(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }

// asAccount gives every repository the same account.
func asAccount(a authn.Authenticator) func(string) authn.Authenticator {
	return func(string) authn.Authenticator { return a }
}
