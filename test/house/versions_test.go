package house

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// What ships is built from the root module alone. Tests live in a module of their own, and
// editors see both through go.work: all three must resolve what ships to the same versions,
// or tests would test another program.
func TestModulesResolveTheSameVersions(t *testing.T) {
	const program = "github.com/multi-registry-push/multi-registry-push/internal/app"
	ships := versions(t, root, "GOWORK=off", program)
	if len(ships) < 10 {
		t.Fatalf("only %d modules ship: %q", len(ships), ships)
	}
	for name, there := range map[string][]string{
		"the test module": versions(t, root+"/test", "GOWORK=off", program),
		"the workspace":   versions(t, root, "GOWORK=", program),
	} {
		for _, module := range ships {
			if !slices.Contains(there, module) {
				t.Errorf("%s does not use %s, which ships", name, module)
			}
		}
	}
}

// versions returns the modules, each with its version, that a package's code comes from.
func versions(t *testing.T, folder, env, pattern string) []string {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-deps",
		"-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{end}}{{end}}", pattern)
	list.Dir = folder
	list.Env = append(os.Environ(), env)
	out, err := list.Output()
	if err != nil {
		t.Fatalf("%v: %v", list, err)
	}
	all := strings.Fields(strings.ReplaceAll(string(out), " ", "@"))
	slices.Sort(all)
	return slices.Compact(all)
}
