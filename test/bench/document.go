package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strings"
)

// document puts what file holds into performance.md, between its marks, and draws the
// picture beside it.
func document(docs, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("-docs takes its figures from the file of -json: %w", err)
	}
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	page := filepath.Join(docs, "performance.md")
	old, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	for name, body := range map[string]string{"machine": r.Machine + ".\n", "goals": r.goalsTable(), "table": r.linesTable(), "growth": r.growthTable()} {
		begin, end := []byte("<!-- bench:"+name+" -->\n"), []byte("<!-- end -->")
		i := bytes.Index(old, begin)
		if i < 0 {
			return fmt.Errorf("%s has no place for %s", page, name)
		}
		i += len(begin)
		j := bytes.Index(old[i:], end)
		if j < 0 {
			return fmt.Errorf("%s: %s has no end", page, name)
		}
		old = append(old[:i:i], append([]byte(body), old[i+j:]...)...)
	}
	if err := os.WriteFile(page, old, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(docs, "performance.svg"), []byte(r.picture()), 0o644)
}

func markdown(header []string, rows [][]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(header, " | "), strings.Repeat(" --- |", len(header)))
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(r, " | "))
	}
	return b.String()
}

func (r *report) goalsTable() string {
	var rows [][]string
	for _, g := range r.Goals {
		verdict := "met"
		if !g.Met {
			verdict = "**not met**"
		}
		rows = append(rows, []string{g.Work, g.Goal, g.Measured, verdict})
	}
	return markdown([]string{"work", "goal", "measured", ""}, rows)
}

func (r *report) linesTable() string {
	var rows [][]string
	for _, l := range r.Lines {
		cells := r.cells(l)
		if l.Who == us {
			cells[1] = "**" + us + "**"
		}
		rows = append(rows, cells)
	}
	return markdown(lineHeader(), rows)
}

func (r *report) growthTable() string {
	var rows [][]string
	for _, g := range r.Growth {
		rows = append(rows, g.cells())
	}
	return markdown(growthHeader(), rows)
}

// picture draws the times of the throttled copy as bars. Its colours read on light and
// dark backgrounds.
func (r *report) picture() string {
	var bars []*line
	longest, limit := 0.0, 0.0
	for _, l := range r.Lines {
		if strings.HasPrefix(l.Work, "1 registry → 4, 200") {
			bars = append(bars, l)
			longest, limit = max(longest, l.seconds()), l.Limit.Seconds()
		}
	}
	const left, width, bar, gap, top = 210, 470, 20, 10, 58
	height := top + len(bars)*(bar+gap) + 34
	x := func(seconds float64) float64 { return left + seconds/longest*width }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 %d" font-family="system-ui, sans-serif" font-size="13" role="img" aria-label="Seconds to copy an image from one registry to four">`+"\n", height)
	fmt.Fprint(&b, "<style>text{fill:#24292f}.dim{fill:#57606a}.us{fill:#1a7f37}.peer{fill:#8c959f}.limit{stroke:#cf222e}"+
		"@media(prefers-color-scheme:dark){text{fill:#e6edf3}.dim{fill:#8b949e}.us{fill:#3fb950}.peer{fill:#6e7681}.limit{stroke:#f85149}}</style>\n")
	fmt.Fprintf(&b, `<text x="10" y="22" font-size="15" font-weight="600">One registry to four, links of 200 Mbit/s: seconds, start to exit</text>`+"\n")
	fmt.Fprintf(&b, `<text class="dim" x="10" y="42">two platforms, %d blobs, %.0f MB; medians; ×4: one after the other</text>`+"\n", r.Blobs, float64(r.ImageBytes)/1e6)
	for i, l := range bars {
		y := top + i*(bar+gap)
		class, weight := "peer", "400"
		if l.Who == us {
			class, weight = "us", "600"
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end" font-weight="%s">%s</text>`, left-10, y+15, weight, html.EscapeString(l.Who))
		fmt.Fprintf(&b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"/>`, class, left, y, x(l.seconds())-left, bar)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d">%.1f <tspan class="dim" font-size="11">source %.0f ×</tspan></text>`+"\n", x(l.seconds())+8, y+15, l.seconds(), float64(l.sourceBytes())/float64(l.Bytes))
	}
	if limit > 0 {
		bottom := top + len(bars)*(bar+gap)
		fmt.Fprintf(&b, `<line class="limit" x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke-width="1.5" stroke-dasharray="4 3"/>`, x(limit), top-6, x(limit), bottom)
		fmt.Fprintf(&b, `<text class="dim" x="%.1f" y="%d" text-anchor="middle">%.1f: the bytes over one link</text>`+"\n", x(limit), bottom+18, limit)
	}
	b.WriteString("</svg>\n")
	return b.String()
}
