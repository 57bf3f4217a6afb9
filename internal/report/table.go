package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/mattn/go-runewidth"
)

// narrowest is the width below which a table cannot be read.
const narrowest = 40

// Table writes what happened to every registry, in at most width columns: those on
// the right go first where there is no room; reasons are broken over several lines. It
// ends with the digest.
func (r *Record) Table(w io.Writer, width int) error {
	var b strings.Builder
	for _, line := range r.tableLines(width) {
		b.WriteString(line.Text + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// tableLines is the table line by line.
func (r *Record) tableLines(width int) []Line {
	r.mu.Lock()
	defer r.mu.Unlock()
	width = max(width, narrowest)
	var lines []Line
	if len(r.registries) > 0 {
		lines = r.rows(width)
	}
	if text := r.closing(); text != "" {
		lines = append(lines, wrapped(text, 0, width, Plain)...)
	}
	return lines
}

// rows aligns the columns; amounts stand to the right.
func (r *Record) rows(width int) []Line {
	rows := [][]string{{"REGISTRY", "STATUS", "TAGS", "SENT", "REUSED", "TIME", "SPEED"}}
	reasons := []string{""}
	styles := []Style{Strong}
	for _, g := range r.registries {
		row, reason := r.row(g)
		status, _ := r.status(g)
		rows, reasons, styles = append(rows, row), append(reasons, reason), append(styles, styleOf(status))
	}
	widths := columns(rows, width)
	var lines []Line
	for i, row := range rows {
		var line strings.Builder
		for j, cell := range row[:min(len(row), len(widths))] {
			if j > 0 {
				line.WriteString("  ")
			}
			cell = runewidth.Truncate(cell, widths[j], "…")
			pad := strings.Repeat(" ", widths[j]-runewidth.StringWidth(cell))
			if j < 3 {
				line.WriteString(cell + pad)
			} else {
				line.WriteString(pad + cell)
			}
		}
		lines = append(lines, Line{Text: strings.TrimRight(line.String(), " "), Style: styles[i]})
		lines = append(lines, wrapped(reasons[i], 2, width, styles[i])...)
	}
	return lines
}

// columns returns the widths of as many columns as fit.
func columns(rows [][]string, width int) []int {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], runewidth.StringWidth(cell))
		}
	}
	total := 2 * (len(widths) - 1)
	for _, n := range widths {
		total += n
	}
	const readable = 22 // of a registry's name
	for last := len(widths) - 1; last > 2 && total-widths[0]+min(widths[0], readable) > width; last-- {
		total -= 2 + widths[last]
		widths = widths[:last]
	}
	widths[0] = max(widths[0]-max(total-width, 0), min(widths[0], 12))
	return widths
}

// row returns the cells of a registry, and the reason that stands below them.
func (r *Record) row(g *registry) (cells []string, reason string) {
	status, reason := r.status(g)
	row := []string{oneLine(g.host), string(status)}
	switch status {
	case Skipped:
		return row, reason
	case Failed:
		reason = g.advised(reason)
		if g.tolerated() {
			reason = "not required\n" + reason
		}
		if g.start.IsZero() {
			return row, reason
		}
	case Planned, Unchanged, Pushed:
		reason = firstOf(reason, g.leftOut())
	}
	sent := amount(g.blobBytesSent())
	if status == Planned {
		sent = "(" + amount(g.missingBytes) + ")"
	}
	return append(row, g.tagCount(status), sent, g.reused(status), duration(g.duration()), rate(g.sent, g.copyTime())), reason
}

// reused says how much of the image the registry had. One that has the manifests is not
// asked for their blobs: it has all of them.
func (g *registry) reused(status Status) string {
	if status != Failed && g.sent <= 0 && g.uploaded+g.mounted+g.existing+g.missingBlobs == 0 {
		return "all"
	}
	return amount(g.reusedBytes)
}

// tagCount says how many of the tags are as asked, and of how many where that is not all.
func (g *registry) tagCount(status Status) string {
	asked, good := 0, 0
	for _, ref := range g.references {
		if ref.status == Skipped {
			continue
		}
		asked++
		if ref.status == Pushed || ref.status == Unchanged || status == Planned && ref.status == Planned {
			good++
		}
	}
	if good == asked {
		return fmt.Sprint(asked)
	}
	return fmt.Sprintf("%d of %d", good, asked)
}

// closing is the last line: what is served now, and where it came from.
func (r *Record) closing() string {
	if r.source.Digest == "" {
		return ""
	}
	text := r.source.Digest + " in " + duration(r.elapsed())
	if r.read.BytesRead > 0 {
		text += fmt.Sprintf(", %s read from the source", amount(r.read.BytesRead))
	}
	return text
}

// wrapped returns a text in lines of at most width columns, longer words aside.
func wrapped(text string, indent, width int, style Style) []Line {
	var lines []Line
	margin := strings.Repeat(" ", indent)
	for paragraph := range strings.Lines(text) {
		line, used := margin, indent
		for _, word := range strings.Fields(paragraph) {
			n := runewidth.StringWidth(word)
			if used > indent && used+1+n > width {
				lines = append(lines, Line{Text: line, Style: style})
				line, used = margin, indent
			}
			if used > indent {
				line, used = line+" ", used+1
			}
			line, used = line+word, used+n
		}
		if line != margin {
			lines = append(lines, Line{Text: line, Style: style})
		}
	}
	return lines
}
