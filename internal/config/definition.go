package config

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Definition is what action.yml says: the one place where inputs are named,
// described and given their defaults.
type Definition struct {
	Name        string
	Description string
	Inputs      []InputDefinition
	Outputs     []OutputDefinition
}

// InputDefinition describes one input.
type InputDefinition struct {
	Name        string
	Description string
	Required    bool
	Default     string // one that holds ${{ means something to the runner only
}

// OutputDefinition describes one output.
type OutputDefinition struct {
	Name        string
	Description string
}

// input returns the definition of an input, nil for one that does not exist.
func (d *Definition) input(name string) *InputDefinition {
	for i := range d.Inputs {
		if d.Inputs[i].Name == name {
			return &d.Inputs[i]
		}
	}
	return nil
}

func (d *Definition) inputNames() []string {
	names := make([]string, len(d.Inputs))
	for i := range d.Inputs {
		names[i] = d.Inputs[i].Name
	}
	return names
}

// ParseDefinition reads an action's metadata file
// (docs.github.com: "Metadata syntax for GitHub Actions"). Inputs and outputs keep
// their order, which is that of the help text.
func ParseDefinition(raw []byte) (*Definition, error) {
	var file struct {
		Name        string
		Description string
		Inputs      yaml.Node
		Outputs     yaml.Node
	}
	if err := yaml.Unmarshal(raw, &file); err != nil {
		return nil, fmt.Errorf("action.yml: %w", err)
	}
	d := &Definition{Name: file.Name, Description: file.Description}
	err := eachPair(&file.Inputs, func(name string, value *yaml.Node) error {
		var in struct {
			Description string
			Required    bool
			Default     string
		}
		if err := value.Decode(&in); err != nil {
			return err
		}
		d.Inputs = append(d.Inputs, InputDefinition{name, in.Description, in.Required, in.Default})
		return nil
	})
	if err == nil && len(d.Inputs) == 0 {
		err = errors.New("no inputs")
	}
	if err != nil {
		return nil, fmt.Errorf("action.yml, inputs: %w", err)
	}
	err = eachPair(&file.Outputs, func(name string, value *yaml.Node) error {
		var out struct{ Description string }
		if err := value.Decode(&out); err != nil {
			return err
		}
		d.Outputs = append(d.Outputs, OutputDefinition{name, out.Description})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("action.yml, outputs: %w", err)
	}
	return d, nil
}

// Boolean reports whether the input is true or false, which its default tells.
func (d *InputDefinition) Boolean() bool { return isBool(d.Default) }

// Secret reports whether the input is taken from a file or standard input on a command
// line: other users of a machine see the arguments of its processes.
func (d *InputDefinition) Secret() bool { return d.Name == "registry-auth" || d.Name == "github-token" }

func isBool(s string) bool { return strings.EqualFold(s, "true") || strings.EqualFold(s, "false") }

func eachPair(mapping *yaml.Node, do func(name string, value *yaml.Node) error) error {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		name := mapping.Content[i].Value
		if strings.TrimSpace(name) == "" {
			return fmt.Errorf("line %d: a name is empty", mapping.Content[i].Line)
		}
		if err := do(name, mapping.Content[i+1]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
