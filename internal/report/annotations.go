package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/publish"
)

// mostAnnotations is how many notices, warnings and errors each GitHub shows of one
// step; what comes after is dropped without a word.
const mostAnnotations = 10

// longestAnnotation bounds one annotation, in bytes.
const longestAnnotation = 3800

// longestTitle bounds a title, in bytes: GitHub takes 255 characters (REST API, check runs).
const longestTitle = 200

// annotationLines says what a person should know without opening the log: failures with their
// remedy, warnings, and what an unset secret or variable left out. What the user configured so, what a
// pull request from a fork may not do, and who was held back because of others, stands in log and summary only.
func annotationLines(r publish.Result) []Line {
	failed, warned := failures(r)
	warned = append(warned, warnings(r)...)
	return slices.Concat(failed, warned, notices(r))
}

func failures(r publish.Result) (failed, warned []Line) {
	var required, tolerated []publish.RegistryResult
	for _, g := range failedFirst(r) {
		told := r.Cancelled || len(runFailures(r)) > 0
		switch {
		case g.Status() != Failed || told && follows(g):
		case g.Tolerated():
			tolerated = append(tolerated, g)
		default:
			required = append(required, g)
		}
	}
	return append(runErrors(r), inUnison(ErrorLine, " failed", required, explanations)...),
		inUnison(WarningLine, " failed", tolerated, explanations)
}

// inUnison returns a line for each registry, titled by its name and what became of it; where they are
// more than GitHub shows, one for all registries of which of says the same.
func inUnison(
	kind Kind, became string, registries []publish.RegistryResult, of func(publish.RegistryResult) []explanation,
) []Line {
	var rows [][][]explanation
	var hosts [][]string
	for _, g := range registries {
		why := of(g)
		same := func(o [][]explanation) bool {
			return len(registries) > mostAnnotations && slices.EqualFunc(o[0], why, explanation.like)
		}
		i := slices.IndexFunc(rows, same)
		if i < 0 {
			i, rows, hosts = len(rows), append(rows, nil), append(hosts, nil)
		}
		rows[i], hosts[i] = append(rows[i], why), append(hosts[i], g.Host)
	}
	var lines []Line
	for i, names := range hosts {
		line := Line{Kind: kind, Title: conjoined(names) + became, Text: advised(common(rows[i]))}
		if len(names) > 1 && len(line.Title) > longestTitle {
			line.Title, line.Text = count(len(names), "registry")+became, conjoined(names)+": "+line.Text
		}
		lines = append(lines, line)
	}
	return lines
}

// runErrors are the failures that belong to no registry.
func runErrors(r publish.Result) []Line {
	title := "Nothing was published"
	if partly(r) { // the source broke after some registry had the image
		title = "The source could not be read"
	}
	var lines []Line
	for _, f := range r.Failures {
		lines = append(lines, Line{Kind: ErrorLine, Title: title, Text: advised([]explanation{explain("", f)})})
	}
	for i, image := range r.Images {
		if image.Failure == nil {
			continue
		}
		of := title
		if len(r.Images) > 1 {
			of = imageName(r, i) + " was not published"
		}
		text := advised([]explanation{explain("", *image.Failure)})
		lines = append(lines, Line{Kind: ErrorLine, Title: of, Text: text})
	}
	return lines
}

func warnings(r publish.Result) []Line {
	var lines []Line
	for _, n := range r.Notes {
		line := Line{Kind: WarningLine, Title: cmp.Or(n.Host, "multi-registry-push"), Text: string(n.Text)}
		if n.Warning && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	if allSkipped(r) && !r.Untrusted {
		lines = append(lines, Line{
			Kind: WarningLine, Title: "Nothing was published", Text: "every registry was skipped; the log says why",
		})
	}
	return lines
}

// allSkipped reports whether there was something to do, and all of it was left out.
func allSkipped(r publish.Result) bool {
	if len(r.Registries)+len(r.Skipped) == 0 || len(runFailures(r)) > 0 || r.Cancelled {
		return false
	}
	return len(having(r, Skipped)) == len(r.Registries)
}

// notices are what an unset secret or variable left out, and versions that are there
// already. On a pull request from a fork all secrets are unset: that is no news.
func notices(r publish.Result) []Line {
	if r.Untrusted {
		return nil
	}
	wanted := func(by publish.SkipKind) bool {
		return by != publish.SkipTagsMatching && by != publish.SkipFork && by != publish.SkipElsewhere
	}
	var skipped, partly []publish.RegistryResult
	ofTags := func(g publish.RegistryResult) []explanation { return leftOutBy(g, wanted) }
	for _, g := range r.Registries {
		if g.Status() == Skipped && wanted(g.LeftOutBy()) {
			skipped = append(skipped, g)
		} else if g.Status() != Skipped && len(ofTags(g)) > 0 {
			partly = append(partly, g)
		}
	}
	lines := inUnison(NoticeLine, " skipped", skipped, explanations)
	lines = append(lines, inUnison(NoticeLine, ": some tags left out", partly, ofTags)...)
	for _, l := range unnamed(r) {
		title, text := "Destination not configured", lineSkipped(l.Input, l.Line, l.Text, l.Reason)
		if l.Input == "registry-auth" {
			title = "Item not configured"
		}
		lines = append(lines, Line{Kind: NoticeLine, Title: title, Text: text})
	}
	return lines
}

// advised returns reasons with their remedies, each remedy once.
func advised(why []explanation) string {
	var b strings.Builder
	for i, e := range why {
		b.WriteString(e.coded() + "\n")
		repeats := slices.ContainsFunc(why[i+1:], func(o explanation) bool { return o.remedy == e.remedy })
		if e.remedy != "" && !repeats {
			b.WriteString(strings.TrimRight(string(e.remedy), "\n") + "\n")
		}
	}
	return bounded(strings.TrimSuffix(b.String(), "\n"), longestAnnotation)
}

// folded puts the annotations that GitHub would drop into the last one of their kind that
// it shows.
func folded(lines []Line) []Line {
	var all []Line
	for _, kind := range []Kind{ErrorLine, WarningLine, NoticeLine} {
		all = append(all, foldedKind(only(lines, func(l Line) bool { return l.Kind == kind }))...)
	}
	return all
}

func foldedKind(lines []Line) []Line {
	if len(lines) <= mostAnnotations {
		return lines
	}
	shown, rest := lines[:mostAnnotations-1], lines[mostAnnotations-1:]
	last := Line{Kind: rest[0].Kind, Title: fmt.Sprintf("and %d more", len(rest))}
	var texts []string
	for _, l := range rest {
		texts = append(texts, l.Title+": "+oneLine(l.Text))
	}
	last.Text = bounded(strings.Join(texts, "\n"), longestAnnotation)
	return append(slices.Clip(shown), last)
}
