package app

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/config"
)

// helpWidth is that of the narrowest terminal people have, in columns.
const helpWidth = 79

// helpText is what --help prints: usage, an example of credentials, and the inputs as
// action.yml describes them.
func helpText(def *config.Definition) string {
	var b strings.Builder
	b.WriteString(wrapped(def.Description, "", helpWidth))
	b.WriteString(usage)
	for _, in := range def.Inputs {
		value := " VALUE"
		switch {
		case in.Boolean():
			value = ""
		case in.Secret():
			value = " @FILE or -"
		}
		fmt.Fprintf(&b, "  --%s%s", in.Name, value)
		if in.Default != "" && !strings.Contains(in.Default, "${{") {
			fmt.Fprintf(&b, "  (default: %s)", in.Default)
		}
		b.WriteString("\n" + wrapped(in.Description, "      ", helpWidth))
	}
	b.WriteString(ownFlags)
	return b.String()
}

const usage = `
Usage:
  multi-registry-push --source SOURCE --tags TAGS [--registry-auth @FILE]
  multi-registry-push verify RESULTS.json [--registry-auth @FILE]
  multi-registry-push help
  multi-registry-push version

Example:
  multi-registry-push --source ./image.tar --tags ghcr.io/acme/app:1.2.0 \
    --tags acme/app:1.2.0 --registry-auth @auth.yml --dry-run

  auth.yml:
    - registry: ghcr.io
      username: octocat
      password-env: GHCR_TOKEN
    - registry: docker.io
      username: acme
      password-env: DOCKERHUB_TOKEN

verify asks every registry whether what the output results says was published
is still served.

Every flag is also an input of a workflow, and a variable: INPUT_TAGS for
--tags.

Flags:
`

const ownFlags = `  -o, --output json
      Print results as one line of JSON on standard output, everything else on
      standard error.
  -q, --quiet
      Print only what is wrong.
  -v, --verbose
      Print every request with its start and duration.
  -h, --help
      Print this.
  --version
      Print version, commit and Go version.

Credentials that no registry-auth names come from Docker's configuration.
Exit status: 0 all went well, 1 a registry failed, an input was wrong or all
was left out, 130 cancelled. Of verify: 1 something differs or an input was
wrong, 2 a registry could not be asked.
`

func versionText(env Env) string {
	return fmt.Sprintf("multi-registry-push %s, commit %s, %s\n", cmp.Or(env.Version, "(devel)"),
		cmp.Or(env.Commit, "unknown"), cmp.Or(env.GoVersion, "unknown Go"))
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
