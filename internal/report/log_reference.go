package report

import (
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/publish"
)

// Reference implements [publish.Observer].
func (l *Log) Reference(host string, r publish.ReferenceResult) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begin(l.o.Now())
	g := l.registry(host)
	switch {
	case r.Status == Pushed || r.Status == Unchanged:
		g.served++
		g.images[r.Image] = true
		g.byDigest = g.byDigest || strings.Contains(r.Reference, "@")
	case r.SkipKind == publish.SkipFork:
		g.left = true
	case r.SkipKind == publish.SkipExisting:
		g.partly = true
	}
	text := referenceText(r)
	switch {
	case text == "", r.Reason == publish.ReasonCancelled, r.Reason == publish.ReasonSource,
		r.Reason == publish.ReasonElsewhere, r.SkipKind == publish.SkipExisting: // what it follows from is told
	case r.Status == Failed && !g.tagged[r.Reference]: // its failure is told
	case r.Status == HeldBack && !g.tagged[r.Reference]: // all of the registry's are
		l.once(Line{Text: prefixed(host, host+"  "+text)})
	case g.asked <= manyReferences:
		l.once(Line{Text: r.Reference + "  " + text})
		if r.Status == Pushed { // what becomes of it later is told, too
			g.tagged[r.Reference] = true
		}
	case r.Status == HeldBack || r.Status == Skipped:
		l.once(Line{Text: prefixed(host, host+"  "+text)})
	default:
		l.write(Line{Kind: DebugLine, Text: r.Reference + "  " + text})
	}
}

// referenceText says what became of a reference.
func referenceText(r publish.ReferenceResult) string {
	moved := r.Before != "" && r.Before != r.Now
	because := ""
	if r.Reason != "" {
		because = ": " + oneLine(string(r.Reason))
	}
	switch r.Status {
	case Pushed:
		if moved {
			return "moved here from " + short(r.Before)
		}
		if strings.Contains(r.Reference, "@") {
			return "published"
		}
		return "tagged"
	case Unchanged:
		return "was there already"
	case Planned:
		if r.Reason == publish.ReasonStays {
			return string(publish.ReasonStays)
		}
		if r.Before != "" {
			return "would move here from " + short(r.Before)
		}
		if strings.Contains(r.Reference, "@") {
			return "would be published"
		}
		return "would be tagged"
	case Skipped:
		return "left out" + because
	case HeldBack:
		return "not tagged" + because
	case Failed: // what was tagged before: of others the registry's failure is told
		if r.Now != "" {
			because += "; it serves " + short(r.Now)
		}
		return "failed" + because
	}
	return ""
}
