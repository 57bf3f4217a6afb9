package app

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/random"
)

// readOnly is a registry that takes any credentials and refuses every push.
func readOnly(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Header.Get("Authorization") == "":
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(http.StatusUnauthorized)
	case r.Method == http.MethodPost:
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"errors":[{"code":"DENIED","message":"installation not allowed to Write organization package"}]}`))
	case r.URL.Path == "/v2/":
		w.WriteHeader(http.StatusOK)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

type served http.HandlerFunc

func (s served) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	s(w, r)
	response := w.Result()
	response.Request = r
	return response, nil
}

// On a pull request from a fork the job's own token may not push, and there is no OIDC
// token: that is a skip there, and anywhere else a failure that says what to add.
func TestPullRequestsFromForks(t *testing.T) {
	_, raw := definition(t)
	dir := t.TempDir()
	at, err := layout.Write(filepath.Join(dir, "image"), empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := at.AppendImage(image); err != nil {
		t.Fatal(err)
	}
	event := filepath.Join(dir, "event.json")
	if err := os.WriteFile(event, []byte(`{"pull_request":{"head":{"repo":{"id":2,"full_name":"me/app"}},"base":{"repo":{"id":1,"full_name":"acme/app"}}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	fork := []string{"GITHUB_EVENT_NAME=pull_request", "GITHUB_EVENT_PATH=" + event}
	push := []string{"GITHUB_EVENT_NAME=push", "GITHUB_EVENT_PATH=" + event}
	own := []string{"INPUT_TAGS=ghcr.io/acme/app:1", "INPUT_GITHUB-TOKEN=ghs_0123456789abcdef"}
	written := []string{"INPUT_TAGS=ghcr.io/acme/app:1", "INPUT_REGISTRY-AUTH=- registry: ghcr.io\n  username: robot\n  password: another-0123456789\n"}
	keyless := []string{"INPUT_TAGS=acme/app:1", "INPUT_REGISTRY-AUTH=- username: acme\n  dockerhub-connection: 6a2f3a5e-0000-0000-0000-000000000000\n"}
	for name, c := range map[string]struct {
		inputs, job []string
		status      int
		output      string // which lists the registry
		says        string
	}{
		"the job's token, fork":   {own, fork, 0, "skipped", "pull request from a fork"},
		"the job's token, push":   {own, push, 1, "failed", "packages: write"},
		"another token, fork":     {written, fork, 1, "failed", "no-push-permission"},
		"keyless, fork":           {keyless, fork, 0, "skipped", "pull request from a fork"},
		"keyless, push":           {keyless, push, 1, "failed", "id-token: write"},
		"token, fork, all needed": {append(own[:2:2], "INPUT_MISSING-CREDENTIALS=fail"), fork, 1, "failed", "ghcr.io"},
	} {
		t.Run(name, func(t *testing.T) {
			output := filepath.Join(t.TempDir(), "output")
			var log bytes.Buffer
			environ := append([]string{"GITHUB_ACTIONS=true", "GITHUB_ACTOR=me", "GITHUB_SERVER_URL=https://github.com", "GITHUB_OUTPUT=" + output, "INPUT_SOURCE=oci:" + filepath.Join(dir, "image"), "HOME=" + dir}, c.inputs...)
			status := Main(t.Context(), Env{Environ: append(environ, c.job...), Stdin: strings.NewReader(""), Stdout: &log, Stderr: &log, Definition: raw, Transport: served(readOnly)})
			text, err := os.ReadFile(output)
			if err != nil {
				t.Fatal(err)
			}
			if got := parseOutputs(t, string(text)); status != c.status || got[c.output] == "" || !strings.Contains(log.String(), c.says) {
				t.Errorf("exit status %d, outputs %q:\n%s", status, got, log.String())
			}
		})
	}
}
