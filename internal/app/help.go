package app

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/config"
)

const helpWidth = 96

// helpText is what --help prints: the inputs as action.yml describes them.
func helpText(def *config.Definition) string {
	var b strings.Builder
	b.WriteString(wrapped(def.Description, "", helpWidth))
	b.WriteString("\nUsage:\n  multi-registry-push --source SOURCE --tags TAGS [--registry-auth @FILE] [FLAGS]\n\n" +
		"In a workflow every flag is an input of the same name.\n\nFlags:\n")
	for _, in := range def.Inputs {
		value := " VALUE"
		switch {
		case in.Boolean():
			value = ""
		case in.Secret():
			value = " @FILE or -"
		}
		fmt.Fprintf(&b, "  --%s%s", in.Name, value)
		switch {
		case in.Required:
			b.WriteString("  (required)")
		case in.Default != "" && !strings.Contains(in.Default, "${{"):
			fmt.Fprintf(&b, "  (default: %s)", in.Default)
		}
		b.WriteString("\n" + wrapped(in.Description, "      ", helpWidth))
	}
	b.WriteString("  --help\n      Print this.\n  --version\n      Print version, commit and Go version.\n\n" +
		"Credentials that no registry-auth names come from Docker's configuration.\n" +
		"Exit status: 0 all went well or was skipped, 1 a registry failed or an input was wrong,\n130 cancelled.\n")
	return b.String()
}

func versionText(env Env) string {
	return fmt.Sprintf("multi-registry-push %s, commit %s, %s\n", cmp.Or(env.Version, "(devel)"), cmp.Or(env.Commit, "unknown"), cmp.Or(env.GoVersion, "unknown Go"))
}

// wrapped breaks text into lines of at most width columns, each behind indent.
func wrapped(text, indent string, width int) string {
	var b strings.Builder
	line := indent
	for word := range strings.FieldsSeq(text) {
		if len(line) > len(indent) && len(line)+1+len(word) > width {
			b.WriteString(line + "\n")
			line = indent
		}
		if len(line) > len(indent) {
			line += " "
		}
		line += word
	}
	if len(line) > len(indent) {
		b.WriteString(line + "\n")
	}
	return b.String()
}
