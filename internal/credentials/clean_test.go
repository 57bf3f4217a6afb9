package credentials

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
)

func TestMessage(t *testing.T) {
	for body, want := range map[string]string{
		`{"error":"invalid_grant","error_description":"no such connection"}`:                    "invalid_grant: no such connection",
		`{"error":{"code":403,"status":"PERMISSION_DENIED","message":"denied on resource"}}`:    "PERMISSION_DENIED: denied on resource",
		`{"message":"Bad credentials","documentation_url":"x"}`:                                 "Bad credentials",
		`{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"},{"code":"X"}]}`: "UNAUTHORIZED: authentication required: X",
		`{"detail":"nope"}`: "nope",
		`{"other":1}`:       `{"other":1}`,
		"  plain text\n":    "plain text",
		`["a"]`:             `["a"]`,
		`{"error":7}`:       `{"error":7}`,
		"":                  "",
	} {
		if got := message([]byte(body)); got != want {
			t.Errorf("message(%s) = %q, want %q", body, got, want)
		}
	}
}

func TestClean(t *testing.T) {
	redactor := redact.NewRedactor(nil)
	redactor.Learn("user", redact.New("the-known-secret"))
	r, _ := NewResolver(Options{Redactor: redactor})
	for text, want := range map[string]string{
		"a\nb\r\n::error::c\x1b[31md\x00e":                                                 "a b ::error::c [31md e",
		"known the-known-secret here":                                                      "known *** here",
		"token eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.s-g":                                   "token ***",
		"half eyJhbGciOiJSUzI1NiJ9.eyJpc3Mi":                                               "half ***",
		"as long as a token: " + strings.Repeat("a", 72) + "==.":                           "as long as a token: ***.",
		"a long name: " + strings.Repeat("a", 71) + "==":                                   "a long name: " + strings.Repeat("a", 71) + "==",
		"opaque " + strings.Repeat("Ab1-", 20):                                             "opaque ***",
		"arn:aws:iam::123456789012:role/publisher of 7a4a91c2-7bd4-4b1d-9b6e-0d4c6b0d0a11": "arn:aws:iam::123456789012:role/publisher of 7a4a91c2-7bd4-4b1d-9b6e-0d4c6b0d0a11",
	} {
		if got := r.clean(text); got != want {
			t.Errorf("clean(%q) = %q, want %q", text, got, want)
		}
	}
	if got := r.clean(strings.Repeat("é ", 1000)); len(got) > longest+len("…") || !utf8.ValidString(got) {
		t.Errorf("%d bytes", len(got))
	}
}

func FuzzClean(f *testing.F) {
	f.Add([]byte(`{"error":{"message":"x"}}`))
	f.Add([]byte("::set-output name=x::y\n"))
	r, _ := NewResolver(Options{})
	f.Fuzz(func(t *testing.T, body []byte) {
		got := r.clean(message(body))
		if len(got) > longest+len("…") || strings.ContainsFunc(got, unicode.IsControl) {
			t.Errorf("%q", got)
		}
	})
}
