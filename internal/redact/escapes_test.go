package redact

import (
	"encoding/base64"
	"fmt"
	"html"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf16"
)

// javaScript escapes as encodeURIComponent does (ECMA-262, 19.2.6.4): these stay.
func javaScript(s string) string { return percent(s, "-_.!~*'()") }

// python escapes as urllib.parse.quote does.
func python(s string) string { return percent(s, "_.-~/") }

// java escapes as java.net.URLEncoder does.
func java(s string) string { return strings.ReplaceAll(percent(s, ".-*_ "), " ", "+") }

func percent(s, stays string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if alphanumeric(c) || strings.IndexByte(stays, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func each(s string, format string) string {
	var b strings.Builder
	for _, r := range s {
		fmt.Fprintf(&b, format, r)
	}
	return b.String()
}

func unicodeEscapes(s, format string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(s)) {
		fmt.Fprintf(&b, format, u)
	}
	return b.String()
}

// named escapes as libraries do that know the names of HTML 4.
var named = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;", "/", "&sol;",
	"!", "&excl;", "*", "&ast;", "(", "&lpar;", ")", "&rpar;", "é", "&eacute;", "ß", "&szlig;", "€", "&euro;", "+", "&plus;")

// spellings are ways in which servers and libraries write a text.
func spellings(s string) map[string]string {
	base := func(e *base64.Encoding, s string) string { return e.EncodeToString([]byte(s)) }
	all := map[string]string{
		"raw":                   s,
		"JavaScript":            javaScript(s),
		"JavaScript, lower":     lowerPercent(javaScript(s)),
		"Python":                python(s),
		"Java":                  java(s),
		"every byte":            percent(s, ""),
		"URL twice":             javaScript(javaScript(s)),
		"%u":                    unicodeEscapes(s, "%%u%04X"),
		"HTML, named":           named.Replace(s),
		"HTML, Go":              html.EscapeString(s),
		"HTML, decimal":         each(s, "&#%d;"),
		"HTML, hexadecimal":     each(s, "&#x%x;"),
		"HTML, HEXADECIMAL":     each(s, "&#X%X;"),
		"JSON":                  jsonEscape(s, true),
		"JSON, every character": unicodeEscapes(s, `\u%04x`),
		"JSON, CAPITALS":        unicodeEscapes(s, `\u%04X`),
		"Go":                    unquoted(fmt.Sprintf("%+q", s)),
		"JSON in JSON":          jsonEscape(jsonEscape(s, true), true),
		"JSON in a URL":         javaScript(jsonEscape(s, true)),
		"lower case":            strings.ToLower(s),
		"header":                "Basic " + base(base64.StdEncoding, "acme:"+s),
		"base64 twice":          base(base64.StdEncoding, `{"auth":"`+base(base64.StdEncoding, "acme:"+s)+`"}`),
		"base64 of a URL":       base(base64.RawURLEncoding, "https://h/?p="+javaScript(s)),
		"base64 in JSON":        strings.ReplaceAll(base(base64.StdEncoding, s), "/", `\/`),
		"base64 in lines":       brokenAt(base(base64.StdEncoding, "user:"+s), 10),
	}
	for offset := range 4 {
		for name, e := range map[string]*base64.Encoding{"standard": base64.StdEncoding, "URL": base64.URLEncoding} {
			all[fmt.Sprintf("base64 of %s at %d", name, offset)] = base(e, "xyzw"[:offset]+s+"~")
			all[fmt.Sprintf("base64 of %s behind %d", name, offset)] = "path/"[:offset+1] + base(e, s)
		}
	}
	return all
}

func brokenAt(s string, n int) string {
	var lines []string
	for len(s) > n {
		lines, s = append(lines, s[:n]), s[n:]
	}
	return strings.Join(append(lines, s), "\r\n ")
}

func TestEscapesAreUndone(t *testing.T) {
	for _, password := range []string{`Hunter2!*'()"&/<x>`, "pässwört-ÉÀß", "p€ss wörd+😀\\", `c4n4ry/+"<&>%s\p4ssw0rd`, "%41%2Fabcdef\\n&amp;",
		"\apass\bword\f-\v-\x1b-\x7f"} {
		r := NewRedactor(nil)
		r.Learn("acme", New(password))
		for name, text := range spellings(password) {
			if strings.HasPrefix(name, "lower") && password == "pässwört-ÉÀß" {
				continue // only ASCII is compared without case
			}
			got := r.Redact("before (" + text + ") after")
			if !strings.Contains(got, mask) || !strings.HasPrefix(got, "before (") || !strings.HasSuffix(got, ") after") {
				t.Errorf("%s: %s: %s became %s", password, name, text, got)
			}
			if rest := strings.ReplaceAll(got, mask, ""); len(rest) > len("before () after")+24 {
				t.Errorf("%s: %s: much is left of %s: %s", password, name, text, got)
			}
		}
	}
}

func TestOtherCharsetsAreKnown(t *testing.T) {
	r := NewRedactor(nil)
	r.Learn("", New("pÉssw€rd-ÿ"))
	r.Learn("", New("zurück-é"))
	for name, text := range map[string]string{
		"UTF-8 read as Latin-1":      misread("zurück-é", nil),
		"UTF-8 read as Windows-1252": misread("pÉssw€rd-ÿ", &windows1252),
		"in a JSON escape":           jsonEscape(misread("zurück-é", nil), true),
		"Latin-1":                    latin1("zurück-é"),
		"Latin-1 in a URL":           percent(latin1("zurück-é"), ""),
		"Latin-1 read as UTF-8":      strings.ToValidUTF8(latin1("zurück-é"), "\uFFFD"),
		"Latin-1 spelled out":        `zur\xfcck-\xe9`,
	} {
		if got := r.Redact("[" + text + "]"); got != "[***]" {
			t.Errorf("%s: %q became %q", name, text, got)
		}
	}
}

// ghs is a job's token of the new kind: a JWT behind a prefix.
func ghs() string {
	random := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 380)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	s := base64.RawURLEncoding.EncodeToString(b)
	return "ghs_eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9." + s[:300] + "." + s[300:475]
}

func TestPartsOfLongSecrets(t *testing.T) {
	token := ghs()
	r := NewRedactor(nil)
	r.Learn("octocat", New(token))
	for name, c := range map[string]struct{ text, want string }{
		"whole":             {"got " + token + ".", "got ***."},
		"first 30":          {"got " + token[:30] + "...", "got ***..."},
		"first 301":         {"got " + token[:301] + "...", "got ***..."},
		"last 30":           {"got ..." + token[len(token)-30:], "got ...***"},
		"a middle":          {"<" + token[101:150] + ">", "<***>"},
		"a line break":      {"x " + token[:200] + "\n" + token[200:] + " y", "x *** y"},
		"a folded header":   {"x " + token[:100] + "\r\n\t" + token[100:] + " y", "x *** y"},
		"broken at 5":       {token[:5] + "\n" + token[5:], "***"},
		"broken in base64":  {brokenAt(base64.StdEncoding.EncodeToString([]byte("octocat:"+token)), 76), "***"},
		"JSON of a break":   {`"` + token[:77] + `\n` + token[77:] + `"`, `"***"`},
		"first 30 in lower": {strings.ToLower(token[:30]), "***"},
		"a few":             {"ghs_eyJhbGci", "ghs_eyJhbGci"},
	} {
		if got := r.Redact(c.text); got != c.want {
			t.Errorf("%s: %q became %q", name, c.text, got)
		}
	}
}

// A user name is no secret, however long it is; with a part of its password behind it, it is.
func TestLongUserNamesStay(t *testing.T) {
	const password = "hunter2hunter2x"
	for _, user := range []string{"0f8fad5b-d9cb-469f-a165-70867728950e", "acme+multi_registry_push_robot", "jörg.müller-lüdenscheidt@example.com"} {
		r := NewRedactor(nil)
		r.Learn(user, New(password))
		for text, want := range map[string]string{
			"user " + user + " was refused":           "user " + user + " was refused",
			user + ": refused":                        user + ": refused",
			user + ":" + password + ".":               "***.",
			user + ":" + password[:8] + ".":           "***.",
			latin1(user) + ": refused":                latin1(user) + ": refused",
			user[20:] + ":" + password[:14] + ".":     "***.",
			"<" + password + "> of <" + user + ">":    "<***> of <" + user + ">",
			basic(user+":"+password) + " and " + user: "*** and " + user,
		} {
			if got := r.Redact(text); got != want {
				t.Errorf("%q became %q", text, got)
			}
		}
	}
}

func basic(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestKeyFilesKeepTheirAddresses(t *testing.T) {
	r := NewRedactor(nil)
	r.Learn("_json_key", New("{\n  \"token_uri\": \"https://oauth2.googleapis.com/token\",\n  \"private_key\": \"-----BEGIN PRIVATE KEY-----\\n"+strings.Repeat("MIIEvQ", 20)+"\"\n}"))
	const text = "POST https://oauth2.googleapis.com/token answered 400"
	if got := r.Redact(text); got != text {
		t.Errorf("got %q", got)
	}
	if got := r.Redact("key " + strings.Repeat("MIIEvQ", 12)); got != "key ***" {
		t.Errorf("got %q", got)
	}
}

func TestRedactionEndsWithinBounds(t *testing.T) {
	r := NewRedactor(nil)
	long := strings.Repeat("a", 60<<10)
	r.LearnIssued("x.example", New(long))
	r.LearnIssued("x.example", New(strings.Repeat("ab", 20<<10)+"c"))
	for _, text := range []string{
		long, long + long, strings.Repeat(`\`, 1<<16), strings.Repeat("%25", 1<<15), strings.Repeat("&amp;", 1<<14),
		strings.Repeat("\n", 1<<16), strings.Repeat(`%5c&#92;\u005c`, 1<<12), strings.Repeat("ab", 1<<15),
		base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte(long)))), "&", `\`, "%", `\u`, `\u{`, "%u", "&#",
	} {
		r.Redact(text)
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		text Redacted
		n    int
		want Redacted
	}{{"abc", 3, "abc"}, {"abcd", 3, "abc…"}, {"aéb", 2, "a…"}, {"", 0, ""}, {"x", 0, "…"}} {
		if got := c.text.Cut(c.n); got != c.want {
			t.Errorf("%q cut to %d is %q", c.text, c.n, got)
		}
	}
}

func BenchmarkRedactCleanLine(b *testing.B) {
	r := NewRedactor(nil)
	r.Learn("octocat", New(ghs()))
	r.Learn("acme", New(canary))
	for range 32 {
		r.LearnIssued("ghcr.io", New(strings.Repeat("x", 16)+fmt.Sprint(rand.Uint64())))
	}
	line := "ghcr.io: PUT /v2/acme/app/blobs/uploads/0f1e2d3c?digest=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 201 Created in 120ms"
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		r.Redact(line)
	}
}
