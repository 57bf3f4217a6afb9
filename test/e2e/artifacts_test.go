package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
)

// Artifacts that are no images, as ORAS pushed them, are published with their digest, from
// a registry and from the layout that ORAS copies them to: a Helm chart with the media
// types of helm.sh/docs/topics/registries, and a WASM module with those of
// tag-runtime.cncf.io/wgs/wasm/deliverables/wasm-oci-artifact.
func TestArtifacts(t *testing.T) {
	chart, err := os.ReadFile("../../testdata/helm-app-1.2.0.tgz")
	if err != nil {
		t.Fatal(err)
	}
	for name, a := range map[string]struct {
		file, mediaType string
		content         []byte
		config          string
		configType      string
	}{
		"Helm chart": {"app-1.2.0.tgz", "application/vnd.cncf.helm.chart.content.v1.tar+gzip", chart,
			`{"name":"app","version":"1.2.0","apiVersion":"v2"}`, "application/vnd.cncf.helm.config.v1+json"},
		"WASM module": {"answer.wasm", "application/wasm", wasmModule(),
			`{"created":"2026-07-01T12:00:00Z","architecture":"wasm","os":"wasip1","layerDigests":["` +
				images.Describe("", wasmModule()).Digest.String() + `"]}`, "application/vnd.wasm.config.v0+json"},
	} {
		t.Run(name, func(t *testing.T) {
			source := servers.Olareg(t, servers.Options{})
			folder := t.TempDir()
			write := func(file string, content []byte) string {
				path := filepath.Join(folder, file)
				if err := os.WriteFile(path, content, 0o600); err != nil {
					t.Fatal(err)
				}
				return path
			}
			from := source.Reference("acme/artifact", "1.2.0")
			pushed := runORAS(t, source, "push", "--plain-http", "--username", source.Users[0].Name, "--password-stdin",
				"--disable-path-validation", "--config", write("config.json", []byte(a.config))+":"+a.configType,
				"--format", "json", from, write(a.file, a.content)+":"+a.mediaType)
			layout := filepath.Join(folder, "layout")
			runORAS(t, source, "copy", "--from-plain-http", "--from-username", source.Users[0].Name,
				"--from-password", source.Users[0].Password, from, "--to-oci-layout", layout+":1.2.0")

			for form, value := range map[string]string{"a registry": "docker://" + from, "a layout": "oci:" + layout} {
				t.Run("from "+form, func(t *testing.T) {
					j := job{source: value, auth: source.Item(0)}
					to := kinds(t, servers.Options{Auth: servers.Token})
					for _, s := range to {
						j.tags, j.auth = append(j.tags, s.Reference("acme/app", "1.2.0")), j.auth+s.Item(0)
					}
					o := j.run(t).exits(0)
					for kind, s := range to {
						if r := o.registry(s.Host); r.Status != report.Pushed {
							t.Errorf("%s: %s, %s", kind, r.Status, r.Reason)
						}
						got, err := images.Fetch(s.Reference("acme/app", "1.2.0"), s.Inspect()...)
						if err != nil {
							t.Fatal(err)
						}
						if got.Digest() != pushed.Digest.String() || o.outputs["digest"] != got.Digest() {
							t.Errorf("%s serves %s, not %s", kind, got.Digest(), pushed.Digest)
						}
						if !got.Holds(a.content) || !got.Holds([]byte(a.config)) {
							t.Errorf("%s: other bytes than those pushed", kind)
						}
					}
				})
			}
		})
	}
}

// wasmModule returns a module with one function, answer, that returns 42.
func wasmModule() []byte {
	return bytes.Join([][]byte{
		{0x00, 'a', 's', 'm', 0x01, 0x00, 0x00, 0x00},
		{0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7f},                      // types: () → i32
		{0x03, 0x02, 0x01, 0x00},                                        // functions
		{0x07, 0x0a, 0x01, 0x06, 'a', 'n', 's', 'w', 'e', 'r', 0, 0x00}, // exports
		{0x0a, 0x06, 0x01, 0x04, 0x00, 0x41, 0x2a, 0x0b},                // code
	}, nil)
}

// runORAS runs ORAS, hands it the password of the server's first user, and returns the
// descriptor that it prints, if it prints one.
func runORAS(t *testing.T, s *servers.Server, args ...string) v1.Descriptor {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"tool", "oras"}, args...)...)
	cmd.Stdin = strings.NewReader(s.Users[0].Password)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("oras: %v\n%s%s", err, out, stderr.String())
	}
	var said v1.Descriptor
	if bytes.HasPrefix(bytes.TrimSpace(out), []byte("{")) {
		if err := json.Unmarshal(out, &said); err != nil || said.Digest.Hex == "" {
			t.Fatalf("oras: %v in\n%s", err, out)
		}
	}
	return said
}
