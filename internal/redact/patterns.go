package redact

import (
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"unicode/utf8"
)

// patterns returns what to look for in decoded text to find a secret: the secret, its
// lines, how it looks in another charset, and what no decoder undoes. With a user name, it
// is known together with that, too, however short it is.
func patterns(user, value string) []pattern {
	var p patternSet
	whole := strings.TrimSpace(value)
	if whole == "" {
		return nil
	}
	part := leastPart
	if strings.ContainsAny(whole, "\r\n") {
		part = leastPartOfLines
	}
	p.add(value, shortest, part)
	p.add(whole, shortest, part)
	if user != "" {
		p.addBehind(user+":", value, part)
		p.addBehind(user+":", whole, part)
	}
	p.add(hex.EncodeToString([]byte(whole)), shortestPart, part)
	p.add(backwards(whole), shortestPart, part)
	// Base64 that is turned around is not seen as base64.
	p.add(backwards(base64.StdEncoding.EncodeToString([]byte(whole))), shortestPart, part)
	for line := range strings.Lines(value) {
		if line = strings.TrimSpace(line); line != whole {
			p.add(line, shortestPart, part)
		}
	}
	return p
}

type patternSet []pattern

// add takes s in each charset that a server may have read or written it in, unless it is
// shorter than least. part is how much of it counts.
func (p *patternSet) add(s string, least, part int) {
	if len(s) >= least {
		p.addBehind("", s, part)
	}
}

// addBehind is add for s behind what is no secret by itself.
func (p *patternSet) addBehind(open, s string, part int) {
	spellings := []func(string) string{
		func(s string) string { return s },
		unbroken,
		func(s string) string { return strings.ReplaceAll(s, " ", "+") }, // in a query
	}
	if !isASCII(open + s) {
		spellings = append(spellings, latin1, func(s string) string { return misread(s, nil) },
			func(s string) string { return misread(s, &windows1252) }, replaced)
	}
	for _, spelling := range spellings {
		text := spelling(open + s)
		if len(text) >= shortest && !slices.ContainsFunc(*p, func(q pattern) bool { return q.text == text }) {
			*p = append(*p, pattern{text, len(spelling(open)), min(part, len(text))})
		}
	}
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}

// latin1 returns s in ISO 8859-1, "" where that cannot write it.
func latin1(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 0xFF {
			return ""
		}
		b = append(b, byte(r)) // #nosec G115 -- at most 0xFF
	}
	return string(b)
}

// misread returns what becomes of the UTF-8 bytes of s when they are read as ISO 8859-1,
// or, with a table of what 0x80 to 0x9F are there, as Windows-1252.
func misread(s string, table *[32]rune) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if table != nil && c >= 0x80 && c < 0xA0 {
			b.WriteRune(table[c-0x80])
		} else {
			b.WriteRune(rune(c))
		}
	}
	return b.String()
}

// windows1252 is how Windows-1252 reads 0x80 to 0x9F (encoding.spec.whatwg.org).
var windows1252 = [32]rune{
	'€', 0x81, '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', 0x8D, 'Ž', 0x8F,
	0x90, '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', 0x9D, 'ž', 'Ÿ',
}

// replaced returns s as a reader of another charset prints it: what is not ASCII became
// the replacement character.
func replaced(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= utf8.RuneSelf {
			return utf8.RuneError
		}
		return r
	}, s)
}
