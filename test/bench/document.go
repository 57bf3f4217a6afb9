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
	for name, body := range map[string]string{"machine": r.Machine + ".\n", "goals": r.goalsTable(), "table": r.linesTable(false), "distance": r.linesTable(true), "growth": r.growthTable()} {
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
	if err := os.WriteFile(filepath.Join(docs, "performance.svg"), []byte(r.narrowPicture()), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(docs, "distance.svg"), []byte(r.farPicture()), 0o644)
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

// linesTable has the lines of servers far away, or the others.
func (r *report) linesTable(far bool) string {
	var rows [][]string
	for _, l := range r.Lines {
		if (l.Trip > 0) != far {
			continue
		}
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

// bars is a picture of times as bars. Its colours read on light and dark backgrounds.
type bars struct {
	title, under, label string
	lines               []*line
	note                func(*line) string // beside a bar's seconds
	limit               float64            // seconds, 0 for none
}

// narrowPicture draws the throttled copy.
func (r *report) narrowPicture() string {
	p := bars{
		label: "Seconds to copy an image from one registry to four",
		title: "One registry to four, links of 200 Mbit/s: seconds, start to exit",
		under: fmt.Sprintf("two platforms, %d blobs, %.0f MB; medians; ×4: one after the other", r.Blobs, float64(r.ImageBytes)/1e6),
		note:  func(l *line) string { return fmt.Sprintf("source %.0f ×", float64(l.sourceBytes())/float64(l.Bytes)) },
	}
	for _, l := range r.Lines {
		if strings.HasPrefix(l.Work, "1 registry → 4, 200") {
			p.lines, p.limit = append(p.lines, l), l.Limit.Seconds()
		}
	}
	return p.draw()
}

// farPicture draws the copy to registries far away.
func (r *report) farPicture() string {
	p := bars{
		label: "Seconds to publish a small image to three registries 100 ms away",
		title: "An archive to three registries 100 ms away: seconds, start to exit",
		under: "two platforms, 26 blobs, 0.5 MB; TLS, HTTP/2, tokens from another host; medians; ×3: one after the other",
		note:  func(l *line) string { return fmt.Sprintf("%.0f round trips", l.trips()) },
	}
	for _, l := range r.Lines {
		if l.Work == "OCI archive → 3, 100 ms" {
			p.lines = append(p.lines, l)
		}
	}
	return p.draw()
}

func (p bars) draw() string {
	longest := 0.0
	for _, l := range p.lines {
		longest = max(longest, l.seconds())
	}
	const left, width, bar, gap, top = 210, 440, 20, 10, 58
	bottom := top + len(p.lines)*(bar+gap)
	x := func(seconds float64) float64 { return left + seconds/longest*width }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 %d" font-family="system-ui, sans-serif" font-size="13" role="img" aria-label="%s">`+"\n",
		bottom+34, html.EscapeString(p.label))
	fmt.Fprint(&b, "<style>text{fill:#24292f}.dim{fill:#57606a}.us{fill:#1a7f37}.peer{fill:#8c959f}.limit{stroke:#cf222e}"+
		"@media(prefers-color-scheme:dark){text{fill:#e6edf3}.dim{fill:#8b949e}.us{fill:#3fb950}.peer{fill:#6e7681}.limit{stroke:#f85149}}</style>\n")
	fmt.Fprintf(&b, `<text x="10" y="22" font-size="15" font-weight="600">%s</text>`+"\n", html.EscapeString(p.title))
	fmt.Fprintf(&b, `<text class="dim" x="10" y="42">%s</text>`+"\n", html.EscapeString(p.under))
	for i, l := range p.lines {
		y := top + i*(bar+gap)
		class, weight := "peer", "400"
		if l.Who == us {
			class, weight = "us", "600"
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end" font-weight="%s">%s</text>`, left-10, y+15, weight, html.EscapeString(l.Who))
		fmt.Fprintf(&b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"/>`, class, left, y, x(l.seconds())-left, bar)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d">%.1f <tspan class="dim" font-size="11">%s</tspan></text>`+"\n", x(l.seconds())+8, y+15, l.seconds(), html.EscapeString(p.note(l)))
	}
	if p.limit > 0 {
		fmt.Fprintf(&b, `<line class="limit" x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke-width="1.5" stroke-dasharray="4 3"/>`, x(p.limit), top-6, x(p.limit), bottom)
		fmt.Fprintf(&b, `<text class="dim" x="%.1f" y="%d" text-anchor="middle">%.1f: the bytes over one link</text>`+"\n", x(p.limit), bottom+18, p.limit)
	}
	b.WriteString("</svg>\n")
	return b.String()
}
