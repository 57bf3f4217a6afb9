package actions

import "strings"

// Level is how much an annotation matters.
type Level int

// The levels; Debug is shown only where the job asks for it.
const (
	Notice Level = iota
	Warning
	Error
	Debug
)

// Annotate issues an annotation, or a line of the debug log. The title may be empty.
func (r *Runner) Annotate(level Level, title, text string) error {
	action := r.action
	if title != "" {
		action = action.WithFieldsMap(map[string]string{"title": r.text(title)})
	}
	text = r.text(text)
	return guarded(func() {
		switch level {
		case Error:
			action.Errorf("%s", text)
		case Warning:
			action.Warningf("%s", text)
		case Debug:
			action.Debugf("%s", text)
		default:
			action.Noticef("%s", text)
		}
	})
}

// Group begins a part of the log that can be folded.
func (r *Runner) Group(title string) error {
	title = r.text(title)
	return guarded(func() { r.action.Group(title) })
}

// EndGroup ends it.
func (r *Runner) EndGroup() error { return guarded(r.action.EndGroup) }

// AddMask has the runner replace value by *** wherever it sees it from now on, and drop
// every output of the job that holds it. Of a value of several lines it would mask each
// (actions/runner, ActionCommandManager), also the "{" of a key file: such values, and the
// empty one, are passed over. Where no runner reads along the line would print the value:
// then nothing is written.
func (r *Runner) AddMask(value string) error {
	if !r.Workflow() || strings.TrimSpace(value) == "" || strings.ContainsAny(value, "\r\n") {
		return nil
	}
	return guarded(func() { r.action.AddMask(value) })
}

// text makes a line of the log the text of a command. The runner takes ##[ for a command
// anywhere in a line.
func (r *Runner) text(s string) string { return defuseBrackets(r.o.Line(s)) }

// Defuse returns a line that the runner does not take for a command: those are :: at the
// start, spaces before it allowed, and ##[ anywhere (actions/runner, ActionCommand).
func Defuse(line string) string {
	line = defuseBrackets(line)
	if rest := strings.TrimLeft(line, " "); strings.HasPrefix(rest, "::") {
		return line[:len(line)-len(rest)] + ": :" + rest[2:]
	}
	return line
}

func defuseBrackets(s string) string { return strings.ReplaceAll(s, "##[", "# #[") }
