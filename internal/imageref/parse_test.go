package imageref

import (
	"errors"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

func TestParseDestination(t *testing.T) {
	for text, want := range map[string]string{
		"me/app":                                     "docker.io/me/app:latest",
		"me/app:1.0.0":                               "docker.io/me/app:1.0.0",
		"app:1":                                      "docker.io/library/app:1",
		"docker.io/app":                              "docker.io/library/app:latest",
		"docker.io/me/app:1":                         "docker.io/me/app:1",
		"index.docker.io/me/app:1":                   "docker.io/me/app:1",
		"registry-1.docker.io/me/app:1":              "docker.io/me/app:1",
		"  ghcr.io/me/app:1\t":                       "ghcr.io/me/app:1",
		"GHCR.io/me/app:V1":                          "ghcr.io/me/app:V1",
		"localhost/app:1":                            "localhost/app:1",
		"localhost:5000/app":                         "localhost:5000/app:latest",
		"registry:5000/team/app:1":                   "registry:5000/team/app:1",
		"127.0.0.1:5000/a/b/c:x_y.z-1":               "127.0.0.1:5000/a/b/c:x_y.z-1",
		"[::1]:5000/app:1":                           "[::1]:5000/app:1",
		"quay.io/org/my__app-x--y.z:_1":              "quay.io/org/my__app-x--y.z:_1",
		"ghcr.io/me/app:" + strings.Repeat("a", 128): "ghcr.io/me/app:" + strings.Repeat("a", 128),
	} {
		got, err := ParseDestination(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if got.String() != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestDestinationsThatAreNotConfigured(t *testing.T) {
	for _, text := range []string{
		"/app:1", "docker.io//app:1", "/me/app", "ghcr.io/:1", "ghcr.io/me/:1", "ghcr.io/", "//app", ":1", ":",
		"ghcr.io//:1", "/", "/app:", "ghcr.io//Upper:1", ":5000/app:1",
		"https:///b:1", "https://", "https://:5000/app:1",
	} {
		_, err := ParseDestination(text)
		var n *NotConfigured
		if !errors.As(err, &n) || n.Reason == "" {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A line with an empty component may still name its registry.
func TestHostOfADestinationThatIsNotConfigured(t *testing.T) {
	for text, want := range map[string]string{
		"quay.io//app:main": "quay.io", "quay.io/:1": "quay.io", "quay.io/org/:1": "quay.io", "index.docker.io//app": "docker.io",
		"LOCALHOST:5000//app:1": "localhost:5000", "docker.io/": "docker.io",
		"/app:1": "", "//app": "", "me//app:1": "", ":5000/app:1": "", ":1": "", "https:///b:1": "", "gh_cr.io//app:1": "", "a b.io//app": "",
	} {
		_, err := ParseDestination(text)
		var n *NotConfigured
		if !errors.As(err, &n) || n.Host != want {
			t.Errorf("%q: host %q, want %q (%v)", text, n.Host, want, err)
		}
	}
}

func TestParseDestinationRefuses(t *testing.T) {
	for text, says := range map[string]string{
		"1.0.0":   "bare word",
		"latest":  "bare word",
		"me/app:": "tag behind the colon is empty",
		"ghcr.io/me/app@sha256:" + strings.Repeat("0", 64): "not a digest",
		"ghcr.io/me/app@":                            "not a digest",
		"ghcr.io/Me/app:1":                           "lower case",
		"Me/app:1":                                   "lower case",
		"https://ghcr.io/me/app:1":                   "no https://",
		"docker://ghcr.io/me/app:1":                  "no docker://",
		"ghcr.io/me/app:a b":                         "not a tag",
		"ghcr.io/me/app:.1":                          "not a tag",
		"ghcr.io/me/app:" + strings.Repeat("a", 129): "not a tag",
		"ghcr.io/me/-app:1":                          "cannot be part",
		"ghcr.io/me/a..b:1":                          "cannot be part",
		"ghcr.io/me/a___b:1":                         "cannot be part",
		"ghcr.io/../app:1":                           "cannot be part",
		"gh_cr.io/me/app:1":                          "not a host",
		"-x.io/me/app:1":                             "not a host",
		"ghcr.io:99999/me/app:1":                     "not a port",
		"ghcr.io:0/me/app:1":                         "not a port",
		"ghcr.io/me/app@latest":                      "not a digest",
		"app:1@sha256:12":                            "not a digest",
		"ghcr.io/me/ap\x1b[31mp:1":                   "cannot be part",
		"ghcr.io/me/äpp:1":                           "cannot be part",
		"ghcr.io/" + strings.Repeat("a", 256) + ":1": "256 characters",
	} {
		_, err := ParseDestination(text)
		var wrong *Error
		if !errors.As(err, &wrong) || !usererror.Is(err, usererror.InvalidTag) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: want %q, got %v", text, says, err)
		}
		if usererror.Advice(err) == "" {
			t.Errorf("%q: no remedy", text)
		}
	}
	_, err := ParseDestination("ghcr.io/Acme/App:V1")
	if got := usererror.Advice(err); !strings.Contains(got, `"acme/app"`) {
		t.Errorf("the right spelling is not shown: %s", got)
	}

	// Both faults of a reference are told at once.
	_, err = ParseDestination("ghcr.io/Acme/App:1.0+5")
	for _, says := range []string{`repository "Acme/App" is not in lower case`, `"1.0+5" is not a tag`} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("want %s, got %v", says, err)
		}
	}
}

func TestIsDigest(t *testing.T) {
	for text, want := range map[string]bool{
		"sha256:" + strings.Repeat("0a", 32):        true,
		"sha512:" + strings.Repeat("0a", 64):        true,
		"sha256:" + strings.Repeat("0a", 64):        false,
		"sha512:" + strings.Repeat("0a", 32):        false,
		"sha256:" + strings.Repeat("0A", 32):        false,
		"sha384:" + strings.Repeat("0a", 48):        false,
		"sha256:" + strings.Repeat("0a", 31) + "\n": false,
		"sha256:": false,
		"":        false,
	} {
		if got := IsDigest(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestParseSource(t *testing.T) {
	sum := "sha256:" + strings.Repeat("0a", 32)
	for text, want := range map[string]string{
		"nginx":                       "docker.io/library/nginx:latest",
		"ghcr.io/me/app":              "ghcr.io/me/app:latest",
		"ghcr.io/me/app:1":            "ghcr.io/me/app:1",
		"ghcr.io/me/app@" + sum:       "ghcr.io/me/app@" + sum,
		"ghcr.io/me/app:1@" + sum:     "ghcr.io/me/app@" + sum,
		"localhost:5000/app:1@" + sum: "localhost:5000/app@" + sum,
	} {
		got, err := ParseSource(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if got.String() != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{"", "ghcr.io/me/app@", "ghcr.io/me/app@sha256:", "ghcr.io/me/app@sha256:12", "ghcr.io/me/app:", "ghcr.io/Me/app", "/app", "ghcr.io//app", "a b"} {
		if _, err := ParseSource(text); !usererror.Is(err, usererror.InvalidSource) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestParseScope(t *testing.T) {
	for text, want := range map[string]string{
		"docker.io":                     "docker.io ",
		"https://index.docker.io/v1/":   "docker.io ",
		"index.docker.io":               "docker.io ",
		"registry-1.docker.io":          "docker.io ",
		"https://ghcr.io/":              "ghcr.io ",
		"GHCR.IO":                       "ghcr.io ",
		"docker.io/acme":                "docker.io acme",
		"https://index.docker.io/acme/": "docker.io acme",
		"quay.io/org/app":               "quay.io org/app",
		"localhost:5000":                "localhost:5000 ",
		"registry":                      "registry ",
		"http://registry:5000/team":     "registry:5000 team",
	} {
		host, path, err := ParseScope(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if host+" "+path != want {
			t.Errorf("%q: got %q %q, want %q", text, host, path, want)
		}
	}
	for _, text := range []string{"ftp://ghcr.io", "ghcr.io//app", "ghcr.io/Org", "a b", "ghcr.io:x", "user@ghcr.io", "/app", "ghcr.io/app:1"} {
		if host, path, err := ParseScope(text); err == nil {
			t.Errorf("%q: got %q %q", text, host, path)
		}
	}
}

func TestScopesThatAreNotConfigured(t *testing.T) {
	for _, text := range []string{"https://", "http:///", "/acme", "https:///acme", "/", ":5000", "https://:5000/acme"} {
		_, _, err := ParseScope(text)
		var n *NotConfigured
		if !errors.As(err, &n) || n.Reason == "" {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzParseDestination(f *testing.F) {
	for _, seed := range []string{"ghcr.io/me/app:1", "/app:1", "a@b", "1.0.0", "[::1]:5000/a:b", "https://x/y", "Ä/b:c", ":"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseDestination(text)
		if err != nil {
			if len(err.Error()) > 3000 { // 300 bytes, twice, each spelled with four
				t.Errorf("the message repeats %d bytes", len(err.Error()))
			}
			return
		}
		again, err := ParseDestination(got.String())
		if err != nil || again != got {
			t.Errorf("%q parsed as %s, which parses as %s, %v", text, got, again, err)
		}
		if source, err := ParseSource(got.String()); err != nil || source != got {
			t.Errorf("%q parsed as %s, which is the source %s, %v", text, got, source, err)
		}
	})
}

// A reference with credentials in it, as people paste it, must not be repeated by the
// message that refuses it.
func TestCredentialsAreNotRepeated(t *testing.T) {
	for _, text := range []string{
		"https://me:hunter22@ghcr.io/me/app:1", "me:hunter22@ghcr.io/me/app", "hunter22@ghcr.io/me/app", "me:hunter22@localhost/app", "https://me:/hunter22@ghcr.io/app", "me:hunter22@ghcr.io",
		"docker://me:hunter22@/app:1", "me:p@hunter22@ghcr.io:443/me/app:1@sha256:" + strings.Repeat("0", 64),
	} {
		_, tag := ParseDestination(text)
		_, _, scope := ParseScope(strings.TrimPrefix(text, "docker://"))
		for _, err := range []error{tag, scope} {
			if err == nil || !strings.Contains(err.Error(), "credentials") || strings.Contains(err.Error()+usererror.Advice(err), "hunter22") {
				t.Errorf("%q: %v", text, err)
			}
		}
	}
	for _, text := range []string{"app@sha256:" + strings.Repeat("0", 64), "ghcr.io/me/app:1@sha256:12", "app@", "app", "ghcr.io:443/me/app:1", "docker://app:1@sha256:12"} {
		if HoldsCredentials(text) {
			t.Errorf("%q is taken for one with credentials", text)
		}
	}
}
