package report

import (
	"slices"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/publish"
)

// Result ends the log: what it took, the table, the annotations.
func (l *Log) Result(r publish.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	took := l.took(r)
	if len(took) > 0 || len(r.Registries) > 0 && !l.o.Workflow {
		l.open(resultGroup)
	}
	for _, text := range took {
		l.say("%s", text)
	}
	if l.o.Workflow {
		l.end() // what is in it folds; the table must not
	}
	l.unfolded(r)
	width := 0
	if l.o.Width != nil {
		width = l.o.Width()
	}
	if width == 0 {
		width = 120
	}
	for _, line := range Table(r, width) {
		l.write(line)
	}
	if allSkipped(r) && r.Untrusted { // of a fork there is no annotation
		l.say("Nothing was published: every registry was skipped. %s", ofForks)
	}
	l.end()
	l.annotations(r)
}

// took returns a line for each registry that did something.
func (l *Log) took(r publish.Result) []string {
	var lines []string
	for _, g := range r.Registries {
		if g.Requests == 0 || g.Status() == Skipped {
			continue
		}
		text := strings.Join(append([]string{copied(g)}, besides(g)...), "; ")
		if l.o.Workflow || r.DryRun || len(besides(g)) > 0 {
			lines = append(lines, g.Host+"  "+text)
		}
	}
	return lines
}

// unfolded writes the errors of the run in full where GitHub shows so few annotations that
// some are put together, and nothing has said them.
func (l *Log) unfolded(r publish.Result) {
	errors := runErrors(r)
	if !l.o.Workflow || len(errors) <= mostAnnotations || l.broken {
		return
	}
	for _, e := range errors {
		l.write(Line{Text: "failed: " + e.Text, Style: Bad})
	}
}

// annotations writes what a person should know without opening the log. Where no runner
// makes something of it, table and log have said of registries what there is to say.
func (l *Log) annotations(r publish.Result) {
	all := annotationLines(r)
	if l.o.Workflow {
		for _, line := range folded(all) {
			l.write(line)
		}
		return
	}
	ofRun := runErrors(r)
	for _, line := range all {
		noted := slices.ContainsFunc(r.Notes, func(n publish.Note) bool { return string(n.Text) == line.Text })
		told := line.Kind == NoticeLine || line.Kind == WarningLine && noted
		if slices.Contains(ofRun, line) || !told && (l.o.Quiet || line.Kind == WarningLine && allSkipped(r)) {
			l.write(line)
		}
	}
}
