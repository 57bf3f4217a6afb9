package container

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	program "github.com/multi-registry-push/multi-registry-push/internal/app"
	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
)

// publish runs the program in this process, as on a command line.
func publish(t *testing.T, source, reference string, to *servers.Server, more ...string) (status int, log string) {
	t.Helper()
	auth := filepath.Join(t.TempDir(), "auth.yml")
	write(t, auth, to.Item(0))
	var out bytes.Buffer
	status = program.Main(t.Context(), program.Env{
		Args:       append([]string{"--source", source, "--tags", reference, "--registry-auth", "@" + auth}, more...),
		Environ:    []string{"HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir(), "DOCKER_HOST=" + os.Getenv("DOCKER_HOST")},
		Stdin:      strings.NewReader(""),
		Stdout:     &out,
		Stderr:     &out,
		Definition: []byte(read(t, "../../action.yml")),
	})
	return status, out.String()
}

// TestBuilders publishes what each builder left, to two kinds of registries, and lets
// another program pull it from there and run it.
func TestBuilders(t *testing.T) {
	all := expected(t)
	for _, c := range []struct {
		source string // below testdata
		file   string // in fixtures.json
		image  int    // which one of its images, in that order
		kept   bool   // published byte for byte; else configuration and layers are compared
	}{
		{source: "oci-archive:buildkit-attested.tar", kept: true},
		{source: "oci-archive:buildkit-three-names.tar", kept: true},
		{source: "oci-archive:buildkit-zstd.tar", kept: true},
		{source: "oci-archive:buildkit-estargz.tar", kept: true},
		{source: "oci-archive:buildkit-uncompressed.tar", kept: true},
		{source: "oci:buildkit-layout", kept: true},
		{source: "oci-archive:skopeo-oci.tar", kept: true},
		{source: "oci-archive:buildah-oci.tar", kept: true},
		{source: "oci-archive:docker29-containerd.tar", kept: true},
		{source: "docker-archive:docker29-containerd.tar"},
		{source: "docker-archive:buildkit-docker.tar"},
		{source: "docker-archive:docker20.tar"},
		{source: "docker-archive:docker20-three-tags.tar:example.com/app:latest", file: "docker20-three-tags.tar"},
		{source: "docker-archive:docker20-three-tags.tar:example.com/other:1", file: "docker20-three-tags.tar", image: 1},
		{source: "docker-archive:docker29-three-tags.tar:example.com/app:1.0.0", file: "docker29-three-tags.tar"},
		{source: "docker-archive:docker29-three-tags.tar:example.com/other:1", file: "docker29-three-tags.tar", image: 1},
		{source: "docker-archive:skopeo-docker.tar"},
		{source: "docker-archive:buildah-docker.tar"},
		{source: "docker-archive:podman-two-images.tar:example.com/other:1", file: "podman-two-images.tar", image: 1},
		{source: "docker-archive:crane-docker.tar"},
	} {
		t.Run(c.source, func(t *testing.T) {
			t.Parallel()
			prefix, path, _ := strings.Cut(c.source, ":")
			file := c.file
			if file == "" {
				file = path
			}
			source := prefix + ":" + fixture(t, path)
			for _, start := range []func(testing.TB, servers.Options) *servers.Server{servers.Distribution2, servers.Olareg} {
				to := start(t, servers.Options{})
				reference := to.Reference("acme/app", "1.0.0")
				if status, log := publish(t, source, reference, to); status != 0 {
					t.Fatalf("exit status %d\n%s", status, log)
				}
				got, err := images.Fetch(reference, to.Inspect()...)
				switch {
				case err != nil:
					t.Fatal(err)
				case c.kept && got.Digest() != all[file].Images[c.image].Digest:
					t.Errorf("%s is served, want %s", got.Digest(), all[file].Images[c.image].Digest)
				case !c.kept:
					want := all[file].Docker[c.image]
					config, layers := unpacked(t, reference, to.Inspect()...)
					if config != want.Config || !slices.Equal(layers, want.DiffIDs) {
						t.Errorf("served:\n%s %s\nwant:\n%s %s", config, layers, want.Config, want.DiffIDs)
					}
				}
				runs(t, reference, to)
			}
		})
	}
}

// unpacked returns the digest of an image's configuration and of its layers as they are
// when they are not compressed.
func unpacked(t *testing.T, reference string, inspect ...remote.Option) (config string, layers []string) {
	t.Helper()
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(ref, inspect...)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	all, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range all {
		content, err := layer.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		hash := sha256.New()
		if _, err := io.Copy(hash, content); err != nil {
			t.Fatal(err)
		}
		_ = content.Close()
		layers = append(layers, fmt.Sprintf("sha256:%x", hash.Sum(nil)))
	}
	return digest.String(), layers
}

// runs lets Buildah pull and unpack the image, where Buildah is installed, and runs the
// program that is in it.
func runs(t *testing.T, reference string, s *servers.Server) {
	t.Helper()
	servers.Require(t, "buildah")
	user := s.Users[0]
	working := strings.TrimSpace(mustBuildah(t, "from", "--pull-always", "--tls-verify=false", "--creds", user.Name+":"+user.Password, "docker://"+reference))
	defer mustBuildah(t, "rm", working)
	folder := strings.TrimSpace(mustBuildah(t, "mount", working))
	if out, err := command(exec.Command(filepath.Join(folder, "hello"))); err != nil || out != "hello from linux/amd64\n" {
		t.Errorf("the program in %s says %q: %v", reference, out, err)
	}
}

// TestMergedBuildKit: two archives of BuildKit become one index that others take for an image:
// Buildah and the engine pull it and run it on this platform, the engine pulls it for the other,
// and Skopeo shows in it what BuildKit's own indexes say, byte for byte.
func TestMergedBuildKit(t *testing.T) {
	engine(t)
	parts := []string{fixture(t, "buildkit-amd64.tar"), fixture(t, "buildkit-arm64.tar")}
	var digests []string
	for _, start := range []func(testing.TB, servers.Options) *servers.Server{servers.Distribution2, servers.Olareg} {
		to := start(t, servers.Options{})
		reference := to.Reference("acme/merged", "1.0.0")
		if status, log := publish(t, strings.Join(parts, "\n"), reference, to, "--platforms", "linux/amd64,linux/arm64"); status != 0 {
			t.Fatalf("exit status %d\n%s", status, log)
		}
		digests = append(digests, images.Digest(t, reference, to.Inspect()...))
		runs(t, reference, to)

		login(t, to)
		if out := mustDocker(t, "run", "--rm", "--network", "none", reference); out != "hello from linux/amd64\n" {
			t.Errorf("the engine runs the image, which says %q", out)
		}
		mustDocker(t, "pull", "-q", "--platform", "linux/arm64", reference)
		t.Cleanup(func() { mustDocker(t, "rmi", "--force", reference) })
		if out := mustDocker(t, "image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", reference); out != "linux/arm64\n" {
			t.Errorf("for linux/arm64 the engine pulls %q", out)
		}

		index, err := command(exec.Command(servers.Require(t, "skopeo"), "inspect", "--raw", "--tls-verify=false",
			"--creds", to.Users[0].Name+":"+to.Users[0].Password, "docker://"+reference))
		if err != nil {
			t.Fatalf("skopeo inspect: %v\n%s", err, index)
		}
		for _, part := range parts {
			for _, entry := range entries(t, part) {
				if !strings.Contains(index, entry) {
					t.Errorf("Skopeo does not show %s in\n%s", entry, index)
				}
			}
		}
	}
	if digests[0] != digests[1] {
		t.Errorf("the same parts are %s", digests)
	}
}

// entries returns what the image's index in an archive of BuildKit says of its manifests.
func entries(t *testing.T, archive string) (all []string) {
	t.Helper()
	digest := expected(t)[filepath.Base(archive)].Images[0].Digest
	raw, err := command(exec.Command("tar", "-xOf", archive, "blobs/"+strings.ReplaceAll(digest, ":", "/")))
	if err != nil {
		t.Fatalf("tar: %v\n%s", err, raw)
	}
	var index struct{ Manifests []json.RawMessage }
	if err := json.Unmarshal([]byte(raw), &index); err != nil || len(index.Manifests) != 2 {
		t.Fatalf("not an image and its provenance: %v\n%s", err, raw)
	}
	for _, entry := range index.Manifests {
		all = append(all, string(entry))
	}
	return all
}

// TestEngine publishes an image of a real engine: by tag, by id, and from inside the
// action's container through the socket that the runner mounts. The engine then pulls it
// back and runs it.
func TestEngine(t *testing.T) {
	container := actionImage(t)
	mustDocker(t, "load", "-q", "-i", fixture(t, "docker20-three-tags.tar"))
	all := expected(t)["docker20-three-tags.tar"].Docker
	first, _, c := job(t)
	c["vars.IMAGE"] = "example.com/app:1.0.0"
	got := newRunner(t).run(t, container, inputs(t, "engine.yml", c))
	if got.status != 0 {
		t.Fatalf("exit status %d\n%s", got.status, got.log)
	}
	reference := first.Reference("acme/app", "1.0.0")
	if config, layers := unpacked(t, reference, first.Inspect()...); config != all[0].Config || !slices.Equal(layers, all[0].DiffIDs) {
		t.Errorf("served: %s %s", config, layers)
	}
	login(t, first)
	mustDocker(t, "rmi", "example.com/app:1.0.0", "example.com/app:latest")
	if out := mustDocker(t, "run", "--rm", "--network", "none", reference); out != "hello from linux/amd64\n" {
		t.Errorf("the image says %q", out)
	}
	before := got.outputs["digest"]

	// The same image gets the same digest wherever and however often it is published.
	for _, source := range []string{all[0].Config, strings.TrimPrefix(all[0].Config, "sha256:")[:12], reference} {
		to := servers.Olareg(t, servers.Options{})
		status, log := publish(t, "docker-daemon:"+source, to.Reference("acme/app", "1.0.0"), to)
		if status != 0 {
			t.Fatalf("%s: exit status %d\n%s", source, status, log)
		}
		if digest := images.Digest(t, to.Reference("acme/app", "1.0.0"), to.Inspect()...); digest != before {
			t.Errorf("%s is served as %s, before as %s", source, digest, before)
		}
	}
}

// login makes the docker command send credentials to a registry, for this test.
func login(t *testing.T, s *servers.Server) {
	t.Helper()
	folder := t.TempDir()
	write(t, folder+"/config.json", dockerConfig(t, s))
	t.Setenv("DOCKER_CONFIG", folder)
}

// dockerConfig is what docker login writes.
func dockerConfig(t *testing.T, s *servers.Server) string {
	t.Helper()
	auth := []byte(s.Users[0].Name + ":" + s.Users[0].Password)
	config, err := json.Marshal(map[string]any{"auths": map[string]any{s.Host: map[string][]byte{"auth": auth}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(config)
}

// TestBuilt publishes what Buildah and Skopeo on this machine make just now.
func TestBuilt(t *testing.T) {
	servers.Require(t, "buildah")
	servers.Require(t, "skopeo")
	folder := t.TempDir()
	archive := filepath.Join(folder, "three.tar")
	copyFile(t, fixture(t, "buildkit-docker.tar"), archive)
	working := strings.TrimSpace(mustBuildah(t, "from", "docker-archive:"+archive))
	mustBuildah(t, "config", "--label", "built=by Buildah", working)
	image := strings.TrimSpace(mustBuildah(t, "commit", "-q", "--rm", working))
	t.Cleanup(func() { mustBuildah(t, "rmi", "--force", image) })
	for _, form := range []string{"oci-archive:" + folder + "/oci.tar", "docker-archive:" + folder + "/docker.tar", "oci:" + folder + "/layout:1.0.0"} {
		mustBuildah(t, "push", "-q", image, form)
		source := strings.TrimSuffix(form, ":1.0.0")
		to := servers.Distribution2(t, servers.Options{})
		if status, log := publish(t, source, to.Reference("acme/app", "1"), to); status != 0 {
			t.Fatalf("%s: exit status %d\n%s", source, status, log)
		}
		runs(t, to.Reference("acme/app", "1"), to)
		inspect := exec.Command("skopeo", "inspect", "--tls-verify=false", "--creds", to.Users[0].Name+":"+to.Users[0].Password, "docker://"+to.Reference("acme/app", "1"))
		out, err := command(inspect)
		if err != nil {
			t.Fatalf("skopeo inspect: %v\n%s", err, out)
		}
		if !strings.Contains(out, `"built": "by Buildah"`) {
			t.Errorf("%s: Skopeo says\n%s", source, out)
		}
	}
	// A copy that Skopeo makes of a whole index.
	copied := "oci-archive:" + folder + "/copied.tar"
	if out, err := command(exec.Command("skopeo", "copy", "-q", "--all", "oci-archive:"+fixture(t, "skopeo-oci.tar"), copied+":9")); err != nil {
		t.Fatalf("skopeo copy: %v\n%s", err, out)
	}
	to := servers.Olareg(t, servers.Options{})
	if status, log := publish(t, copied, to.Reference("acme/app", "9"), to); status != 0 {
		t.Fatalf("exit status %d\n%s", status, log)
	}
	if digest := images.Digest(t, to.Reference("acme/app", "9"), to.Inspect()...); digest != expected(t)["skopeo-oci.tar"].Images[0].Digest {
		t.Errorf("served as %s", digest)
	}
}
