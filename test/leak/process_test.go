package leak

import (
	"bufio"
	"context"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/multi-registry-push/multi-registry-push/test/servers"
	"github.com/multi-registry-push/multi-registry-push/test/standins"
)

// program builds the program once for all tests that need it as a process of its own.
var program = sync.OnceValues(func() (string, error) {
	built = true
	dir, err := os.MkdirTemp("", "leak-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "multi-registry-push")
	out, err := exec.Command("go", "build", "-o", path, "github.com/multi-registry-push/multi-registry-push").CombinedOutput()
	if err != nil {
		return "", &buildError{string(out), err}
	}
	return path, nil
})

// built says that there is something to tidy up.
var built bool

type buildError struct {
	text string
	err  error
}

func (e *buildError) Error() string { return e.err.Error() + "\n" + e.text }

// process is a run of the program that can be sent signals.
type process struct {
	*exec.Cmd
	dir            string
	stdout, stderr recorder
}

func start(t *testing.T, environ ...string) *process {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{dir: t.TempDir()}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	t.Cleanup(cancel)
	p.Cmd = exec.CommandContext(ctx, path)
	p.Dir = p.dir
	p.Env = append([]string{"GITHUB_ACTIONS=true", "GITHUB_SERVER_URL=https://github.com", "GITHUB_ACTOR=octocat", "RUNNER_DEBUG=1", "HOME=" + p.dir, "TMPDIR=" + p.dir,
		"GITHUB_OUTPUT=" + filepath.Join(p.dir, "output"), "GITHUB_STEP_SUMMARY=" + filepath.Join(p.dir, "summary")}, environ...)
	p.Stdout, p.Stderr = &p.stdout, &p.stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// end waits for the process and returns what it left.
func (p *process) end(t *testing.T) outcome {
	t.Helper()
	_ = p.Wait()
	o := outcome{status: p.ProcessState.ExitCode(), stderr: p.stderr.String(), output: readAll(t, filepath.Join(p.dir, "output")), summary: readAll(t, filepath.Join(p.dir, "summary"))}
	for line := range strings.Lines(p.stdout.String()) {
		if !strings.HasPrefix(line, "::add-mask::") {
			o.stdout += line
		}
	}
	return o
}

// localImage writes a small image as an OCI layout.
func localImage(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "layout")
	at, err := layout.Write(folder, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(2000, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := at.AppendImage(image); err != nil {
		t.Fatal(err)
	}
	return "oci:" + folder
}

func TestProxyThatRefuses(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Proxy-Authenticate", "Basic")
		w.Header().Set("X-Debug", r.Header.Get("Proxy-Authorization"))
		w.WriteHeader(http.StatusProxyAuthRequired)
		_, _ = io.WriteString(w, r.Header.Get("Proxy-Authorization"))
	}))
	defer proxy.Close()
	address := strings.Replace(proxy.URL, "http://", "http://"+proxyKey.user+":"+proxyKey.value+"@", 1)
	o := start(t, append(publish(host+"/me/app:1", item(host, password)), "INPUT_SOURCE="+localImage(t), "HTTPS_PROXY="+address, "https_proxy="+address)...).end(t)
	if o.status != 1 || !strings.Contains(o.stdout, "Proxy") {
		t.Errorf("exit status %d:\n%s%s", o.status, o.stdout, o.stderr)
	}
	for _, l := range leaks(o.everything(), secrets) {
		t.Error(l)
	}
}

// A server that goes on talking after its answer: net/http logs what it says, by itself.
func TestServerThatTalksUnasked(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	defer serving.Wait()
	defer listener.Close()
	serving.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { talk(c) })
		}
	})
	at := "localhost:" + strings.TrimPrefix(listener.Addr().String(), "127.0.0.1:")
	o := start(t, "INPUT_SOURCE="+localImage(t), "INPUT_TAGS="+at+"/me/app:1", "INPUT_REGISTRY-AUTH="+item(at, password)).end(t)
	if o.status != 1 || !strings.Contains(o.stdout, "wrong-credentials") || o.stderr != "" {
		t.Errorf("exit status %d:\n%s%s", o.status, o.stdout, o.stderr)
	}
	checkText(t, o)
	for _, l := range leaks(o.everything(), []canary{password}) {
		t.Error(l)
	}
}

// talk refuses every request, and repeats its header behind the answer.
func talk(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	if first, err := r.Peek(1); err != nil || first[0] == 0x16 { // a TLS handshake
		_, _ = io.WriteString(c, "HTTP/1.0 400 Bad Request\r\n\r\n")
		return
	}
	for {
		request, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		status := "401 Unauthorized"
		if request.Header.Get("Authorization") != "" {
			status = "403 Forbidden"
		}
		_, pass, _ := request.BasicAuth()
		_, _ = io.WriteString(c, "HTTP/1.1 "+status+"\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n"+
			"##[error]c4n4ry ::error::c4n4ry "+request.Header.Get("Authorization")+" "+pass+"\r\n\r\n")
	}
}

// A credential process talks to the terminal, and a credential helper may hang: neither is
// heard, and the second is stopped with the program.
func TestProgramsForCredentials(t *testing.T) {
	script := func(dir, name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	loud := "echo '##[error]c4n4ry " + awsKey.value + "' >&2\necho " + awsKey.value + "\nexit 1\n"
	dir := t.TempDir()
	script(dir, "docker-credential-loud", loud)
	writeFile(t, filepath.Join(dir, "config.json"), `{"credHelpers":{"`+host+`":"loud"}}`)
	writeFile(t, filepath.Join(dir, "aws"), "[profile x]\ncredential_process = "+script(dir, "process", loud)+"\n")
	const ecr = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
	n := standins.NewInternet(t)
	n.Handle(ecr, locked(awsKey, nil))
	path := "PATH=" + dir + ":" + os.Getenv("PATH")
	o := start(t, append(append(publish(host+"/me/app:1\n"+ecr+"/app:1", ""), n.Env()...), "INPUT_SOURCE="+localImage(t),
		path, "DOCKER_CONFIG="+dir, "AWS_PROFILE=x", "AWS_CONFIG_FILE="+filepath.Join(dir, "aws"))...).end(t)
	if o.status != 1 || !strings.Contains(o.stdout, "docker-credential-loud") || !strings.Contains(o.stdout, "getting AWS credentials") || o.stderr != "" {
		t.Errorf("exit status %d:\n%s%s", o.status, o.stdout, o.stderr)
	}
	checkText(t, o)
	for _, l := range leaks(o.everything(), []canary{awsKey}) {
		t.Error(l)
	}

	began := filepath.Join(dir, "began")
	script(dir, "docker-credential-stuck", "echo > "+began+"\nexec sleep 600\n")
	writeFile(t, filepath.Join(dir, "config.json"), `{"credsStore":"stuck"}`)
	if err := syscall.Mkfifo(began, 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, append(publish(host+"/me/app:1", ""), path, "DOCKER_CONFIG="+dir)...)
	if _, err := os.ReadFile(began); err != nil { // until the helper has opened and closed it
		t.Fatal(err)
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	o = p.end(t)
	if o.status != 130 || !strings.Contains(o.output, "results<<") || o.summary == "" {
		t.Errorf("exit status %d, outputs %q, summary %q", o.status, o.output, o.summary)
	}
	if strings.Contains(o.stdout, "stuck") {
		t.Errorf("the helper was waited for:\n%s", o.stdout)
	}
}

// The SDK's default chain sends tokens of its own finding, and its errors repeat what is
// answered.
func TestTokensOfTheDefaultChain(t *testing.T) {
	const ecr = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
	backwards := func(s string) string {
		b := []byte(s)
		slices.Reverse(b)
		return string(b)
	}
	said := renewal.value + " " + backwards(renewal.value) + " " + base64.StdEncoding.EncodeToString([]byte(renewal.value))
	file := filepath.Join(t.TempDir(), "token")
	writeFile(t, file, renewal.value)
	container := httptest.NewServer(answer(403, `{"code":"Denied","message":`+quotedJSON(said)+`}`, "Content-Type", "application/json"))
	defer container.Close()
	n := standins.NewInternet(t)
	n.Handle(ecr, locked(awsKey, nil))
	n.Handle("sts.eu-west-1.amazonaws.com", answer(403, "<ErrorResponse><Error><Code>Denied</Code><Message>"+said+"</Message></Error></ErrorResponse>"))
	for name, environ := range map[string][]string{
		"web identity":     {"AWS_ROLE_ARN=arn:aws:iam::123456789012:role/x", "AWS_WEB_IDENTITY_TOKEN_FILE=" + file},
		"container":        {"AWS_CONTAINER_CREDENTIALS_FULL_URI=" + container.URL, "AWS_CONTAINER_AUTHORIZATION_TOKEN=" + renewal.value},
		"container's file": {"AWS_CONTAINER_CREDENTIALS_FULL_URI=" + container.URL, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=" + file},
	} {
		o := start(t, append(append(publish(ecr+"/app:1", "", n.Env()...), "INPUT_SOURCE="+localImage(t)), environ...)...).end(t)
		if o.status != 1 || !strings.Contains(o.stdout, "Denied: ***") {
			t.Errorf("%s: exit status %d:\n%s", name, o.status, o.stdout)
		}
		for _, l := range leaks(o.everything(), []canary{renewal}) {
			t.Errorf("%s: %s", name, l)
		}
	}
}

func TestAuthorities(t *testing.T) {
	r := servers.Olareg(t, servers.Options{TLS: true})
	inputs := []string{"INPUT_SOURCE=" + localImage(t), "INPUT_TAGS=" + r.Host + "/me/app:1", "INPUT_REGISTRY-AUTH=" + item(r.Host, canary{"", r.Users[0].Name, r.Users[0].Password})}
	mine := []canary{{"password", r.Users[0].Name, r.Users[0].Password}}
	for name, c := range map[string]struct {
		file   string
		status int
		says   string
	}{
		"unknown":      {"", 1, "SSL_CERT_FILE"},
		"added":        {r.CAFile, 0, r.Host},
		"missing file": {filepath.Join(t.TempDir(), "missing.pem"), 1, "is left aside"},
		"no file":      {os.Args[0], 1, "no certificate in it"},
	} {
		o := start(t, append(inputs, "SSL_CERT_FILE="+c.file)...).end(t)
		if o.status != c.status || !strings.Contains(o.stdout, c.says) {
			t.Errorf("%s: exit status %d:\n%s%s", name, o.status, o.stdout, o.stderr)
		}
		for _, l := range leaks(o.everything(), mine) {
			t.Errorf("%s: %s", name, l)
		}
	}
}

// A job that is cancelled in the middle of an upload says what is published, in outputs
// and summary, and a process that is made to crash leaves neither its secrets in the log
// nor a core file.
func TestSignals(t *testing.T) {
	for name, c := range map[string]struct {
		signal os.Signal
		status int
	}{
		"SIGINT":  {syscall.SIGINT, 130},
		"SIGTERM": {syscall.SIGTERM, 130},
		"SIGQUIT": {syscall.SIGQUIT, -1}, // with GOTRACEBACK=crash: all stacks, then SIGABRT
	} {
		t.Run(name, func(t *testing.T) {
			stuck, release := make(chan struct{}), make(chan struct{})
			var once sync.Once
			r := servers.Olareg(t, servers.Options{Wrap: func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodPut || r.Method == http.MethodPatch {
						once.Do(func() { close(stuck) })
						select {
						case <-release:
						case <-r.Context().Done():
						}
					}
					next.ServeHTTP(w, r)
				})
			}})
			user := canary{"password", r.Users[0].Name, r.Users[0].Password}
			p := start(t, "GOTRACEBACK=crash", "INPUT_SOURCE="+localImage(t), "INPUT_TAGS="+r.Host+"/me/app:1", "INPUT_REGISTRY-AUTH="+item(r.Host, user), "INPUT_GITHUB-TOKEN="+jobToken.value)
			<-stuck
			if err := p.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			o := p.end(t)
			close(release)
			if o.status != c.status {
				t.Errorf("exit status %d:\n%s%s", o.status, o.stdout, o.stderr)
			}
			if c.status == 130 && (!strings.Contains(o.output, "results<<") || o.summary == "") {
				t.Errorf("outputs %q, summary %q", o.output, o.summary)
			}
			for _, l := range leaks(o.everything(), []canary{user, jobToken}) {
				t.Error(l)
			}
			files, err := os.ReadDir(p.dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				if !slices.Contains([]string{"output", "summary"}, f.Name()) {
					t.Errorf("%s was left behind", f.Name())
				}
			}
		})
	}
}
