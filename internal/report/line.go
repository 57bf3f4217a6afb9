package report

import "github.com/multi-registry-push/multi-registry-push/internal/publish"

// Kind is what a line of the log is.
type Kind int

// The kinds.
const (
	Text       Kind = iota // plain text, which may be of several lines
	GroupStart             // Text is the group's name
	GroupEnd
	NoticeLine // an annotation with Title and Text
	WarningLine
	ErrorLine
	DebugLine // shown at RUNNER_DEBUG=1 only
)

// Line is one thing to put into the log. Title and Text are plain and unescaped, and
// may hold outside text and line breaks: the writer escapes.
type Line struct {
	Kind        Kind
	Title, Text string
	Style       Style // for terminals
}

// Style is how a line looks on a terminal that understands colours.
type Style int

// The styles.
const (
	Plain  Style = iota
	Strong       // headings
	Faint        // what was left out
	Good
	Bad
)

// Paint returns text in this style by the terminal's own sixteen colours (ECMA-48,
// SGR). Call it after the text was made safe, and only where colours are understood: a
// terminal, NO_COLOR unset.
func (s Style) Paint(text string) string {
	if code := map[Style]string{Strong: "1", Faint: "2", Good: "32", Bad: "31"}[s]; code != "" {
		return "\x1b[" + code + "m" + text + "\x1b[0m"
	}
	return text
}

func styleOf(status publish.Status) Style {
	switch status {
	case publish.Pushed:
		return Good
	case publish.Failed:
		return Bad
	case publish.Skipped, publish.HeldBack:
		return Faint
	case publish.Planned, publish.Unchanged:
	}
	return Plain
}
