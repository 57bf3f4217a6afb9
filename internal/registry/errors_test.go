package registry

import (
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/registry/transport"
)

// A registry, or its token server, that repeats a credential longer than what an error
// holds of its words: no part of the credential is shown.
func TestLongSecretsAreHiddenBeforeTheCut(t *testing.T) {
	password := strings.Repeat("ECRpass0/", 80)
	for name, answer := range map[string]func(w http.ResponseWriter){
		"text":    func(w http.ResponseWriter) { w.WriteHeader(400); _, _ = w.Write([]byte("bad header " + password)) },
		"message": func(w http.ResponseWriter) { refuse(w, 400, "WHATEVER", "bad header "+password) },
		"code":    func(w http.ResponseWriter) { refuse(w, 400, password, "bad header") },
		"escaped": func(w http.ResponseWriter) {
			w.WriteHeader(400)
			_, _ = w.Write([]byte(`{"message":"bad header ` + strings.ReplaceAll(password, "E", `\u0045`) + `"}`))
		},
	} {
		for _, at := range []string{"registry", "token server"} {
			f := newFake(t)
			f.hook = func(w http.ResponseWriter, r *http.Request) bool {
				switch {
				case at == "registry" && strings.Contains(r.URL.Path, "/manifests/"), r.URL.Path == "/token":
					answer(w)
					return true
				case at == "token server":
					w.Header().Set("WWW-Authenticate", `Bearer realm="`+strings.Replace(f.URL, "127.0.0.1", "localhost", 1)+`/token",service="x"`)
					w.WriteHeader(http.StatusUnauthorized)
					return true
				}
				return false
			}
			redactor := redact.NewRedactor(nil)
			redactor.Learn("AWS", redact.New(password))
			c, _ := f.client(func(o *Options) { o.Auth = account("AWS", password); o.Redactor = redactor })
			_, _, err := c.Repository("a").Manifest(t.Context(), "v1")
			if err == nil || !strings.Contains(err.Error(), "400") || strings.Contains(err.Error(), "pass0") {
				t.Errorf("%s, %s: %v", at, name, err)
			}
		}
	}
}

// TestGist: what was dialled, how often and for how long differs from host to host; what is
// wrong does not.
func TestGist(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 443}, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	unknown := &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "quay.io", Server: "10.0.0.2:53"}}
	for _, test := range []struct {
		err  error
		want string
	}{
		{&transport.GaveUpError{Err: refused, Tries: 5, After: 5 * time.Second}, "quay.io/a: logging in: given up: connection refused"},
		{&transport.GaveUpError{Err: unknown, Tries: 2, After: time.Second}, "quay.io/a: logging in: given up: no such host"},
		{&transport.GaveUpError{Err: io.EOF, Dead: true, After: time.Minute}, "quay.io/a: logging in: given up, after 1 min 0 s of nothing but failures from this registry: EOF"},
		{&net.OpError{Op: "read", Net: "tcp", Err: io.EOF}, "quay.io/a: logging in: read tcp: EOF"},
	} {
		err := &OperationError{Host: "quay.io", Path: "a", Operation: "logging in", Err: test.err}
		if got := Gist(err, err.Error()); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}
