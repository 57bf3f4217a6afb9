package container

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/test/servers"
)

// sizeGoal is below what the image stays when it is compressed, in bytes: runners fetch
// it at every start.
const sizeGoal = 6_000_000

// TestImage looks at what the Dockerfile makes: one static program, certificates and a
// temporary folder, and no more than the goal.
func TestImage(t *testing.T) {
	image := actionImage(t)
	id := strings.TrimSpace(mustDocker(t, "create", image))
	t.Cleanup(func() { mustDocker(t, "rm", id) })
	export := exec.Command("docker", "export", id)
	out, err := export.Output()
	if err != nil {
		t.Fatal(err)
	}
	modes := map[string]string{}
	for archive := tar.NewReader(bytes.NewReader(out)); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		modes[strings.TrimSuffix(header.Name, "/")] = header.FileInfo().Mode().String()
	}
	for _, made := range []string{".dockerenv", "dev", "dev/console", "dev/pts", "dev/shm", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf", "proc", "sys"} {
		delete(modes, made) // by docker create
	}
	want := map[string]string{
		"etc":                               "drwxr-xr-x",
		"etc/ssl":                           "drwxr-xr-x",
		"etc/ssl/certs":                     "drwxr-xr-x",
		"etc/ssl/certs/ca-certificates.crt": "-rw-r--r--",
		"multi-registry-push":               "-rwxr-xr-x",
		"tmp":                               "dtrwxrwxrwx",
	}
	for name, mode := range modes {
		if want[name] != mode {
			t.Errorf("the image holds %s %s", mode, name)
		}
	}
	for name, mode := range want {
		if modes[name] == "" {
			t.Errorf("the image does not hold %s %s", mode, name)
		}
	}

	var size counter
	packed, err := gzip.NewWriterLevel(&size, gzip.DefaultCompression)
	if err != nil {
		t.Fatal(err)
	}
	save := exec.Command("docker", "save", image)
	save.Stdout = packed
	if err := errors.Join(save.Run(), packed.Close()); err != nil {
		t.Fatal(err)
	}
	t.Logf("the image has %d bytes, compressed", size)
	if size >= sizeGoal {
		t.Errorf("the image has %d bytes, compressed; the goal is less than %d", size, sizeGoal)
	}
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// TestBuildah builds the Dockerfile with another builder and compares the programs: the
// build is reproducible, and no builder gets something else.
func TestBuildah(t *testing.T) {
	image := actionImage(t)
	servers.Require(t, "buildah")
	if _, err := buildah("inspect", "--type", "image", base(t)); err != nil {
		servers.Missing(t, "needs the image "+base(t)+" in Buildah's storage (buildah pull, or .ci/base-image)")
	}
	mustBuildah(t, "build", "-q", "--isolation", "chroot", "--pull-never", "--format", "docker", "--build-arg", "BASE="+base(t),
		"-t", image, "-f", "../../Dockerfile", "../..")
	working := strings.TrimSpace(mustBuildah(t, "from", "--pull-never", image))
	t.Cleanup(func() { mustBuildah(t, "rm", working) })
	folder := strings.TrimSpace(mustBuildah(t, "mount", working))
	theirs := sha256.Sum256([]byte(read(t, folder+"/multi-registry-push")))

	id := strings.TrimSpace(mustDocker(t, "create", image))
	t.Cleanup(func() { mustDocker(t, "rm", id) })
	to := t.TempDir() + "/program"
	mustDocker(t, "cp", id+":/multi-registry-push", to)
	if ours := sha256.Sum256([]byte(read(t, to))); ours != theirs {
		t.Errorf("Docker built %x, Buildah %x", ours, theirs)
	}
}

func TestVersion(t *testing.T) {
	image := actionImage(t)
	if out := mustDocker(t, "run", "--rm", "--network", "none", image, "--version"); !strings.Contains(out, "multi-registry-push") {
		t.Errorf("--version says %q", out)
	}
}

func buildah(args ...string) (string, error) { return command(exec.Command("buildah", args...)) }

func mustBuildah(t *testing.T, args ...string) string {
	t.Helper()
	out, err := buildah(args...)
	if err != nil {
		t.Fatal(fmt.Errorf("buildah %s: %w\n%s", strings.Join(args, " "), err, out))
	}
	return out
}
