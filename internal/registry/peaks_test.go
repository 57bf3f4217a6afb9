package registry

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// mostMemory bounds the peak of a process that gets any of these answers, in bytes.
const mostMemory = 100 << 20

// TestPeaksOfHostileAnswers measures what hostile answers make of memory: the peak of a process of
// its own, which the registry that gives them is part of. With UPDATE=1 it writes the table in
// docs/reliability.md.
func TestPeaksOfHostileAnswers(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the peak is read from /proc")
	}
	if os.Getenv("HOSTILE_ANSWERS") != "" {
		t.Run("referrers", TestHostileReferrers)
		t.Run("drip", TestDrippingManifest)
		t.Run("goaway", TestConnectionsThatServeNothing)
		status, err := os.ReadFile("/proc/self/status")
		fmt.Printf("%s%v\n", status, err)
		return
	}
	if underRace {
		t.Skip("measured without the race detector, which takes memory of its own: make test does both")
	}
	var rows strings.Builder
	for _, c := range []struct{ run, name, bound string }{
		{"referrers", "pages of referrers: nulls, objects, numbers, and without end", "40,000 elements a page, 200 pages"},
		{"drip", "a manifest a byte at a time", "6 minutes in all"},
		{"goaway", "HTTP/2 GOAWAY to every request", "each a try, with its pause"},
	} {
		command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPeaksOfHostileAnswers$/^"+c.run+"$", "-test.v")
		command.Env = append(os.Environ(), "HOSTILE_ANSWERS=1")
		out, err := command.CombinedOutput()
		found := regexp.MustCompile(`VmHWM:\s*(\d+) kB`).FindSubmatch(out)
		if err != nil || found == nil {
			t.Fatalf("%v\n%s", err, out)
		}
		kib, err := strconv.ParseInt(string(found[1]), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d MiB", c.name, kib>>10)
		if kib<<10 > mostMemory {
			t.Errorf("%s: the peak is %d MiB", c.name, kib>>10)
		}
		fmt.Fprintf(&rows, "| %s | %s | %d MiB |\n", c.name, c.bound, kib>>10)
	}
	answersInThePage(t, rows.String())
}

// answersInThePage writes rows into docs/reliability.md with UPDATE=1; else it checks that the page
// has each.
func answersInThePage(t *testing.T, rows string) {
	t.Helper()
	const page, begin, end = "../../docs/reliability.md", "<!-- answers -->\n", "<!-- /answers -->"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(text), begin)
	table, after, found := strings.Cut(rest, end)
	if !found {
		t.Fatal("docs/reliability.md has no place for these peaks")
	}
	if os.Getenv("UPDATE") != "" {
		table = "| hostile answers | bound | peak, the server's memory included |\n|---|---|---|\n" + rows
		if err := os.WriteFile(page, []byte(before+begin+table+end+after), 0o644); err != nil { // #nosec G306 -- a page
			t.Fatal(err)
		}
	}
	for row := range strings.Lines(rows) {
		if name := strings.Split(row, " | ")[0]; !strings.Contains(table, name+" | ") {
			t.Errorf("docs/reliability.md lacks the row %q: run with UPDATE=1", name)
		}
	}
}
