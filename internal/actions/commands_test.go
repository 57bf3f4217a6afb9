package actions

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func testRunner(environ ...string) (*Runner, *bytes.Buffer) {
	var out bytes.Buffer
	return New(Options{Environ: environ, Writer: &out}), &out
}

func TestCommands(t *testing.T) {
	r, out := testRunner("GITHUB_ACTIONS=true")
	for _, err := range []error{
		r.Group("Plan"), r.EndGroup(), r.Annotate(Error, "ghcr.io:443, failed", "100 %\nmend it"), r.Annotate(Warning, "w", "x"),
		r.Annotate(Notice, "", "n %s %d"), r.Annotate(Debug, "", "d"), r.AddMask("100%"),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	const want = "::group::Plan\n::endgroup::\n::error title=ghcr.io%3A443%2C failed::100 %25%0Amend it\n::warning title=w::x\n" +
		"::notice::n %25s %25d\n::debug::d\n::add-mask::100%25\n"
	if out.String() != want {
		t.Errorf("got  %q\nwant %q", out.String(), want)
	}
}

// The library passes formats on, and ##[ within a command's text is a command of its own.
func TestTextsAreNoCommands(t *testing.T) {
	r, out := testRunner()
	r.o.Line = func(text string) string { return strings.ReplaceAll(text, "hunter22", "***") }
	_ = r.Annotate(Error, "##[error]t hunter22", "%!s ##[group]x\n::stop-commands::y hunter22")
	_ = r.Group("##[##[error]hunter22")
	for line := range strings.Lines(out.String()) {
		if strings.Contains(line, "##[") || strings.Contains(line, "hunter22") || strings.Contains(line, "MISSING") {
			t.Errorf("%q", line)
		}
		if !strings.HasPrefix(line, "::error ") && !strings.HasPrefix(line, "::group::") {
			t.Errorf("the runner obeys %q", line)
		}
	}
	for line, want := range map[string]string{"::error::x": ": :error::x", "  ::x": "  : :x", "a ##[b": "a # #[b", "plain ::x": "plain ::x"} {
		if got := Defuse(line); got != want {
			t.Errorf("%q became %q", line, got)
		}
	}
}

func TestWhatIsNotMasked(t *testing.T) {
	r, out := testRunner("GITHUB_ACTIONS=true")
	for _, value := range []string{"", "  ", "{\n}", "a\rb"} {
		if err := r.AddMask(value); err != nil || out.Len() > 0 {
			t.Errorf("%q: %v, %q", value, err, out)
		}
	}
	elsewhere, out := testRunner()
	if err := elsewhere.AddMask("hunter22"); err != nil || out.Len() > 0 {
		t.Errorf("on a command line: %v, %q", err, out)
	}
}

type full struct{}

var errFull = errors.New("no space left")

func (full) Write([]byte) (int, error) { return 0, errFull }

// The library panics where a command cannot be written.
func TestFailedWritesAreErrors(t *testing.T) {
	r := New(Options{Environ: []string{"GITHUB_ACTIONS=true"}, Writer: full{}})
	for name, err := range map[string]error{
		"mask": r.AddMask("x"), "group": r.Group("x"), "end": r.EndGroup(), "annotation": r.Annotate(Notice, "t", "x"), "debug": r.Annotate(Debug, "", "x"),
	} {
		if !errors.Is(err, errFull) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
