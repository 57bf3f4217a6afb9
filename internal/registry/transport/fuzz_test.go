package transport

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzErrorBody(f *testing.F) {
	for _, s := range []string{
		`{"errors":[{"code":"DENIED","message":"no"}]}`, `{"errors":[{"code":"A","detail":"d"},{"code":"B","message":"m"}]}`,
		`{"details":"x"}`, `<html>`, `Too Many Requests (HAP429).`, `{"errors":{}}`, `[]`, "\x00\xff", strings.Repeat("ä", 1000),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		answer := parseErrorBody(body, func(s string) string { return s })
		for _, s := range append(answer.codes, answer.message) {
			if utf8.RuneCountInString(s) > maxMessage || !utf8.ValidString(s) {
				t.Errorf("%d characters: %q", utf8.RuneCountInString(s), s)
			}
		}
	})
}

func FuzzLocationAndRateLimit(f *testing.F) {
	f.Add("/v2/a/blobs/uploads/1?_state=x", "100;w=21600")
	f.Add("https://169.254.169.254/", "x")
	f.Add("//other/x", "-1;w=-1")
	h := New(Options{Host: "registry.example"})
	h.scheme = "https"
	base := h.Base()
	f.Fuzz(func(t *testing.T, location, limit string) {
		if u, err := h.Target(&base, location); err == nil {
			if u.Scheme != "https" || u.Host == "" || u.User != nil {
				t.Errorf("Target(%q) = %v", location, u)
			}
			if ip := literal(u.Hostname()); ip != nil && (never(ip) || private(ip)) {
				t.Errorf("Target(%q) = %v", location, u)
			}
		}
		if n, window, ok := parseRateLimit(limit); ok && (n < 0 || window < 0) {
			t.Errorf("parseRateLimit(%q) = %d, %v", limit, n, window)
		}
	})
}
