package app

import (
	"bytes"
	"strings"
	"testing"
	"unicode"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/report"
)

func testConsole(environ ...string) (*console, *bytes.Buffer, *bytes.Buffer) {
	var out, errors bytes.Buffer
	return newConsole(&out, &errors, environ, func(path string) string { return path }), &out, &errors
}

// command reports whether the runner would act on a line: the rules of actions/runner's
// ActionCommand, TryParseV2 and TryParse.
func command(line string) bool {
	return strings.HasPrefix(strings.TrimLeftFunc(line, unicode.IsSpace), "::") || strings.Contains(line, "##[")
}

// injections are texts that a registry, an image or an input may send.
var injections = []string{
	"::add-mask::docker.io", "  ::error::x", "\t::warning::x", "\u00a0::error::x", "\u2028::error::x", "a\n::stop-commands::x", "a\r::error::x", "a\r\n ::error::x",
	"##[group]x", "text ##[error]x", "###[group]", "##[##[x", "a\u0085::error::x", "\v::error::x", "\ufeff::error::x", "\u200b::error::x",
	"::::", ":::error::", "\x1b[31mred\x1b[0m", "\x1b]8;;http://x\x07", "\u009b31m", "\x00\x7f\xff\xfe", "a\u202eb\u2066c", "%0A::error::x", "::set-output name=x::y",
}

func TestOutsideTextIsNeverACommand(t *testing.T) {
	for _, text := range injections {
		for _, workflow := range []string{"GITHUB_ACTIONS=true", ""} {
			c, out, errors := testConsole(workflow, "RUNNER_DEBUG=1")
			for _, kind := range []report.Kind{report.Text, report.GroupStart, report.NoticeLine, report.WarningLine, report.ErrorLine, report.DebugLine} {
				out.Reset()
				c.print(report.Line{Kind: kind, Title: text, Text: text})
				c.text(failures, text)
				mine := kind != report.Text && workflow != ""
				for i, line := range strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n") {
					for _, r := range line {
						if !unicode.IsPrint(r) {
							t.Errorf("%q, kind %d: %q holds %q", text, kind, line, r)
						}
					}
					if mine && i == 0 && !strings.Contains(line, "##[") {
						continue // the command that was meant
					}
					if command(line) {
						t.Errorf("%q, kind %d: the runner acts on %q", text, kind, line)
					}
				}
				if mine && strings.Count(out.String(), "\n") != 1 {
					t.Errorf("%q, kind %d: the command is more than one line: %q", text, kind, out.String())
				}
			}
			for line := range strings.Lines(errors.String()) {
				if command(line) {
					t.Errorf("%q: on standard error the runner acts on %q", text, line)
				}
			}
		}
	}
}

func TestCommands(t *testing.T) {
	c, out, _ := testConsole("GITHUB_ACTIONS=true")
	c.print(report.Line{Kind: report.GroupStart, Text: "Plan"})
	c.print(report.Line{Kind: report.GroupEnd})
	c.print(report.Line{Kind: report.ErrorLine, Title: "ghcr.io:443, failed", Text: "100 %\nmend it"})
	c.print(report.Line{Kind: report.WarningLine, Title: "w", Text: "x"})
	c.print(report.Line{Kind: report.NoticeLine, Text: "n"})
	c.print(report.Line{Kind: report.DebugLine, Text: "not shown"})
	c.print(report.Line{Text: "plain"})
	want := "::group::Plan\n::endgroup::\n::error title=ghcr.io%3A443%2C failed::ghcr.io:443, failed: 100 %25%0Amend it\n::warning title=w::w: x\n::notice::n\nplain\n"
	if out.String() != want {
		t.Errorf("got  %q\nwant %q", out.String(), want)
	}
}

func TestCommandLine(t *testing.T) {
	c, out, errors := testConsole()
	c.print(report.Line{Kind: report.GroupStart, Text: "Plan"})
	c.print(report.Line{Kind: report.GroupEnd})
	c.print(report.Line{Kind: report.ErrorLine, Title: "ghcr.io", Text: "failed"})
	c.print(report.Line{Kind: report.NoticeLine, Text: "n"})
	c.redactor.Learn("me", redact.New("hunter22"))
	if got := out.String(); got != "== Plan\n" {
		t.Errorf("standard output: %q", got)
	}
	if got := errors.String(); got != "error: ghcr.io: failed\n" {
		t.Errorf("standard error: %q", got)
	}
}

func TestMasksComeBeforeTheSecretIsUsed(t *testing.T) {
	c, out, _ := testConsole("GITHUB_ACTIONS=true")
	c.redactor.Learn("acme", redact.New("{\nline one %\r\nline two, longer\n}"))
	got := out.String()
	if !strings.Contains(got, "::add-mask::line one %25\n") || !strings.Contains(got, "::add-mask::line two, longer\n") {
		t.Errorf("got %q", got)
	}
	if strings.Contains(got, "%0A") || strings.Contains(got, "%0D") {
		t.Errorf("the runner takes values apart that have line breaks, and masks every brace: %q", got)
	}
	for line := range strings.Lines(got) {
		if !strings.HasPrefix(line, "::add-mask::") {
			t.Errorf("the line %q shows part of a secret", line)
		}
		if line == "::add-mask::acme\n" {
			t.Error("the user name is masked")
		}
	}
}

func TestNothingSecretIsWritten(t *testing.T) {
	c, out, errors := testConsole()
	c.redactor.Learn("acme", redact.New("hunter22\x1b%"))
	c.print(report.Line{Kind: report.ErrorLine, Title: "hunter22\x1b%", Text: "sent hunter22\x1b% and hunter22\\x1b%"})
	c.text(standard, "Basic YWNtZTpodW50ZXIyMhsl")
	for _, got := range []string{out.String(), errors.String()} {
		if strings.Contains(got, "hunter22") || strings.Contains(got, "YWNtZTpodW50") {
			t.Errorf("%q", got)
		}
	}
}

func TestLongTextIsCut(t *testing.T) {
	c, out, _ := testConsole()
	c.text(standard, strings.Repeat("x", 10<<20))
	if out.Len() > longestText+10 {
		t.Errorf("%d bytes", out.Len())
	}
}

// A secret across the place where a text is cut leaves nothing of itself.
func TestSecretsAreHiddenBeforeTheCut(t *testing.T) {
	c, out, _ := testConsole()
	c.redactor.Learn("", redact.New(strings.Repeat("Secret0/", 80)))
	c.text(standard, strings.Repeat("x", longestText-100)+strings.Repeat("Secret0/", 80))
	if strings.Contains(out.String(), "Secret0") {
		t.Error("a part of the secret is shown")
	}
	out.Reset()
	c.text(standard, strings.Repeat("x", longestText-1)+"ä")
	if strings.Contains(out.String(), "\\x") || len(out.String()) > longestText+10 {
		t.Error("cut within a character")
	}
}

func FuzzConsole(f *testing.F) {
	for _, text := range injections {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, out, _ := testConsole("GITHUB_ACTIONS=true")
		c.text(standard, text)
		for line := range strings.Lines(out.String()) {
			if command(line) {
				t.Errorf("the runner acts on %q", line)
			}
			for _, r := range strings.TrimSuffix(line, "\n") {
				if !unicode.IsPrint(r) {
					t.Errorf("%q holds %q", line, r)
				}
			}
		}
		out.Reset()
		c.print(report.Line{Kind: report.ErrorLine, Title: text, Text: text})
		if n := strings.Count(out.String(), "\n"); n != 1 {
			t.Errorf("%d lines: %q", n, out.String())
		}
	})
}

// TestColoursOnlyWhereUnderstood: a colour is put around a text that was made safe, and
// only where colours are on.
func TestColoursOnlyWhereUnderstood(t *testing.T) {
	line := report.Line{Style: report.Bad, Text: "failed: \x1b[2J"}
	c, out, _ := testConsole()
	c.print(line)
	if got := out.String(); strings.Contains(got, "\x1b") {
		t.Errorf("without colours: %q", got)
	}
	c, out, _ = testConsole()
	c.colours = true
	c.print(line)
	if got, want := out.String(), "\x1b[31mfailed: \\x1b[2J\x1b[0m\n"; got != want {
		t.Errorf("with colours: %q, want %q", got, want)
	}
}
