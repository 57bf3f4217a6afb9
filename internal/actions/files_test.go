package actions

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// obey reads an output file as the runner does (actions/runner, FileCommandManager).
func obey(t *testing.T, text string) map[string]string {
	t.Helper()
	values := map[string]string{}
	for text != "" {
		line, rest, _ := strings.Cut(text, "\n")
		name, delimiter, ok := strings.Cut(line, "<<")
		value, after, ended := strings.Cut(rest, "\n"+delimiter+"\n")
		if !ok || !ended {
			t.Fatalf("not an output: %q", text)
		}
		values[name], text = value, after
	}
	return values
}

// The library's delimiter is a constant: a value that holds it ends itself and sets what
// it likes.
func TestOutputsHoldAnyText(t *testing.T) {
	file := filepath.Join(t.TempDir(), "output")
	r, _ := testRunner("GITHUB_OUTPUT=" + file)
	const library = "_GitHubActionsFileCommandDelimeter_"
	want := map[string]string{
		"pushed":  "x\n" + library + "\ndigest<<" + library + "\nevil\n" + library,
		"results": "ghadelimiter_\nEOF\ndigest<<EOF\nevil\nEOF",
		"digest":  "",
	}
	if err := r.SetOutputs([]Output{{"pushed", want["pushed"]}, {"results", want["results"]}, {"digest", ""}}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := obey(t, string(text)); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q", got)
	}
	if a, b := outputMessage(Output{"a", ""}), outputMessage(Output{"a", ""}); a == b {
		t.Errorf("the delimiter is a constant: %q", a)
	}
}

func TestSummaryIsAppended(t *testing.T) {
	file := filepath.Join(t.TempDir(), "summary")
	r, _ := testRunner("GITHUB_STEP_SUMMARY=" + file)
	for range 2 {
		if err := r.AddSummary("# {{.}} %s\n\n"); err != nil {
			t.Fatal(err)
		}
	}
	if text, _ := os.ReadFile(file); string(text) != "# {{.}} %s\n# {{.}} %s\n" {
		t.Errorf("got %q", text)
	}
}

// The library panics where a file is missing or its variable is unset.
func TestMissingFilesAreErrors(t *testing.T) {
	r, _ := testRunner()
	if err := r.SetOutputs([]Output{{"a", "b"}}); !errors.Is(err, ErrNoFile) {
		t.Error(err)
	}
	if err := r.AddSummary("x"); !errors.Is(err, ErrNoFile) {
		t.Error(err)
	}
	nowhere := filepath.Join(t.TempDir(), "missing", "file")
	r, _ = testRunner("GITHUB_OUTPUT="+nowhere, "GITHUB_STEP_SUMMARY="+nowhere)
	if err := r.SetOutputs([]Output{{"a", "b"}}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := r.AddSummary("x"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestFilesAreWhereTheyAreSeen(t *testing.T) {
	dir := t.TempDir()
	r := New(Options{
		Environ: []string{"GITHUB_OUTPUT=/host/output", "GITHUB_STEP_SUMMARY=/host/summary"},
		MapPath: func(path string) string { return strings.Replace(path, "/host", dir, 1) },
	})
	if err := errors.Join(r.SetOutputs([]Output{{"a", "b"}}), r.AddSummary("x")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"output", "summary"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}
