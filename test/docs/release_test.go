package docs

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestReleaseTag: a release's commit names image and binaries by digest, and the major
// version moves there only when each binary can be fetched and is the one that was named.
func TestReleaseTag(t *testing.T) {
	clone := filepath.Join(t.TempDir(), "clone")
	run(t, ".", "git", "clone", "-q", root, clone)
	for _, script := range []string{"release-tag", "release-move"} { // as they are in the work tree
		if err := os.WriteFile(filepath.Join(clone, "scripts", script), read(t, filepath.Join(root, "scripts", script)), 0o755); err != nil { // #nosec G306 -- a script
			t.Fatal(err)
		}
	}
	run(t, clone, "git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qam", "scripts", "--allow-empty")
	run(t, clone, "git", "config", "user.name", "t")
	run(t, clone, "git", "config", "user.email", "t@example.com")
	main := run(t, clone, "git", "rev-parse", "HEAD")

	files := t.TempDir()
	list := "# comment\nversion 9.8.7\n"
	for _, platform := range []string{"linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64"} {
		list += fmt.Sprintf("%s %x\n", platform, sha256.Sum256([]byte(platform)))
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(files, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(files, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("release.txt", list)
	image := "ghcr.io/acme/app@sha256:" + strings.Repeat("a", 64)
	if out, err := try(clone, "scripts/release-tag", "9.8.6", image, filepath.Join(files, "release.txt")); err == nil {
		t.Fatalf("binaries of another version are taken:\n%s", out)
	}
	run(t, clone, "git", "checkout", "-q", "-f", strings.TrimSpace(main))
	run(t, clone, "scripts/release-tag", "9.8.7", image, filepath.Join(files, "release.txt"))

	if got := run(t, clone, "git", "show", "v9.8.7:native/release.txt"); got != list {
		t.Errorf("release.txt is %q", got)
	}
	if got := run(t, clone, "git", "show", "v9.8.7:action.yml"); !strings.Contains(got, "\n  image: docker://"+image+"\n") {
		t.Errorf("action.yml does not name the image:\n%s", got)
	}
	if got := run(t, clone, "git", "rev-parse", "v9.8.7^{commit}^"); got != main {
		t.Errorf("the release's parent is %s, not %s", got, main)
	}

	move := func() error {
		_, err := try(clone, "scripts/release-move", "9.8.7", "file://"+files)
		return err
	}
	moved := func() bool {
		_, err := try(clone, "git", "rev-parse", "-q", "--verify", "refs/tags/v9")
		return err == nil
	}
	platforms := []string{"linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64"}
	for _, platform := range platforms {
		if move() == nil || moved() {
			t.Errorf("v9 moves before %s can be fetched", platform)
		}
		write("v9.8.7/multi-registry-push_9.8.7_"+platform, platform)
	}
	write("v9.8.7/multi-registry-push_9.8.7_darwin_arm64", "other bytes")
	if move() == nil || moved() {
		t.Error("v9 moves although a binary is another than the release says")
	}
	write("v9.8.7/multi-registry-push_9.8.7_darwin_arm64", "darwin_arm64")
	if err := move(); err != nil || !moved() {
		t.Errorf("v9 does not move: %v", err)
	}
}

func try(folder, program string, args ...string) (string, error) {
	cmd := exec.Command(program, args...)
	cmd.Dir = folder
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func run(t *testing.T, folder, program string, args ...string) string {
	t.Helper()
	out, err := try(folder, program, args...)
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", program, args, err, out)
	}
	return out
}
