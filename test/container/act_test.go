package container

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/test/servers"
)

// TestAct lets nektos/act run a workflow that uses the action from its own sources: another
// runner, with its own expressions, that builds the image by itself.
func TestAct(t *testing.T) {
	act := servers.Require(t, "act")
	actionImage(t) // skips where there is no engine; the build is in its cache then
	first, second, c := job(t)
	repository := sources(t)
	write(t, filepath.Join(repository, "secrets"), secretsFile(c))
	dockerfile := filepath.Join(repository, "Dockerfile") // act passes no arguments for a build
	write(t, dockerfile, regexp.MustCompile(`(?m)^(ARG BASE=.*)@sha256:.*$`).ReplaceAllString(read(t, dockerfile), "$1"))

	cmd := exec.Command(act, "push", "--workflows", "test/container/testdata/workflows/act.yml",
		"--platform", "ubuntu-latest="+base(t), "--pull=false", "--network", "host", "--no-cache-server", "--rm",
		"--container-daemon-socket", "unix://"+socket(t), "--secret-file", "secrets",
		"--var", "FIRST="+first.Host, "--var", "SECOND="+second.Host)
	cmd.Dir = repository
	out, err := command(cmd, "HOME="+t.TempDir(), "DOCKER_HOST=unix://"+socket(t))
	if err != nil {
		t.Fatalf("act: %v\n%s", err, out)
	}
	published(t, out, first, second)
	if says := "This container sees only the workspace (" + repository + ")"; !strings.Contains(out, says) {
		t.Errorf("the error for a file elsewhere does not say %q:\n%s", says, out)
	}
	keepsPasswords(t, out, first, second)
}

// published fails the test unless both registries serve the image and a later step has read the
// outputs.
func published(t *testing.T, out string, first, second *servers.Server) {
	t.Helper()
	want := expected(t)["buildkit-attested.tar"].Images[0].Digest
	for _, s := range []*servers.Server{first, second} {
		serves(t, first, second, s.Reference("acme/app", "1.0.0"), want)
	}
	for _, line := range []string{"digest=" + want, "first=pushed"} {
		if !strings.Contains(out, line) {
			t.Errorf("the later step does not print %s:\n%s", line, out)
		}
	}
}

// keepsPasswords fails the test if a registry's password is in act's log.
func keepsPasswords(t *testing.T, out string, registries ...*servers.Server) {
	t.Helper()
	for _, s := range registries {
		if strings.Contains(out, s.Users[0].Password) {
			t.Error("a password is in act's log")
		}
	}
}

// sources copies the project's files, without what git ignores, into a repository of its own.
func sources(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	listed, err := command(exec.Command("git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard"))
	if err != nil {
		t.Fatalf("git ls-files: %v\n%s", err, listed)
	}
	to := t.TempDir()
	for name := range strings.Lines(listed) {
		name = strings.TrimSuffix(name, "\n")
		content, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // deleted, but not yet in the index
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(to, name), string(content))
	}
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"},
		{"add", "-A"},
		{"-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "-q", "-m", "test"},
	} {
		if out, err := command(exec.Command("git", append([]string{"-C", to}, args...)...)); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	return to
}
