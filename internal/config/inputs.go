package config

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/suggest"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// Sources are where inputs come from. A flag wins over a variable, and that over the
// default.
type Sources struct {
	Definition *Definition
	Arguments  Arguments
	// Variables holds what follows INPUT_ in the environment, by name: "DRY-RUN".
	Variables map[string]string
	// Workflow says that a runner set the variables: an unknown one is a typo there.
	Workflow bool
	// Stdin is read where a flag is "-", until ctx is done. Waiting, if it is not nil, is
	// called before that with the input's name.
	Stdin   io.Reader
	Waiting func(input string)
	// Learn is given every secret before an error could repeat it.
	Learn func(user string, s redact.Text)
	// Actor is the user of github-token.
	Actor string
}

// Read understands the inputs. It returns settings also where some are wrong, and then
// everything that is wrong with them, by input and line.
func Read(ctx context.Context, from Sources) (*Settings, []error) {
	in := readInputs(ctx, from)
	s := in.settings(from)
	return s, in.bad
}

// inputs are the values of all inputs, defaults filled in. Secrets among them are plain
// text here: they go into redact.Text as soon as they are understood.
type inputs struct {
	values   map[string]string
	flags    map[string]bool // came from a flag
	unread   map[string]bool // could not be read, so that what it would have said is unknown
	workflow bool
	bad      problems
}

func (in *inputs) get(name string) string { return in.values[name] }

// where returns how a person wrote an input: "tags" or "--tags".
func (in *inputs) where(name string) string {
	if in.flags[name] {
		return "--" + name
	}
	return name
}

// readInputs takes every input from its flag, else from its variable, else from its
// default.
func readInputs(ctx context.Context, from Sources) *inputs {
	in := &inputs{values: map[string]string{}, flags: map[string]bool{}, unread: map[string]bool{},
		workflow: from.Workflow}
	in.unknownVariables(from)
	secrets := secretReader{stdin: from.Stdin, waiting: from.Waiting}
	for _, d := range from.Definition.Inputs {
		var value string
		if values, ok := from.Arguments.flags[d.Name]; ok {
			in.flags[d.Name] = true
			if value = strings.Join(values, "\n"); len(values) > 1 {
				value += "\n" // so that an empty one at the end is a line, too
			}
			if d.Secret() {
				var err error
				if value, err = secrets.read(ctx, d.Name, values[0]); err != nil {
					in.unread[d.Name] = true
					in.bad = append(in.bad, err)
				}
			}
		} else {
			value = from.variable(d.Name)
		}
		if value = strings.TrimPrefix(value, "\ufeff"); strings.TrimSpace(value) == "" {
			value = d.Default
			if strings.Contains(d.Default, "${{") {
				value = ""
			}
		}
		in.values[d.Name] = value
	}
	return in
}

// variable returns the value of an input's variable. The runner makes its name of the
// input's: upper case, spaces to underscores, hyphens stay. A shell cannot set names with
// hyphens, so that underscores do, too. In a workflow they do only where the runner set no
// variable with hyphens, or the same (act does, for the steps of a composite action): beside
// one that says something else, they are a typo.
func (from *Sources) variable(input string) string {
	upper := strings.ToUpper(input)
	if value, ok := from.Variables[upper]; ok && (value != "" || from.Workflow) {
		return value
	}
	return from.Variables[strings.ReplaceAll(upper, "-", "_")]
}

// underscored reports whether a variable is that of an input, with underscores for hyphens.
func (from *Sources) underscored(variable string) bool {
	upper := strings.ReplaceAll(variable, "_", "-")
	value, hyphens := from.Variables[upper]
	typo := hyphens && value != from.Variables[variable]
	return !typo && upper == strings.ToUpper(upper) && from.Definition.input(strings.ToLower(upper)) != nil
}

// Nothing reports whether nothing was given at all: no argument, and no variable of an input
// that holds something.
func (from *Sources) Nothing() bool {
	if from.Workflow || !from.Arguments.none {
		return false
	}
	for _, d := range from.Definition.Inputs {
		if strings.TrimSpace(from.variable(d.Name)) != "" {
			return false
		}
	}
	return true
}

// unknownVariables finds misspelled inputs: a typo of atomic must not publish. Outside of
// a workflow anybody may set INPUT_ variables for whatever purpose.
func (in *inputs) unknownVariables(from Sources) {
	if !from.Workflow {
		return
	}
	var unknown, misspelled []string
	for name := range from.Variables {
		if name == "ARGS" || name == "ENTRYPOINT" {
			continue // the runner's own, for a container action's args and entrypoint
		}
		switch lower := strings.ToLower(name); {
		case from.underscored(name):
		case from.Definition.input(lower) == nil:
			unknown = append(unknown, lower)
		case name != strings.ToUpper(name):
			// Set by hand: the runner writes upper case, and nothing else is read.
			misspelled = append(misspelled, name)
		}
	}
	slices.Sort(unknown)
	slices.Sort(misspelled)
	for _, name := range misspelled {
		in.bad.add(usererror.UnknownInput, fmt.Sprintf("the variable INPUT_%s sets no input", short(name)),
			"Write it under with:, or as INPUT_"+strings.ToUpper(name)+".")
	}
	for _, name := range unknown {
		in.bad.add(usererror.UnknownInput, fmt.Sprintf("there is no input %q", short(name)),
			suggest.DidYouMean(name, "", from.Definition.inputNames()))
	}
}
