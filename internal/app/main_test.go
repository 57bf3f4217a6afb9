package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/multi-registry-push/multi-registry-push/internal/config"
	"github.com/multi-registry-push/multi-registry-push/internal/publish"
	"github.com/multi-registry-push/multi-registry-push/internal/report"
)

// definition is the real action.yml: names and defaults are tested as they ship.
func definition(t testing.TB) (*config.Definition, []byte) {
	t.Helper()
	raw, err := os.ReadFile("../../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	def, err := config.ParseDefinition(raw)
	if err != nil {
		t.Fatal(err)
	}
	return def, raw
}

// TestOutputsAreDocumented: action.yml lists what is written, and nothing else.
func TestOutputsAreDocumented(t *testing.T) {
	def, _ := definition(t)
	outputs := report.Outputs(publish.Result{})
	if len(outputs) != len(def.Outputs) {
		t.Errorf("%d outputs are documented, %d written", len(def.Outputs), len(outputs))
	}
	for _, o := range def.Outputs {
		if _, ok := outputs[o.Name]; !ok || o.Description == "" {
			t.Errorf("%+v", o)
		}
	}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// offline is a network on which every request is an error of the program.
type offline struct{ requests atomic.Int64 }

func (o *offline) RoundTrip(*http.Request) (*http.Response, error) {
	o.requests.Add(1)
	return nil, errors.New("no request is allowed here")
}

// outcome is what a run left behind.
type outcome struct {
	status         int
	stdout, stderr string
	outputs        map[string]string
	results        report.Results
	summary        string
	requests       int64
}

// everything returns all that anybody can read.
func (o outcome) everything() string {
	var b strings.Builder
	b.WriteString(o.stdout + o.stderr + o.summary)
	for name, value := range o.outputs {
		b.WriteString(name + "=" + value + "\n")
	}
	return b.String()
}

// runOffline runs the program in a workflow, with nothing to talk to.
func runOffline(t *testing.T, environ []string, args ...string) outcome {
	t.Helper()
	_, raw := definition(t)
	dir := t.TempDir()
	output, summary := filepath.Join(dir, "output"), filepath.Join(dir, "summary")
	for _, name := range []string{output, summary} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	network := &offline{}
	var stdout, stderr bytes.Buffer
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	o := outcome{status: Main(t.Context(), Env{
		Args:    args,
		Environ: append([]string{"GITHUB_ACTIONS=true", "GITHUB_OUTPUT=" + output, "GITHUB_STEP_SUMMARY=" + summary, "GITHUB_SERVER_URL=https://github.com", "HOME=" + dir}, environ...),
		Stdin:   strings.NewReader(""), Stdout: &stdout, Stderr: &stderr,
		Definition: raw, Transport: network, Now: func() time.Time { return now },
	})}
	o.stdout, o.stderr, o.requests = stdout.String(), stderr.String(), network.requests.Load()
	written, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	o.outputs = parseOutputs(t, string(written))
	if text := o.outputs["results"]; text != "" {
		if err := json.Unmarshal([]byte(text), &o.results); err != nil {
			t.Fatalf("results are not JSON: %v\n%s", err, text)
		}
	}
	markdown, err := os.ReadFile(summary)
	if err != nil {
		t.Fatal(err)
	}
	o.summary = string(markdown)
	return o
}

// parseOutputs reads an output file as the runner does (actions/runner,
// FileCommandManager).
func parseOutputs(t *testing.T, text string) map[string]string {
	t.Helper()
	out := map[string]string{}
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		if lines[i] == "" {
			continue
		}
		name, delimiter, ok := strings.Cut(lines[i], "<<")
		if !ok {
			t.Fatalf("the runner does not understand the line %q", lines[i])
		}
		var value []string
		for i++; i < len(lines) && lines[i] != delimiter; i++ {
			value = append(value, lines[i])
		}
		if i == len(lines) {
			t.Fatalf("the value of %s does not end", name)
		}
		out[name] = strings.Join(value, "\n")
	}
	return out
}

const hubItem = "INPUT_REGISTRY-AUTH=- username: me\n  password: "

// The rows of the contract's table: none is an error, each is said.
func TestUnsetMeansSkipped(t *testing.T) {
	for name, c := range map[string]struct {
		environ []string
		says    string // in the log
		skipped string // output
		reason  string // of the registry in the results
	}{
		"no item":             {[]string{"INPUT_TAGS=me/app:1"}, "docker.io", "docker.io", "credentials"},
		"options only":        {[]string{"INPUT_TAGS=quay.io/me/app:1", "INPUT_REGISTRY-AUTH=- registry: quay.io\n  required: false"}, "quay.io", "quay.io", "credentials"},
		"empty user":          {[]string{"INPUT_TAGS=me/app:1", "INPUT_REGISTRY-AUTH=- username: ''\n  password: hunter22"}, "docker.io", "docker.io", "username"},
		"empty password":      {[]string{"INPUT_TAGS=me/app:1", hubItem}, "docker.io", "docker.io", "password"},
		"null":                {[]string{"INPUT_TAGS=me/app:1", hubItem + "null"}, "docker.io", "docker.io", "password"},
		"empty role":          {[]string{"INPUT_TAGS=123456789012.dkr.ecr.eu-west-1.amazonaws.com/app:1", "INPUT_REGISTRY-AUTH=- registry: 123456789012.dkr.ecr.eu-west-1.amazonaws.com\n  aws-role: ", "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=yyyyyyyyyyyy"}, "amazonaws", "123456789012.dkr.ecr.eu-west-1.amazonaws.com", "aws-role"},
		"never falls through": {[]string{"INPUT_TAGS=ghcr.io/me/app:1", "INPUT_GITHUB-TOKEN=ghs_0123456789", "INPUT_REGISTRY-AUTH=- registry: ghcr.io\n  username: me\n  password: "}, "ghcr.io", "ghcr.io", "password"},
		"empty registry":      {[]string{"INPUT_TAGS=me/app:1", "INPUT_REGISTRY-AUTH=- registry: \n  username: me\n  password: hunter22"}, "registry is empty", "docker.io", "credentials"},
		"empty component":     {[]string{"INPUT_TAGS=/app:1\ndocker.io//app:1"}, "docker.io//app:1", "docker.io", "empty part"},
		"empty tags":          {[]string{"INPUT_TAGS="}, "tags is empty", "", ""},
		"blank tags":          {[]string{"INPUT_TAGS=\n , \n"}, "tags is empty", "", ""},
		"source unfinished":   {[]string{"INPUT_TAGS=me/app:1", "INPUT_SOURCE=ghcr.io/me/app@"}, "docker.io", "docker.io", "credentials"},
		"source nonsense":     {[]string{"INPUT_TAGS=me/app:1", "INPUT_SOURCE=no such thing"}, "docker.io", "docker.io", "credentials"},
		"no source":           {[]string{"INPUT_TAGS=me/app:1", "INPUT_SOURCE="}, "docker.io", "docker.io", "credentials"},
		"no tag matches":      {[]string{"INPUT_TAGS=me/app:main", hubItem + "hunter22\n  tags-matching: v.*"}, "docker.io", "docker.io", "tags-matching"},
	} {
		t.Run(name, func(t *testing.T) {
			environ := c.environ
			if !strings.Contains(strings.Join(environ, "\n"), "INPUT_SOURCE=") {
				environ = append(environ, "INPUT_SOURCE=./image.tar")
			}
			o := runOffline(t, environ)
			if o.status != 0 || o.requests != 0 {
				t.Errorf("exit status %d, %d requests", o.status, o.requests)
			}
			if !strings.Contains(o.stdout, c.says) || !strings.Contains(o.stdout, "::warning") {
				t.Errorf("the log does not say %q, or has no warning:\n%s", c.says, o.stdout)
			}
			if skips := c.skipped != "" && name != "no tag matches"; strings.Contains(o.stdout, "::notice title=") != skips {
				t.Errorf("a notice is missing, or one too many:\n%s", o.stdout)
			}
			if strings.Contains(o.stdout, "::error") {
				t.Errorf("the log has an error:\n%s", o.stdout)
			}
			if o.outputs["skipped"] != c.skipped || o.outputs["failed"] != "" || o.outputs["pushed"] != "" || o.outputs["digest"] != "" {
				t.Errorf("outputs %q", o.outputs)
			}
			if c.skipped != "" {
				if len(o.results.Registries) != 1 || o.results.Registries[0].Status != report.Skipped || !strings.Contains(o.results.Registries[0].Reason, c.reason) {
					t.Errorf("results %+v", o.results.Registries)
				}
				if !strings.Contains(o.summary, c.skipped) {
					t.Errorf("summary:\n%s", o.summary)
				}
			}
		})
		t.Run(name+", which is to fail", func(t *testing.T) {
			if name == "no tag matches" || name == "options only" {
				return // left out by choice; required: false is never an error
			}
			o := runOffline(t, append(c.environ, "INPUT_MISSING-CREDENTIALS=fail", "INPUT_SOURCE=./image.tar"))
			if advice := strings.Contains(o.stdout, "or leave the line out"); advice != (name == "empty component" || name == "empty registry") {
				t.Errorf("advice that does not fit:\n%s", o.stdout)
			}
			if o.status != 1 || o.requests != 0 || !strings.Contains(o.stdout, "::error") || !strings.Contains(o.stdout, "missing-credentials") {
				t.Errorf("exit status %d, %d requests:\n%s", o.status, o.requests, o.stdout)
			}
		})
	}
}

func TestAllInputErrorsAtOnceAndNothingSent(t *testing.T) {
	o := runOffline(t, []string{
		"INPUT_SOURCE=ubuntu", "INPUT_TAGS=ghcr.io/Me/app:1\nme/ok:1", "INPUT_REGISTRY-AUTH=- registry: docker.io\n  usrname: me\n  username: me\n  password: hunter22hunter22\n",
		"INPUT_CONCURRENCY=many", "INPUT_ATOMC=true", "INPUT_PLATFORMS=x", "INPUT_IMMUTABLE-TAGS=(",
	})
	if o.status != 1 || o.requests != 0 {
		t.Errorf("exit status %d, %d requests", o.status, o.requests)
	}
	for _, want := range []string{"atomc", "usrname", "Did you mean username?", "ghcr.io/Me/app:1", "me/app", "concurrency", "platforms, line 1", "immutable-tags", `"ubuntu"`, "docker://ubuntu"} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("the log does not hold %q", want)
		}
	}
	for _, want := range []string{"atomc", "usrname", "concurrency", "platforms, line 1", "immutable", "ubuntu"} {
		if !strings.Contains(o.summary, want) {
			t.Errorf("the summary does not hold %q:\n%s", want, o.summary)
		}
	}
	if strings.Count(o.stdout, "::error ") != 7 {
		t.Errorf("%d errors:\n%s", strings.Count(o.stdout, "::error "), o.stdout)
	}
	if strings.Contains(strings.ReplaceAll(o.everything(), "::add-mask::hunter22hunter22\n", ""), "hunter22") {
		t.Errorf("the password is written:\n%s", o.everything())
	}
	for _, name := range []string{"digest", "pushed", "skipped", "failed", "results"} {
		if _, ok := o.outputs[name]; !ok {
			t.Errorf("output %s is missing", name)
		}
	}
}

func TestSourceOfAnEnabledRegistryIsChecked(t *testing.T) {
	for source, says := range map[string]string{"": "source is empty", "ghcr.io/me/app@": "digest is empty", "nginx": "docker://nginx"} {
		o := runOffline(t, []string{"INPUT_TAGS=me/app:1", hubItem + "hunter22", "INPUT_SOURCE=" + source})
		if o.status != 1 || o.requests != 0 || !strings.Contains(o.stdout, says) {
			t.Errorf("%q: exit status %d, %d requests:\n%s", source, o.status, o.requests, o.stdout)
		}
	}
}

func TestProxyThatIsNoAddress(t *testing.T) {
	for address, wrong := range map[string]bool{
		"http://me:hunter%zz@proxy:3128": true, "me:hunter 22@proxy:3128": true, "https://me:hunter/22@proxy:3128": true,
		"http://me:hunter%2522@proxy:3128": false, "proxy:3128": false, "proxy": false, "": false,
	} {
		o := runOffline(t, []string{"INPUT_TAGS=me/app:1", "HTTPS_PROXY=" + address})
		if got := strings.Contains(o.stdout, "::multi-registry-push: HTTPS_PROXY is not an address"); got != wrong {
			t.Errorf("%q: %s", address, o.stdout)
		}
	}
}

func TestHelpAndVersion(t *testing.T) {
	_, raw := definition(t)
	run := func(args ...string) (int, string) {
		var out bytes.Buffer
		status := Main(t.Context(), Env{Args: args, Stdout: &out, Stderr: &out, Definition: raw, Version: "1.2.3", Commit: "abcdef", GoVersion: "go1.26",
			Environ: []string{"INPUT_GITHUB-TOKEN=ghs_c4nary4c4nary"}})
		return status, out.String()
	}
	status, help := run("--source", "x", "--help")
	def, _ := config.ParseDefinition(raw)
	for _, in := range def.Inputs {
		if !strings.Contains(help, "--"+in.Name) || !strings.Contains(strings.Join(strings.Fields(help), " "), strings.Join(strings.Fields(in.Description), " ")) {
			t.Errorf("help lacks %s", in.Name)
		}
	}
	for c := 'a'; c <= 'z'; c++ {
		_, bad := config.ParseArguments(def, []string{"-" + string(c), "json"})
		known := len(bad) == 0 || !strings.Contains(bad[0].Error(), "argument 1 is not a flag")
		if told := strings.Contains(help, "\n  -"+string(c)+", --"); told != known {
			t.Errorf("-%c is a flag: %t; help has it: %t", c, known, told)
		}
	}
	if status != 0 || strings.Contains(help, "c4nary") || !strings.Contains(help, "default: auto") {
		t.Errorf("exit status %d:\n%s", status, help)
	}
	for line := range strings.Lines(help) {
		if len(line) > helpWidth+1 {
			t.Errorf("a line of %d columns: %s", len(line), line)
		}
	}
	if status, text := run("help"); status != 0 || text != help {
		t.Errorf("help: exit status %d:\n%s", status, text)
	}
	if status, version := run("version"); status != 0 || version != "multi-registry-push 1.2.3, commit abcdef, go1.26\n" {
		t.Errorf("exit status %d: %q", status, version)
	}
	if status, version := run("--version"); status != 0 || version != "multi-registry-push 1.2.3, commit abcdef, go1.26\n" {
		t.Errorf("exit status %d: %q", status, version)
	}
}

// TestNothingGiven: the name alone prints the help, and is no success.
func TestNothingGiven(t *testing.T) {
	_, raw := definition(t)
	for name, c := range map[string]struct {
		environ []string
		help    bool
	}{
		"the name alone":             {nil, true},
		"variables that are empty":   {[]string{"INPUT_TAGS=", "INPUT_SOURCE=  "}, true},
		"variables of other things":  {[]string{"INPUT_FILE=x"}, true},
		"a variable":                 {[]string{"INPUT_TAGS=/a:1"}, false},
		"a variable with underscore": {[]string{"INPUT_DRY_RUN=true"}, false},
		"a workflow":                 {[]string{"GITHUB_ACTIONS=true"}, false},
	} {
		var out, errors bytes.Buffer
		status := Main(t.Context(), Env{Environ: c.environ, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errors, Definition: raw})
		if help := strings.Contains(errors.String(), "auth.yml:") && status == 1; help != c.help {
			t.Errorf("%s: exit status %d\n%s%s", name, status, out.String(), errors.String())
		}
	}
}

// TestOutputJSON: standard output holds results and nothing else.
func TestOutputJSON(t *testing.T) {
	_, raw := definition(t)
	run := func(args ...string) (int, string, string) {
		var out, errors bytes.Buffer
		status := Main(t.Context(), Env{Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errors, Definition: raw, Transport: &offline{}})
		return status, out.String(), errors.String()
	}
	for _, args := range [][]string{
		{"--source", "./image.tar", "--tags", "me/app:1"}, {"--tags", "me/App:1"}, {"--sorce", "x"},
	} {
		_, out, log := run(append(args, "--output", "json")...)
		var results report.Results
		if err := json.Unmarshal([]byte(out), &results); err != nil || strings.Count(out, "\n") != 1 || log == "" {
			t.Errorf("%q: %v: %q\n%s", args, err, out, log)
		}
	}
}

// fullDisk takes no byte.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// TestResultsThatCannotBeWrittenAreAnError: whoever reads standard output must not take nothing for a success.
func TestResultsThatCannotBeWrittenAreAnError(t *testing.T) {
	_, raw := definition(t)
	digest := "sha256:" + strings.Repeat("a", 64)
	serves := served(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Docker-Content-Digest", digest)
		w.Header().Set("Content-Length", "2")
	})
	receipt := fmt.Sprintf(`{"digest":%[1]q,"registries":[{"registry":"a.test","references":[{"reference":"a.test/app:1","status":"pushed","digest":%[1]q}]}]}`, digest)
	output := filepath.Join(t.TempDir(), "output")
	if err := os.WriteFile(output, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args   []string
		status int
	}{
		"a run":  {[]string{"--source", "./image.tar", "--tags", "me/app:1", "--output", "json"}, 1},
		"verify": {[]string{"verify", "-", "--output", "json"}, 2},
	} {
		run := func(out io.Writer) (int, string) {
			var errors bytes.Buffer
			status := Main(t.Context(), Env{Args: c.args, Environ: []string{"GITHUB_ACTIONS=true", "GITHUB_OUTPUT=" + output},
				Stdin: strings.NewReader(receipt), Stdout: out, Stderr: &errors, Definition: raw, Transport: serves})
			return status, errors.String()
		}
		if status, log := run(io.Discard); status != 0 {
			t.Errorf("%s: exit status %d where results can be written\n%s", name, status, log)
		}
		if status, log := run(fullDisk{}); status != c.status || !strings.Contains(log, "Results are missing") {
			t.Errorf("%s: exit status %d\n%s", name, status, log)
		}
	}
}

// TestQuiet: nothing but what is wrong is written.
func TestQuiet(t *testing.T) {
	_, raw := definition(t)
	var out, errors bytes.Buffer
	Main(t.Context(), Env{Args: []string{"--quiet", "--tags", "me/app:1", "--source", "./x.tar", "--atomic", "maybe"}, Stdin: strings.NewReader(""),
		Stdout: &out, Stderr: &errors, Definition: raw, Transport: &offline{}})
	if out.Len() > 0 || !strings.Contains(errors.String(), "error: ") {
		t.Errorf("%q\n%s", out.String(), errors.String())
	}
}

// TestStandardInputOfATerminal: whoever sits there is told that it is waited for.
func TestStandardInputOfATerminal(t *testing.T) {
	_, raw := definition(t)
	for what, args := range map[string][]string{
		"--registry-auth": {"--tags", "me/app:1", "--registry-auth", "-"}, "verify": {"verify", "-"},
	} {
		for _, terminal := range []bool{true, false} {
			var out, errors bytes.Buffer
			Main(t.Context(), Env{Args: args, Stdin: strings.NewReader(""), StdinTerminal: terminal,
				Stdout: &out, Stderr: &errors, Definition: raw, Transport: &offline{}})
			if told := strings.Contains(errors.String(), what+": type or paste it here, then press Ctrl-D"); told != terminal {
				t.Errorf("%s, terminal %v:\n%s", what, terminal, errors.String())
			}
		}
	}
}

func TestPanicsAreRedacted(t *testing.T) {
	_, raw := definition(t)
	var out bytes.Buffer
	status := Main(t.Context(), Env{
		Environ: []string{"INPUT_GITHUB-TOKEN=ghs_c4nary4c4nary", "GITHUB_TOKEN=ghs_c4nary4c4nary"}, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Definition: raw,
		Now: func() time.Time { panic("holding ghs_c4nary4c4nary") },
	})
	if status != 1 || !strings.Contains(out.String(), "internal error") || strings.Contains(out.String(), "c4nary") {
		t.Errorf("exit status %d:\n%s", status, out.String())
	}
}

func TestCancelledBeforeItBegan(t *testing.T) {
	_, raw := definition(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	output := filepath.Join(t.TempDir(), "output")
	network := &offline{}
	var out bytes.Buffer
	status := Main(ctx, Env{Environ: []string{"GITHUB_OUTPUT=" + output, "INPUT_SOURCE=ghcr.io/a/b:1", "INPUT_TAGS=me/app:1", hubItem + "hunter22"},
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Definition: raw, Transport: network})
	if status != 130 {
		t.Errorf("exit status %d:\n%s", status, out.String())
	}
	if text, err := os.ReadFile(output); err != nil || parseOutputs(t, string(text))["results"] == "" {
		t.Errorf("outputs %q, %v", text, err)
	}
}

// stuck is a terminal at which nobody types: it calls back when it is read from.
type stuck struct {
	reading func()
	release chan struct{}
}

func (s stuck) Read([]byte) (int, error) {
	s.reading()
	<-s.release
	return 0, io.EOF
}

func TestCancelledWhileStandardInputIsWaitedFor(t *testing.T) {
	_, raw := definition(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	release := make(chan struct{})
	defer close(release)
	output := filepath.Join(t.TempDir(), "output")
	var out bytes.Buffer
	status := Main(ctx, Env{Args: []string{"--source", "./image.tar", "--tags", "me/app:1", "--registry-auth", "-"}, Environ: []string{"GITHUB_OUTPUT=" + output},
		Stdin: stuck{cancel, release}, Stdout: &out, Stderr: &out, Definition: raw, Transport: &offline{}})
	if status != 130 {
		t.Errorf("exit status %d:\n%s", status, out.String())
	}
	if text, err := os.ReadFile(output); err != nil || parseOutputs(t, string(text))["results"] == "" {
		t.Errorf("outputs %q, %v", text, err)
	}
}

// Without an enabled registry the source is not looked at, whatever else is wrong.
func TestSourceIsLeftAloneWithoutAnEnabledRegistry(t *testing.T) {
	for name, c := range map[string]struct {
		environ []string
		args    []string
		looked  bool
	}{
		"another input is wrong":      {[]string{"INPUT_TAGS=me/app:1", "INPUT_CONCURRENCY=many"}, nil, false},
		"a typo":                      {[]string{"INPUT_TAGS=me/app:1", "INPUT_ATOMC=true"}, nil, false},
		"enabled":                     {[]string{"INPUT_TAGS=me/app:1", "INPUT_CONCURRENCY=many", hubItem + "hunter22"}, nil, true},
		"tags is wrong":               {[]string{"INPUT_TAGS=me/App:1"}, nil, true},
		"registry-auth is wrong":      {[]string{"INPUT_TAGS=me/app:1", "INPUT_REGISTRY-AUTH=x"}, nil, true},
		"registry-auth is not there":  {[]string{"INPUT_TAGS=me/app:1"}, []string{"--registry-auth", "@/no/such/file"}, true},
		"github-token is not a token": {[]string{"INPUT_TAGS=me/app:1"}, []string{"--github-token", "@/no/such/file"}, false},
	} {
		o := runOffline(t, append(c.environ, "INPUT_SOURCE=./image-of-nobody.tar"), c.args...)
		if o.status != 1 || o.requests != 0 {
			t.Errorf("%s: exit status %d, %d requests", name, o.status, o.requests)
		}
		if looked := strings.Contains(o.stdout, "image-of-nobody.tar: the path is not there"); looked != c.looked {
			t.Errorf("%s: looked at the source: %v\n%s", name, looked, o.stdout)
		}
	}
}

func TestOutputsThatCannotBeWrittenAreAnError(t *testing.T) {
	_, raw := definition(t)
	var out bytes.Buffer
	gone := filepath.Join(t.TempDir(), "gone", "file")
	status := Main(t.Context(), Env{Environ: []string{"INPUT_SUMMARY=true", "GITHUB_OUTPUT=" + gone, "GITHUB_STEP_SUMMARY=" + gone}, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Definition: raw})
	if status != 1 || !strings.Contains(out.String(), "Outputs are missing") || !strings.Contains(out.String(), "summary is missing") {
		t.Errorf("exit status %d:\n%s", status, out.String())
	}
}
