// Package report holds what happened as plain events, folds them into one record,
// and shows that record as progress, table, JSON and Markdown.
package report

import "time"

// Event is something that happened. Every event carries its time.
type Event interface{ at() time.Time }

// At is embedded in every event.
type At struct{ Time time.Time }

func (a At) at() time.Time { return a.Time }

// TimeOf returns when e happened.
func TimeOf(e Event) time.Time { return e.at() }

// Status is the outcome of a registry or of a tag.
type Status string

// The statuses of the contract.
const (
	Pushed    Status = "pushed"
	Unchanged Status = "unchanged"
	Planned   Status = "planned"
	Skipped   Status = "skipped"
	Failed    Status = "failed"
)

// Phase is one of the five steps.
type Phase string

// The steps in their order.
const (
	Plan   Phase = "plan"
	Login  Phase = "login"
	Copy   Phase = "copy"
	Tag    Phase = "tag"
	Verify Phase = "verify"
)

// Phases are per run for the log's groups, and per registry for the timeline.
type (
	// Started is the first event.
	Started struct {
		At
		DryRun bool
	}
	// PhaseStarted says that the run, as a whole, entered a phase.
	PhaseStarted struct {
		At
		Phase Phase
	}
	// RegistryPhase says that one registry entered (Done false) or ended a phase, the
	// latter with Failed if nothing of what was asked for is left to go on.
	RegistryPhase struct {
		At
		Registry string
		Phase    Phase
		Done     bool
		Failed   bool
	}
	// RegistryPlanned says what a registry was asked for, and with which account.
	// Skip is why it is left out; then nothing else is said of it.
	RegistryPlanned struct {
		At
		Registry   string
		References []string // host/repository:tag
		Accounts   []string // `token from registry-auth (user "acme")`, one for each account
		Skip       string
		Optional   bool // required: false, a failure is a warning
	}
	// TagsSkipped says that references are left out although their registry is
	// not: by tags-matching, or because only some of its accounts are usable.
	TagsSkipped struct {
		At
		Registry   string
		References []string
		Reason     string
	}
	// LineSkipped says that a line of tags, or an item, names a destination that
	// is not configured. Line is quoted as written; Number is its number, from 1.
	LineSkipped struct {
		At
		Input  string // "tags" or "registry-auth"
		Number int
		Line   string
		Reason string
	}
	// SourceKnown says what is published.
	SourceKnown struct {
		At
		Reference, Digest, MediaType string
		Platforms                    []string
		SizeBytes                    int64 // manifests and blobs, each digest once
	}
	// SourceRead gives totals of what was received from a remote source so far.
	SourceRead struct {
		At
		BytesRead int64
		Requests  int64
	}
	// Expected says how many bytes of blobs a registry lacks (they may yet be mounted).
	// Amounts add up.
	Expected struct {
		At
		Registry string
		Bytes    int64
	}
	// Sent says that bytes went to a registry; negative when bytes were lost on the
	// way and will be sent again.
	Sent struct {
		At
		Registry string
		Bytes    int64
	}
	// BlobDone says that a registry's repository holds a blob now. Start is when its
	// transfer began.
	BlobDone struct {
		At
		Start                        time.Time
		Registry, Repository, Digest string
		SizeBytes                    int64
		How                          How
	}
	// ManifestDone says that a repository holds a manifest, by digest.
	ManifestDone struct {
		At
		Registry, Repository, Digest string
		Written                      bool // false: it was there
	}
	// RepositoryCreated says that a repository was created.
	RepositoryCreated struct {
		At
		Registry, Repository string
	}
	// TagDone is the last word on one tag, until another TagDone for it follows
	// (a tag that was put back, or that verification refuted).
	TagDone struct {
		At
		Registry, Reference string
		Status              Status
		Before, Now         string // digests, empty for none or unknown
		Reason              string
	}
	// RegistryUse gives a registry's totals so far.
	RegistryUse struct {
		At
		Registry          string
		BytesUploaded     int64
		Requests, Retries int64
		RateLimit         *RateLimit
	}
	// RegistryFailed says that a registry failed, wholly or in part. It may come
	// several times; all errors are kept. Optional means that it counts as a warning
	// (required: false).
	RegistryFailed struct {
		At
		Registry string
		Optional bool
		Err      error
	}
	// RegistrySkipped says that a registry that was planned is left out after all: a
	// push from a fork was refused to the job's own token.
	RegistrySkipped struct {
		At
		Registry string
		Reason   string
	}
	// DryRunPlan says what a registry lacks and which tags would move (those come as TagDone Planned).
	DryRunPlan struct {
		At
		Registry     string
		MissingBlobs int
		MissingBytes int64
		Note         string // "push permission is unproven: a dry run opens no upload"
	}
	// Notice, and with Warning set a warning, is for people. Registry may be empty.
	Notice struct {
		At
		Warning  bool
		Registry string
		Text     string
	}
	// Debug is shown at RUNNER_DEBUG=1 only.
	Debug struct {
		At
		Registry string
		Text     string
	}
	// RunFailed is an error that belongs to no registry: the source, or the input.
	RunFailed struct {
		At
		Err error
	}
	// Cancelled says that the run was cancelled.
	Cancelled struct{ At }
	// Finished is the last event.
	Finished struct{ At }
)

// How a blob came to be in a repository.
type How string

// The ways.
const (
	Uploaded How = "uploaded"
	Mounted  How = "mounted"
	Existing How = "existing"
)

// RateLimit is what a registry says of pulls, such as Docker Hub's
// ratelimit-limit: 100;w=21600.
type RateLimit struct {
	Limit     int           `json:"limit"`
	Remaining int           `json:"remaining"`
	Window    time.Duration `json:"-"`
}
