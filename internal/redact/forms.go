package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	// shortest is the length, in bytes, below which a secret is not searched for on its
	// own: masking "1" or "ab" would blacken every line and hide nothing.
	shortest = 4
	// shortestPart is the same for parts of a secret (one line of several) and for what
	// encodings leave of it at other offsets: a line "true" or "{" is not the secret.
	shortestPart = 8
)

// forms returns the spellings in which a secret can end up in a text: as it is, line by
// line, base64 (alone, behind the user name as in Authorization headers and Docker's
// config, and inside longer base64), hexadecimal, backwards, and escaped for URLs, JSON,
// Go and HTML.
func forms(user, value string) []string {
	var f formSet
	whole := strings.TrimSpace(value)
	if whole == "" {
		return nil
	}
	for _, s := range []string{value, whole} {
		f.escaped(s, shortest)
		if len(s) >= shortest {
			f.base64(s)
		}
		f.inside(s)
		f.add(hex.EncodeToString([]byte(s)), shortestPart)
		f.add(strings.ToUpper(hex.EncodeToString([]byte(s))), shortestPart)
		f.add(backwards(s), shortestPart)
		if user != "" {
			f.base64(user + ":" + s)
		}
	}
	for line := range strings.Lines(value) {
		if line = strings.TrimSpace(line); line != whole {
			f.escaped(line, shortestPart)
		}
	}
	return f
}

type formSet []string

func (f *formSet) add(s string, least int) {
	if len(s) >= least && !slices.Contains(*f, s) {
		*f = append(*f, s)
	}
}

func (f *formSet) escaped(s string, least int) {
	if len(s) < least {
		return
	}
	f.add(s, least)
	for _, e := range []string{url.QueryEscape(s), url.PathEscape(s)} {
		f.add(e, least)
		f.add(lowerPercent(e), least)
	}
	for _, e := range []string{jsonEscape(s, true), jsonEscape(s, false)} {
		f.add(e, least)
		f.add(slashed(e), least)
	}
	f.add(unquoted(strconv.Quote(s)), least)
	f.add(unquoted(strconv.QuoteToASCII(s)), least)
	f.add(html.EscapeString(s), least)
}

func (f *formSet) base64(s string) {
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding,
		base64.RawURLEncoding} {
		encoded := e.EncodeToString([]byte(s))
		f.add(encoded, shortest)
		f.add(url.QueryEscape(encoded), shortest)
		f.add(slashed(encoded), shortest)
	}
}

// inside adds what base64 of a longer text that holds s contains for certain: three
// spellings, depending on where in a group of three bytes s begins. The first and last
// characters also depend on the neighbours and are left out.
func (f *formSet) inside(s string) {
	for offset := range 3 {
		padded := append(make([]byte, offset), s...)
		from := (offset*8 + 5) / 6
		to := len(padded) * 8 / 6
		if to <= from {
			continue
		}
		f.add(base64.RawStdEncoding.EncodeToString(padded)[from:to], shortestPart)
		f.add(base64.RawURLEncoding.EncodeToString(padded)[from:to], shortestPart)
	}
}

// lowerPercent spells %2F as %2f, which other languages' escapers write.
func lowerPercent(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], bytes.ToLower(b[i+1:i+3]))
			i += 2
		}
	}
	return string(b)
}

// slashed escapes what JSON need not escape, but PHP does.
func slashed(s string) string { return strings.ReplaceAll(s, "/", `\/`) }

func backwards(s string) string {
	runes := []rune(s)
	slices.Reverse(runes)
	return string(runes)
}

func jsonEscape(s string, escapeHTML bool) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(escapeHTML)
	if err := e.Encode(s); err != nil { // a string always encodes
		return s
	}
	return unquoted(strings.TrimSuffix(b.String(), "\n"))
}

// unquoted takes off one quote at each end; the value's own last character may be
// one, too.
func unquoted(s string) string { return s[1 : len(s)-1] }
