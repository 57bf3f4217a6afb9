package docs

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

var update = flag.Bool("update", false, "write native/action.yml anew")

// TestNativeAction: the action for runners without Docker has the inputs and outputs of
// action.yml, hands each input over in a variable of its own, and puts none into the script.
func TestNativeAction(t *testing.T) {
	want := nativeAction(t, read(t, filepath.Join(root, "action.yml")))
	path := filepath.Join(root, "native", "action.yml")
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(read(t, path), want) {
		t.Errorf("%s is not what action.yml makes of it: go test ./docs -run %s -update", path, t.Name())
	}
}

// nativeAction returns the composite action that action.yml stands for: all of its text up
// to outputs as it is, then each output mapped, then one step.
func nativeAction(t *testing.T, action []byte) []byte {
	t.Helper()
	head, rest, ok := strings.Cut(string(action), "\noutputs:\n")
	if !ok {
		t.Fatal("action.yml has no outputs")
	}
	outputs, _, ok := strings.Cut(rest, "\nruns:\n")
	if !ok {
		t.Fatal("action.yml has no runs behind its outputs")
	}
	head = strings.Replace(head, "name: Multi-registry push\n", "name: Multi-registry push, without Docker\n", 1)
	var b bytes.Buffer
	b.WriteString("# Made from ../action.yml by the tests in test/docs; -update makes it anew.\n" + strings.TrimRight(head, "\n") + "\n\noutputs:\n")
	name := ""
	value := func() {
		if name != "" {
			fmt.Fprintf(&b, "    value: ${{ steps.publish.outputs.%s }}\n", name)
		}
	}
	for line := range strings.Lines(strings.TrimSpace(outputs) + "\n") {
		line = strings.TrimPrefix(line, "  ")
		if !strings.HasPrefix(line, " ") {
			value()
			name = strings.TrimSuffix(strings.TrimSpace(line), ":")
		}
		b.WriteString("  " + line)
	}
	value()
	b.WriteString("\nruns:\n  using: composite\n  steps:\n    - id: publish\n      shell: bash\n      run: exec \"$GITHUB_ACTION_PATH/run\"\n      env:\n")
	for _, input := range inputNames(t, action) {
		variable := "INPUT_" + strings.ToUpper(strings.ReplaceAll(input, "-", "_"))
		fmt.Fprintf(&b, "        %s: ${{ inputs.%s }}\n", variable, input)
	}
	return b.Bytes()
}

// inputNames returns the names of the inputs in the order of action.yml.
func inputNames(t *testing.T, action []byte) []string {
	t.Helper()
	var parsed struct{ Inputs yaml.MapSlice }
	if err := yaml.Unmarshal(action, &parsed); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, input := range parsed.Inputs {
		names = append(names, fmt.Sprint(input.Key))
	}
	if len(names) < 10 {
		t.Fatalf("only %d inputs: %q", len(names), names)
	}
	return names
}
