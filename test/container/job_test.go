package container

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
)

// hardened starts the container with less than the runner gives it.
func hardened() []string {
	return []string{"--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"}
}

// job is two registries and what a workflow's expressions know of them.
func job(t *testing.T) (first, second *servers.Server, c contexts) {
	first, second = servers.Distribution2(t, servers.Options{}), servers.Olareg(t, servers.Options{})
	return first, second, contexts{
		"vars.FIRST": first.Host, "secrets.FIRST_PASSWORD": first.Users[0].Password,
		"vars.SECOND": second.Host, "secrets.SECOND_PASSWORD": second.Users[0].Password,
		"github.token": "ghs_0123456789",
	}
}

// results is the part of the output of this name that the tests look at.
type results struct {
	Digest     string `json:"digest"`
	Registries []struct {
		Registry string   `json:"registry"`
		Status   string   `json:"status"`
		Images   []string `json:"images"`
	} `json:"registries"`
}

func (r result) results(t *testing.T) (out results, statuses map[string]string) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.outputs["results"]), &out); err != nil {
		t.Fatalf("output results: %v\n%s", err, r.log)
	}
	statuses = map[string]string{}
	for _, registry := range out.Registries {
		statuses[registry.Registry] = registry.Status
	}
	return out, statuses
}

func TestArchive(t *testing.T) {
	image := actionImage(t)
	for name, flags := range map[string][]string{"as the runner does": nil, "read-only, without capabilities": hardened()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second, c := job(t)
			r := newRunner(t)
			r.flags = flags
			c["github.workspace"] = r.workspace
			copyFile(t, fixture(t, "buildkit-attested.tar"), filepath.Join(r.workspace, "image.tar"))
			want := expected(t)["buildkit-attested.tar"].Images[0].Digest

			got := r.run(t, image, inputs(t, "archive.yml", c))
			if got.status != 0 {
				t.Fatalf("exit status %d\n%s", got.status, got.log)
			}
			for _, reference := range []string{
				first.Reference("acme/app", "1.0.0"), first.Reference("acme/app", "latest"), second.Reference("acme/app", "1.0.0"),
			} {
				serves(t, first, second, reference, want)
				if !strings.Contains(got.outputs["pushed"], reference) {
					t.Errorf("%s is not in the output pushed: %q", reference, got.outputs["pushed"])
				}
			}
			if got.outputs["digest"] != want {
				t.Errorf("output digest is %q, want %s", got.outputs["digest"], want)
			}
			_, statuses := got.results(t)
			if statuses["registry.example.com"] != "skipped" || statuses[first.Host] != "pushed" || statuses[second.Host] != "pushed" {
				t.Errorf("statuses %v", statuses)
			}
			if !strings.Contains(got.summary, want) {
				t.Errorf("the summary does not name the digest:\n%s", got.summary)
			}
			for _, s := range []*servers.Server{first, second} {
				if text := got.log + got.summary; strings.Contains(text, s.Users[0].Password) && !masked(got.log, s.Users[0].Password) {
					t.Error("a password is in the log or the summary")
				}
			}
		})
	}
}

// masked reports whether all that the log says of the secret is the command that masks it.
func masked(log, secret string) bool {
	for line := range strings.Lines(log) {
		if strings.Contains(line, secret) && !strings.HasPrefix(line, "::add-mask::") {
			return false
		}
	}
	return true
}

// serves fails the test unless the registry serves a whole image with this digest.
func serves(t *testing.T, first, second *servers.Server, reference, digest string) {
	t.Helper()
	s := first
	if strings.HasPrefix(reference, second.Host) {
		s = second
	}
	got, err := images.Fetch(reference, s.Inspect()...)
	switch {
	case err != nil:
		t.Errorf("%s: %v", reference, err)
	case got.Digest() != digest:
		t.Errorf("%s serves %s, want %s", reference, got.Digest(), digest)
	}
}

func TestRemoteSource(t *testing.T) {
	container := actionImage(t)
	first, second, c := job(t)
	image := images.Build(images.Options{})
	image.Push(t, first.Reference("acme/app", "built"), first.Inspect()...)
	c["steps.build.outputs.digest"] = image.Digest()
	// As docker/metadata-action puts them out.
	c["steps.meta.outputs.tags"] = first.Reference("acme/app", "1.0.0") + "\n" + second.Reference("acme/app", "1.0.0") + "\n" +
		second.Reference("acme/other", "latest")

	got := newRunner(t).run(t, container, inputs(t, "remote.yml", c))
	if got.status != 0 {
		t.Fatalf("exit status %d\n%s", got.status, got.log)
	}
	image.Compare(t, first.Reference("acme/app", "1.0.0"), first.Inspect()...)
	image.Compare(t, second.Reference("acme/app", "1.0.0"), second.Inspect()...)
	image.Compare(t, second.Reference("acme/other", "latest"), second.Inspect()...)
	for digest, n := range first.Log.BlobGets() {
		if n != 1 {
			t.Errorf("blob %s was fetched %d times", digest, n)
		}
	}
	if n := len(first.Log.BlobGets()); n != len(image.Blobs) {
		t.Errorf("%d blobs were fetched, the image has %d", n, len(image.Blobs))
	}
}

func TestWrongPassword(t *testing.T) {
	image := actionImage(t)
	first, second, c := job(t)
	c["secrets.SECOND_PASSWORD"] = "not-the-password-4711"
	r := newRunner(t)
	c["github.workspace"] = r.workspace
	copyFile(t, fixture(t, "buildkit-three-names.tar"), filepath.Join(r.workspace, "image.tar"))

	got := r.run(t, image, inputs(t, "archive.yml", c))
	if got.status != 1 {
		t.Errorf("exit status %d, want 1", got.status)
	}
	serves(t, first, second, first.Reference("acme/app", "1.0.0"), expected(t)["buildkit-three-names.tar"].Images[0].Digest)
	if _, statuses := got.results(t); statuses[first.Host] != "pushed" || statuses[second.Host] != "failed" {
		t.Errorf("statuses %v", statuses)
	}
	if !masked(got.log, "not-the-password-4711") {
		t.Error("the password is in the log")
	}
	if !strings.Contains(got.log, "::error") {
		t.Errorf("no annotation:\n%s", got.log)
	}
}

func TestCancel(t *testing.T) {
	image := actionImage(t)
	for name, signal := range map[string]os.Signal{"SIGINT": os.Interrupt, "SIGTERM": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second, c := job(t)
			r := newRunner(t)
			c["github.workspace"] = r.workspace
			copyFile(t, fixture(t, "buildkit-attested.tar"), filepath.Join(r.workspace, "image.tar"))
			signals := make(chan os.Signal, 1)
			r.signal = signals
			never := make(chan struct{})
			defer close(never)
			blobs := servers.Matching("PUT|PATCH", servers.UploadPath)
			first.Faults.Add(servers.Fault{Match: blobs, Count: servers.Forever, Wait: never, Pass: true})
			second.Faults.Add(servers.Fault{Match: blobs, Count: servers.Forever, Wait: never, Pass: true, Reached: func(*http.Request) {
				select {
				case signals <- signal:
				default:
				}
			}})

			got := r.run(t, image, inputs(t, "archive.yml", c))
			if got.status != 130 {
				t.Errorf("exit status %d, want 130\n%s", got.status, got.log)
			}
			for _, s := range []*servers.Server{first, second} {
				if puts := s.Log.Find(http.MethodPut, servers.ManifestPath); len(puts) > 0 {
					t.Errorf("%s: %v after the job was cancelled", s.Host, puts)
				}
			}
			if got.outputs["results"] == "" || got.summary == "" {
				t.Error("a cancelled step leaves no outputs or no summary")
			}
		})
	}
}

// TestDockerConfig: docker/login-action and the container see the same file where
// DOCKER_CONFIG is a folder below the runner's temporary folder.
func TestDockerConfig(t *testing.T) {
	image := actionImage(t)
	first, second, c := job(t)
	r := newRunner(t)
	c["github.workspace"] = r.workspace
	copyFile(t, fixture(t, "buildkit-three-names.tar"), filepath.Join(r.workspace, "image.tar"))
	folder := filepath.Join(r.temp, "docker")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "config.json"), dockerConfig(t, first))
	r.variables = map[string]string{"DOCKER_CONFIG": folder}
	with := inputs(t, "archive.yml", c)
	with["registry-auth"] = ""

	got := r.run(t, image, with)
	if got.status != 0 {
		t.Fatalf("exit status %d\n%s", got.status, got.log)
	}
	serves(t, first, second, first.Reference("acme/app", "1.0.0"), expected(t)["buildkit-three-names.tar"].Images[0].Digest)
	if _, statuses := got.results(t); statuses[first.Host] != "pushed" || statuses[second.Host] != "skipped" {
		t.Errorf("statuses %v", statuses)
	}
}

// TestLoopback: a service of the job is not at localhost for a container action, and the
// error says where it is.
func TestLoopback(t *testing.T) {
	image := actionImage(t)
	first, _, c := job(t)
	r := newRunner(t)
	r.network = "none"
	c["github.workspace"] = r.workspace
	copyFile(t, fixture(t, "buildkit-three-names.tar"), filepath.Join(r.workspace, "image.tar"))
	with := inputs(t, "archive.yml", c)
	with["tags"] = first.Reference("acme/app", "1.0.0")

	got := r.run(t, image, with)
	if got.status != 1 {
		t.Errorf("exit status %d, want 1", got.status)
	}
	if !strings.Contains(got.log, "label") {
		t.Errorf("the log does not say that services are reached by their label:\n%s", got.log)
	}
}

// TestMissingFile: what is not in the folders that the container sees cannot be read, and
// the error names those folders.
func TestMissingFile(t *testing.T) {
	image := actionImage(t)
	_, _, c := job(t)
	with := inputs(t, "archive.yml", c)
	with["source"] = "oci-archive:/tmp/image.tar"
	got := newRunner(t).run(t, image, with)
	if got.status != 1 {
		t.Errorf("exit status %d, want 1", got.status)
	}
	for _, folder := range []string{"/github/workspace", "/github/runner_temp"} {
		if !strings.Contains(got.log, folder) {
			t.Errorf("the log does not name %s:\n%s", folder, got.log)
		}
	}
}

// TestStart prints how long it takes from docker run to the first request: that is the
// engine's work but for some milliseconds, and depends on the machine.
func TestStart(t *testing.T) {
	image := actionImage(t)
	first, _, c := job(t)
	r := newRunner(t)
	c["github.workspace"] = r.workspace
	copyFile(t, fixture(t, "buildkit-attested.tar"), filepath.Join(r.workspace, "image.tar"))
	at := make(chan time.Time, 1)
	first.Faults.Add(servers.Fault{Pass: true, Reached: func(*http.Request) { at <- time.Now() }})
	begin := time.Now()
	if got := r.run(t, image, inputs(t, "archive.yml", c)); got.status != 0 {
		t.Fatalf("exit status %d\n%s", got.status, got.log)
	}
	t.Logf("docker run to first request: %v, to the end: %v", (<-at).Sub(begin), time.Since(begin))
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	write(t, to, read(t, from))
}
