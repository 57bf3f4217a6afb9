package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

const canary = `c4nary/+ "<&>%s\pass word`

func TestTextNeverPrints(t *testing.T) {
	s := New(canary)
	type holder struct{ Password Text }
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("login", "password", s, "item", holder{s})
	asJSON, err := json.Marshal(holder{s})
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{
		fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q %x %d", s, s, s, s, s, s, s),
		fmt.Sprintf("%v %+v %#v", holder{s}, &holder{s}, []holder{{s}}), fmt.Sprint(errors.New(s.String())),
		string(asJSON), logged.String(),
	} {
		if strings.Contains(got, "c4nary") || strings.Contains(got, hex.EncodeToString([]byte("c4nary"))) {
			t.Errorf("printed the value: %s", got)
		}
		if !strings.Contains(got, mask) {
			t.Errorf("printed no mask: %s", got)
		}
	}
	if s.Reveal() != canary || s.IsZero() || !New("").IsZero() {
		t.Error("the value is not kept")
	}
}

func TestRedactEveryForm(t *testing.T) {
	v := NewRedactor(nil)
	v.Learn("acme", New(canary))
	config := fmt.Sprintf(`{"auths":{"ghcr.io":{"username":"acme","password":%q}}}`, canary)
	basic := base64.StdEncoding.EncodeToString([]byte("acme:" + canary))
	marshalled, _ := json.Marshal(canary)
	for name, text := range map[string]string{
		"raw":             canary,
		"header":          "Authorization: Basic " + basic,
		"basic in a URL":  "?auth=" + url.QueryEscape(basic),
		"base64":          base64.StdEncoding.EncodeToString([]byte(canary)),
		"base64 for URLs": base64.RawURLEncoding.EncodeToString([]byte(canary)),
		"query":           "?password=" + url.QueryEscape(canary),
		"path":            "/" + url.PathEscape(canary),
		"lower percent":   strings.NewReplacer("%2F", "%2f", "%2B", "%2b", "%3C", "%3c", "%3E", "%3e", "%5C", "%5c").Replace(url.QueryEscape(canary)),
		"user info":       url.UserPassword("acme", canary).String() + "@ghcr.io",
		"JSON":            string(marshalled),
		"JSON of PHP":     strings.ReplaceAll(string(marshalled), "/", `\/`),
		"Go":              fmt.Sprintf("%q", canary),
		"hex":             fmt.Sprintf("%x", canary),
		"HEX":             fmt.Sprintf("%X", canary),
		"backwards":       backwards(canary),
		"base64 of 0+":    base64.StdEncoding.EncodeToString([]byte("abc" + canary + "xyz")),
		"base64 of 1+":    base64.StdEncoding.EncodeToString([]byte("a" + canary + "xyz")),
		"base64 of 2+":    base64.StdEncoding.EncodeToString([]byte("ab" + canary + "xyz")),
		"config in b64":   base64.StdEncoding.EncodeToString([]byte(config[:len(config)-40] + canary)),
	} {
		got := v.Redact("before " + text + " after")
		if !strings.Contains(got, mask) {
			t.Errorf("%s: not redacted: %s", name, got)
		}
		if !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") {
			t.Errorf("%s: more was taken than the secret: %s", name, got)
		}
		for n := 9; n < len(canary); n++ {
			if strings.Contains(got, canary[len(canary)-n:]) {
				t.Errorf("%s: an end of the secret stayed: %s", name, got)
			}
		}
	}
	if got := v.Redact("user acme on ghcr.io"); got != "user acme on ghcr.io" {
		t.Errorf("the user name is no secret: %s", got)
	}
}

func TestSecretsThatEndInAQuote(t *testing.T) {
	v := NewRedactor(nil)
	v.Learn("", New(`"quoted"`))
	b, _ := json.Marshal(`"quoted"`)
	if got := v.Redact(string(b)); got != `"***"` {
		t.Errorf("got %s", got)
	}
}

func TestSeveralLines(t *testing.T) {
	key := "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\n{\ntrue\nhkiG9w0BAQEFAASC\n-----END KEY-----\n"
	v := NewRedactor(nil)
	v.Learn("_json_key", New(key))
	for _, text := range []string{key, "MIIEvQIBADANBgkq", "x hkiG9w0BAQEFAASC x", strings.TrimSpace(key)} {
		if got := v.Redact(text); strings.Contains(got, "MIIE") || strings.Contains(got, "hkiG") {
			t.Errorf("%q became %q", text, got)
		}
	}
	if got := v.Redact("{ this is true }"); got != "{ this is true }" {
		t.Errorf("short lines of a secret are no secrets: %q", got)
	}
}

func TestShortAndEmptySecrets(t *testing.T) {
	var announced []string
	v := NewRedactor(func(f string) { announced = append(announced, f) })
	v.Learn("", New(""))
	v.Learn("me", New(""))
	v.Learn("me", New("  \n"))
	v.Learn("", New("a"))
	if len(announced) > 0 {
		t.Errorf("announced %q", announced)
	}
	if got := v.Redact("a banana"); got != "a banana" {
		t.Errorf("got %q", got)
	}
	v.Learn("me", New("a"))
	if got := v.Redact("Basic " + base64.StdEncoding.EncodeToString([]byte("me:a"))); got != "Basic ***" {
		t.Errorf("got %q", got)
	}
}

func TestTrailingNewline(t *testing.T) {
	v := NewRedactor(nil)
	v.Learn("me", New("hunter22\n"))
	for _, text := range []string{"hunter22", base64.StdEncoding.EncodeToString([]byte("me:hunter22"))} {
		if got := v.Redact(text); got != mask {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestOverlappingForms(t *testing.T) {
	v := NewRedactor(nil)
	v.Learn("", New("abcdef"))
	v.Learn("", New("defghi"))
	if got := v.Redact("-abcdefghi-"); got != "-***-" {
		t.Errorf("got %q", got)
	}
	v.Learn("", New("aaaa"))
	if got := v.Redact("aaaaaa!"); got != "***!" {
		t.Errorf("got %q", got)
	}
}

func TestFormsAreAnnouncedOnceBeforeLearnReturns(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	v := NewRedactor(func(f string) {
		mu.Lock()
		defer mu.Unlock()
		seen[f]++
	})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			v.Learn("acme", New(canary))
			mu.Lock()
			defer mu.Unlock()
			if seen[canary] != 1 {
				t.Errorf("announced %d times", seen[canary])
			}
		})
	}
	wg.Wait()
	for f, n := range seen {
		if n != 1 {
			t.Errorf("%q announced %d times", f, n)
		}
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("hunter22", "x hunter22 y")
	f.Add("aaaa", "aaaaaaa")
	f.Add("p\"\\\n", `"p\"\\\n"`)
	f.Fuzz(func(t *testing.T, password, text string) {
		v := NewRedactor(nil)
		v.Learn("user", New(password))
		got := v.Redact(text + password + text)
		for _, form := range forms("user", password) {
			if slices.Contains([]string{mask, mask + mask}, form) || strings.Contains(form, "*") {
				return // the mask itself could complete it
			}
			if strings.Contains(got, form) {
				t.Fatalf("%q stayed in %q", form, got)
			}
		}
	})
}
