package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/publish"
	"github.com/multi-registry-push/multi-registry-push/internal/retry"
)

// tagsInCell is how many tags a cell of the table lists; more are counted.
const tagsInCell = 4

// tagsInSight is how many tags are listed that all registries share.
const tagsInSight = 12

// markdownTable returns the table's head and its rows, with the tags that all registries
// share above it. What no registry has an amount of has no column.
func markdownTable(r publish.Result) (head string, rows []string) {
	names := []string{"Registry", "Status", counted(r), sending(r), "Reused", "Time", "Speed"}
	const amounts = 3 // the first column of them
	all := markdownRows(r)
	title, rule := "|", "|"
	lines := make([]string, len(all))
	for column, name := range names {
		if column >= amounts && !slices.ContainsFunc(all, func(row []string) bool { return row[column] != "" }) {
			continue
		}
		title += " " + name + " |"
		if column < amounts {
			rule += " --- |"
		} else {
			rule += " ---: |"
		}
		for i, row := range all {
			lines[i] += "| " + row[column] + " "
		}
	}
	for i := range lines {
		lines[i] += "|\n"
	}
	return sharedLine(r) + title + "\n" + rule + "\n", lines
}

// sharedLine lists the tags that all registries share.
func sharedLine(r publish.Result) string {
	shared := sharedTags(r)
	if len(shared) == 0 {
		return ""
	}
	var names []string
	for _, tag := range shared[:min(len(shared), tagsInSight)] {
		names = append(names, code(bounded(tag, 200)))
	}
	text := strings.Join(names, " ")
	if more := len(shared) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	noun := "tag"
	if counted(r) != "Tags" {
		noun = "image"
	}
	return fmt.Sprintf("%s for each registry: %s\n\n", count(len(shared), noun), text)
}

// sharedTags returns the tags that every registry was asked for, if there are several
// registries and several such tags.
func sharedTags(r publish.Result) []string {
	var shared []string
	asked := 0
	for _, g := range r.Registries {
		if g.Status() == Skipped {
			continue
		}
		var names []string
		for _, ref := range g.References {
			if ref.Status != Skipped {
				names = append(names, shortName(g, ref))
			}
		}
		if asked++; asked == 1 {
			shared = names
		}
		shared = only(shared, func(tag string) bool { return slices.Contains(names, tag) })
	}
	if asked < 2 || len(shared) < 2 {
		return nil
	}
	return shared
}

func markdownRows(r publish.Result) [][]string {
	shared := sharedTags(r)
	var rows [][]string
	for _, g := range failedFirst(r) {
		status := g.Status()
		cells := []string{code(bounded(g.Host, 300)), statusCell(status), tagCell(r, g, shared), "", "", "", ""}
		if !g.Start.IsZero() && status != Skipped {
			copy(cells[3:], []string{sent(g), reused(g), retry.Text(elapsed(g)), rate(g.BytesCopied, copyTime(g))})
		}
		for i, amount := range cells[3:] { // "12.5 s" must not break
			cells[3+i] = strings.ReplaceAll(amount, " ", "&nbsp;") // #nosec G602 -- i is an index of cells[3:]
		}
		rows = append(rows, cells)
	}
	return rows
}

// tagCell lists the tags of a registry. Those that all share stand above the table, and
// are counted here, as are more than a few.
func tagCell(r publish.Result, g publish.RegistryResult, shared []string) string {
	own := only(g.References, func(ref publish.ReferenceResult) bool {
		return !slices.Contains(shared, shortName(g, ref))
	})
	if g.Status() == Skipped && len(g.References) > tagsInCell+1 {
		return fmt.Sprintf("%d tags", len(g.References))
	}
	if len(own) > tagsInCell+1 {
		return strings.ReplaceAll(tagCount(g), " ", "&nbsp;") + " tags"
	}
	var cells []string
	if len(own) < len(g.References) {
		cells = append(cells, strings.ReplaceAll(tagCount(g), " ", "&nbsp;"))
	}
	for _, ref := range own {
		name := code(bounded(shortName(g, ref), 200))
		if ref.Status == Skipped && g.Skip == "" || ref.Status == Failed && !r.Serves(ref) && servesAny(r, g) {
			name = "<del>" + name + "</del>"
		}
		cells = append(cells, name)
	}
	return strings.Join(cells, " ")
}

// shortName is the tag, with its repository if the registry was asked for several. By digest it is
// the repository, where there is one image: its digest stands above.
func shortName(g publish.RegistryResult, ref publish.ReferenceResult) string {
	repository := repositoryOf(ref.Reference)
	others := func(o publish.ReferenceResult) bool { return repositoryOf(o.Reference) != repository }
	if !slices.ContainsFunc(g.References, others) {
		if len(g.References) == 1 && strings.Contains(ref.Reference, "@") {
			return tags([]string{repository})[0]
		}
		return identifierOf(ref.Reference)
	}
	return tags([]string{ref.Reference})[0]
}

// addEveryTag lists every tag where the table could not, or where a tag moved.
func addEveryTag(s *summary, r publish.Result) {
	rows, worth := everyTag(r)
	if !worth {
		return
	}
	columns, rule := "| Tag | Status | Before | Now |", "| --- | --- | --- | --- |"
	if len(r.Images) > 1 {
		columns, rule = "| Image "+columns, "| --- "+rule
	}
	head := fmt.Sprintf("<details><summary>Every tag (%d)</summary>\n\n%s\n%s\n", len(rows), columns, rule)
	s.addAll(head, rows, "\n</details>\n", s.limit/4)
}

// everyTag returns the rows, image by image, and whether they say more than the table.
func everyTag(r publish.Result) (rows []string, worth bool) {
	worth = len(sharedTags(r)) > 0
	for image := range max(len(r.Images), 1) {
		for _, g := range r.Registries {
			worth = worth || len(g.References) > tagsInCell+1
			for _, ref := range g.References {
				if ref.Image != image && ref.Image < len(r.Images) {
					continue
				}
				worth = worth || ref.Before != "" && ref.Before != ref.Now
				rows = append(rows, tagRow(r, g, ref))
			}
		}
	}
	return rows, worth
}

func tagRow(r publish.Result, g publish.RegistryResult, ref publish.ReferenceResult) string {
	status := ref.Status
	if status == "" {
		status = g.Status()
	}
	name, before, now := code(bounded(ref.Reference, 400)), digestCell(ref.Before), digestCell(ref.Now)
	row := fmt.Sprintf("| %s | %s | %s | %s |\n", name, statusCell(status), before, now)
	if len(r.Images) > 1 {
		return "| " + code(bounded(imageName(r, ref.Image), 200)) + " " + row
	}
	return row
}

func statusCell(status publish.Status) string {
	return statusMark(status) + "&nbsp;" + string(status)
}

func digestCell(digest string) string {
	if digest == "" {
		return ""
	}
	return code(short(digest))
}
