package redact

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
)

// FuzzDecode looks through any text for secrets in escapes: it ends, it takes away nothing
// but what it replaces, and what was put in is found.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{"", "%", "&", `\`, "%u", `\u{`, "&#", "a\r\n b", "%25%32%35", `\ud83d\ude00`, "SHVudGVyMg==", "&amp;lt;", `%5cu0041&#92;u0041`} {
		f.Add("Hunter22/é ", text)
	}
	f.Fuzz(func(t *testing.T, password, text string) {
		password = strings.TrimSpace(password)
		if len(password) < leastFolded || len(password) > 1<<10 || len(text) > 1<<14 || strings.Contains(password+text, "*") {
			return
		}
		r := NewRedactor(nil)
		r.Learn("", New(password))
		rest := text
		for _, part := range strings.Split(r.Redact(text), mask) {
			_, after, ok := strings.Cut(rest, part)
			if !ok {
				t.Fatalf("%q became another text: %q", text, r.Redact(text))
			}
			rest = after
		}
		for _, said := range []string{password, url.QueryEscape(password), base64.StdEncoding.EncodeToString([]byte(password))} {
			if got := r.Redact("[" + said + "]"); !strings.Contains(got, mask) {
				t.Fatalf("%q, spelled %q, became %q", password, said, got)
			}
		}
	})
}

// FuzzIssued lets a registry choose its tokens: no mask is part of what is public.
func FuzzIssued(f *testing.F) {
	for _, token := range []string{"sha256:", "localhost:5000", `"retries":`, "```", "registry.example/acme/app", "e3b0c44298fc1c149afbf4c8996fb924", "application/vnd.oci.image.index.v1+json"} {
		f.Add(token, "registry.example")
	}
	f.Fuzz(func(t *testing.T, token, host string) {
		public := []string{
			host, "registry.example/acme/app:1.0", "localhost:5000/acme/app:latest", "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
			"application/vnd.oci.image.index.v1+json",
		}
		r := NewRedactor(func(form string) {
			for _, value := range public {
				if strings.Contains(value, form) {
					t.Fatalf("token %q: %q of %q is masked", token, form, value)
				}
			}
		})
		r.Public(public...)
		r.LearnIssued(host, New(token))
		if got := r.Redact(token); len(token) < leastIssued && got != token {
			t.Fatalf("the short token %q is hidden", token)
		}
	})
}
