package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/publish"
)

// mostNamed is how many registries a headline names before it counts them.
const mostNamed = 3

// statusMark stands before a status, for those who skim.
func statusMark(status publish.Status) string {
	return map[publish.Status]string{
		Pushed: "✅", Unchanged: "☑️", Planned: "📝", Skipped: "⏭️", HeldBack: "✋", Failed: "❌",
	}[status]
}

// tally counts registries by status.
type tally struct {
	of     map[publish.Status]int
	total  int
	failed []string
}

func tallyOf(r publish.Result) tally {
	t := tally{of: map[publish.Status]int{}, total: len(r.Registries)}
	for _, g := range r.Registries {
		status := g.Status()
		t.of[status]++
		if status == Failed {
			t.failed = append(t.failed, g.Host)
		}
	}
	return t
}

func (t tally) enabled() int { return t.total - t.of[Skipped] }
func (t tally) served() int  { return t.of[Pushed] + t.of[Unchanged] }

// Headline says in one line how it went, those that failed by name. It is plain text.
func Headline(r publish.Result) string {
	t := tallyOf(r)
	mark := "⚠️" // failures that are not required leave the step green
	if len(runFailures(r)) > 0 || slices.ContainsFunc(r.Registries, fails) {
		mark = "❌"
	}
	switch {
	case r.Cancelled:
		return "❌ Cancelled" + cancelled(r, t)
	case len(runFailures(r)) > 0 && !partly(r):
		return "❌ Nothing was published" + also(": ", t.rest(false)...)
	case t.total+len(r.Skipped) == 0:
		return "⏭️ Nothing was published: there is nothing to do"
	case t.enabled() == 0:
		return "⏭️ Nothing was published: every registry was skipped"
	case r.DryRun:
		return dryHeadline(t, mark)
	case t.of[Failed]+t.of[HeldBack] == 0 && t.of[Pushed] == 0:
		return "☑️ " + registries(t.enabled()) + " up to date, nothing to do" + also(", ", t.rest(false)...)
	case t.of[Failed]+t.of[HeldBack] == 0:
		return "✅ Published to " + registries(t.served()) + also(", ", t.rest(false)...)
	}
	return mark + " " + failedHeadline(r, t)
}

func cancelled(r publish.Result, t tally) string {
	if r.DryRun || t.served() == 0 {
		return ""
	}
	return fmt.Sprintf(": %s done, %d not", registries(t.served()), t.enabled()-t.served())
}

// failedHeadline is what stands behind the mark where something failed.
func failedHeadline(r publish.Result, t tally) string {
	broken := len(runFailures(r)) - len(r.Failures)
	switch {
	case broken > 0 && len(r.Images) > 1:
		all := count(len(r.Images), "image")
		text := fmt.Sprintf("Published %d of %s", len(r.Images)-broken, all)
		if broken <= mostNamed {
			text += ": " + conjoined(brokenImages(r)) + " failed"
		}
		return text + also(", ", t.rest(false)...)
	case t.served() > 0:
		return fmt.Sprintf("Published to %d of %s", t.served(), registries(t.enabled())) + also(": ", t.rest(true)...)
	case partly(r):
		return "Published in part" + also(": ", t.rest(true)...)
	}
	return "Nothing was published" + also(": ", t.rest(true)...)
}

// brokenImages returns the names of the images whose sources failed.
func brokenImages(r publish.Result) []string {
	var names []string
	for i, image := range r.Images {
		if image.Failure != nil {
			names = append(names, imageName(r, i))
		}
	}
	return names
}

// dryHeadline counts what is planned.
func dryHeadline(t tally, mark string) string {
	var parts []string
	if t.of[Planned] > 0 {
		parts = append(parts, registries(t.of[Planned])+" would change")
	}
	if t.of[Unchanged] > 0 {
		text := fmt.Sprintf("%d up to date", t.of[Unchanged])
		if len(parts) == 0 {
			text = registries(t.of[Unchanged]) + " up to date"
		}
		parts = append(parts, text)
	}
	switch {
	case t.of[Failed] > 0:
		return mark + " Dry run: " + strings.Join(append(t.rest(true), parts...), ", ")
	case t.of[Planned] > 0:
		mark = "📝"
	case t.of[HeldBack] == 0:
		mark = "☑️"
	}
	return mark + " Dry run: " + strings.Join(append(parts, t.rest(false)...), ", ")
}

// rest names those that failed, if asked to, and counts those that were held back and
// skipped.
func (t tally) rest(failed bool) []string {
	var parts []string
	switch {
	case !failed || len(t.failed) == 0:
	case len(t.failed) > mostNamed:
		parts = append(parts, fmt.Sprintf("%d failed", len(t.failed)))
	default:
		parts = append(parts, conjoined(t.failed)+" failed")
	}
	if n := t.of[HeldBack]; n > 0 {
		parts = append(parts, fmt.Sprintf("%d held back", n))
	}
	if n := t.of[Skipped]; n > 0 {
		parts = append(parts, fmt.Sprintf("%d skipped", n))
	}
	return parts
}

// also returns the parts behind a separator, nothing where there are none.
func also(separator string, parts ...string) string {
	if len(parts) == 0 {
		return ""
	}
	return separator + strings.Join(parts, ", ")
}

// conjoined joins names: a, b and c.
func conjoined(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

func registries(n int) string { return count(n, "registry") }
