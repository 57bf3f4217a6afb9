package container

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// runner is GitHub's runner, as far as it starts container actions: see the handler for
// container actions in actions/runner (ContainerActionHandler.cs).
type runner struct {
	workspace string            // GITHUB_WORKSPACE on the host: <work>/app/app
	temp      string            // RUNNER_TEMP on the host: <work>/_temp
	flags     []string          // more for docker run
	network   string            // of the job; empty: the host's, where tests' servers are
	variables map[string]string // of the job, on top of what the runner sets
	signal    <-chan os.Signal  // what the runner sends to docker when the job is cancelled
}

// result is what a step leaves behind.
type result struct {
	status  int
	log     string // both streams
	outputs map[string]string
	summary string
}

func newRunner(t *testing.T) *runner {
	t.Helper()
	work := filepath.Join(t.TempDir(), "work")
	r := &runner{workspace: filepath.Join(work, "app", "app"), temp: filepath.Join(work, "_temp")}
	for _, folder := range []string{r.workspace, r.home(), r.workflow(), r.commands()} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(r.workflow(), "event.json"), `{"ref":"refs/heads/main"}`)
	return r
}

func (r *runner) home() string     { return filepath.Join(r.temp, "_github_home") }
func (r *runner) workflow() string { return filepath.Join(r.temp, "_github_workflow") }
func (r *runner) commands() string { return filepath.Join(r.temp, "_runner_file_commands") }

// volumes are host folder and container folder, those inside others first.
func (r *runner) volumes() [][2]string {
	return [][2]string{
		{r.home(), "/github/home"},
		{r.workflow(), "/github/workflow"},
		{r.commands(), "/github/file_commands"},
		{r.temp, "/github/runner_temp"},
		{r.workspace, "/github/workspace"},
	}
}

// run starts the image for one step with these inputs, waits for it, and checks that it
// has left no file in workspace and home.
func (r *runner) run(t *testing.T, image string, inputs map[string]string) result {
	t.Helper()
	before := append(files(t, r.workspace), files(t, r.home())...)
	id := strings.ToLower(rand.Text())
	env := map[string]string{
		"HOME":                r.home(),
		"GITHUB_WORKSPACE":    r.workspace,
		"RUNNER_WORKSPACE":    filepath.Dir(r.workspace),
		"RUNNER_TEMP":         r.temp,
		"RUNNER_OS":           "Linux",
		"GITHUB_ACTOR":        "octocat",
		"GITHUB_REPOSITORY":   "octocat/app",
		"GITHUB_EVENT_NAME":   "push",
		"GITHUB_EVENT_PATH":   filepath.Join(r.workflow(), "event.json"),
		"GITHUB_SERVER_URL":   "https://github.com",
		"GITHUB_OUTPUT":       filepath.Join(r.commands(), "set_output_"+id),
		"GITHUB_STEP_SUMMARY": filepath.Join(r.commands(), "step_summary_"+id),
		"GITHUB_ENV":          filepath.Join(r.commands(), "set_env_"+id),
		"GITHUB_PATH":         filepath.Join(r.commands(), "add_path_"+id),
		"GITHUB_STATE":        filepath.Join(r.commands(), "save_state_"+id),
	}
	for _, name := range []string{"GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STATE"} {
		write(t, env[name], "")
	}
	outputs, summary := env["GITHUB_OUTPUT"], env["GITHUB_STEP_SUMMARY"]
	maps.Copy(env, r.variables)
	for name, value := range inputs {
		env["INPUT_"+strings.ToUpper(strings.ReplaceAll(name, " ", "_"))] = value
	}
	// RUNNER_WORKSPACE holds the workspace, so it does not begin with it: the
	// container sees the host's path.
	for name, value := range env {
		for _, v := range r.volumes() {
			if rest, ok := strings.CutPrefix(value, v[0]); ok {
				env[name] = v[1] + rest
				break
			}
		}
	}

	args := []string{"run", "--name", "mrp-" + id, "--workdir", "/github/workspace", "--rm"}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		args = append(args, "-e", name)
	}
	args = append(args, "-e", "GITHUB_ACTIONS=true", "-e", "CI=true", "--network", cmp.Or(r.network, "host"))
	args = append(args, "-v", socket(t)+":/var/run/docker.sock")
	for _, v := range r.volumes() {
		args = append(args, "-v", v[0]+":"+v[1])
	}
	args = append(args, r.flags...)

	cmd := exec.Command("docker", append(args, image)...)
	cmd.Env = os.Environ()
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var err error
	select {
	case err = <-ended:
	case s := <-r.signal:
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		err = <-ended
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}

	after := append(files(t, r.workspace), files(t, r.home())...)
	if !slices.Equal(before, after) {
		t.Errorf("the step changed workspace or home:\n%q\n%q", before, after)
	}
	return result{
		status:  cmd.ProcessState.ExitCode(),
		log:     log.String(),
		outputs: parseOutputs(t, outputs),
		summary: read(t, summary),
	}
}

// parseOutputs reads NAME=VALUE and NAME<<DELIMITER, as the runner does.
func parseOutputs(t *testing.T, file string) map[string]string {
	t.Helper()
	outputs := map[string]string{}
	lines := strings.Split(read(t, file), "\n")
	for i := 0; i < len(lines); i++ {
		if lines[i] == "" {
			continue
		}
		name, delimiter, here := strings.Cut(lines[i], "<<")
		if !here {
			name, value, ok := strings.Cut(lines[i], "=")
			if !ok {
				t.Fatalf("not an output: %q", lines[i])
			}
			outputs[name] = value
			continue
		}
		end := slices.Index(lines[i+1:], delimiter)
		if end < 0 {
			t.Fatalf("output %s does not end", name)
		}
		outputs[name] = strings.Join(lines[i+1:i+1+end], "\n")
		i += 1 + end
	}
	return outputs
}

// files lists a folder's files with their sizes.
func files(t *testing.T, folder string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		list = append(list, path+" "+info.Mode().String()+" "+info.ModTime().String())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
