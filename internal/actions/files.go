package actions

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/sethvargo/go-githubactions"
)

// The variables that name files of the runner (docs.github.com: "Workflow commands for
// GitHub Actions", environment files).
const (
	outputFile  = "GITHUB_OUTPUT"
	summaryFile = "GITHUB_STEP_SUMMARY"
)

// ErrNoFile says that the runner named no file to write to.
var ErrNoFile = errors.New("the runner names no file for it")

// Output is one output of the step.
type Output struct{ Name, Value string }

// SetOutputs writes outputs, all or none, as they are: what must not be seen is taken out
// before. It returns ErrNoFile where the runner takes none.
func (r *Runner) SetOutputs(outputs []Output) error {
	if r.getenv(outputFile) == "" {
		return ErrNoFile
	}
	parts := make([]string, len(outputs))
	for i, o := range outputs {
		parts[i] = outputMessage(o)
	}
	return guarded(func() {
		r.action.IssueFileCommand(&githubactions.Command{Name: "output",
			Message: strings.Join(parts, githubactions.EOF)})
	})
}

// outputMessage writes an output in the form that holds any text, NAME<<DELIMITER, the
// value, DELIMITER. The delimiter is random, as in the runner's own toolkit, so that no
// value can end itself and set another output.
func outputMessage(o Output) string {
	delimiter := newDelimiter()
	for strings.Contains(o.Value, delimiter) {
		delimiter = newDelimiter()
	}
	return fmt.Sprintf("%s<<%s%s%s%s%s", o.Name, delimiter, githubactions.EOF, o.Value, githubactions.EOF, delimiter)
}

func newDelimiter() string { return "ghadelimiter_" + rand.Text() }

// AddSummary appends Markdown to the job summary. It returns ErrNoFile where the runner
// takes none.
func (r *Runner) AddSummary(markdown string) error {
	if r.getenv(summaryFile) == "" {
		return ErrNoFile
	}
	return guarded(func() { r.action.AddStepSummary(strings.TrimRight(markdown, "\n")) })
}
