package report

import (
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
	"testing"
)

// written returns lines as goldens show them.
func written(lines []Line) string {
	kinds := map[Kind]string{Text: "", GroupStart: "GROUP ", GroupEnd: "END", NoticeLine: "NOTICE", WarningLine: "WARNING", ErrorLine: "ERROR", DebugLine: "DEBUG "}
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(kinds[l.Kind])
		if l.Title != "" {
			b.WriteString("[" + l.Title + "] ")
		}
		b.WriteString(strings.ReplaceAll(l.Text, "\n", "\n      | ") + "\n")
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	for name, r := range scenarios() {
		t.Run(name, func(t *testing.T) {
			var table strings.Builder
			for _, width := range []int{120, 60} {
				table.WriteString(strings.Repeat("-", width) + "\n" + written(Table(r, width)))
			}
			golden(t, name+".table.txt", table.String())
			golden(t, name+".log.txt", written(replay(r, LogOptions{Workflow: true, Progress: true})))
			golden(t, name+".summary.md", Markdown(r, MaxSummary))
			golden(t, name+".results.json", JSON(r, 0)+"\n")
		})
	}
}

// TestGoldenElsewhere holds what a terminal or another CI system shows: no annotations.
func TestGoldenElsewhere(t *testing.T) {
	for _, name := range []string{"mixed", "nothing", "broken", "dry"} {
		golden(t, name+".terminal.txt", written(replay(scenarios()[name], LogOptions{Width: func() int { return 100 }})))
	}
}

// TestPicturesAreCurrent: docs/summary.png and docs/summary-many.png show what the code writes now.
func TestPicturesAreCurrent(t *testing.T) {
	drawn, err := os.ReadFile("../../docs/summary/drawn.sha256")
	if err != nil {
		t.Fatal(err)
	}
	now := ""
	for _, name := range []string{"mixed", "many"} {
		summary := Markdown(scenarios()[name], MaxSummary)
		now += fmt.Sprintf("%x  %s.summary.md\n", sha256.Sum256([]byte(summary)), name)
	}
	if string(drawn) != now {
		t.Error("a summary has changed since its picture was drawn: run docs/summary/render")
	}
}
