package container

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/test/servers"
)

// releases is where the script in native fetches binaries from.
const releases = "https://github.com/multi-registry-push/multi-registry-push/releases/download"

// TestNative lets act run native/action.yml on the machine itself, from a copy of the sources
// whose release is at a file server on loopback: the binary of the release publishes; what
// is not that binary is not run, and one sentence says what is the matter. What this leaves to
// TestNativeRun: HTTPS alone, and trying again.
func TestNative(t *testing.T) {
	act := servers.Require(t, "act")
	binary := filepath.Join(t.TempDir(), "program")
	if out, err := command(exec.Command("go", "build", "-C", "../..", "-o", binary, "."), "GOWORK=off"); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	program := []byte(read(t, binary))
	platform := runtime.GOOS + "_" + runtime.GOARCH
	release := fmt.Sprintf("version 1.2.3\n%s %x\n", platform, sha256.Sum256(program))
	send := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(program) }

	for name, test := range map[string]struct {
		release string
		serve   http.HandlerFunc
		machine string // what `uname -m` says in place of the truth
		says    string // why nothing is published; empty: all is
	}{
		"the release's": {release: release, serve: send},
		"other bytes": {release: release, says: "another digest than the release says",
			serve: func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write(append([]byte("#!/bin/sh\nexit 0\n"), program...))
			}},
		"broken off": {release: release, says: "could not be fetched", serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(program)))
			_, _ = w.Write(program[:len(program)/2])
		}},
		"no platform":    {release: release, serve: send, machine: "riscv64", says: "There is no binary for Linux on riscv64"},
		"without digest": {release: "# No release.\n", serve: send, says: "This commit is no release"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(test.serve)
			t.Cleanup(server.Close)
			first, second, c := job(t)
			said := filepath.Join(t.TempDir(), "said")
			write(t, said, "")
			repository := nativeSources(t, server.URL, test.release, said)
			write(t, filepath.Join(repository, "secrets"), secretsFile(c))
			cmd := exec.Command(act, "push", "--workflows", "test/container/testdata/workflows/native.yml",
				"--platform", "ubuntu-latest=-self-hosted", "--no-cache-server", "--secret-file", "secrets",
				"--var", "FIRST="+first.Host, "--var", "SECOND="+second.Host)
			cmd.Dir = repository
			env := []string{"HOME=" + t.TempDir()}
			if test.machine != "" {
				env = append(env, "PATH="+uname(t, test.machine)+":"+os.Getenv("PATH"))
			}
			out, err := command(cmd, env...)
			if (err != nil) != (test.says != "") {
				t.Fatalf("act: %v\n%s", err, out)
			}
			keepsPasswords(t, out, first, second)
			if test.says != "" {
				refused(t, read(t, said), test.says, first, second)
				return
			}
			published(t, out, first, second)
		})
	}
}

// refused fails the test unless one error was said, which says this, and no registry was asked
// for anything.
func refused(t *testing.T, said, says string, registries ...*servers.Server) {
	t.Helper()
	if strings.Count(said, "::error ") != 1 || !strings.Contains(said, says) {
		t.Errorf("not one error with %q:\n%s", says, said)
	}
	for _, s := range registries {
		if asked := s.Log.All(); len(asked) > 0 {
			t.Errorf("%s was asked: %v", s.Host, asked)
		}
	}
}

// nativeSources returns a copy of the sources whose folder native belongs to a release at
// this address. What the script says is written to the file said as well: act can lose the last
// lines of a step that it runs on the machine itself.
func nativeSources(t *testing.T, address, release, said string) string {
	t.Helper()
	repository := sources(t)
	path := filepath.Join(repository, "native", "run")
	script := read(t, path)
	for old, other := range map[string]string{
		releases: address, "--proto '=https' --tlsv1.2": "--proto '=http'", "--retry 3": "--retry 0",
		"push::%s\\n' \"$1\"": "push::%s\\n' \"$1\" | tee -a '" + said + "'",
	} {
		if strings.Count(script, old) != 1 {
			t.Fatalf("%q is not once in native/run", old)
		}
		script = strings.Replace(script, old, other, 1)
	}
	write(t, path, script)
	if err := os.Chmod(path, 0o755); err != nil { // #nosec G302 -- a script
		t.Fatal(err)
	}
	write(t, filepath.Join(repository, "native", "release.txt"), release)
	return repository
}

// uname returns a folder with a program of this name that tells of another machine.
func uname(t *testing.T, machine string) string {
	t.Helper()
	truth, folder := servers.Require(t, "uname"), t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\n[ \"$1\" = -m ] && exec echo %s\nexec %s \"$@\"\n", machine, truth)
	if err := os.WriteFile(filepath.Join(folder, "uname"), []byte(script), 0o755); err != nil { // #nosec G306 -- a program
		t.Fatal(err)
	}
	return folder
}

// secretsFile is act's file of the secrets that the contexts hold.
func secretsFile(c contexts) string {
	var b strings.Builder
	for name, value := range c {
		if secret, ok := strings.CutPrefix(name, "secrets."); ok {
			b.WriteString(secret + "=" + value + "\n")
		}
	}
	return b.String()
}
