package servers

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// Distribution2 starts Distribution 2.8, Debian's docker-registry, as a process behind a reverse
// proxy. It authenticates by itself with a password file; the token way is ours. The test is skipped
// where the program is not installed.
func Distribution2(t testing.TB, o Options) *Server {
	t.Helper()
	program := Require(t, "docker-registry")
	return Start(t, o, func(s *Server) http.Handler {
		folder := o.Folder
		if folder == "" {
			folder = t.TempDir()
		}
		config := fmt.Sprintf(`version: 0.1
log: {level: info, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: %q}
  delete: {enabled: %t}
  maintenance: {uploadpurging: {enabled: false}}
http: {addr: "127.0.0.1:0", relativeurls: true, secret: test}
`, folder, o.Delete)
		if o.Auth == Basic {
			config += fmt.Sprintf("auth: {htpasswd: {realm: test, path: %q}}\n", s.Htpasswd(t))
		}
		proxy := reverse(run(t, program, config))
		if o.Auth == Token {
			return s.Tokens.authenticate(proxy)
		}
		return proxy
	})
}

// run starts the program and returns the address it listens on.
func run(t testing.TB, program, config string) *url.URL {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "serve", file)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "OTEL_TRACES_EXPORTER=none"}
	endWithUs(cmd)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listening := regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`)
	addr := make(chan string, 1)
	ended := make(chan struct{})
	go func() { // reads to the end: a full pipe would stop the program
		defer close(ended)
		said := false
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			if m := listening.FindStringSubmatch(lines.Text()); m != nil && !said {
				said = true
				addr <- m[1]
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		_ = cmd.Wait()
	})
	select {
	case a := <-addr:
		return &url.URL{Scheme: "http", Host: a}
	case <-ended:
		t.Fatalf("%s ended before it listened", program)
	}
	return nil
}

// reverse passes requests on, one connection each: a broken one then breaks nothing else.
func reverse(to *url.URL) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host
		},
		Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
		FlushInterval: -1,
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
}
