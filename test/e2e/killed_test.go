package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
)

// program is a step in a process of its own.
type program struct {
	*exec.Cmd
	output string // the file of its outputs
	log    *bytes.Buffer
}

// built is the program, which those tests share that need it as a process of its own.
var built struct {
	sync.Once
	folder, text string
	err          error
}

// build builds the program where that has not been done, and returns its path.
func build(t *testing.T) string {
	t.Helper()
	built.Do(func() {
		if built.folder, built.err = os.MkdirTemp("", "e2e"); built.err != nil {
			return
		}
		command := exec.Command("go", "build", "-o", built.folder, ".")
		command.Dir = filepath.Join(here(t), "..", "..")
		var out []byte
		out, built.err = command.CombinedOutput()
		built.text = string(out)
	})
	if built.err != nil {
		t.Fatalf("%v\n%s", built.err, built.text)
	}
	return filepath.Join(built.folder, "multi-registry-push")
}

// program prepares the job as a process; before, if not empty, is what a shell does first: bash,
// since others drop variables with a hyphen in their name.
func (j job) program(t *testing.T, before string) program {
	t.Helper()
	folder := t.TempDir()
	binary := build(t)
	p := program{output: filepath.Join(folder, "output"), log: &bytes.Buffer{}}
	if err := os.WriteFile(p.output, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p.Cmd = exec.CommandContext(t.Context(), servers.Require(t, "bash"), "-c", before+"\nexec \"$0\"", binary)
	p.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + folder, "TMPDIR=" + folder, "GITHUB_ACTIONS=true",
		"GITHUB_OUTPUT=" + p.output, "INPUT_SOURCE=" + j.source, "INPUT_TAGS=" + strings.Join(j.tags, "\n"),
		"INPUT_REGISTRY-AUTH=" + j.auth}
	p.Stdout, p.Stderr = p.log, p.log
	return p
}

// A program that is killed in the middle of a copy leaves outputs that say so: no registry is
// said to have anything, the one that was skipped is, and no tag was written.
func TestKilled(t *testing.T) {
	s := servers.Olareg(t, servers.Options{})
	image := images.Build(images.Options{LayerBytes: 1 << 10})
	j := job{source: image.Archive(t), auth: s.Item(0), tags: []string{s.Reference("acme/app", "1"), "skipped.test/acme/app:1"}}
	p := j.program(t, "")
	started, killed := make(chan struct{}), make(chan struct{})
	s.Faults.Add(servers.Fault{Match: servers.Matching("PATCH|PUT", servers.UploadPath), Nth: 3, Wait: killed,
		Reached: func(*http.Request) {
			<-started
			if err := p.Process.Kill(); err != nil {
				t.Error(err)
			}
			close(killed)
		}})
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	close(started)
	if err := p.Wait(); err == nil || p.ProcessState.Exited() {
		t.Fatalf("it was not killed: %v\n%s", err, p.log)
	}
	outputs := parseOutputs(t, read(t, p.output))
	var results report.Results
	if err := json.Unmarshal([]byte(outputs["results"]), &results); err != nil {
		t.Fatalf("%v in %q", err, outputs["results"])
	}
	for _, r := range results.Registries {
		want := report.Failed
		if r.Registry == "skipped.test" {
			want = report.Skipped
		}
		if r.Status != want || want == report.Failed && !strings.Contains(r.References[0].Reason, "ended without a word") {
			t.Errorf("%s is %s: %+v", r.Registry, r.Status, r.References)
		}
	}
	if len(results.Registries) != 2 || outputs["failed"] != s.Host || outputs["skipped"] != "skipped.test" || outputs["pushed"] != "" {
		t.Errorf("%v", outputs)
	}
	if now := images.Digest(t, j.tags[0], s.Inspect()...); now != "" {
		t.Errorf("%s serves %s", j.tags[0], now)
	}
}

// Whoever reads the log may go away, as head does when it has seen enough: what was begun is brought to
// its end all the same, and outputs and exit status say what became of it.
func TestNobodyReadsTheLog(t *testing.T) {
	s := servers.Olareg(t, servers.Options{})
	image := images.Build(images.Options{LayerBytes: 1 << 10})
	j := job{source: image.Archive(t), auth: s.Item(0), tags: []string{s.Reference("acme/app", "1")}}
	p := j.program(t, "")
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	p.Stdout, p.Stderr = writer, writer
	if err := p.Run(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if outputs := parseOutputs(t, read(t, p.output)); outputs["pushed"] != j.tags[0] {
		t.Errorf("%v", outputs)
	}
	if now := images.Digest(t, j.tags[0], s.Inspect()...); now != image.Digest() {
		t.Errorf("%s serves %q", j.tags[0], now)
	}
}

// Where the limit of open files is too low, that is what is said, and what to do.
func TestTooFewOpenFiles(t *testing.T) {
	t.Parallel()
	s := servers.Olareg(t, servers.Options{})
	from := servers.Olareg(t, servers.Options{})
	image := images.Build(images.Options{Layers: 12, LayerBytes: 1 << 10})
	image.Push(t, from.Reference("acme/built", "1"), from.Inspect()...)
	for kind, source := range map[string]string{"archive": image.Archive(t), "registry": from.Reference("acme/built", "1")} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel() // the program waits for files to be closed, as long as for a host
			j := job{source: source, auth: s.Item(0) + from.Item(0), tags: []string{s.Reference("acme/"+kind, "1")}}
			p := j.program(t, "ulimit -n 9")
			if err := p.Run(); err == nil {
				t.Fatal("nine are enough: this shows nothing")
			}
			if text := p.log.String(); !strings.Contains(text, "too many open files") || !strings.Contains(text, "ulimit -n") {
				t.Errorf("%s", text)
			}
		})
	}
}
