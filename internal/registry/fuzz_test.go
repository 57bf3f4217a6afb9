package registry

import (
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func FuzzChallenge(f *testing.F) {
	for _, s := range []string{
		`Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"`,
		`Basic realm="x"`, `Negotiate`, `Bearer`, `bearer realm=`, `Bearer realm="a,b",,="`, "Basic realm=\"\xff\\\"", `Bearer realm="http://169.254.169.254/"`,
	} {
		f.Add(s)
	}
	c := New(Options{Host: "registry.example"})
	f.Fuzz(func(t *testing.T, header string) {
		resp := &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{"Www-Authenticate": {header}}, Body: http.NoBody}
		ch := c.challengeOf(resp)
		if ch != nil && ch.Scheme != "basic" && ch.Scheme != "bearer" {
			t.Errorf("scheme %q", ch.Scheme)
		}
	})
}

func FuzzErrorBody(f *testing.F) {
	for _, s := range []string{
		`{"errors":[{"code":"DENIED","message":"no"}]}`, `{"errors":[{"code":"A","detail":"d"},{"code":"B","message":"m"}]}`,
		`{"details":"x"}`, `<html>`, `Too Many Requests (HAP429).`, `{"errors":{}}`, `[]`, "\x00\xff", strings.Repeat("ä", 1000),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		code, message := parseErrorBody(body, func(s string) string { return s })
		for _, s := range []string{code, message} {
			if utf8.RuneCountInString(s) > maxMessage || !utf8.ValidString(s) {
				t.Errorf("%d characters: %q", utf8.RuneCountInString(s), s)
			}
		}
	})
}

func FuzzRangeAndLocation(f *testing.F) {
	f.Add("0-41", "/v2/a/blobs/uploads/1?_state=x", "bytes 5-9/10", "100;w=21600", `</v2/x>; rel="next"`, "7")
	f.Add("0--1", "https://169.254.169.254/", "bytes */10", "x", "<", "Sat, 21 Nov 2026 18:00:00 GMT")
	f.Add("bytes=0-9223372036854775807", "//other/x", "bytes -1-2/3", "-1;w=-1", "<>", "1e999")
	c := New(Options{Host: "registry.example"})
	c.scheme = "https"
	base := c.base()
	f.Fuzz(func(t *testing.T, span, location, content, limit, link, after string) {
		if n := received(span); n < 0 || n == 1 {
			t.Errorf("received(%q) = %d", span, n)
		}
		if u, err := c.target(&base, location); err == nil {
			if u.Scheme != "https" || u.Host == "" || u.User != nil {
				t.Errorf("target(%q) = %v", location, u)
			}
			if ip := literal(u.Hostname()); ip != nil && (never(ip) || private(ip)) {
				t.Errorf("target(%q) = %v", location, u)
			}
		}
		if n, ok := contentRangeStart(content); ok && n < 0 {
			t.Errorf("contentRangeStart(%q) = %d", content, n)
		}
		if n, window, ok := rateLimit(limit); ok && (n < 0 || window < 0) {
			t.Errorf("rateLimit(%q) = %d, %v", limit, n, window)
		}
		nextLink(link)
		if d := retryAfter(http.Header{"Retry-After": {after}}, time.Unix(0, 0)); d < 0 {
			t.Errorf("retryAfter(%q) = %v", after, d)
		}
	})
}
