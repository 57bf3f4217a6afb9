package docs

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/test/servers"
)

const releases = "https://github.com/multi-registry-push/multi-registry-push/releases/download"

// native is a copy of the folder native whose address is a file server on loopback.
type native struct {
	folder, temp string
	platform     string // as release.txt names the one that runs this test

	mu    sync.Mutex
	asked []string
}

func newNative(t *testing.T, serve http.HandlerFunc) *native {
	t.Helper()
	n := &native{folder: t.TempDir(), temp: t.TempDir(), platform: runtime.GOOS + "_" + runtime.GOARCH}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.mu.Lock()
		n.asked = append(n.asked, r.URL.Path)
		n.mu.Unlock()
		serve(w, r)
	}))
	t.Cleanup(server.Close)
	script := string(read(t, filepath.Join(root, "native", "run")))
	if strings.Count(script, releases) != 1 || strings.Count(script, "--proto '=https' --tlsv1.2") != 1 || strings.Count(script, "--retry 3") != 1 {
		t.Fatalf("the script has not one address, reached by HTTPS alone:\n%s", script)
	}
	for old, changed := range map[string]string{
		releases: server.URL, "--proto '=https' --tlsv1.2": "--proto '=http'", "--retry 3": "--retry 0",
	} {
		script = strings.Replace(script, old, changed, 1)
	}
	n.write(t, "run", script)
	return n
}

func (n *native) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(n.folder, name), []byte(text), 0o755); err != nil { // #nosec G306 -- a script
		t.Fatal(err)
	}
}

// run runs the script as the step does, with this PATH.
func (n *native) run(t *testing.T, path string) (out string, status int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", filepath.Join(n.folder, "run"))
	cmd.Env = []string{"PATH=" + path, "RUNNER_TEMP=" + n.temp, "INPUT_TAGS=a:1\nb:2",
		// None of these decides where the binary comes from.
		"INPUT_ADDRESS=http://localhost:1", "address=http://localhost:1", "version=9.9.9", "digest=" + strings.Repeat("0", 64)}
	b, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}

// TestNativeRun: the binary is run only if it is the one of the release; else one sentence
// says what is the matter.
func TestNativeRun(t *testing.T) {
	const program = "#!/bin/sh\necho \"tags: $INPUT_TAGS\"\nexit 7\n"
	digest := fmt.Sprintf("%x", sha256.Sum256([]byte(program)))
	platform := runtime.GOOS + "_" + runtime.GOARCH
	good := fmt.Sprintf("# comment\nversion 1.2.3\nplan9_arm %064d\n%s %s\n", 0, platform, digest)
	send := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(program)) }
	broken := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(program))
	}
	other := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(program + "# more\n")) }

	for name, test := range map[string]struct {
		release string
		serve   http.HandlerFunc
		uname   string // what `uname -s` says in place of the truth
		status  int
		says    string
		asks    bool
		runs    bool
	}{
		"the release's": {release: good, serve: send, status: 7, says: "tags: a:1\nb:2\n", asks: true, runs: true},
		"no release":    {release: "# nothing\n", serve: send, status: 1, says: "This commit is no release"},
		"not there":     {release: good, serve: http.NotFound, status: 1, says: "could not be fetched", asks: true},
		"broken off":    {release: good, serve: broken, status: 1, says: "could not be fetched", asks: true},
		"other bytes":   {release: good, serve: other, status: 1, says: "another digest than the release says", asks: true},
		"no binary":     {release: "version 1.2.3\n", serve: send, status: 1, says: "has no binary for " + platform},
		"no digest":     {release: "version 1.2.3\n" + platform + " latest\n", serve: send, status: 1, says: "has no binary for " + platform},
		"no platform":   {release: good, serve: send, uname: "Plan9", status: 1, says: "There is no binary for Plan9"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNative(t, test.serve)
			n.write(t, "release.txt", test.release)
			path := os.Getenv("PATH")
			if test.uname != "" {
				path = uname(t, t.TempDir(), test.uname, test.uname) + ":" + path
			}
			out, status := n.run(t, path)
			if status != test.status || !strings.Contains(out, test.says) {
				t.Errorf("status %d, want %d and %q:\n%s", status, test.status, test.says, out)
			}
			if strings.Contains(out, "tags: ") != test.runs {
				t.Errorf("run or not run: %q", out)
			}
			if test.status == 1 && strings.Count(out, "::error") != 1 {
				t.Errorf("not one sentence: %q", out)
			}
			n.mu.Lock()
			defer n.mu.Unlock()
			want := "/v1.2.3/multi-registry-push_1.2.3_" + platform
			if asked := len(n.asked) > 0; asked != test.asks || asked && n.asked[0] != want {
				t.Errorf("asked for %q, want %s: %v", n.asked, want, test.asks)
			}
		})
	}
}

// uname puts a program of this name into folder that tells of another machine, and returns folder.
func uname(t *testing.T, folder, system, machine string) string {
	t.Helper()
	script := "#!/bin/sh\ncase $1 in -m) echo " + machine + " ;; *) echo " + system + " ;; esac\n"
	if err := os.WriteFile(filepath.Join(folder, "uname"), []byte(script), 0o755); err != nil { // #nosec G306 -- a program
		t.Fatal(err)
	}
	return folder
}

// newer is what the bash of macOS, 3.2, does not know.
var newer = regexp.MustCompile(`(declare|local|typeset) -[a-z]*[An]|\$\{!?\w+(\[.*\])?[,^@]|\b(mapfile|readarray|coproc)\b|&>>|\|&|;;?&|\[\[? -v |wait -n|%\(`)

// TestNativeRunOnMacOS: with no programs but those that macOS has, which has no sha256sum, the
// script runs the binary for macOS, and refuses another one.
func TestNativeRunOnMacOS(t *testing.T) {
	if found := newer.Find(read(t, filepath.Join(root, "native", "run"))); found != nil {
		t.Errorf("native/run has %q, which is newer than the bash of macOS", found)
	}
	path := uname(t, t.TempDir(), "Darwin", "arm64")
	for _, program := range []string{"bash", "chmod", "curl", "dirname", "mktemp", "rm", "shasum"} {
		if err := os.Symlink(servers.Require(t, program), filepath.Join(path, program)); err != nil {
			t.Fatal(err)
		}
	}
	const program = "#!/bin/sh\necho \"tags: $INPUT_TAGS\"\n"
	for sent, status := range map[string]int{program: 0, program + "# more\n": 1} {
		n := newNative(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(sent)) })
		n.write(t, "release.txt", fmt.Sprintf("version 1.2.3\ndarwin_arm64 %x\n", sha256.Sum256([]byte(program))))
		out, got := n.run(t, path)
		if says := []string{"tags: a:1\nb:2\n", "another digest"}[status]; got != status || !strings.Contains(out, says) {
			t.Errorf("status %d, want %d and %q:\n%s", got, status, says, out)
		}
	}
}
