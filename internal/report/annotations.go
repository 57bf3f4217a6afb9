package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// mostAnnotations is how many notices, warnings and errors each GitHub shows of one
// step; what comes after is dropped without a word.
const mostAnnotations = 10

// annotations says, in one annotation a registry, what a person should know without
// opening the log: failures with their remedy, warnings, and what was skipped and why.
func (p *Printer) annotations() []Line {
	r := p.record
	r.mu.Lock()
	defer r.mu.Unlock()
	var failed, warned, noticed []Line
	title := "Nothing was published"
	if r.partly() { // the source broke after some registry had the image
		title = "The source could not be read"
	}
	for _, err := range r.errs {
		failed = append(failed, Line{Kind: ErrorLine, Title: title, Text: Advised(err)})
	}
	enabled := 0
	for _, g := range r.culpritsFirst() {
		status, reason := r.status(g)
		switch status {
		case Failed:
			enabled++
			line := Line{Kind: ErrorLine, Title: g.host + " failed", Text: g.advised(reason)}
			switch {
			case len(g.errs) == 0 && (len(r.errs) > 0 || r.cancelled):
				// The run's own error has been said.
			case g.tolerated():
				line.Kind = WarningLine
				warned = append(warned, line)
			default:
				failed = append(failed, line)
			}
		case Skipped:
			noticed = append(noticed, Line{Kind: NoticeLine, Title: g.host + " skipped", Text: reason})
		default:
			enabled++
			if text := g.leftOut(); text != "" {
				noticed = append(noticed, Line{Kind: NoticeLine, Title: g.host + ": some tags left out", Text: text})
			}
		}
	}
	for _, n := range p.warnings {
		title := n.Registry
		if title == "" {
			title = "multi-registry-push"
		}
		warned = append(warned, Line{Kind: WarningLine, Title: title, Text: n.Text})
	}
	for _, l := range r.lines {
		noticed = append(noticed, Line{Kind: NoticeLine, Title: "Destination not configured", Text: lineSkipped(l)})
	}
	if enabled == 0 && len(r.registries)+len(r.lines) > 0 && len(r.errs) == 0 && !r.cancelled {
		warned = append(warned, Line{Kind: WarningLine, Title: "Nothing was published", Text: "Every registry was skipped; the log says why."})
	}
	var all []Line
	for _, lines := range [][]Line{failed, warned, noticed} {
		if p.o.Fold {
			lines = folded(lines)
		}
		all = append(all, lines...)
	}
	return all
}

// culpritsFirst returns the registries, those last that failed only because another did.
func (r *Record) culpritsFirst() []*registry {
	var culprits, held []*registry
	for _, g := range r.registries {
		if len(g.errs) > 0 && !slices.ContainsFunc(g.errs, func(err error) bool { return !usererror.Is(err, usererror.AtomicHeldBack) }) {
			held = append(held, g)
		} else {
			culprits = append(culprits, g)
		}
	}
	return append(culprits, held...)
}

// advised returns the errors of a registry with their remedies.
func (g *registry) advised(reason string) string {
	if len(g.errs) == 0 {
		return reason
	}
	var texts []string
	seen := map[string]bool{}
	for _, err := range g.errs {
		if text := Advised(err); !seen[text] {
			seen[text] = true
			texts = append(texts, text)
		}
	}
	return bounded(strings.Join(texts, "\n"), 4000)
}

// leftOut says which tags of a registry were skipped though it was not.
func (g *registry) leftOut() string {
	var reasons []string
	names := map[string][]string{}
	for _, ref := range g.references {
		if ref.status == Skipped {
			if names[ref.reason] == nil {
				reasons = append(reasons, ref.reason)
			}
			names[ref.reason] = append(names[ref.reason], ref.name)
		}
	}
	var texts []string
	for _, reason := range reasons {
		texts = append(texts, oneLine(listed(tags(names[reason]), 8)+": "+reason))
	}
	return strings.Join(texts, "\n")
}

// folded puts what GitHub would drop into the last annotation that it shows.
func folded(lines []Line) []Line {
	if len(lines) <= mostAnnotations {
		return lines
	}
	shown, rest := lines[:mostAnnotations-1], lines[mostAnnotations-1:]
	last := Line{Kind: rest[0].Kind, Title: fmt.Sprintf("and %d more", len(rest))}
	var texts []string
	for _, l := range rest {
		texts = append(texts, l.Title+": "+oneLine(l.Text))
	}
	last.Text = bounded(strings.Join(texts, "\n"), 4000)
	return append(shown[:len(shown):len(shown)], last)
}
