package report

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
	switch s {
	case Strong:
		return "\x1b[1m" + text + "\x1b[0m"
	case Faint:
		return "\x1b[2m" + text + "\x1b[0m"
	case Good:
		return "\x1b[32m" + text + "\x1b[0m"
	case Bad:
		return "\x1b[31m" + text + "\x1b[0m"
	case Plain:
	}
	return text
}

func styleOf(status Status) Style {
	switch status {
	case Pushed:
		return Good
	case Failed:
		return Bad
	case Skipped:
		return Faint
	case Planned, Unchanged:
	}
	return Plain
}
