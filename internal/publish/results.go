package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// registryResults is where the steps of one registry put down what became of it.
type registryResults struct {
	r *run

	mu      sync.Mutex
	out     RegistryResult
	slots   map[slot]int // indexes of out.References
	settled map[slot]bool
	said    map[string]bool         // failures of the whole host that are in out
	open    map[Phase]int           // how many are in a phase now
	blobs   map[blobAt]registry.How // how each came to be there
	lacked  map[v1.Hash]bool        // blobs that a dry run found missing
	began   map[Phase]int           // index of the span that is open
}

// slot is one reference of one image.
type slot struct {
	image      int
	repository imageref.Repository
	tag        string // empty: by digest
}

type blobAt struct {
	path   string
	digest v1.Hash
}

func newRegistryResults(r *run, plan RegistryPlan) *registryResults {
	s := &registryResults{
		r: r, slots: map[slot]int{}, settled: map[slot]bool{}, said: map[string]bool{},
		open: map[Phase]int{}, began: map[Phase]int{}, blobs: map[blobAt]registry.How{}, lacked: map[v1.Hash]bool{},
		out: RegistryResult{Host: plan.Host, Optional: plan.Optional()},
	}
	for _, p := range plan.Repositories {
		if account := r.deps.Clean(p.Credential.Origin); !slices.Contains(s.out.Accounts, account) {
			s.out.Accounts = append(s.out.Accounts, account)
		}
		for _, t := range p.Targets {
			tags := t.Tags
			if r.PushByDigest {
				tags = []string{""}
			}
			for _, tag := range tags {
				s.slots[slot{t.Image, p.Repository, tag}] = len(s.out.References)
				s.out.References = append(s.out.References,
					ReferenceResult{Image: t.Image, Reference: nameOf(p.Repository, tag)})
			}
		}
	}
	for _, l := range plan.Left {
		if len(l.References) == 0 {
			s.out.Skip, s.out.SkipKind = r.deps.Clean(l.Reason), l.Why
		}
		for _, name := range l.References {
			s.out.References = append(s.out.References, ReferenceResult{
				Image: l.Image, Reference: name, Status: Skipped, SkipKind: l.Why, Reason: r.deps.Clean(l.Reason),
			})
		}
	}
	return s
}

func nameOf(repository imageref.Repository, tag string) string {
	if tag == "" {
		return repository.String()
	}
	return imageref.Reference{Repository: repository, Tag: tag}.String()
}

func (r *run) resultsOf(host string) *registryResults {
	return r.results[slices.IndexFunc(r.results, func(s *registryResults) bool { return s.out.Host == host })]
}

// slotsOf returns the references of a target.
func (t *target) slots() (all []slot) {
	for _, tag := range t.tags {
		all = append(all, slot{t.image.index, t.Repository, tag})
	}
	if len(t.tags) == 0 {
		all = append(all, slot{t.image.index, t.Repository, ""})
	}
	return all
}

// settle puts down the last word on a reference; a later word replaces it.
func (s *registryResults) settle(at slot, word ReferenceResult) {
	s.mu.Lock()
	i, ok := s.slots[at]
	if !ok {
		s.mu.Unlock()
		return
	}
	word.Image = at.image
	word.Reference = cmp.Or(word.Reference, s.out.References[i].Reference)
	s.out.References[i] = word
	s.settled[at] = true
	s.mu.Unlock()
	s.r.observer.Reference(s.out.Host, word)
}

// unsettled returns the references of a target of which nothing was put down.
func (s *registryResults) unsettled(t *target) []slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(t.slots(), func(at slot) bool { return s.settled[at] })
}

// change changes the result under its lock.
func (s *registryResults) change(f func(*RegistryResult)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.out)
}

// enter puts down that a target or more are in a phase, until leave is called.
func (s *registryResults) enter(p Phase) (leave func(failed bool)) {
	now := s.r.deps.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[p]++; s.open[p] == 1 {
		if s.out.Start.IsZero() {
			s.out.Start = now
		}
		s.began[p] = len(s.out.Spans)
		s.out.Spans = append(s.out.Spans, Span{Phase: p, Start: now, End: now})
		s.r.observer.Phase(s.out.Host, p, now, PhaseBegan)
	}
	return func(failed bool) {
		now := s.r.deps.Now()
		s.mu.Lock()
		defer s.mu.Unlock()
		span := &s.out.Spans[s.began[p]]
		span.End, span.Failed = now, span.Failed || failed
		s.out.End = now
		if s.open[p]--; s.open[p] == 0 {
			change := PhaseDone
			if span.Failed {
				change = PhaseFailed
			}
			s.r.observer.Phase(s.out.Host, p, now, change)
		}
	}
}

// phase returns the phase that the registry is in.
func (s *registryResults) phase() Phase {
	for _, v := range slices.Backward(s.out.Spans) {
		if p := v.Phase; s.open[p] > 0 {
			return p
		}
	}
	return ""
}

// countBlob counts how a blob came to be in a repository: once, however many images have it.
func (s *registryResults) countBlob(path string, d v1.Descriptor, how registry.How) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := blobAt{path, d.Digest}
	if before, counted := s.blobs[at]; counted {
		if before != registry.Existing || how == registry.Existing {
			return
		}
		s.out.Blobs.Existing-- // a manifest was there, and this was not
		s.out.BytesReused -= d.Size
	}
	s.blobs[at] = how
	switch how {
	case registry.Uploaded:
		s.out.Blobs.Uploaded++
		s.out.Wrote = true
	case registry.Mounted:
		s.out.Blobs.Mounted++
		s.out.Wrote = true
		s.out.BytesReused += d.Size
	case registry.Existing:
		s.out.Blobs.Existing++
		s.out.BytesReused += d.Size
	}
}

// missing counts a blob that a dry run would send: once, however many repositories lack it,
// since it is mounted in all but the first. In none of them it exists, whatever manifest does.
func (s *registryResults) missing(d v1.Descriptor, lacking []*target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range lacking {
		at := blobAt{t.Repository.Path, d.Digest}
		if _, counted := s.blobs[at]; counted {
			delete(s.blobs, at)
			s.out.Blobs.Existing--
			s.out.BytesReused -= d.Size
		}
	}
	if s.lacked[d.Digest] {
		return
	}
	s.lacked[d.Digest] = true
	s.out.Blobs.Missing++
	s.out.BytesMissing += d.Size
}

// bytes puts down that more bytes of blobs turned out to be needed, were sent, or arrived.
func (s *registryResults) bytes(expected, sent, arrived int64) {
	if expected == 0 && sent == 0 && arrived == 0 {
		return
	}
	s.change(func(out *RegistryResult) {
		out.BytesExpected += expected
		out.BytesCopied += sent
		s.r.observer.Bytes(out.Host, expected, sent, arrived)
	})
}

// hostWide are the problems that concern a host, not one repository of it: they are put
// down once however many targets meet them.
var hostWide = []usererror.Code{
	usererror.WrongCredentials, usererror.Unreachable, usererror.UnknownHost, usererror.TLSMismatch,
	usererror.UnknownAuthority, usererror.OIDCMissing, usererror.OIDCRefused, usererror.RegistryGaveUp,
}

// fail ends t for err. What there is to say of a run that was cancelled, finalize does.
func (r *run) fail(ctx context.Context, t *target, err error) {
	s := t.registry.results
	if errors.Is(context.Cause(ctx), errNotCommitted) {
		return // it is held back
	}
	if ctx.Err() != nil {
		err = cancelled(ctx, "publishing to "+t.Repository.String(), t.Repository.Host)
	}
	if !t.end(err) || ctx.Err() != nil {
		return
	}
	if broken, ok := errors.AsType[*sourceError](err); ok {
		r.sourceFailed(t.image, broken.err) // that says it for all registries
		return
	}
	for _, code := range hostWide {
		if usererror.Is(err, code) && !s.firstOf(fmt.Sprint(code, t.Credential.Key, t.optional)) {
			return
		}
	}
	s.failed(r.failure(err, t.optional, t.image.index))
}

// failTag puts down that one of t's tags failed. Its other tags go on.
func (r *run) failTag(t *target, err error) {
	t.registry.results.failed(r.failure(err, t.optional, t.image.index))
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.oneTagFailed == nil {
		t.oneTagFailed = err
	}
}

func (s *registryResults) failed(f Failure) {
	s.mu.Lock()
	f.Phase = s.phase()
	if i := slices.IndexFunc(s.out.Failures, func(o Failure) bool {
		return o.Code == f.Code && o.Message == f.Message && o.Optional == f.Optional
	}); i >= 0 {
		for _, index := range f.Images {
			if !slices.Contains(s.out.Failures[i].Images, index) {
				s.out.Failures[i].Images = append(s.out.Failures[i].Images, index)
			}
		}
		s.mu.Unlock()
		return
	}
	s.out.Failures = append(s.out.Failures, f)
	s.mu.Unlock()
	s.r.observer.Failure(s.out.Host, f)
}

// firstOf reports whether the failure named key is new to the registry.
func (s *registryResults) firstOf(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := !s.said[key]
	s.said[key] = true
	return first
}

func (r *run) failAll(ctx context.Context, s *registryRun, im *sourceImage, err error) {
	for _, t := range s.alive(im) {
		r.fail(ctx, t, err)
	}
}

// failure describes err for people.
func (r *run) failure(err error, optional bool, images ...int) Failure {
	f := NewFailure(err, r.deps.Now(), r.deps.Clean)
	f.Optional, f.Images = optional, images
	return f
}

// NewFailure describes err for people. clean takes secrets out of its text.
func NewFailure(err error, at time.Time, clean func(string) redact.Redacted) Failure {
	f := Failure{At: at, Err: err}
	for i, line := range strings.Split(usererror.Advice(err), "\n") { // a rule to paste keeps its lines
		if i > 0 {
			f.Remedy += "\n"
		}
		f.Remedy += clean(line)
	}
	text := err.Error()
	if p := usererror.Of(err); p != nil {
		f.Code = p.Code
		text = strings.TrimSuffix(text, " ["+string(p.Code)+"]")
	}
	f.Message, f.Gist = clean(text), clean(registry.Gist(err, text))
	return f
}

// sourceFailed puts down, once, that an image's source cannot be read.
func (r *run) sourceFailed(im *sourceImage, err error) {
	im.mu.Lock()
	if im.result.Failure != nil {
		im.mu.Unlock()
		return
	}
	f := r.failure(r.sourceWantsLogin(im, err), false, im.index)
	im.result.Failure = &f
	im.mu.Unlock()
	r.observer.Failure("", f)
}

// note puts down a text for people.
func (r *run) note(n Note, text string) {
	n.At, n.Text = r.deps.Now(), r.deps.Clean(text)
	r.mu.Lock()
	r.notes = append(r.notes, n)
	r.mu.Unlock()
	r.observer.Note(n)
}

// runFailed puts down a failure that concerns no registry.
func (r *run) runFailed(err error) {
	f := r.failure(err, false)
	r.mu.Lock()
	r.failures = append(r.failures, f)
	r.mu.Unlock()
	r.observer.Failure("", f)
}

func cancelled(ctx context.Context, doing, host string) error {
	return usererror.New(usererror.Cancelled, host, doing, "", context.Cause(ctx))
}

// finalize makes the result, with a last word on every reference that has none.
func (r *run) finalize(ctx context.Context) Result {
	for _, s := range r.registries {
		r.finalizeRegistry(ctx, s)
	}
	out := Result{
		Start: r.start, DryRun: r.DryRun, Untrusted: r.Untrusted, Cancelled: ctx.Err() != nil,
		Failures: r.failures, Notes: r.notes, Skipped: r.plan.Skipped,
	}
	for _, im := range r.images {
		im.mu.Lock()
		if !im.counted {
			im.result = ImageResult{Name: im.plan.Name}
		}
		im.countUses(&out.Source)
		out.Images = append(out.Images, im.result)
		im.mu.Unlock()
	}
	for _, s := range r.results {
		s.mu.Lock()
		s.out.Skip, s.out.SkipKind = s.out.skip()
		out.Registries = append(out.Registries, s.out)
		s.mu.Unlock()
	}
	out.End = r.deps.Now()
	return out
}

func (r *run) finalizeRegistry(ctx context.Context, s *registryRun) {
	results := s.results
	for _, t := range s.targets {
		open := results.unsettled(t)
		if len(open) == 0 {
			continue
		}
		err := t.err()
		switch {
		case ctx.Err() != nil:
			err = cancelled(ctx, "publishing to "+s.Host, s.Host)
			if results.firstOf(string(usererror.Cancelled)) {
				results.failed(r.failure(err, t.optional))
			}
		case err == nil:
			err = internalError(s.Host, errors.New("nothing became of "+t.Repository.String()))
			r.fail(context.WithoutCancel(ctx), t, err)
		}
		for _, at := range open {
			results.settle(at, ReferenceResult{Status: Failed, Reason: r.unsettledReason(ctx, err)})
		}
	}
	stats := s.client.Stats()
	results.change(func(out *RegistryResult) {
		out.BytesUploaded, out.Requests, out.Retries = stats.BytesSent, stats.Requests, stats.Retries
		out.RateLimit = stats.RateLimit
	})
}

// unsettledReason is why nothing was put down for a reference.
func (r *run) unsettledReason(ctx context.Context, err error) redact.Redacted {
	var broken *sourceError
	switch {
	case ctx.Err() != nil:
		return ReasonCancelled
	case errors.As(err, &broken):
		return ReasonSource
	}
	return r.deps.Clean(usererror.Text(err))
}

// skip returns why nothing went to the registry, if all was left out.
func (r RegistryResult) skip() (redact.Redacted, SkipKind) {
	if len(r.References) == 0 {
		return r.Skip, r.SkipKind
	}
	var reasons []string
	kind := SkipKind("")
	for _, ref := range r.References {
		if ref.Status != Skipped {
			return "", ""
		}
		if reason := string(ref.Reason); !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
		kind = cmp.Or(kind, ref.SkipKind)
	}
	text := strings.Join(reasons, "; ")
	if len(reasons) == 1 && kind == SkipTagsMatching {
		text = "no tag matches: " + text
	}
	return redact.Redacted(text), kind
}
