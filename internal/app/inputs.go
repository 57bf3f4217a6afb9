package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// largestSecretFile bounds what @FILE and standard input may hold, in bytes.
const largestSecretFile = 1 << 20

// secretInputs are taken from a file or standard input on a command line: other users of
// a machine see the arguments of its processes.
var secretInputs = []string{"registry-auth", "github-token"}

// inputs are the values of all inputs, defaults filled in. Secrets among them are plain
// text here: they go into secret.Text as soon as they are understood.
type inputs struct {
	values map[string]string
	flags  map[string]bool // came from a flag
	unread map[string]bool // could not be read, so that what it would have said is unknown
}

func (in *inputs) get(name string) string { return in.values[name] }

// where returns how a person wrote an input: "tags" or "--tags".
func (in *inputs) where(name string) string {
	if in.flags[name] {
		return "--" + name
	}
	return name
}

// problems collects what is wrong with the input, so that all of it is said at once.
type problems []error

func (p *problems) add(code usererror.Code, what, remedy string) {
	*p = append(*p, usererror.New(code, "", what, remedy, nil))
}

// readInputs takes every input from its flag, else from the environment, else from its
// default. Standard input is waited for until ctx is done.
func readInputs(ctx context.Context, def *definition, args arguments, vars variables, stdin io.Reader, bad *problems) *inputs {
	in := &inputs{values: map[string]string{}, flags: map[string]bool{}, unread: map[string]bool{}}
	unknownVariables(def, vars, bad)
	stdinTaken := ""
	for _, d := range def.Inputs {
		if values, ok := args.flags[d.Name]; ok {
			in.flags[d.Name] = true
			in.values[d.Name] = strings.Join(values, "\n")
			if slices.Contains(secretInputs, d.Name) {
				if values[0] == "-" && stdinTaken != "" {
					bad.add(usererror.InvalidInput, fmt.Sprintf("--%s: standard input is taken by --%s already", d.Name, stdinTaken), "Use @FILE for one of them.")
					in.values[d.Name], in.unread[d.Name] = "", true
					continue
				}
				if values[0] == "-" {
					stdinTaken = d.Name
				}
				text, err := readSecret(ctx, values[0], stdin)
				if err != nil {
					in.unread[d.Name] = true
					bad.add(usererror.InvalidInput, fmt.Sprintf("--%s: %v", d.Name, err), "Write @FILE, or - for standard input.")
				}
				in.values[d.Name] = text
			}
		} else {
			in.values[d.Name] = vars.input(d.Name)
		}
		if strings.TrimSpace(in.values[d.Name]) == "" {
			in.values[d.Name] = d.Default
			if strings.Contains(d.Default, "${{") {
				in.values[d.Name] = ""
			}
		}
	}
	return in
}

// input returns an input's variable. The runner makes it of the input's name: upper case,
// spaces to underscores, hyphens stay. A shell cannot set names with hyphens, so that
// outside of a workflow underscores do, too.
func (v variables) input(name string) string {
	upper := "INPUT_" + strings.ToUpper(name)
	if value := v[upper]; value != "" || v.workflow() {
		return value
	}
	return v[strings.ReplaceAll(upper, "-", "_")]
}

// unknownVariables finds misspelled inputs: a typo of atomic must not publish. Outside of
// a workflow anybody may set INPUT_ variables for whatever purpose.
func unknownVariables(def *definition, vars variables, bad *problems) {
	if !vars.workflow() {
		return
	}
	var unknown, misspelled []string
	for name := range vars {
		input, ok := strings.CutPrefix(name, "INPUT_")
		// The runner's own, for a container action's args and entrypoint.
		if !ok || input == "ARGS" || input == "ENTRYPOINT" {
			continue
		}
		switch lower := strings.ToLower(input); {
		case def.input(lower) == nil:
			unknown = append(unknown, lower)
		case input != strings.ToUpper(input):
			// Set by hand: the runner writes upper case, and nothing else is read.
			misspelled = append(misspelled, name)
		}
	}
	slices.Sort(unknown)
	slices.Sort(misspelled)
	for _, name := range misspelled {
		bad.add(usererror.UnknownInput, fmt.Sprintf("the variable %s sets no input", short(name)), "Write it under with:, or as "+strings.ToUpper(name)+".")
	}
	for _, input := range unknown {
		bad.add(usererror.UnknownInput, fmt.Sprintf("there is no input %q", short(input)), didYouMean(input, "", def.inputNames()))
	}
}

func readSecret(ctx context.Context, from string, stdin io.Reader) (string, error) {
	switch {
	case from == "-":
		if stdin == nil {
			return "", errors.New("there is no standard input")
		}
		return readUntil(ctx, stdin)
	case strings.HasPrefix(from, "@") && len(from) > 1:
		f, err := os.Open(from[1:])
		if err != nil {
			return "", err
		}
		defer func() { _ = f.Close() }()
		return readBounded(f)
	case from == "":
		return "", nil
	}
	return "", errors.New("a secret is not an argument: other users of the machine see those")
}

// readUntil reads r to its end, or until ctx is done. A read cannot be interrupted: what
// waits for one then stays behind, and ends with the program at the latest.
func readUntil(ctx context.Context, r io.Reader) (string, error) {
	type answer struct {
		text string
		err  error
	}
	read := make(chan answer, 1)
	go func() {
		text, err := readBounded(r)
		read <- answer{text, err}
	}()
	select {
	case a := <-read:
		return a.text, a.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func readBounded(r io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, largestSecretFile+1))
	if err != nil {
		return "", err
	}
	if len(text) > largestSecretFile {
		return "", fmt.Errorf("there is more than %d KiB", largestSecretFile>>10)
	}
	return string(text), nil
}

// short bounds outside text in messages.
func short(s string) string {
	const most = 300
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
