package container

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// contexts are what expressions can name: "secrets.KEY" and so on. A name that is not
// there is null, as on GitHub.
type contexts map[string]string

var expression = regexp.MustCompile(`\$\{\{\s*(toJSON\()?([A-Za-z0-9_.-]+)\)?\s*\}\}`)

// expand evaluates ${{ name }} and ${{ toJSON(name) }}.
func (c contexts) expand(text string) string {
	return expression.ReplaceAllStringFunc(text, func(match string) string {
		m := expression.FindStringSubmatch(match)
		value, ok := c[m[2]]
		switch {
		case m[1] == "":
			return value
		case !ok:
			return "null"
		}
		encoded, err := json.Marshal(value)
		if err != nil {
			panic(err)
		}
		return string(encoded)
	})
}

// inputs returns what the runner passes to the step of a workflow that uses this
// action: its "with", and the defaults of action.yml for what is left out.
func inputs(t *testing.T, workflow string, c contexts) map[string]string {
	t.Helper()
	var action struct {
		Inputs map[string]struct {
			Default string `yaml:"default"`
		} `yaml:"inputs"`
	}
	unmarshal(t, "../../action.yml", &action)
	var file struct {
		Jobs map[string]struct {
			Steps []struct {
				Uses string            `yaml:"uses"`
				With map[string]string `yaml:"with"`
			} `yaml:"steps"`
		} `yaml:"jobs"`
	}
	unmarshal(t, "testdata/workflows/"+workflow, &file)

	values := map[string]string{}
	for name, input := range action.Inputs {
		values[name] = input.Default
	}
	found := false
	for _, job := range file.Jobs {
		for _, step := range job.Steps {
			if step.Uses == "./" {
				found = true
				maps.Copy(values, step.With)
			}
		}
	}
	if !found {
		t.Fatalf("no step of %s uses ./", workflow)
	}
	for name, value := range values {
		values[name] = strings.TrimSuffix(c.expand(value), "\n")
	}
	return values
}

func unmarshal(t *testing.T, file string, to any) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, to); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// TestDefinition: the runner refuses an action whose definition holds an expression
// anywhere but in the default of an input, descriptions included.
func TestDefinition(t *testing.T) {
	for line := range strings.Lines(read(t, "../../action.yml")) {
		if strings.Contains(line, "${{") && !strings.HasPrefix(strings.TrimSpace(line), "default:") {
			t.Errorf("an expression outside of a default: %s", line)
		}
	}
}
