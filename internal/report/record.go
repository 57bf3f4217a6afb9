package report

import (
	"slices"
	"sync"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// Record folds events into what is known so far. It is safe for concurrent use: a
// ticker may draw progress while events come in.
type Record struct {
	now func() time.Time

	mu         sync.Mutex
	first      time.Time // of any event
	finished   time.Time // zero while the run goes on
	dryRun     bool
	cancelled  bool
	errs       []error // of the run, not of a registry
	source     SourceKnown
	read       SourceRead
	phase      Phase
	copying    time.Time // since when the phase is Copy or later
	lines      []LineSkipped
	notices    []Notice
	registries []*registry // in the order in which they were first named
}

// registry is all that is known of one registry.
type registry struct {
	host       string
	optional   bool
	required   bool // an error came that required: false does not cover
	skip       string
	accounts   []string
	references []*reference
	errs       []error
	follows    string // it failed because the run was cancelled or the source failed, which is said once
	broken     bool   // a failure was reported
	note       string // of a dry run
	planned    bool   // a dry run found something to do
	written    bool   // a blob, manifest, tag or repository

	start, end time.Time
	phase      Phase
	phases     []span

	expected, sent    int64 // bytes of blobs
	reusedBytes       int64 // mounted and existing
	mountedBytes      int64
	uploaded, mounted int
	existing          int
	missingBlobs      int
	missingBytes      int64
	uploadedBytes     int64 // as the client counted them
	requests, retries int64
	rateLimit         *RateLimit
	created           []string
	samples           []sample // of sent, for the rate
	counted           bool     // RegistryUse came
}

// span is the time that a registry spent in a phase. end is zero while it is in it.
type span struct {
	phase      Phase
	start, end time.Time
	failed     bool
}

// sample is how many bytes had been sent at a time.
type sample struct {
	at    time.Time
	bytes int64
}

// reference is one tag that was asked for.
type reference struct {
	name        string // host/repository:tag
	status      Status // empty until there is a word on it
	before, now string
	reason      string
}

// NewRecord returns an empty record. now is asked for the time while the run goes on;
// nil means time.Now.
func NewRecord(now func() time.Time) *Record {
	if now == nil {
		now = time.Now
	}
	return &Record{now: now}
}

// Apply folds one event in.
func (r *Record) Apply(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first.IsZero() {
		r.first = e.at()
	}
	switch e := e.(type) {
	case Started:
		r.dryRun = e.DryRun
	case PhaseStarted:
		r.phase = e.Phase
		if e.Phase == Copy {
			r.copying = e.Time
		}
	case SourceKnown:
		r.source = e
	case SourceRead:
		r.read = e
	case LineSkipped:
		r.lines = append(r.lines, e)
	case Notice:
		r.notices = append(r.notices, e)
	case RunFailed:
		r.errs = append(r.errs, e.Err)
	case Cancelled:
		r.cancelled = true
	case Finished:
		r.finished = e.Time
		for _, g := range r.registries {
			g.finish(e.Time)
		}
	default:
		r.applyRegistry(e)
	}
}

// applyRegistry folds in an event that belongs to one registry.
func (r *Record) applyRegistry(e Event) {
	switch e := e.(type) {
	case RegistryPlanned:
		g := r.registry(e.Registry)
		g.skip, g.optional = e.Skip, e.Optional
		g.accounts = append(g.accounts, e.Accounts...)
		for _, name := range e.References {
			if ref := g.reference(name); e.Skip != "" {
				ref.status, ref.reason = Skipped, e.Skip
			}
		}
	case TagsSkipped:
		for _, name := range e.References {
			ref := r.registry(e.Registry).reference(name)
			ref.status, ref.reason = Skipped, e.Reason
		}
	case RegistryPhase:
		r.registry(e.Registry).enter(e)
	case Expected:
		r.registry(e.Registry).expected += e.Bytes
	case Sent:
		g := r.registry(e.Registry)
		g.sent += e.Bytes
		g.touch(e.Time)
		g.sample(e.Time)
	case BlobDone:
		r.registry(e.Registry).blob(e)
	case ManifestDone:
		g := r.registry(e.Registry)
		g.written = g.written || e.Written
		g.touch(e.Time)
	case RepositoryCreated:
		g := r.registry(e.Registry)
		g.written = true
		g.created = append(g.created, e.Repository)
	case TagDone:
		g := r.registry(e.Registry)
		ref := g.reference(e.Reference)
		ref.status, ref.before, ref.now, ref.reason = e.Status, e.Before, e.Now, e.Reason
		g.planned = g.planned || e.Status == Planned
		if e.Status != Failed { // that is said at the run's end, long after it was settled
			g.touch(e.Time)
		}
	case RegistryUse:
		g := r.registry(e.Registry)
		g.counted = true
		g.uploadedBytes, g.requests, g.retries = e.BytesUploaded, e.Requests, e.Retries
		if e.RateLimit != nil {
			limit := *e.RateLimit
			g.rateLimit = &limit
		}
	case RegistryFailed:
		r.fail(e)
	case RegistrySkipped:
		g := r.registry(e.Registry)
		g.touch(e.Time)
		g.skip = e.Reason
		for _, ref := range g.references {
			if ref.status == "" {
				ref.status, ref.reason = Skipped, e.Reason
			}
		}
	case DryRunPlan:
		r.dryRun = true
		g := r.registry(e.Registry)
		g.touch(e.Time)
		g.missingBlobs += e.MissingBlobs
		g.missingBytes += e.MissingBytes
		g.planned = g.planned || e.MissingBlobs > 0
		g.note = e.Note
	}
}

// registry returns the registry, which is new if it was not named before.
func (r *Record) registry(host string) *registry {
	for _, g := range r.registries {
		if g.host == host {
			return g
		}
	}
	g := &registry{host: host}
	r.registries = append(r.registries, g)
	return g
}

// reference returns the tag, which is new if it was not named before.
func (g *registry) reference(name string) *reference {
	for _, ref := range g.references {
		if ref.name == name {
			return ref
		}
	}
	ref := &reference{name: name}
	g.references = append(g.references, ref)
	return ref
}

// touch moves the end of the registry's time.
func (g *registry) touch(at time.Time) {
	if !g.start.IsZero() && at.After(g.end) {
		g.end = at
	}
}

func (g *registry) enter(e RegistryPhase) {
	if g.start.IsZero() {
		g.start = e.Time
	}
	g.touch(e.Time)
	if e.Done {
		if i := g.open(e.Phase); i >= 0 {
			g.phases[i].end = e.Time
			g.phases[i].failed = g.phases[i].failed || e.Failed
		}
		return
	}
	g.phase = e.Phase
	g.phases = append(g.phases, span{phase: e.Phase, start: e.Time})
	if e.Phase == Copy {
		g.samples = []sample{{e.Time, g.sent}}
	}
}

// open returns the index of the phase's span that has not ended, or -1.
func (g *registry) open(phase Phase) int {
	return slices.IndexFunc(g.phases, func(s span) bool { return s.phase == phase && s.end.IsZero() })
}

// finish ends the phases that were broken off.
func (g *registry) finish(at time.Time) {
	for i := range g.phases {
		if s := &g.phases[i]; s.end.IsZero() {
			s.end, s.failed = at, true
			g.touch(at)
		}
	}
}

func (r *Record) fail(e RegistryFailed) {
	g := r.registry(e.Registry)
	g.required = g.required || !e.Optional
	g.broken = true
	switch {
	case usererror.Is(e.Err, usererror.Cancelled):
		g.follows = "cancelled before it was published"
		return
	case len(r.errs) > 0 && usererror.Is(e.Err, usererror.SourceBroken):
		g.follows = "the source could not be read"
		return
	}
	g.touch(e.Time)
	g.errs = append(g.errs, e.Err)
	if i := g.open(g.phase); i >= 0 {
		g.phases[i].failed = true
	} else if len(g.phases) > 0 {
		g.phases[len(g.phases)-1].failed = true
	}
}

func (g *registry) blob(e BlobDone) {
	g.touch(e.Time)
	switch e.How {
	case Uploaded:
		g.uploaded++
		g.written = true
	case Mounted:
		g.mounted++
		g.mountedBytes += e.SizeBytes
		g.reusedBytes += e.SizeBytes
		g.written = true
	case Existing:
		g.existing++
		g.reusedBytes += e.SizeBytes
	}
}

// tolerated reports whether the registry's failure leaves the step green.
func (g *registry) tolerated() bool { return g.optional || g.broken && !g.required }

// status says how the registry fared, by the rules of the contract.
func (r *Record) status(g *registry) (Status, string) {
	if g.skip != "" {
		return Skipped, g.skip
	}
	var pushed, planned, other, unsaid int
	failedReason, skippedReason := "", ""
	for _, ref := range g.references {
		switch ref.status {
		case Pushed:
			pushed++
		case Planned:
			planned++
		case Failed:
			failedReason = firstOf(failedReason, ref.reason, "a tag could not be written")
		case Skipped:
			skippedReason = firstOf(skippedReason, ref.reason)
			continue
		case Unchanged:
		default:
			unsaid++
		}
		other++
	}
	switch {
	case len(g.errs) > 0:
		return Failed, joinErrors(g.errs)
	case g.follows != "":
		return Failed, g.follows
	case failedReason != "":
		return Failed, failedReason
	case other == 0 && len(g.references) > 0:
		return Skipped, skippedReason
	case unsaid > 0 && r.cancelled:
		return Failed, "cancelled before it was published"
	case unsaid > 0 && len(r.errs) > 0:
		return Failed, "not published: " + joinErrors(r.errs)
	case unsaid > 0 && !r.finished.IsZero():
		return Failed, "not published"
	case r.dryRun && (planned > 0 || g.planned):
		return Planned, g.note
	case pushed > 0 || g.written:
		return Pushed, ""
	}
	return Unchanged, ""
}

// ExitStatus is 130 when the run was cancelled, 1 when it or a registry that is
// required failed, else 0.
func (r *Record) ExitStatus() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cancelled {
		return 130
	}
	if len(r.errs) > 0 {
		return 1
	}
	for _, g := range r.registries {
		if status, _ := r.status(g); status == Failed && !g.tolerated() {
			return 1
		}
	}
	return 0
}
