package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/suggest"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// Arguments are what a command line says.
type Arguments struct {
	Help, Version bool
	JSON          bool   // --output json: results on standard output, all else on standard error
	Quiet         bool   // only what is wrong
	Verbose       bool   // every request, too
	Verify        string // the file of results to verify, - for standard input; else empty

	none  bool
	flags map[string][]string // by input
}

// linesInputs take several lines: their flags may come more than once.
var linesInputs = []string{"source", "tags", "annotations", "platforms"}

// ownFlags are those that are no inputs.
var ownFlags = []string{"help", "version", "output", "quiet", "verbose"}

// words stand first, without dashes.
var words = []string{"help", "version", "verify"}

// argumentParser reads the arguments of one command line.
type argumentParser struct {
	def  *Definition
	args []string // those that are left
	read int      // how many were read
	out  Arguments
	bad  problems
}

// ParseArguments reads --NAME VALUE and --NAME=VALUE for every input; one whose default is
// true or false needs no value. A flag may come twice only if its input takes lines. The
// words help and version stand for their flags, verify is followed by a file. No error
// repeats a value: it may be a secret that stands behind a misspelled flag.
func ParseArguments(def *Definition, args []string) (Arguments, []error) {
	p := &argumentParser{def: def, args: args, out: Arguments{none: len(args) == 0, flags: map[string][]string{}}}
	if len(args) > 0 && args[0] == "verify" {
		p.next()
		p.verify()
	}
	for len(p.args) > 0 {
		p.argument(p.next())
	}
	p.checkVerify()
	if p.out.Quiet && p.out.Verbose {
		p.bad.add(usererror.InvalidInput, "--quiet and --verbose exclude each other", "Write one of them.")
	}
	return p.out, p.bad
}

func (p *argumentParser) next() string {
	arg := p.args[0]
	p.args, p.read = p.args[1:], p.read+1
	return arg
}

func (p *argumentParser) argument(arg string) {
	name, value, joined := strings.Cut(arg, "=")
	if p.own(name, value, joined) {
		return
	}
	bare, flag := strings.CutPrefix(name, "--")
	input := p.def.input(bare)
	if !flag || input == nil {
		p.unknown(name, flag)
		if strings.HasPrefix(name, "-") && !joined && len(p.args) > 0 && !strings.HasPrefix(p.args[0], "-") {
			p.next() // most likely its value
		}
		return
	}
	if !joined {
		var ok bool
		if value, ok = p.value(input); !ok {
			p.bad.add(usererror.InvalidInput, fmt.Sprintf("--%s: the value is missing", bare),
				"Write --"+bare+" VALUE.")
			return
		}
	}
	if len(p.out.flags[bare]) > 0 && !slices.Contains(linesInputs, bare) {
		p.bad.add(usererror.InvalidInput, fmt.Sprintf("--%s comes twice", bare), "Write it once.")
		return
	}
	if bare == "images" && strings.HasPrefix(value, "@") {
		p.bad.add(usererror.InvalidInput, "--images reads no file", `Write --images "$(cat FILE)".`)
		return
	}
	p.out.flags[bare] = append(p.out.flags[bare], value)
}

// own reads what is no input.
func (p *argumentParser) own(name, value string, joined bool) bool {
	switch name {
	case "--help", "-help", "-h":
		p.out.Help = true
	case "--version", "-version":
		p.out.Version = true
	case "--quiet", "-q":
		p.out.Quiet = !joined || strings.EqualFold(value, "true")
	case "--verbose", "-v":
		p.out.Verbose = !joined || strings.EqualFold(value, "true")
	case "--output", "-o":
		if !joined && len(p.args) > 0 {
			value = p.next()
		}
		if p.out.JSON = value == "json"; !p.out.JSON {
			p.bad.add(usererror.InvalidInput, "--output takes json", "Write --output json, or leave it out for text.")
		}
	case "help", "version":
		if p.read != 1 {
			return false
		}
		p.out.Help, p.out.Version = name == "help", name == "version"
	default:
		return false
	}
	return true
}

// verify reads the file behind the word.
func (p *argumentParser) verify() {
	if len(p.args) == 0 || p.args[0] != "-" && strings.HasPrefix(p.args[0], "-") {
		p.out.Verify = "-" // so that nothing is published
		p.bad.add(usererror.InvalidInput, "verify: the file with results is missing",
			"Write verify RESULTS.json, or verify - for standard input.")
		return
	}
	p.out.Verify = p.next()
}

// checkVerify refuses what has no meaning beside verify.
func (p *argumentParser) checkVerify() {
	if p.out.Verify == "" {
		return
	}
	for _, d := range p.def.Inputs {
		values, ok := p.out.flags[d.Name]
		switch {
		case !ok:
		case !d.Secret():
			p.bad.add(usererror.InvalidInput, fmt.Sprintf("--%s has no meaning for verify", d.Name),
				"verify takes credentials, --output, --quiet and --verbose.")
		case p.out.Verify == "-" && values[0] == "-":
			p.bad.add(usererror.InvalidInput, fmt.Sprintf("--%s: standard input is taken by verify already", d.Name),
				"Use a file for one of them.")
		}
	}
}

// value returns what stands behind a flag.
func (p *argumentParser) value(input *InputDefinition) (value string, ok bool) {
	there := len(p.args) > 0 && !strings.HasPrefix(p.args[0], "--")
	switch {
	case input.Boolean() && (!there || !isBool(p.args[0])):
		return "true", true
	case !there:
		return "", false
	}
	return p.next(), true
}

// unknown reports an argument that is no flag of ours. One that does not begin like a flag
// may be a secret; those that follow it most likely belong to it.
func (p *argumentParser) unknown(name string, flag bool) {
	bare := strings.TrimLeft(name, "-")
	what := "there is no flag " + short(name)
	remedy := suggest.DidYouMean(bare, "--", append(p.def.inputNames(), ownFlags...))
	if !flag {
		what = fmt.Sprintf("argument %d is not a flag", p.read)
	}
	if bare == name {
		remedy = "Every value belongs to a flag, as in --source ./image.tar --tags ghcr.io/acme/app:1; see --help."
		if word := suggest.Nearest(name, words); p.read == 1 && word != "" {
			remedy = "Did you mean " + word + "?"
		}
		for len(p.args) > 0 && !strings.HasPrefix(p.args[0], "-") {
			p.next()
		}
	}
	p.bad.add(usererror.UnknownInput, what, remedy)
}
