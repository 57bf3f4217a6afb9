package actions

import (
	"slices"
	"strings"
)

// written are inputs whose spaces and line breaks mean something: their lines are counted,
// and YAML is told by its indent. GetInput would trim them.
var written = []string{"REGISTRY-AUTH", "IMAGES", "TAGS", "SOURCE", "ANNOTATIONS", "GITHUB-TOKEN"}

const inputPrefix = "INPUT_"

// Inputs returns the variables that hold inputs, by what follows INPUT_: "DRY-RUN".
func (r *Runner) Inputs() map[string]string {
	inputs := map[string]string{}
	for variable := range r.vars {
		name, ok := strings.CutPrefix(variable, inputPrefix)
		if !ok {
			continue
		}
		// A shell cannot set names with hyphens. A name that is not in capitals is
		// another's to GetInput.
		if name != strings.ToUpper(name) || slices.Contains(written, strings.ReplaceAll(name, "_", "-")) {
			inputs[name] = r.action.Getenv(variable)
		} else {
			inputs[name] = r.action.GetInput(name)
		}
	}
	return inputs
}
