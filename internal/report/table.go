package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/mattn/go-runewidth"
)

// narrowest is the width below which a table cannot be read.
const narrowest = 40

// Table writes what happened to every registry, in at most width columns; reasons
// are broken over several lines. It ends with the digest.
func (r *Record) Table(w io.Writer, width int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	width = max(width, narrowest)
	rows := [][]string{{"REGISTRY", "STATUS", "TAGS", "SENT", "REUSED", "TIME", "SPEED"}}
	reasons := []string{""}
	for _, g := range r.registries {
		row, reason := r.row(g)
		rows = append(rows, row)
		reasons = append(reasons, reason)
	}
	var b strings.Builder
	if len(r.registries) > 0 {
		writeRows(&b, rows, reasons, width)
	}
	for _, l := range r.lines {
		writeWrapped(&b, lineSkipped(l), 0, width)
	}
	for _, err := range r.errs {
		writeWrapped(&b, Advised(err), 0, width)
	}
	if text := r.closing(); text != "" {
		writeWrapped(&b, text, 0, width)
	}
	_, err := io.WriteString(w, b.String())
	return err
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
	sent := amount(g.bytesUploaded())
	if status == Planned {
		sent = "(" + amount(g.missingBytes) + ")"
	}
	return append(row, g.tagCount(status), sent, amount(g.reusedBytes), duration(g.duration()), rate(g.sent, g.copyTime())), reason
}

// tagCount says how many of the tags are as asked, and of how many where that is not all.
func (g *registry) tagCount(status Status) string {
	asked, good := 0, 0
	for _, ref := range g.references {
		if ref.status == Skipped {
			continue
		}
		asked++
		if ref.serves() || status == Planned && ref.status == Planned {
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

// writeRows aligns the columns; numbers stand to the right.
func writeRows(b *strings.Builder, rows [][]string, reasons []string, width int) {
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
	widths[0] = max(widths[0]-max(total-width, 0), 12)
	for i, row := range rows {
		var line strings.Builder
		for j, cell := range row {
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
		b.WriteString(strings.TrimRight(runewidth.Truncate(line.String(), width, "…"), " ") + "\n")
		if reasons[i] != "" {
			writeWrapped(b, reasons[i], 2, width)
		}
	}
}

// writeWrapped writes a text in lines of at most width columns.
func writeWrapped(b *strings.Builder, text string, indent, width int) {
	margin := strings.Repeat(" ", indent)
	for paragraph := range strings.Lines(text) {
		line := margin
		for _, word := range strings.Fields(paragraph) {
			if line != margin && runewidth.StringWidth(line)+1+runewidth.StringWidth(word) > width {
				b.WriteString(line + "\n")
				line = margin
			}
			if line != margin {
				line += " "
			}
			line += word
		}
		if line != margin {
			b.WriteString(line + "\n")
		}
	}
}
