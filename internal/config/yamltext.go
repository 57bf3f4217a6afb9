package config

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// mostLocated bounds the search for the place of a syntax error: it parses the text once
// for each line.
const mostLocated = 400

// yamlText is an input that is YAML. What is wrong with it is reported by line and column.
type yamlText struct {
	where string
	lines [][]rune
	whole string // the remedy for text that YAML changes or cannot read
	bad   *problems
}

func newYAMLText(where, text, whole string, bad *problems) yamlText {
	return yamlText{where: where, lines: splitLines(text), whole: whole, bad: bad}
}

func (y *yamlText) wrong(code usererror.Code, n *yaml.Node, what, remedy string) {
	y.bad.add(code, fmt.Sprintf("%s, line %d, column %d: %s", y.where, n.Line, n.Column, what), remedy)
}

// list returns the items of the list that text is, none if it is empty. one is how an item
// begins.
func (y *yamlText) list(code usererror.Code, text, one string) []*yaml.Node {
	if !utf8.ValidString(text) {
		y.notText(code, text)
		return nil
	}
	root, err := onlyDocument(text)
	switch {
	case err != nil:
		y.unparsable(code, err)
		return nil
	case root == nil || isNull(root):
		return nil
	case root.Kind != yaml.SequenceNode:
		y.wrong(code, root, "this is not a list", "Begin each item with a dash: "+one)
		return nil
	}
	y.plain(code, root)
	return root.Content
}

// plain refuses what YAML has to say things twice: none of it is ever meant in an input,
// and a password can begin with any of its signs.
func (y *yamlText) plain(code usererror.Code, n *yaml.Node) bool {
	switch {
	case n.Kind == yaml.AliasNode:
		y.wrong(code, n, "YAML takes what begins with * for an alias", y.whole)
	case n.Anchor != "":
		y.wrong(code, n, "YAML takes what begins with & for an anchor", y.whole)
	case n.Style&yaml.TaggedStyle != 0:
		y.wrong(code, n, "YAML takes what begins with ! for a tag", y.whole)
	default:
		return true
	}
	return false
}

var errSeveralDocuments = errors.New("more than one YAML document")

// onlyDocument returns the root of the one document in text, nil if there is none.
func onlyDocument(text string) (*yaml.Node, error) {
	d := yaml.NewDecoder(strings.NewReader(text))
	var document, second yaml.Node
	switch err := d.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, err
	}
	switch err := d.Decode(&second); {
	case err == nil:
		return nil, errSeveralDocuments
	case !errors.Is(err, io.EOF):
		return nil, err
	}
	if len(document.Content) == 0 {
		return nil, nil
	}
	return document.Content[0], nil
}

// isNull reports whether a scalar is YAML's null, which is also what toJSON makes of an
// unset secret. In quotes it is text.
func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// isTextList reports whether n is a list of plain texts.
func isTextList(n *yaml.Node) bool {
	return n.Kind == yaml.SequenceNode && !slices.ContainsFunc(n.Content, func(one *yaml.Node) bool {
		return one.Kind != yaml.ScalarNode || one.Anchor != "" || one.Style&yaml.TaggedStyle != 0
	})
}

// rest returns a line from a column on; both count from 1.
func (y *yamlText) rest(line, column int) string {
	if line < 1 || line > len(y.lines) || column < 1 || column > len(y.lines[line-1])+1 {
		return ""
	}
	return string(y.lines[line-1][column-1:])
}

// syntaxErrors says what the parser's errors mean to somebody who wrote text by hand. The
// parser is go.yaml.in/yaml/v3 (scannerc.go, parserc.go, readerc.go).
func syntaxErrors() map[string]string {
	return map[string]string{
		"mapping values are not allowed": "a value without quotes holds a colon and a space, or " +
			"the line is not indented like the one above",
		"could not find expected ':'": "this line is not KEY: VALUE; a text of several lines " +
			"may have spilled over",
		"found character that cannot start any token": "a value begins with a character that YAML keeps for " +
			"itself",
		"found a tab character":                  "the indentation holds a tab",
		"unknown anchor":                         "YAML takes what begins with * for an alias",
		"control characters are not allowed":     "there is a control character",
		"found unexpected end of stream":         "a quote is not closed",
		"block sequence entries are not allowed": "a dash stands where YAML expects a value",
		"did not find expected '-' indicator":    "the line is not indented like the ones above",
		"did not find expected key": "the line is not indented like the ones above, or text " +
			"follows a closing quote",
		"found unknown escape character": "a backslash in double quotes is followed by what is no " +
			"escape",
		"found invalid Unicode character escape code": "an escape in double quotes is not a character",
		"did not find expected ',' or ']'":            "a bracket is not closed",
		"did not find expected ',' or '}'":            "a brace is not closed",
		"did not find expected node content": "a value is missing, or begins with a character that " +
			"YAML keeps for itself",
		"did not find expected alphabetic or numeric chara": "YAML takes what begins with & or * for an anchor or " +
			"alias",
	}
}

// unparsable reports a syntax error. The parser's own words are not passed on: they can
// hold parts of the text, and its line is at times that of what came before.
func (y *yamlText) unparsable(code usererror.Code, err error) {
	if errors.Is(err, errSeveralDocuments) {
		y.bad.add(code, y.where+": there is more than one YAML document", "Leave out the line of dashes.")
		return
	}
	what := "this is not YAML"
	for said, meaning := range syntaxErrors() {
		if strings.Contains(err.Error(), said) {
			what = meaning
		}
	}
	line, column := y.place()
	at := fmt.Sprintf("%s, line %d", y.where, line)
	if column > 0 {
		at += fmt.Sprintf(", column %d", column)
	}
	remedy := y.whole
	if strings.Contains(what, "indent") {
		remedy = "Indent the keys of an item alike, with spaces. If this is part of a longer text: " + y.whole
	}
	y.bad.add(code, at+": "+what, remedy)
}

// notText reports bytes that are no characters. The parser would guess at an encoding, and
// the place of what it then makes of them is not that in the text.
func (y *yamlText) notText(code usererror.Code, text string) {
	valid := 0
	for valid < len(text) {
		r, size := utf8.DecodeRuneInString(text[valid:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		valid += size
	}
	before := splitLines(text[:valid])
	y.bad.add(code, fmt.Sprintf("%s, line %d, column %d: this is not UTF-8", y.where, len(before),
		len(before[len(before)-1])+1),
		"Save the file as UTF-8. If this is part of a secret: "+y.whole)
}

// place finds where the text stops being YAML: the first line, and in it the first column,
// from which on no continuation that is there makes it whole again. An open quote is thus
// found where it opens. The column is 0 where it takes too long to tell.
func (y *yamlText) place() (line, column int) {
	if len(y.lines) > mostLocated {
		return 1, 0
	}
	fails := func(text string) bool { _, err := onlyDocument(text); return err != nil }
	line = len(y.lines)
	for line > 1 && fails(joinLines(y.lines[:line-1])) {
		line--
	}
	before, last := y.lines[:line-1], y.lines[line-1]
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
