package leak

import (
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/multi-registry-push/multi-registry-push/internal/app"
	"github.com/multi-registry-push/multi-registry-push/internal/retry/clocktest"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, servers.Lingers(), goleak.Cleanup(func(status int) {
		if built {
			if path, err := program(); err == nil {
				_ = os.RemoveAll(filepath.Dir(path))
			}
		}
		os.Exit(status)
	}))
}

var quiet = log.New(io.Discard, "", 0)

// outcome is all that a run leaves behind for others to read.
type outcome struct {
	status                          int
	stdout, stderr, output, summary string
	masks                           []string // lines that the runner keeps for itself
	firstMasks                      int      // how many there were at the first request
}

func (o outcome) everything() string {
	return o.stdout + "\n" + o.stderr + "\n" + o.output + "\n" + o.summary
}

// run runs the program in a world of its own. In a workflow, the lines that hand secrets
// to the runner for masking are taken out of the log, as the runner does.
func run(t *testing.T, n *network, workflow bool, environ []string, args ...string) outcome {
	t.Helper()
	return runOver(t, n, n, workflow, environ, args...)
}

// runOver is run with something between the program and its world.
func runOver(t *testing.T, n *network, transport http.RoundTripper, workflow bool, environ []string, args ...string) outcome {
	t.Helper()
	definition, err := os.ReadFile("../../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	output, summary := filepath.Join(dir, "output"), filepath.Join(dir, "summary")
	environ = append([]string{"GITHUB_OUTPUT=" + output, "GITHUB_STEP_SUMMARY=" + summary, "GITHUB_SERVER_URL=https://github.com", "GITHUB_ACTOR=octocat",
		"RUNNER_DEBUG=1", "HOME=" + dir, "TMPDIR=" + dir, "AWS_EC2_METADATA_DISABLED=true"}, environ...)
	if workflow {
		environ = append(environ, "GITHUB_ACTIONS=true")
	}
	var stdout, stderr recorder
	o := outcome{firstMasks: -1}
	n.first = func() { o.firstMasks = strings.Count(stdout.String(), "::add-mask::") }
	o.status = app.Main(t.Context(), app.Env{
		Args: args, Environ: environ, Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Definition: definition,
		Transport: transport, Clock: clocktest.New(time.Now()), RetryBudget: 20 * time.Second,
	})
	o.stderr = stderr.String()
	for line := range strings.Lines(stdout.String()) {
		if value, ok := strings.CutPrefix(line, "::add-mask::"); ok && workflow {
			o.masks = append(o.masks, strings.NewReplacer("%0A", "\n", "%0D", "\r", "%25", "%").Replace(strings.TrimSuffix(value, "\n")))
			continue
		}
		o.stdout += line
	}
	o.output, o.summary = readAll(t, output), readAll(t, summary)
	return o
}

func readAll(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(text)
}

func writeAll(path, text string) error { return os.WriteFile(path, []byte(text), 0o600) }

// item is an item of registry-auth with static credentials, the secret as toJSON writes
// it.
func item(host string, c canary) string {
	return "- registry: " + host + "\n  username: " + c.user + "\n  password: " + strconv.Quote(c.value) + "\n"
}
