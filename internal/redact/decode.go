package redact

import (
	"bytes"
	"html"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// view is a text as it reads after some escapes were undone. Byte i of it stands for
// bytes from[i] to to[i] of the text that was given; nil means byte i alone.
type view struct {
	text     []byte
	from, to []int32
	depth    int // how many decoders it went through
}

// origin returns which stretch of the given text bytes i to j stand for.
func (v *view) origin(i, j int) span {
	if v.from == nil {
		return span{i, j}
	}
	return span{int(v.from[i]), int(v.to[j-1])}
}

// add appends a byte that stands for bytes i to j of parent.
func (v *view) add(c byte, parent *view, i, j int) {
	s := parent.origin(i, j)
	v.text = append(v.text, c)
	v.from = append(v.from, int32(s.from)) // #nosec G115 -- texts are far below 2 GiB
	v.to = append(v.to, int32(s.to))       // #nosec G115 -- likewise
}

// decoder undoes one kind of escapes. At a byte of text that begins one it returns
// what that spells and how long it is, else 0.
type decoder struct {
	marks  string // one of these bytes must be there
	decode func(text []byte, at int, to []byte) (spelled []byte, length int)
}

var decoders = []decoder{
	{"%", decodePercent},
	{"&", decodeEntity},
	{`\`, decodeBackslash},
	{"\r\n", decodeBreak},
}

// apply returns v with the escapes of d undone; ok is false if there are none.
func (d decoder) apply(v *view) (decoded *view, ok bool) {
	if !bytes.ContainsAny(v.text, d.marks) {
		return nil, false
	}
	var spelled []byte
	for i := 0; i < len(v.text); {
		n := 0
		if strings.IndexByte(d.marks, v.text[i]) >= 0 {
			spelled, n = d.decode(v.text, i, spelled[:0])
		}
		if n == 0 {
			if decoded != nil {
				decoded.add(v.text[i], v, i, i+1)
			}
			i++
			continue
		}
		if decoded == nil {
			decoded = &view{depth: v.depth + 1}
			for j := range i {
				decoded.add(v.text[j], v, j, j+1)
			}
		}
		for _, c := range spelled {
			decoded.add(c, v, i, i+n)
		}
		i += n
	}
	return decoded, decoded != nil && len(decoded.text) > 0
}

// decodePercent undoes %2F (RFC 3986) and %u20AC (JavaScript's escape).
func decodePercent(text []byte, at int, to []byte) ([]byte, int) {
	rest := text[at+1:]
	if len(rest) >= 5 && (rest[0] == 'u' || rest[0] == 'U') {
		if r, n := unicodeEscape(rest, '%'); n > 0 {
			return utf8.AppendRune(to, r), n + 1
		}
	}
	if len(rest) >= 2 {
		if r, ok := hexRune(rest[:2]); ok {
			return append(to, byte(r)), 3 // #nosec G115 -- two hexadecimal digits
		}
	}
	return to, 0
}

// longestEntity bounds the name of a character reference; the longest that HTML defines
// has 32 letters.
const longestEntity = 33

// decodeEntity undoes &amp;, &#38; and &#x26; as browsers read them.
func decodeEntity(text []byte, at int, to []byte) ([]byte, int) {
	end := at + 1
	for end < len(text) && end-at <= longestEntity && (alphanumeric(text[end]) || text[end] == '#' && end == at+1) {
		end++
	}
	if end < len(text) && text[end] == ';' {
		end++
	}
	written := string(text[at:end])
	spelled := html.UnescapeString(written)
	if spelled == written {
		return to, 0
	}
	return append(to, spelled...), end - at
}

// decodeBackslash undoes the escapes of JSON and, beyond those, of Go, Python, C and
// JavaScript.
func decodeBackslash(text []byte, at int, to []byte) ([]byte, int) {
	rest := text[at+1:]
	if len(rest) == 0 {
		return to, 0
	}
	switch c := rest[0]; c {
	case 'u':
		if r, n := unicodeEscape(rest, '\\'); n > 0 {
			return utf8.AppendRune(to, r), n + 1
		}
	case 'U':
		if len(rest) >= 9 {
			if r, ok := hexRune(rest[1:9]); ok {
				return utf8.AppendRune(to, r), 10
			}
		}
	case 'x':
		if len(rest) >= 3 {
			if r, ok := hexRune(rest[1:3]); ok {
				return append(to, byte(r)), 4 // #nosec G115 -- two hexadecimal digits
			}
		}
	case '0', '1', '2', '3':
		if len(rest) >= 3 {
			if n, err := strconv.ParseUint(string(rest[:3]), 8, 8); err == nil {
				return append(to, byte(n)), 4
			}
		}
	case 'n':
		return append(to, '\n'), 2
	case 'r':
		return append(to, '\r'), 2
	case 't':
		return append(to, '\t'), 2
	case 'a':
		return append(to, '\a'), 2
	case 'b':
		return append(to, '\b'), 2
	case 'e':
		return append(to, '\x1b'), 2
	case 'f':
		return append(to, '\f'), 2
	case 'v':
		return append(to, '\v'), 2
	default:
		if c < utf8.RuneSelf && !alphanumeric(c) {
			return append(to, c), 2
		}
	}
	return to, 0
}

// unicodeEscape reads uXXXX, a pair of surrogates as one, and u{X…}; introducer stands
// before each u. length counts from the u.
func unicodeEscape(rest []byte, introducer byte) (r rune, length int) {
	if len(rest) > 2 && rest[1] == '{' {
		for end := 2; end < len(rest) && end <= 8; end++ {
			if rest[end] == '}' {
				r, ok := hexRune(rest[2:end])
				if !ok {
					return 0, 0
				}
				return r, end + 1
			}
		}
		return 0, 0
	}
	if len(rest) < 5 {
		return 0, 0
	}
	r, ok := hexRune(rest[1:5])
	if !ok {
		return 0, 0
	}
	if utf16.IsSurrogate(r) && len(rest) >= 11 && rest[5] == introducer && rest[6] == 'u' {
		if second, ok := hexRune(rest[7:11]); ok {
			if pair := utf16.DecodeRune(r, second); pair != utf8.RuneError {
				return pair, 11
			}
		}
	}
	return r, 5
}

// decodeBreak takes out a line break with the spaces and tabs behind it.
func decodeBreak(text []byte, at int, to []byte) ([]byte, int) {
	end := at
	for end < len(text) && blank(text[end]) {
		end++
	}
	return to, end - at
}

func blank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// unbroken returns s as decodeBreak leaves it.
func unbroken(s string) string {
	if !strings.ContainsAny(s, "\r\n") {
		return s
	}
	var b strings.Builder
	for s != "" {
		line, rest, broken := cutAny(s, "\r\n")
		if b.WriteString(line); broken {
			rest = strings.TrimLeft(rest, " \t\r\n")
		}
		s = rest
	}
	return b.String()
}

func cutAny(s, chars string) (before, after string, found bool) {
	if i := strings.IndexAny(s, chars); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func hexRune(digits []byte) (rune, bool) {
	n, err := strconv.ParseUint(string(digits), 16, 32)
	if err != nil || n > utf8.MaxRune || digits[0] == '+' {
		return 0, false
	}
	return rune(n), true
}
