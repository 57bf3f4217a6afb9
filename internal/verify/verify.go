package verify

import (
	"context"
	"encoding/json"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// mostQuestions is how many references are asked for at a time.
const mostQuestions = 16

// Status is what became of a reference since it was published.
type Status string

// The statuses.
const (
	Same    Status = "same"
	Differs Status = "differs"
	Unknown Status = "unknown" // the registry could not be asked
)

// Finding is what a registry serves now.
type Finding struct {
	Published
	Status Status
	Now    string // the digest served; empty for nothing
	Err    error  // why it is unknown
}

// Digest returns the digest that a reference serves, "" if it serves nothing.
type Digest func(ctx context.Context, p Published) (string, error)

// Run asks for every reference of a receipt and returns the answers in its order.
func Run(ctx context.Context, receipt Receipt, digest Digest) []Finding {
	findings := make([]Finding, len(receipt.Published))
	var group errgroup.Group
	group.SetLimit(mostQuestions)
	for i, p := range receipt.Published {
		group.Go(func() error {
			findings[i] = compare(ctx, p, digest)
			return nil
		})
	}
	_ = group.Wait() // each finding has its own error
	return findings
}

func compare(ctx context.Context, p Published, digest Digest) Finding {
	now, err := digest(ctx, p)
	switch {
	case err != nil:
		return Finding{Published: p, Status: Unknown, Err: err}
	case now != p.Digest:
		return Finding{Published: p, Status: Differs, Now: now}
	}
	return Finding{Published: p, Status: Same, Now: now}
}

// ExitStatus returns 1 if anything differs, else 2 if anything is not known: a registry that
// could not be asked, a receipt that left references out or has none. Else it is 0.
func ExitStatus(receipt Receipt, findings []Finding) int {
	status := 0
	if receipt.Truncated || len(findings) == 0 {
		status = 2
	}
	for _, f := range findings {
		switch f.Status {
		case Differs:
			return 1
		case Unknown:
			status = 2
		}
	}
	return status
}

// JSON returns findings for programs, on one line: {"references": […], "truncated": false}.
// clean takes secrets out of the text of an error.
func JSON(receipt Receipt, findings []Finding, clean func(string) string) (string, error) {
	type reference struct {
		Reference string `json:"reference"`
		Digest    string `json:"digest"`
		Now       string `json:"now"`
		Status    Status `json:"status"`
		Reason    string `json:"reason"`
	}
	out := struct {
		References []reference `json:"references"`
		Truncated  bool        `json:"truncated"`
	}{[]reference{}, receipt.Truncated}
	for _, f := range findings {
		r := reference{Reference: f.Reference.String(), Digest: f.Digest, Now: f.Now, Status: f.Status}
		if f.Err != nil {
			r.Reason = clean(usererror.Text(f.Err))
		}
		out.References = append(out.References, r)
	}
	text, err := json.Marshal(out)
	return string(text), err
}

// String returns what people read of a finding.
func (f Finding) String() string {
	switch {
	case f.Status == Unknown:
		return fmt.Sprintf("%s could not be asked for: %s", f.Reference, usererror.Text(f.Err))
	case f.Status == Same:
		return fmt.Sprintf("%s serves %s", f.Reference, f.Digest)
	case f.Now == "":
		return fmt.Sprintf("%s serves nothing; it was published with %s", f.Reference, f.Digest)
	}
	return fmt.Sprintf("%s serves %s; it was published with %s", f.Reference, f.Now, f.Digest)
}

// Summary says in one line how many references are what they were.
func Summary(receipt Receipt, findings []Finding) string {
	count := map[Status]int{}
	for _, f := range findings {
		count[f.Status]++
	}
	text := fmt.Sprintf("%d of %d references serve what was published", count[Same], len(findings))
	if n := count[Differs]; n > 0 {
		text += fmt.Sprintf(", %d differ", n)
	}
	if n := count[Unknown]; n > 0 {
		text += fmt.Sprintf(", %d could not be asked for", n)
	}
	switch {
	case receipt.Truncated:
		text += "; the results are truncated: references that they leave out were not asked for"
	case len(findings) == 0:
		text += ": the results name none that was pushed or unchanged"
	}
	return text
}
