package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mattn/go-runewidth"

	"github.com/multi-registry-push/multi-registry-push/internal/publish"
	"github.com/multi-registry-push/multi-registry-push/internal/retry"
)

// narrowest is the width below which a table cannot be read.
const narrowest = 40

// Table returns what happened to every registry, in lines of at most width columns: those
// that failed first; columns on the right go first where there is no room; reasons and
// remedies, which are broken over several lines, stand below, once for all that share
// them. It ends with the digests.
func Table(r publish.Result, width int) []Line {
	width = max(width, narrowest)
	var lines []Line
	if len(r.Registries) > 0 {
		lines = tableRows(r, width)
	}
	last := closing(r)
	// A digest and a time stand in one line, or in one each: no unit alone.
	if n := len(last); n == 2 && len(last[0])+1+len(last[1]) <= width {
		last = []string{last[0] + " " + last[1]}
	}
	for _, text := range last {
		lines = append(lines, wrapped(text, 0, width, Plain)...)
	}
	return lines
}

// failedFirst returns the registries in the order of tables: those that failed, those that
// share a reason side by side, then the others as they were asked for.
func failedFirst(r publish.Result) []publish.RegistryResult {
	var failed, tolerated, others []publish.RegistryResult
	for _, g := range r.Registries {
		switch {
		case fails(g):
			failed = append(failed, g)
		case g.Status() == Failed:
			tolerated = append(tolerated, g)
		default:
			others = append(others, g)
		}
	}
	return slices.Concat(sideBySide(failed), sideBySide(tolerated), others)
}

// sideBySide sorts registries so that those with the same reasons follow each other.
func sideBySide(registries []publish.RegistryResult) []publish.RegistryResult {
	var first [][]explanation
	rank := map[string]int{}
	for _, g := range registries {
		why := explanations(g)
		i := slices.IndexFunc(first, func(o []explanation) bool { return slices.EqualFunc(o, why, explanation.like) })
		if i < 0 {
			i, first = len(first), append(first, why)
		}
		rank[g.Host] = i
	}
	slices.SortStableFunc(registries, func(a, b publish.RegistryResult) int { return rank[a.Host] - rank[b.Host] })
	return registries
}

// tableRows aligns the columns; amounts stand to the right.
func tableRows(r publish.Result, width int) []Line {
	all := failedFirst(r)
	rows := [][]string{
		{"REGISTRY", "STATUS", strings.ToUpper(counted(r)), strings.ToUpper(sending(r)), "REUSED", "TIME", "SPEED"},
	}
	for _, g := range all {
		rows = append(rows, row(g))
	}
	withoutEmpty(rows)
	widths := columns(rows, width)
	lines := []Line{{Text: aligned(rows[0], widths), Style: Strong}}
	var alike [][]explanation // of the rows since the last reasons
	for i, g := range all {
		style := styleOf(g.Status())
		lines = append(lines, Line{Text: aligned(rows[i+1], widths), Style: style})
		why := below(g)
		alike = append(alike, why)
		if i+1 < len(all) && all[i+1].Status() == g.Status() && len(why) > 0 &&
			slices.EqualFunc(below(all[i+1]), why, explanation.like) {
			continue // the last of them has it
		}
		lines = append(lines, blocks(common(alike), len(alike), width, style)...)
		alike = nil
	}
	return lines
}

// below returns what stands below a registry's row.
func below(g publish.RegistryResult) []explanation {
	all := explanations(g)
	for _, e := range leftOutOf(g) {
		e.text = "left out: " + e.text
		all = append(all, e)
	}
	return all
}

// blocks writes reasons and remedies below the last of as many rows as they are true for.
func blocks(why []explanation, rows, width int, style Style) []Line {
	var lines []Line
	for i, e := range why {
		text := e.coded()
		switch {
		case i > 0 || rows == 1:
		case rows == 2:
			text = "both: " + text
		default:
			text = fmt.Sprintf("all %d: %s", rows, text)
		}
		if e.optional {
			text = "not required\n" + text
		}
		lines = append(lines, wrapped(text, 2, width, style)...)
		lines = append(lines, remedyLines(e, why[i+1:], width, style)...)
	}
	return lines
}

// remedyLines writes what to do, unless a reason that follows has the same remedy. Blocks to
// be pasted keep their lines.
func remedyLines(e explanation, after []explanation, width int, style Style) []Line {
	if slices.ContainsFunc(after, func(o explanation) bool { return o.remedy == e.remedy }) {
		return nil
	}
	var lines []Line
	for _, p := range paragraphs(e.remedy) {
		if p.text != "" {
			lines = append(lines, wrapped(p.text, 2, width, style)...)
		}
		for _, line := range p.lines {
			lines = append(lines, Line{Text: "    " + line, Style: style})
		}
	}
	return lines
}

func aligned(row []string, widths []int) string {
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
	return strings.TrimRight(line.String(), " ")
}

// withoutEmpty takes the columns away that no registry has anything in.
func withoutEmpty(rows [][]string) {
	for column := len(rows[0]) - 1; column > 1; column-- {
		has := func(row []string) bool { return column < len(row) && row[column] != "" }
		if slices.ContainsFunc(rows[1:], has) {
			continue
		}
		for i, row := range rows {
			if column < len(row) {
				rows[i] = slices.Delete(row, column, column+1)
			}
		}
	}
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

// row returns the cells of a registry.
func row(g publish.RegistryResult) []string {
	status := g.Status()
	cells := []string{oneLine(g.Host), string(status)}
	if status == Skipped || g.Start.IsZero() && (status == Failed || status == HeldBack) {
		return cells
	}
	return append(cells, tagCount(g), sent(g), reused(g), retry.Text(elapsed(g)), rate(g.BytesCopied, copyTime(g)))
}

// closing is what stands last: what is served now, how long it took and where it came from.
func closing(r publish.Result) []string {
	var lines []string
	for _, image := range r.Images {
		if image.Digest == "" {
			continue
		}
		if len(r.Images) > 1 {
			lines = append(lines, oneLine(image.Name)+"  "+image.Digest)
		} else {
			lines = append(lines, image.Digest)
		}
	}
	if len(lines) == 0 {
		return nil
	}
	text := "in " + retry.Text(r.End.Sub(r.Start))
	if r.Source.BytesRead > 0 {
		text += fmt.Sprintf(", %s read from the source", amount(r.Source.BytesRead))
	}
	return append(lines, text)
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
