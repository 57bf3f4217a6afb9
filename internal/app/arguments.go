package app

import (
	"fmt"
	"slices"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// arguments are what the command line says.
type arguments struct {
	help, version bool
	flags         map[string][]string // by input
}

// parseArguments reads --NAME VALUE and --NAME=VALUE for every input; one whose default is
// true or false needs no value. A flag may come twice only if its input takes lines. No
// message repeats a value: it may be a secret that stands behind a misspelled flag.
func parseArguments(def *definition, args []string, bad *problems) arguments {
	a := arguments{flags: map[string][]string{}}
	for i := 0; i < len(args); i++ {
		name, value, joined := strings.Cut(args[i], "=")
		switch name {
		case "--help", "-help", "-h":
			a.help = true
			continue
		case "--version", "-version":
			a.version = true
			continue
		}
		bare, ok := strings.CutPrefix(name, "--")
		input := def.input(bare)
		if !ok || input == nil {
			bad.add(usererror.UnknownInput, notAFlag(i, name, ok), flagMeant(def, name))
			if strings.HasPrefix(name, "-") && !joined && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
				i++ // most likely its value
			}
			continue
		}
		if !joined {
			next := i+1 < len(args) && !strings.HasPrefix(args[i+1], "--")
			switch {
			case input.boolean() && (!next || !isBool(args[i+1])):
				value = "true"
			case !next:
				bad.add(usererror.InvalidInput, fmt.Sprintf("--%s: the value is missing", bare), "Write --"+bare+" VALUE.")
				continue
			default:
				i++
				value = args[i]
			}
		}
		if len(a.flags[bare]) > 0 && !slices.Contains([]string{"tags", "platforms"}, bare) {
			bad.add(usererror.InvalidInput, fmt.Sprintf("--%s comes twice", bare), "Write it once.")
			continue
		}
		a.flags[bare] = append(a.flags[bare], value)
	}
	return a
}

// notAFlag says what is wrong with an argument. One that does not begin like a flag may be
// a secret.
func notAFlag(i int, name string, flag bool) string {
	if !flag {
		return fmt.Sprintf("argument %d is not a flag", i+1)
	}
	return "there is no flag " + short(name)
}

func flagMeant(def *definition, name string) string {
	bare := strings.TrimLeft(name, "-")
	if bare == name {
		return "Every value belongs to a flag: --source, --tags and so on; see --help."
	}
	return didYouMean(bare, "--", append(def.inputNames(), "help", "version"))
}

// boolean reports whether an input is true or false, which its default tells.
func (d *inputDefinition) boolean() bool { return isBool(d.Default) }

func isBool(s string) bool { return strings.EqualFold(s, "true") || strings.EqualFold(s, "false") }
