package publish

import (
	"slices"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// Reasons of references that follow from something that is reported elsewhere, once.
const (
	ReasonCancelled redact.Redacted = "cancelled before it was published"
	ReasonSource    redact.Redacted = "the source could not be read"
	ReasonElsewhere redact.Redacted = "nothing is sent, because credentials are missing elsewhere"
)

// Status returns the outcome of the registry. It is derived from its references, its
// failures and what was written, and never set:
//
//   - Skipped: the whole registry was left out, or each of its references.
//   - Unchanged: all that was asked for was there already, whatever else happened; a push
//     that would have been refused was not needed. What has to be public must be that, too.
//   - Failed: something failed, if only a part, or a reference has no outcome.
//   - HeldBack: it did nothing wrong, but another registry or image failed.
//   - Planned: a dry run found something to do.
//   - Pushed: something was written.
func (r RegistryResult) Status() Status {
	if r.Skip != "" {
		return Skipped
	}
	count := map[Status]int{}
	for _, ref := range r.References {
		count[ref.Status]++
	}
	asked := len(r.References) - count[Skipped]
	lacking := r.Blobs.Missing > 0 || len(r.ToCreate) > 0 // a dry run's
	private := slices.ContainsFunc(r.Failures, func(f Failure) bool { return f.Code == usererror.NotPublic })
	switch {
	case asked == 0 && len(r.References) > 0 && len(r.Failures) == 0:
		return Skipped
	case asked > 0 && count[Unchanged] == asked && !r.Wrote && !lacking && !private && r.Referrers.Failed == 0:
		return Unchanged
	case len(r.Failures) > 0 || count[Failed] > 0 || count[""] > 0 || r.Referrers.Failed > 0:
		return Failed
	case count[HeldBack] > 0:
		return HeldBack
	case count[Planned] > 0 || lacking:
		return Planned
	case count[Pushed] > 0 || r.Wrote:
		return Pushed
	}
	return Unchanged
}

// Tolerated reports whether a failure of the registry leaves the step green, because the
// items that it concerns have required: false.
func (r RegistryResult) Tolerated() bool {
	if r.Optional {
		return true
	}
	for _, f := range r.Failures {
		if !f.Optional {
			return false
		}
	}
	return len(r.Failures) > 0
}

// LeftOutBy returns why the registry is Skipped: its own kind, else that of the first
// reference that was left out. It is empty where nothing was.
func (r RegistryResult) LeftOutBy() SkipKind {
	if r.Skip != "" {
		return r.SkipKind
	}
	for _, ref := range r.References {
		if ref.Status == Skipped {
			return ref.SkipKind
		}
	}
	return ""
}

// Digest returns the digest of the image with this index, empty if it is not known.
func (r Result) Digest(image int) string {
	if image < 0 || image >= len(r.Images) {
		return ""
	}
	return r.Images[image].Digest
}

// Serves reports whether the reference points at what was to be published, whichever way
// it came to that: a tag that could not be put back does, too. One that the registry took
// and does not serve yet does not.
func (r Result) Serves(ref ReferenceResult) bool {
	switch {
	case ref.Unseen:
		return false
	case ref.Status == Pushed || ref.Status == Unchanged:
		return true
	}
	return ref.Now != "" && ref.Now == r.Digest(ref.Image)
}
