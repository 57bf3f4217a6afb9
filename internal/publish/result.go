package publish

import (
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/config"
	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// Status is the outcome of a registry or of a reference, in the words of the contract.
type Status string

// The statuses.
const (
	Pushed    Status = "pushed"
	Unchanged Status = "unchanged"
	Planned   Status = "planned"
	Skipped   Status = "skipped"
	HeldBack  Status = "held-back"
	Failed    Status = "failed"
)

// SkipKind says why something was left out: it decides who is told, and how loudly.
type SkipKind string

// The kinds of skips.
const (
	SkipCredentials  SkipKind = "credentials"   // none are configured, or a key is empty
	SkipUnconfigured SkipKind = "unconfigured"  // the line of tags has an empty part
	SkipTagsMatching SkipKind = "tags-matching" // no tag matches
	SkipExisting     SkipKind = "skip-existing" // a version that must not move is there already
	SkipFork         SkipKind = "fork"          // the job's own token may not push on such a pull request
	SkipElsewhere    SkipKind = "elsewhere"     // credentials are missing elsewhere, and that is an error
)

// Phase is one of the steps that a registry goes through. They may overlap.
type Phase string

// The steps in their order.
const (
	Login  Phase = "login"
	Copy   Phase = "copy"
	Tag    Phase = "tag"
	Verify Phase = "verify"
)

// Result is everything that became of a run. Its free text, which is of the type
// redact.Redacted, holds no secret, but is not escaped: whoever shows it does that.
// Hosts, references, digests and numbers are never searched for secrets.
type Result struct {
	Start, End time.Time
	DryRun     bool
	Untrusted  bool // on a pull request from a fork or by Dependabot
	Cancelled  bool
	Failures   []Failure // of the run, not of a registry: inputs, a source
	Images     []ImageResult
	Source     SourceUse
	Registries []RegistryResult // in the order of tags
	Skipped    []config.Skip    // lines and items that name no destination
	Notes      []Note           // in the order in which they came up
}

// ImageResult is one image, as it was read.
type ImageResult struct {
	Name      string      // empty unless the input images was used
	Reference string      // the source, as reports show it
	Parts     []string    // the sources of a merged index
	PartUses  []SourceUse // of each of Parts
	Digest    string      // empty if it was never known
	MediaType string
	Platforms []string
	SizeBytes int64    // manifests and blobs, each digest once
	Failure   *Failure // the source is broken
}

// SourceUse counts what was received from remote sources.
type SourceUse struct {
	BytesRead int64 // of blobs and manifests, those included that had to be read again
	Requests  int64 // questions to a source; one that is asked again until it is answered counts once
}

// Failure is something that went wrong, for people.
type Failure struct {
	At       time.Time
	Code     usererror.Code
	Message  redact.Redacted // what was being done and what happened, without the code
	Gist     redact.Redacted // Message without what differs where hosts fail alike (see registry.Gist)
	Remedy   redact.Redacted
	Optional bool  // required: false, it counts as a warning
	Phase    Phase // in which a registry was, empty outside
	Images   []int // which images it concerns; none: all that the registry was to get
	Err      error `json:"-"` // for errors.Is; its text is not redacted
}

// Note is something for people that is no failure. Host may be empty.
type Note struct {
	At      time.Time
	Host    string
	Warning bool // becomes an annotation
	Debug   bool // shown only where somebody looks for it
	Retry   bool // one of many: the log shows the first of each registry
	Text    redact.Redacted
}

// RegistryResult is what became of one host.
type RegistryResult struct {
	Host     string
	Optional bool // all of its failures are warnings only
	Accounts []redact.Redacted
	Skip     redact.Redacted // why the whole registry was left out; empty if it was not
	SkipKind SkipKind

	References []ReferenceResult // every reference that was asked for, left out or not
	Failures   []Failure

	Start, End time.Time
	Spans      []Span

	Blobs         BlobCounts
	BytesExpected int64 // of blobs that the registry lacked, in the end as many as were sent
	// of blobs, those included whose upload failed in the end, without what was lost on the way
	// and sent again
	BytesCopied   int64
	BytesReused   int64 // of blobs that were mounted or there already
	BytesMissing  int64 // dry run: of blobs that would be sent
	BytesUploaded int64 // of bodies, manifests and what was sent twice included
	Requests      int64 // sent, those for tokens and those sent again included
	Retries       int64
	RateLimit     *RateLimit

	Wrote     bool     // anything: a blob, a manifest, a tag, a repository
	Created   []string // repositories, host/path
	ToCreate  []string // dry run: repositories that would be created
	Referrers ReferrerCounts
	Repaired  int             // blobs that a manifest which was there lacked, sent again
	Unproven  redact.Redacted // dry run: what it could not prove
}

// ReferenceResult is what became of one reference.
type ReferenceResult struct {
	Image       int    // index of Result.Images
	Reference   string // host/repository:tag, or host/repository@sha256:… by digest
	Status      Status
	SkipKind    SkipKind
	Before, Now string // digests; empty for nothing, and Before if it is unknown. Now is "?" then
	Reason      redact.Redacted
	// Unseen says that the registry took the write with 201 and does not serve it yet.
	Unseen bool
}

// Span is the time that a registry spent in a phase.
type Span struct {
	Phase      Phase
	Start, End time.Time
	Failed     bool
}

// BlobCounts says how a registry came by the blobs of its images.
type BlobCounts struct{ Uploaded, Mounted, Existing, Missing int }

// ReferrerCounts says what became of what refers to the images.
type ReferrerCounts struct{ Copied, Kept, PassedOver, Failed int }

// RateLimit is what a registry says of pulls.
type RateLimit = registry.RateLimit
