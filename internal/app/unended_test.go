package app

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// readsOutputs is a network on which each request finds out what the step's outputs hold.
type readsOutputs struct {
	path string

	mu   sync.Mutex
	then []string
}

func (n *readsOutputs) RoundTrip(*http.Request) (*http.Response, error) {
	text, err := os.ReadFile(n.path)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.then = append(n.then, string(text))
	return nil, errors.New("connection refused")
}

// A process that is killed writes nothing any more: what its outputs hold before its first
// request is true then. The runner takes the last value of an output.
func TestOutputsBeforeTheEnd(t *testing.T) {
	_, raw := definition(t)
	output := filepath.Join(t.TempDir(), "output")
	network := &readsOutputs{path: output}
	var log bytes.Buffer
	environ := []string{
		"GITHUB_ACTIONS=true", "GITHUB_OUTPUT=" + output, "INPUT_SOURCE=docker://source.test/app:1",
		"INPUT_TAGS=registry.test/app:1\nskipped.test/app:1",
		"INPUT_REGISTRY-AUTH=- registry: registry.test\n  username: u\n  password: p4ssw0rd\n",
	}
	if err := os.WriteFile(output, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	status := Main(t.Context(), Env{Environ: environ, Stdin: strings.NewReader(""), Stdout: &log, Stderr: &log,
		Definition: raw, Transport: network, RetryBudget: 1})
	if status != 1 || len(network.then) == 0 {
		t.Fatalf("status %d, %d requests:\n%s", status, len(network.then), &log)
	}
	for _, want := range []string{
		`"status":"failed"`, "the run ended without a word", `"registry":"skipped.test","status":"skipped"`, "failed<<",
	} {
		if !strings.Contains(network.then[0], want) {
			t.Errorf("no %s in the outputs at the first request:\n%s", want, network.then[0])
		}
	}
	after, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	last := strings.TrimPrefix(string(after), network.then[0])
	if strings.Contains(last, "without a word") || !strings.Contains(last, "results<<") {
		t.Errorf("the outputs at the end:\n%s", last)
	}
}

// An item that nothing uses is told, and warned of where it may be a typo.
func TestUnusedItemsAreTold(t *testing.T) {
	_, raw := definition(t)
	for name, test := range map[string]struct {
		item, source string
		says         string
		warns        bool
	}{
		"a typo":        {"quay.io", "./no.tar", "quey.io", true},
		"of no use":     {"other.test", "./no.tar", "no tag and no source uses the item for other.test", false},
		"of the source": {"source.test", "docker://source.test/app:1", "", false},
		// An item names it, whose secret is unset: it is no other's misspelling.
		"unset, beside one of no use": {"quey.io\n  username: ''\n  password: ''\n- registry: quay.io", "./no.tar", "no tag and no source uses the item for quay.io", false},
		// Its line is skipped, and names it: "no tag uses it" would be a second, wrong reason.
		"of a line with an empty part": {"empty.test/org", "./no.tar", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			output := filepath.Join(t.TempDir(), "output")
			if err := os.WriteFile(output, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			environ := []string{
				"GITHUB_ACTIONS=true", "GITHUB_OUTPUT=" + output, "INPUT_SOURCE=" + test.source, "INPUT_TAGS=quey.io/acme/app:1\nempty.test//app:1",
				"INPUT_REGISTRY-AUTH=- registry: " + test.item + "\n  username: u\n  password: p4ssw0rd\n",
			}
			Main(t.Context(), Env{Environ: environ, Stdin: strings.NewReader(""), Stdout: &log, Stderr: &log, Definition: raw, Transport: &offline{}})
			said := strings.Contains(log.String(), "no tag and no source uses")
			if said != (test.says != "") || !strings.Contains(log.String(), test.says) {
				t.Errorf("want %q:\n%s", test.says, &log)
			}
			warned := strings.Contains(log.String(), "::warning") && strings.Contains(log.String(), "misspelt")
			if warned != test.warns {
				t.Errorf("a warning: %v, want %v:\n%s", warned, test.warns, &log)
			}
		})
	}
}

// TestOnACommandLine: somebody at a terminal reads how to give a credential that is missing,
// and of a wrong input once.
func TestOnACommandLine(t *testing.T) {
	_, raw := definition(t)
	for name, test := range map[string]struct {
		args []string
		want string // once in all that is printed
	}{
		"no credentials": {[]string{"--source", "./image.tar", "--tags", "quay.io/acme/app:1", "--dry-run"}, "--registry-auth @auth.yml"},
		"empty tags":     {[]string{"--source", "./image.tar", "--tags", ""}, "tags is empty"},
		"a typo":         {[]string{"--source", "./image.tar", "--tags", "quay.io/acme/app:1", "--atomc"}, "there is no flag --atomc"},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			status := Main(t.Context(), Env{Args: test.args, Stdin: strings.NewReader(""), Stdout: &log, Stderr: &log, Definition: raw, Transport: &offline{}})
			told := strings.Count(log.String(), test.want)
			if status != exitFailed || told == 0 || name == "a typo" && told != 1 {
				t.Errorf("status %d, %q stands there %d times:\n%s", status, test.want, told, &log)
			}
		})
	}
}
