// Package container runs the action as GitHub's runner and act run it: as a container,
// built from the Dockerfile, with the runner's volumes, variables and files; and
// publishes images as real builders and engines leave them.
package container

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/multi-registry-push/multi-registry-push/test/servers"
)

// TestMain leaves the container to make test-all: building its image and an engine's work
// take minutes.
func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		fmt.Println("skipped with -short: `make test-all` tests the container")
		return
	}
	goleak.VerifyTestMain(m, servers.Lingers())
}

const image = "multi-registry-push:test"

// base returns the Dockerfile's base image without its digest, which no image that was made
// here can have.
func base(t *testing.T) string {
	t.Helper()
	return between(t, "../../Dockerfile", "ARG BASE=", "@sha256:")
}

// built is the end of building the action's image, once for all tests.
var built struct {
	once sync.Once
	out  string
	err  error
}

// actionImage returns the action's image. The test is skipped where there is no engine, or
// where the base image would have to be pulled.
func actionImage(t *testing.T) string {
	t.Helper()
	engine(t)
	if _, err := docker("image", "inspect", base(t)); err != nil {
		servers.Missing(t, "needs the image "+base(t)+" in the engine (docker pull, or .ci/base-image)")
	}
	built.once.Do(func() {
		build := exec.Command("docker", "build", "-q", "--build-arg", "BASE="+base(t), "-t", image, "-f", "../../Dockerfile", "../..")
		built.out, built.err = command(build, "DOCKER_BUILDKIT=0")
	})
	if built.err != nil {
		t.Fatalf("docker build: %v\n%s", built.err, built.out)
	}
	return image
}

// engine skips the test where no engine runs on this machine.
func engine(t *testing.T) {
	t.Helper()
	servers.Require(t, "docker")
	if out, err := docker("version"); err != nil {
		servers.Missing(t, "needs a running Docker engine: "+strings.TrimSpace(out))
	}
	socket(t)
}

// socket returns the engine's socket on the host.
func socket(t *testing.T) string {
	t.Helper()
	host := os.Getenv("DOCKER_HOST")
	if host == "" {
		return "/var/run/docker.sock"
	}
	path, ok := strings.CutPrefix(host, "unix://")
	if !ok {
		servers.Missing(t, "needs a Docker engine at a local socket, not "+host)
	}
	return path
}

func docker(args ...string) (string, error) { return command(exec.Command("docker", args...)) }

func mustDocker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := docker(args...)
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// command runs cmd and returns what it prints: standard output, or both streams when it fails.
func command(cmd *exec.Cmd, env ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = append(os.Environ(), env...)
	if err := cmd.Run(); err != nil {
		return stdout.String() + stderr.String(), err
	}
	return stdout.String(), nil
}

// fixture returns the path of a file in the project's testdata.
func fixture(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs("../../testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
