package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// mostLocated bounds the search for the place of a syntax error: it parses the text once
// for each line.
const mostLocated = 400

// unparsable reports a syntax error. The parser's own words are not passed on: they can
// hold parts of the text, and its line is at times that of what came before.
func (l *itemList) unparsable(text string, err error) {
	if errors.Is(err, errSeveralDocuments) {
		l.bad.add(usererror.InvalidAuth, l.where+": there is more than one YAML document", "Leave out the line of dashes.")
		return
	}
	what := "this is not YAML"
	for said, meaning := range map[string]string{
		"mapping values are not allowed":                    "a value without quotes holds a colon and a space, or the line is not indented like the one above",
		"could not find expected ':'":                       "this line is not KEY: VALUE; a secret of several lines may have spilled over",
		"found character that cannot start any token":       "a value begins with a character that YAML keeps for itself",
		"found a tab character":                             "the indentation holds a tab",
		"unknown anchor":                                    "YAML takes what begins with * for an alias",
		"control characters are not allowed":                "there is a control character",
		"found unexpected end of stream":                    "a quote is not closed",
		"block sequence entries are not allowed":            "a dash stands where YAML expects a value",
		"did not find expected '-' indicator":               "the line is not indented like the ones above",
		"did not find expected key":                         "the line is not indented like the ones above, or text follows a closing quote",
		"found unknown escape character":                    "a backslash in double quotes is followed by what is no escape",
		"found invalid Unicode character escape code":       "an escape in double quotes is not a character",
		"did not find expected ',' or ']'":                  "a bracket is not closed",
		"did not find expected ',' or '}'":                  "a brace is not closed",
		"did not find expected node content":                "a value is missing, or begins with a character that YAML keeps for itself",
		"did not find expected alphabetic or numeric chara": "YAML takes what begins with & or * for an anchor or alias",
	} {
		if strings.Contains(err.Error(), said) {
			what = meaning
		}
	}
	line, column := l.place(text)
	at := fmt.Sprintf("%s, line %d", l.where, line)
	if column > 0 {
		at += fmt.Sprintf(", column %d", column)
	}
	remedy := asJSON
	if strings.Contains(what, "indent") {
		remedy = "Indent the keys of an item alike, with spaces. If this is part of a secret: " + asJSON
	}
	l.bad.add(usererror.InvalidAuth, at+": "+what, remedy)
}

// notText reports bytes that are no characters. The parser would guess at an encoding, and
// the place of what it then makes of them is not that in the text.
func (l *itemList) notText(text string) {
	valid := 0
	for valid < len(text) {
		r, size := utf8.DecodeRuneInString(text[valid:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		valid += size
	}
	before := splitLines(text[:valid])
	l.bad.add(usererror.InvalidAuth, fmt.Sprintf("%s, line %d, column %d: this is not UTF-8", l.where, len(before), len(before[len(before)-1])+1),
		"Save the file as UTF-8. If this is part of a secret: "+asJSON)
}

// place finds where text stops being YAML: the first line, and in it the first column,
// from which on no continuation that is there makes it whole again. An open quote is thus
// found where it opens. The column is 0 where it takes too long to tell.
func (l *itemList) place(text string) (line, column int) {
	if len(l.lines) > mostLocated {
		return 1, 0
	}
	fails := func(text string) bool { _, err := onlyDocument(text); return err != nil }
	line = len(l.lines)
	for line > 1 && fails(joinLines(l.lines[:line-1])) {
		line--
	}
	before, last := l.lines[:line-1], l.lines[line-1]
	if len(last) > mostLocated {
		return line, 0
	}
	column = len(last)
	for column > 1 && fails(joinLines(before)+string(last[:column-1])) {
		column--
	}
	return line, column
}

// splitLines splits at what YAML takes for the end of a line (YAML 1.1, 4.2: the parser
// counts lines by it).
func splitLines(text string) [][]rune {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(text)
	var lines [][]rune
	for _, line := range strings.Split(text, "\n") {
		lines = append(lines, []rune(line))
	}
	return lines
}

func joinLines(lines [][]rune) string {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(string(line) + "\n")
	}
	return b.String()
}
