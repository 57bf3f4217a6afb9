package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/test/standins"
)

// program is the whole program, built once for all tests.
type program struct {
	path  string
	image string // an OCI layout
}

var built program

// build makes the program and an image to publish, in dir.
func build(dir string) (program, error) {
	p := program{path: filepath.Join(dir, "multi-registry-push"), image: filepath.Join(dir, "image")}
	cmd := exec.Command("go", "build", "-o", p.path, ".")
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		return p, errors.New(string(out))
	}
	image, err := random.Image(256, 2)
	if err != nil {
		return p, err
	}
	folder, err := layout.Write(p.image, empty.Index)
	if err != nil {
		return p, err
	}
	return p, folder.AppendImage(image)
}

// run is one run of the program as a step of a workflow.
type run struct {
	tags  string
	items string   // registry-auth
	token string   // github-token
	fail  bool     // missing-credentials: fail
	fork  bool     // a pull request from a fork
	oidc  bool     // permissions: id-token: write
	env   []string // further variables; the last of a name wins
}

// outcome is what a run left behind.
type outcome struct {
	status  int
	log     string
	results report.Results
	all     string // everything that anybody can read
}

func (o outcome) registry(t *testing.T) report.RegistryResult {
	t.Helper()
	if len(o.results.Registries) != 1 {
		t.Fatalf("%d registries in the results; the log:\n%s", len(o.results.Registries), o.log)
	}
	return o.results.Registries[0]
}

const (
	forkEvent = `{"pull_request":{"head":{"repo":{"id":2,"full_name":"someone/app"}},"base":{"repo":{"id":1,"full_name":"acme/app"}}}}`
	pushEvent = `{"ref":"refs/heads/main"}`
)

// do runs the program on the internet n.
func (r run) do(t *testing.T, n *standins.Internet, g *standins.GitHub) outcome {
	t.Helper()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	event, name := pushEvent, "push"
	if r.fork {
		event, name = forkEvent, "pull_request"
	}
	output, summary := file("output", ""), file("summary", "")
	missing := "skip"
	if r.fail {
		missing = "fail"
	}
	cmd := exec.CommandContext(t.Context(), built.path)
	cmd.Env = append(n.Env(), "PATH="+os.Getenv("PATH"), "HOME="+dir, "TMPDIR="+dir,
		"GITHUB_ACTIONS=true", "GITHUB_SERVER_URL=https://github.com", "GITHUB_ACTOR=octocat", "GITHUB_RUN_ID=4711",
		"GITHUB_EVENT_NAME="+name, "GITHUB_EVENT_PATH="+file("event.json", event),
		"GITHUB_OUTPUT="+output, "GITHUB_STEP_SUMMARY="+summary,
		"INPUT_SOURCE=oci:"+built.image, "INPUT_TAGS="+r.tags, "INPUT_REGISTRY-AUTH="+r.items, "INPUT_GITHUB-TOKEN="+r.token,
		"INPUT_MISSING-CREDENTIALS="+missing)
	if r.oidc && !r.fork {
		cmd.Env = append(cmd.Env, g.Env()...)
	}
	cmd.Env = append(cmd.Env, r.env...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	o := outcome{status: cmd.ProcessState.ExitCode(), log: log.String()}
	for _, name := range []string{output, summary} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		o.all += string(text)
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, `{"digest":`) {
				if err := json.Unmarshal([]byte(line), &o.results); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	// What masks a secret has to name it: the runner takes these lines out.
	for line := range strings.Lines(o.log) {
		if !strings.HasPrefix(line, "::add-mask::") {
			o.all += line
		}
	}
	return o
}
