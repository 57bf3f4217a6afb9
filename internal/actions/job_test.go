package actions

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestInputs(t *testing.T) {
	r, _ := testRunner("INPUT_TAGS=\n  a:1\n\n  b:2\n", "INPUT_REGISTRY-AUTH=  - registry: x\n    username: y\n", "INPUT_REGISTRY_AUTH=  - z", "INPUT_ATOMIC= true \n",
		"INPUT_Atomic=false", "INPUT_DRY-RUN=\ttrue", "INPUT_=x", "INPUTS=y", "INPUT_GITHUB-TOKEN= t", "atomic=no")
	want := map[string]string{
		"TAGS": "\n  a:1\n\n  b:2\n", "REGISTRY-AUTH": "  - registry: x\n    username: y\n", "REGISTRY_AUTH": "  - z", "ATOMIC": "true",
		"Atomic": "false", "DRY-RUN": "true", "": "x", "GITHUB-TOKEN": " t",
	}
	got := r.Inputs()
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %q, want %q", name, got[name], value)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %q", got)
	}
}

func TestJob(t *testing.T) {
	r, _ := testRunner("GITHUB_ACTIONS=true", "GITHUB_ACTOR=me", "GITHUB_REPOSITORY=acme/app", "GITHUB_SERVER_URL=https://ghe.example", "GITHUB_EVENT_NAME=push",
		"GITHUB_RUN_ID=7", "GITHUB_REPOSITORY_ID=8", "GITHUB_REPOSITORY_OWNER_ID=9", "RUNNER_DEBUG=1", "ACTIONS_ID_TOKEN_REQUEST_URL=https://x", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=y", "FORGEJO_ACTIONS=true")
	want := Job{Workflow: true, Gitea: true, Actor: "me", Repository: "acme/app", RepositoryID: "8", OwnerID: "9",
		ServerURL: "https://ghe.example", RunID: "7", IDToken: true}
	if got := r.Job(); got != want {
		t.Errorf("got %+v", got)
	}
}

// The library invents https://github.com, and the job's token would go to ghcr.io.
func TestNoServerIsInvented(t *testing.T) {
	r, _ := testRunner("GITHUB_ACTIONS=true")
	if got := r.Job(); got.ServerURL != "" {
		t.Errorf("got %+v", got)
	}
}

// A job does not fail for a number that it has no use for.
func TestMalformedNumbersAreNoMatter(t *testing.T) {
	r, _ := testRunner("GITHUB_ACTIONS=true", "GITHUB_RUN_ATTEMPT=first", "GITHUB_RUN_ID=x", "GITHUB_REF_PROTECTED=perhaps", "GITHUB_ACTOR=dependabot[bot]", "GITHUB_EVENT_NAME=push")
	if got := r.Job(); got.Actor != "dependabot[bot]" || !got.Untrusted {
		t.Errorf("got %+v", got)
	}
}

func TestUntrustedJobs(t *testing.T) {
	const own = `{"pull_request":{"head":{"repo":{"id":1,"full_name":"acme/app"}},"base":{"repo":{"id":1,"full_name":"acme/app"}}}}`
	const fork = `{"pull_request":{"head":{"repo":{"id":2,"full_name":"me/app"}},"base":{"repo":{"id":1,"full_name":"acme/app"}}}}`
	file := filepath.Join(t.TempDir(), "event.json")
	for name, c := range map[string]struct {
		name, event string
		want        bool
		actor       string // "me" if empty
	}{
		"Dependabot pushes":    {"push", `{}`, true, "dependabot[bot]"},
		"Dependabot's pull":    {"pull_request", own, true, "dependabot[bot]"},
		"Dependabot, target":   {"pull_request_target", own, false, "dependabot[bot]"},
		"fork":                 {"pull_request", fork, true, ""},
		"review of one":        {"pull_request_review", fork, true, ""},
		"with write access":    {"pull_request_target", fork, false, ""},
		"push":                 {"push", fork, false, ""},
		"branch":               {"pull_request", own, false, ""},
		"fork that is gone":    {"pull_request", `{"pull_request":{"head":{"repo":null},"base":{"repo":{"id":1}}}}`, true, ""},
		"no base":              {"pull_request", `{"pull_request":{"head":{"repo":null},"base":{}}}`, false, ""},
		"no pull request":      {"pull_request", `{"pull_request":null}`, false, ""},
		"no JSON":              {"pull_request", `{"pull_request":`, false, ""},
		"a list":               {"pull_request", `[]`, false, ""},
		"nothing":              {"pull_request", ``, false, ""},
		"larger than an event": {"pull_request", fork + strings.Repeat(" ", largestEvent), false, ""},
	} {
		if err := os.WriteFile(file, []byte(c.event), 0o600); err != nil {
			t.Fatal(err)
		}
		r, _ := testRunner("GITHUB_ACTIONS=true", "GITHUB_EVENT_NAME="+c.name, "GITHUB_EVENT_PATH="+file, "GITHUB_ACTOR="+cmp.Or(c.actor, "me"))
		if got := r.Job(); got.Untrusted != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	r, _ := testRunner("GITHUB_EVENT_NAME=pull_request", "GITHUB_EVENT_PATH="+file+".missing", "GITHUB_ACTIONS=true")
	if r.Job().Untrusted {
		t.Error("a job without an event is untrusted")
	}
	r, _ = testRunner("GITHUB_EVENT_NAME=push", "GITHUB_ACTOR=dependabot[bot]")
	if r.Job().Untrusted {
		t.Error("a command line is untrusted")
	}
}

// An event file that never ends is not read: the library has no bound.
func TestEventsAreBounded(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "event.json")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip(err)
	}
	r, _ := testRunner("GITHUB_ACTIONS=true", "GITHUB_EVENT_NAME=pull_request", "GITHUB_EVENT_PATH="+pipe)
	if r.Job().Untrusted {
		t.Error("untrusted")
	}
}

func TestSecretsAndPublicValues(t *testing.T) {
	r, _ := testRunner("GITHUB_TOKEN=a", "ACTIONS_RUNTIME_TOKEN=b", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=c", "GITHUB_REPOSITORY=acme/app")
	if got := r.Secrets(); len(got) != 3 || got[2].Reveal() != "c" {
		t.Errorf("secrets %v", got)
	}
	if got := r.Public(); len(got) != 1 || got[0] != "acme/app" {
		t.Errorf("public %q", got)
	}
}

// TestSeen: each runner's containers see other folders of the host.
func TestSeen(t *testing.T) {
	job := []string{"GITHUB_ACTIONS=true", "GITHUB_WORKSPACE=/home/me/app", "RUNNER_TEMP=/tmp"}
	for name, c := range map[string]struct {
		environ []string
		there   []string
		want    []string
	}{
		"GitHub's runner":   {job, []string{containerWorkspace, "/.dockerenv"}, []string{containerWorkspace, containerTemp}},
		"act with Docker":   {job, []string{"/home/me/app", "/.dockerenv", "/tmp"}, []string{"/home/me/app"}},
		"act with Podman":   {job, []string{"/home/me/app", "/run/.containerenv", "/tmp"}, []string{"/home/me/app"}},
		"not mounted":       {job, []string{"/.dockerenv"}, nil},
		"a machine":         {job, []string{"/home/me/app", "/tmp"}, nil},
		"without a runner":  {job[1:], []string{"/home/me/app", "/.dockerenv"}, nil},
		"without workspace": {job[:1], []string{"/.dockerenv"}, nil},
	} {
		got := Seen(c.environ, func(path string) bool { return slices.Contains(c.there, path) })
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestContained: a shell is in no container.
func TestContained(t *testing.T) {
	for _, c := range []struct {
		environ []string
		there   string
		want    bool
	}{
		{nil, "/.dockerenv", true},
		{nil, "/run/.containerenv", true},
		{[]string{"KUBERNETES_SERVICE_HOST=10.0.0.1"}, "", true},
		{[]string{"HOME=/home/me"}, "/home/me", false},
	} {
		if got := Contained(c.environ, func(path string) bool { return path == c.there }); got != c.want {
			t.Errorf("%q, %s: %t", c.environ, c.there, got)
		}
	}
}

func TestFolders(t *testing.T) {
	const work = "/home/runner/work"
	there := func(path string) bool { return path == containerWorkspace }
	environ := []string{"GITHUB_ACTIONS=true", "GITHUB_REPOSITORY=me/app", "RUNNER_WORKSPACE=/srv/w/app", "GITHUB_WORKSPACE=/github/workspace", "RUNNER_TEMP=/own/temp/"}
	container, got := Folders(environ, there)
	want := map[string]string{
		"/__w/_temp": containerTemp, "/__w/app/app": containerWorkspace, work + "/app/app": containerWorkspace, work + "/_temp": containerTemp,
		"/srv/w/app/app": containerWorkspace, "/srv/w/_temp": containerTemp, "/own/temp": containerTemp,
	}
	for from, to := range want {
		if got[from] != to {
			t.Errorf("%s is %q", from, got[from])
		}
	}
	if !container || len(got) != len(want) {
		t.Errorf("got %q", got)
	}
	if container, got := Folders(environ, func(string) bool { return false }); container || got != nil {
		t.Error("a process on the host is taken for a container")
	}
	if container, _ := Folders(environ[1:], there); container {
		t.Error("a command line is taken for a container")
	}
}
