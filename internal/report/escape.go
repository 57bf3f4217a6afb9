package report

import (
	"fmt"
	"strings"
	"unicode"
)

// prose returns outside text as plain text of GitHub's Markdown: no markup, HTML,
// link, @mention, #reference, :emoji: or formula comes of it, and no line break. What a
// reader copies is the text itself. It must not stand at the beginning of a block.
//
// Character references cannot be markup (CommonMark 0.31.2, 6.2), but they are resolved
// before mentions, issues, addresses and emoji are looked for; an element of its own
// keeps the character apart from the word behind it.
func prose(s string) string { return escaped(s, true) }

// code returns outside text as inline code. HTML's element is used because a code span
// cannot hold every text of a table's cell.
func code(s string) string { return "<code>" + escaped(s, false) + "</code>" }

// ticked is prose in which `quoted` words are code.
func ticked(s string) string {
	parts := strings.Split(s, "`")
	if len(parts)%2 == 0 { // an odd tick: no quotes
		return prose(s)
	}
	for i, part := range parts {
		if i%2 == 1 {
			parts[i] = code(part)
		} else {
			parts[i] = prose(part)
		}
	}
	return strings.Join(parts, "")
}

func escaped(s string, words bool) string {
	runes := []rune(strings.ToValidUTF8(s, "\uFFFD"))
	var b strings.Builder
	for i, c := range runes {
		switch {
		case c == '\n' || c == '\r' || c == '\t':
			b.WriteByte(' ')
		case invisible(c):
			fmt.Fprintf(&b, "&#92;u%04x", c) // shown as \u202e
		case c == '@', words && (c == '#' || c == '$'):
			fmt.Fprintf(&b, "<span>&#%d;</span>", c)
		case words && c == ':' && i+1 < len(runes) && emoji(runes[i+1]):
			b.WriteString("<span>&#58;</span>")
		case words && c == '-' && i >= 2 && strings.EqualFold(string(runes[i-2:i]), "gh"):
			b.WriteString("<span>-</span>") // GH-123 is a reference to an issue
		case c == '.' && i >= 3 && strings.EqualFold(string(runes[i-3:i]), "www"):
			b.WriteString("&#46;")
		case c == ' ' || c == '.' || c == '-' || c == '/' || c == ',' || c == '+' || c == '=' || c == '%':
			b.WriteRune(c)
		case c == ':' && (i+1 == len(runes) || runes[i+1] != '/'):
			b.WriteRune(c)
		case c < unicode.MaxASCII && (unicode.IsPunct(c) || unicode.IsSymbol(c)):
			fmt.Fprintf(&b, "&#%d;", c)
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

func emoji(c rune) bool {
	return c < unicode.MaxASCII && (unicode.IsLetter(c) || unicode.IsDigit(c) || c == '+' || c == '-' || c == '_')
}

// invisible reports whether a character changes how others are shown, or shows nothing:
// controls, and the format characters that reorder or hide text.
func invisible(c rune) bool {
	return unicode.IsControl(c) || unicode.Is(unicode.Cf, c) || unicode.Is(unicode.Zl, c) || unicode.Is(unicode.Zp, c)
}

// fenced returns lines as a block of code, whose fence is longer than any in the text.
func fenced(language string, lines ...string) string {
	fence := "```"
	var body strings.Builder
	for _, line := range lines {
		line = strings.Map(func(c rune) rune {
			if invisible(c) {
				return '\uFFFD'
			}
			return c
		}, line)
		for strings.Contains(line, fence) {
			fence += "`"
		}
		body.WriteString(line + "\n")
	}
	return fence + language + "\n" + body.String() + fence + "\n"
}

// label returns outside text as the name of a section of a Mermaid diagram: what its grammar gives a
// meaning, and what could end its block, becomes an underscore.
func label(s string) string {
	return strings.Map(func(c rune) rune {
		if c < unicode.MaxASCII && (unicode.IsLetter(c) || unicode.IsDigit(c) || strings.ContainsRune(" .-/:", c)) {
			return c
		}
		return '_'
	}, bounded(s, 80))
}
