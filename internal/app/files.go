package app

import (
	"crypto/rand"
	"fmt"
	"os"
	"strings"
)

// appendOutputs writes outputs in the form that holds any text:
// NAME<<DELIMITER, the value, DELIMITER (docs.github.com: "Workflow commands for GitHub
// Actions", multiline strings). The delimiter is random, so that no value can end itself
// and set another output.
func appendOutputs(path string, names []string, values map[string]string) error {
	var b strings.Builder
	for _, name := range names {
		value := values[name]
		delimiter := newDelimiter()
		for strings.Contains(value, delimiter) {
			delimiter = newDelimiter()
		}
		fmt.Fprintf(&b, "%s<<%s\n%s\n%s\n", name, delimiter, value, delimiter)
	}
	return appendFile(path, b.String())
}

func newDelimiter() string { return "ghadelimiter_" + rand.Text() }

// appendFile adds to a file that the runner has made. Earlier commands of the step may
// have written to it.
func appendFile(path, text string) error {
	// #nosec G302 G304 -- the runner names the file, and reads it as another user than the container's
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}
