package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/app"
	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/internal/retry/clocktest"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
)

// job is one step of a workflow that uses the action.
type job struct {
	source string
	tags   []string
	auth   string            // registry-auth
	inputs map[string]string // all others, by name
	env    map[string]string // besides what a runner sets
	args   []string          // command line; with any, the step runs outside a workflow
	clock  *clocktest.Clock  // nil: waits take their time
	hosts  hosts             // nil: hosts are where their name says
	beside bool              // others write the same image meanwhile: order is not for one job to keep
	pauses []time.Duration   // see publish.Deps.VerifyPauses
}

// outcome is what the step left behind.
type outcome struct {
	t       testing.TB
	status  int
	stdout  string
	stderr  string
	outputs map[string]string
	summary string
	results report.Results
}

// run runs the job to its end, in this process.
func (j job) run(t testing.TB) outcome {
	t.Helper()
	return j.runUntil(t.Context(), t)
}

func (j job) runUntil(ctx context.Context, t testing.TB) outcome {
	t.Helper()
	dir := t.TempDir()
	file := func(name string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	folder := func(name string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	output, summary := file("output"), file("summary")
	environ := map[string]string{
		"PATH": os.Getenv("PATH"), "HOME": folder("home"), "TMPDIR": folder("tmp"), "GITHUB_ACTOR": "octocat",
		"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "acme/app", "GITHUB_EVENT_NAME": "push",
		"GITHUB_WORKSPACE": folder("workspace"), "RUNNER_TEMP": folder("runner_temp"),
		"GITHUB_OUTPUT": output, "GITHUB_STEP_SUMMARY": summary,
	}
	if len(j.args) == 0 {
		environ["GITHUB_ACTIONS"], environ["CI"] = "true", "true"
		// A runner sets every input, those left out to their default.
		for name, value := range map[string]string{
			"source": j.source, "tags": strings.Join(j.tags, "\n"), "registry-auth": j.auth, "github-token": "",
			"missing-credentials": "skip", "atomic": "false", "immutable-tags": "", "platforms": "", "referrers": "false",
			"create-repository": "false", "concurrency": "4", "dry-run": "false", "summary": "true",
		} {
			environ["INPUT_"+strings.ToUpper(name)] = value
		}
	}
	for name, value := range j.inputs {
		environ["INPUT_"+strings.ToUpper(name)] = value
	}
	maps.Copy(environ, j.env)
	definition := []byte(read(t, filepath.Join(here(t), "..", "..", "action.yml")))
	var stdout, stderr bytes.Buffer
	e := app.Env{Args: j.args, Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Definition: definition,
		Version: "1.2.3", Commit: "0123456", GoVersion: "go1.26", Grace: 5 * time.Minute, VerifyPauses: j.pauses}
	if j.clock != nil {
		e.Clock, e.Now, e.RetryBudget = j.clock, j.clock.Now, 20*time.Second
	}
	if j.hosts != nil {
		defer j.hosts.close()
		e.Transport = j.hosts
	}
	for name, value := range environ {
		e.Environ = append(e.Environ, name+"="+value)
	}
	slices.Sort(e.Environ)

	began := servers.Now()
	o := outcome{t: t, status: app.Main(ctx, e), stdout: stdout.String(), stderr: stderr.String(), summary: read(t, summary)}
	o.outputs = parseOutputs(t, read(t, output))
	if raw := o.outputs["results"]; raw != "" {
		if err := json.Unmarshal([]byte(raw), &o.results); err != nil {
			t.Errorf("results: %v", err)
		}
	}
	if !j.beside {
		j.ordered(t, o, began)
	}
	for _, left := range []string{"home", "tmp", "workspace", "runner_temp"} {
		if entries, err := os.ReadDir(filepath.Join(dir, left)); err != nil || len(entries) > 0 {
			t.Errorf("%s is not left as it was: %v %v", left, entries, err)
		}
	}
	return o
}

func read(t testing.TB, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// parseOutputs reads a GITHUB_OUTPUT file as the runner does.
func parseOutputs(t testing.TB, text string) map[string]string {
	t.Helper()
	out := map[string]string{}
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		if name, delimiter, ok := strings.Cut(lines[i], "<<"); ok {
			var value []string
			for i++; i < len(lines) && lines[i] != delimiter; i++ {
				value = append(value, lines[i])
			}
			out[name] = strings.Join(value, "\n")
			continue
		}
		if name, value, ok := strings.Cut(lines[i], "="); ok {
			out[name] = value
			continue
		}
		if lines[i] != "" {
			t.Errorf("outputs: line %q", lines[i])
		}
	}
	return out
}

// text is all that people see: log, annotations, summary and outputs, without the masks.
func (o outcome) text() string {
	var b strings.Builder
	for line := range strings.Lines(o.stdout + "\n" + o.stderr) {
		if !strings.HasPrefix(line, "::add-mask::") {
			b.WriteString(line)
		}
	}
	b.WriteString(o.summary)
	for _, name := range slices.Sorted(maps.Keys(o.outputs)) {
		b.WriteString(o.outputs[name] + "\n")
	}
	return b.String()
}

// exits checks the exit status, and shows the log where it is another.
func (o outcome) exits(want int) outcome {
	o.t.Helper()
	if o.status != want {
		o.t.Errorf("exit status %d, want %d\n%s", o.status, want, o.text())
	}
	return o
}

// says checks that people are told each of the texts.
func (o outcome) says(texts ...string) outcome {
	o.t.Helper()
	all := o.text()
	for _, want := range texts {
		if !strings.Contains(all, want) {
			o.t.Errorf("nothing says %q in\n%s", want, all)
		}
	}
	return o
}

// registry returns the results of one registry.
func (o outcome) registry(host string) report.RegistryResult {
	o.t.Helper()
	for _, r := range o.results.Registries {
		if r.Registry == host {
			return r
		}
	}
	o.t.Errorf("results say nothing of %s\n%s%s", host, o.stdout, o.stderr)
	return report.RegistryResult{}
}

// has checks the status of each registry.
func (o outcome) has(statuses map[string]report.Status) outcome {
	o.t.Helper()
	if len(o.results.Registries) != len(statuses) {
		o.t.Errorf("%d registries, want %d\n%s", len(o.results.Registries), len(statuses), o.text())
	}
	for host, want := range statuses {
		if got := o.registry(host); got.Status != want {
			o.t.Errorf("%s is %q (%s), want %q\n%s", host, got.Status, got.Reason, want, o.text())
		}
	}
	return o
}

// list splits an output of one entry a line.
func (o outcome) list(output string) []string { return strings.Fields(o.outputs[output]) }

func newClock() *clocktest.Clock {
	return clocktest.New(time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC))
}

// items joins items of registry-auth.
func items(list ...string) string { return strings.Join(list, "") }

// logins tells requests that prove who we are and what we may do from all others: the
// ping, and the upload that is opened and cancelled.
func isLogin(r servers.Request) bool {
	switch r.Method {
	case http.MethodGet:
		return r.Path == "/v2/"
	case http.MethodPost:
		return strings.HasSuffix(r.Path, "/blobs/uploads/") && !r.Query.Has("mount") && r.BytesIn == 0
	case http.MethodDelete:
		return strings.Contains(r.Path, "/blobs/uploads/")
	}
	return r.Status == http.StatusUnauthorized
}

// hosts are stand-ins for registries by their real name: requests for the name go to the
// server, in the way a proxy that ends TLS passes them on.
type hosts map[string]*servers.Server

func (h hosts) RoundTrip(r *http.Request) (*http.Response, error) {
	if s := h[r.URL.Host]; s != nil {
		if r.URL.Scheme != "https" {
			return nil, errors.New("plain HTTP to " + r.URL.Host)
		}
		r = r.Clone(r.Context())
		r.Host, r.URL.Host, r.URL.Scheme = r.URL.Host, s.Host, "http"
	}
	if name := r.URL.Hostname(); name != "localhost" && !net.ParseIP(name).IsLoopback() {
		return nil, errors.New("a test must not ask " + r.URL.Host)
	}
	return http.DefaultTransport.RoundTrip(r)
}

func (h hosts) close() { http.DefaultTransport.(*http.Transport).CloseIdleConnections() }

// here is this package's folder, also for tests that have left it.
func here(t testing.TB) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("no source position")
	}
	return filepath.Dir(file)
}

// nth returns a function that calls do at its n-th call; for Fault.Reached.
func nth(n int64, do func()) func(*http.Request) {
	var calls atomic.Int64
	return func(*http.Request) {
		if calls.Add(1) == n {
			do()
		}
	}
}
