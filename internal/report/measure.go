package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/publish"
)

func elapsed(g publish.RegistryResult) time.Duration { return max(g.End.Sub(g.Start), 0) }

// copyTime is how long a registry was copied to. Spans may overlap.
func copyTime(g publish.RegistryResult) (d time.Duration) {
	var end time.Time
	spans := slices.Clone(g.Spans)
	slices.SortStableFunc(spans, func(a, b publish.Span) int { return a.Start.Compare(b.Start) })
	for _, s := range spans {
		if s.Phase != publish.Copy || s.End.IsZero() || !s.End.After(end) {
			continue
		}
		start := s.Start
		if start.Before(end) {
			start = end
		}
		d += s.End.Sub(start)
		end = s.End
	}
	return d
}

// sending is the head of the column of sent.
func sending(r publish.Result) string {
	if r.DryRun {
		return "To send"
	}
	return "Sent"
}

// sent says how much a registry was sent, or would be.
func sent(g publish.RegistryResult) string { return amount(g.BytesCopied + g.BytesMissing) }

// reused says how much of the images the registry had.
func reused(g publish.RegistryResult) string {
	b, status := g.Blobs, g.Status()
	if status != Failed && status != HeldBack && g.BytesCopied <= 0 && b.Uploaded+b.Mounted+b.Missing == 0 {
		return "all"
	}
	return amount(g.BytesReused)
}

// counted returns what the numbers of tagCount count: without tags, images that are reached
// by their digest.
func counted(r publish.Result) string {
	for _, g := range r.Registries {
		for _, ref := range g.References {
			if strings.Contains(ref.Reference, "@") {
				return "By digest"
			}
		}
	}
	return "Tags"
}

// tagCount says how many of the references are as asked, and of how many where that is not
// all.
func tagCount(g publish.RegistryResult) string {
	asked, good := tagCounts(g)
	if good == asked {
		return fmt.Sprint(asked)
	}
	return fmt.Sprintf("%d of %d", good, asked)
}

func tagCounts(g publish.RegistryResult) (asked, good int) {
	for _, ref := range g.References {
		switch ref.Status {
		case Skipped:
			continue
		case Pushed, Unchanged, Planned:
			good++
		case HeldBack, Failed:
		}
		asked++
	}
	return asked, good
}

// besides says what else became of a registry.
func besides(g publish.RegistryResult) []string {
	var all []string
	if n := len(g.Created); n > 0 {
		all = append(all, "created "+listed(tags(g.Created), 8))
	}
	if n := len(g.ToCreate); n > 0 {
		all = append(all, "would create "+listed(tags(g.ToCreate), 8))
	}
	if n := g.Referrers; n.Copied+n.Kept+n.PassedOver > 0 {
		parts := []string{fmt.Sprintf("%d copied", n.Copied)}
		if n.Kept > 0 {
			parts = append(parts, fmt.Sprintf("%d kept as they were", n.Kept))
		}
		if n.PassedOver > 0 {
			parts = append(parts, fmt.Sprintf("%d passed over", n.PassedOver))
		}
		all = append(all, "referrers: "+strings.Join(parts, ", "))
	}
	if g.Repaired > 0 {
		all = append(all, "sent "+count(g.Repaired, "blob")+" again that it had lost")
	}
	return all
}

// copied sums up what a registry was sent.
func copied(g publish.RegistryResult) string {
	b := g.Blobs
	if b.Missing > 0 {
		return fmt.Sprintf("lacks %s (%s)", count(b.Missing, "blob"), amount(g.BytesMissing))
	}
	held := b.Mounted + b.Existing
	parts := []string{fmt.Sprintf("sent %s (%s)", count(b.Uploaded, "blob"), amount(g.BytesCopied))}
	if b.Uploaded == 0 && g.BytesCopied > 0 {
		parts = []string{fmt.Sprintf("sent %s, no blob whole", amount(g.BytesCopied))}
	} else if b.Uploaded == 0 {
		parts = []string{"sent nothing"}
	}
	if held > 0 {
		parts = append(parts, fmt.Sprintf("reused %d (%s)", held, amount(g.BytesReused)))
	}
	if speed := rate(g.BytesCopied, copyTime(g)); speed != "" {
		parts = append(parts, speed)
	}
	parts = append(parts, count(int(g.Requests), "request"))
	if g.Retries > 0 {
		parts = append(parts, count(int(g.Retries), "retry"))
	}
	return strings.Join(parts, ", ")
}
