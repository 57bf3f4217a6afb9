package redact

import (
	"encoding/base64"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestIssuedTokens(t *testing.T) {
	const digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for name, c := range map[string]struct {
		token            string
		redacted, masked bool
	}{
		"a token":           {"eyJhbGciOiJub25lIn0.c4n4ry.c2ln", true, true},
		"short":             {"localhost:5000", false, false},
		"15 bytes":          {"abcdefghijklmno", false, false},
		"a host":            {"registry.example", true, false},
		"part of a host":    {"longregistry.example"[4:], true, false},
		"of a reference":    {"registry.example/acme/app", true, false},
		"a digest":          {digest[7:], true, false},
		"part of a digest":  {digest[10:40], true, false},
		"an unknown digest": {strings.Repeat("ab12", 16), true, false},
	} {
		var masks []string
		r := NewRedactor(func(form string) { masks = append(masks, form) })
		r.Public("registry.example", "registry.example/acme/app:1.0", digest)
		r.LearnIssued("registry.example", New(c.token))
		if got := r.Redact("it is " + c.token + ", see"); (got == "it is ***, see") != c.redacted {
			t.Errorf("%s: %q", name, got)
		}
		if (len(masks) > 0) != c.masked || c.masked && !slices.Contains(masks, c.token) {
			t.Errorf("%s: masks %q", name, masks)
		}
	}
}

func TestGivenSecretsAreMaskedWhateverIsPublic(t *testing.T) {
	var masks []string
	r := NewRedactor(func(form string) { masks = append(masks, form) })
	r.Public("registry.example/registry.example")
	r.Learn("", New("registry.example"))
	before := len(masks)
	r.LearnIssued("registry.example", New("registry.example"))
	if !slices.Contains(masks, "registry.example") || len(masks) != before {
		t.Errorf("masks %q", masks)
	}
}

// A registry that sends a new token with each answer costs neither memory nor log.
func TestIssuedTokensAreBounded(t *testing.T) {
	handed := 0
	r := NewRedactor(func(form string) { handed += len(form) })
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	last := ""
	for i := range 150 {
		if i%5 == 0 { // all thirty and their forms take 10 MiB
			last = fmt.Sprintf("%08d", i) + strings.Repeat("x", 59<<10)
			r.LearnIssued("hostile.example", New(last))
		}
		r.LearnIssued("small.example", New(fmt.Sprintf("token-number-%08d", i)))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("%d MiB are remembered", grown>>20)
	}
	if handed > 2*mostMaskedBytes {
		t.Errorf("%d KiB are masked", handed>>10)
	}
	if got := r.Redact("[" + last + "] [token-number-00000149] [token-number-00000001]"); got != "[***] [***] [token-number-00000001]" {
		t.Errorf("got %.200s", got)
	}
}

// A token that is sent again is the latest again.
func TestIssuedTokensInUseAreKept(t *testing.T) {
	r := NewRedactor(nil)
	for i := range 1000 {
		r.LearnIssued("x.example", New("token-in-use-all-the-time"))
		r.LearnIssued("x.example", New(fmt.Sprintf("another-token-%08d", i)))
	}
	if got := r.Redact("token-in-use-all-the-time"); got != mask {
		t.Errorf("got %q", got)
	}
}

func TestValidToken(t *testing.T) {
	for token, want := range map[string]bool{
		"eyJhbGciOiJub25lIn0.e30.": true, "abc+/-._~==": true, "a": true,
		"": false, "=": false, "a=b": false, "sha256:abc": false, "localhost:5000": false, `"retries":`: false, "```": false, "a b": false, "é": false, "a\n": false,
	} {
		if got := ValidToken(token); got != want {
			t.Errorf("%q: %t", token, got)
		}
	}
}

// A token that a registry sent is sent back as a password, too: that makes it no secret of the
// user's, which is masked whatever it is.
func TestIssuedTokensAreNotGiven(t *testing.T) {
	for name, c := range map[string]struct {
		token string
		masks bool
	}{
		"short":   {"pushed", false},
		"a host":  {"registry.example", false},
		"a token": {"eyJhbGciOiJub25lIn0.c4n4ry.c2ln", true},
	} {
		var masks []string
		r := NewRedactor(func(form string) { masks = append(masks, form) })
		r.Public("registry.example")
		r.LearnIssued("registry.example", New(c.token))
		r.Learn("robot", New(c.token))
		header := base64.StdEncoding.EncodeToString([]byte("robot:" + c.token))
		if (len(masks) > 0) != c.masks || slices.Contains(masks, header) != c.masks {
			t.Errorf("%s: masks %q", name, masks)
		}
	}
}

// TestRedactLine: the last net leaves alone what is public, whoever chose it as a secret.
func TestRedactLine(t *testing.T) {
	r := NewRedactor(nil)
	r.Public("ghcr.io/acme-2026/app:1")
	r.LearnIssued("quay.io", New("registry.example.com"))
	for _, secret := range []string{"failed", "acme-2026", "hunter22"} {
		r.Learn("alice", New(secret))
	}
	const line = "ghcr.io/acme-2026/app:1  failed: hunter22, registry.example.com"
	if got, want := r.RedactLine(line), "ghcr.io/acme-2026/app:1  failed: ***, registry.example.com"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := r.Redact(line); strings.Contains(got, "failed") || strings.Contains(got, "acme-2026") || strings.Contains(got, "registry.example") {
		t.Errorf("free text: %q", got)
	}
}
