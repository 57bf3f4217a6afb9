package publish

import (
	"context"
	"slices"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/semaphore"

	"github.com/multi-registry-push/multi-registry-push/internal/blobcache"
	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/source"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// requestsAtOnce is how many questions for manifests, or for tags, wait for the client at a time,
// which admits fewer. Those for blobs, and what is sent, all wait there.
const requestsAtOnce = 64

// Deps are what a run works with.
type Deps struct {
	// Connect makes the client of one host; it is called once a host, those of sources
	// included. account returns the credential of a repository of that host.
	Connect func(host string, insecure bool, account func(path string) credentials.Credential) Host
	// Open opens the source of an image. It is called only when some registry is enabled;
	// remote sources are read through the repositories that it is given. found may be told
	// of the image's manifests before they are read, as source.Options has it.
	Open func(ctx context.Context, image Image, repository func(imageref.Repository) source.RemoteRepository,
		found func([]v1.Descriptor)) (*source.Image, error)
	// Cache makes the cache for the blobs of remote sources.
	Cache func() (*blobcache.Cache, error)
	// Clean takes secrets and line breaks out of free text.
	Clean func(text string) redact.Redacted
	// Now tells the time; nil means time.Now.
	Now func() time.Time
	// VerifyPauses are the waits between the questions after a tag that a registry does
	// not serve yet; nil means 30 s in all.
	VerifyPauses []time.Duration
	// RollBackTime is how long tags may be put back after a cancellation; 0 means 2.5 s.
	RollBackTime time.Duration
}

// Run carries out plan and returns what became of it. When it returns, all that it started
// has ended. When ctx is cancelled, uploads end at once, nothing more is tagged, and with
// Policy.Atomic tags that have moved are put back.
func Run(ctx context.Context, plan Plan, deps Deps, observer Observer) Result {
	r := newRun(plan, deps, observer)
	if r.planned() {
		r.publish(ctx)
	}
	return r.finalize(ctx)
}

// run holds what does not change while a run goes on, and what it has found out so far.
type run struct {
	Policy
	plan     Plan
	deps     Deps
	observer Observer
	start    time.Time

	images     []*sourceImage
	registries []*registryRun     // enabled ones
	results    []*registryResults // of all, in the plan's order
	gate       *sendGate

	old      *semaphore.Weighted // bytes of manifests that tags served before, as many as are kept
	putOldMu sync.Mutex          // held while one that was not kept is put back

	hostsMu sync.Mutex
	hosts   map[string]Host

	cacheMu sync.Mutex // taken before the locks of leases, of the cache and of the observer
	cache   *blobcache.Cache
	cached  map[v1.Hash]*blobcache.Blob

	mu       sync.Mutex // guards what follows
	failures []Failure
	notes    []Note
}

func newRun(plan Plan, deps Deps, observer Observer) *run {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Clean == nil {
		deps.Clean = func(text string) redact.Redacted { return redact.Redacted(text) }
	}
	if deps.VerifyPauses == nil {
		ms := time.Millisecond
		deps.VerifyPauses = []time.Duration{200 * ms, 500 * ms, 1000 * ms, 2000 * ms, 4000 * ms, 8000 * ms, 14300 * ms}
	}
	r := &run{
		Policy: plan.Policy, plan: plan, deps: deps, observer: observer, start: deps.Now(),
		hosts: map[string]Host{}, cached: map[v1.Hash]*blobcache.Blob{}, old: semaphore.NewWeighted(maxOldBytes),
	}
	for _, p := range plan.Registries {
		r.results = append(r.results, newRegistryResults(r, p))
	}
	for i := range plan.Images {
		r.images = append(r.images, newImage(i, plan.Images[i], r.images))
	}
	return r
}

// publish does all that sends anything: it opens the images' sources while the registries
// log in, and copies each image to each registry as soon as both are ready.
func (r *run) publish(ctx context.Context) {
	r.connect()
	defer r.disconnect()
	reading, stopReading := context.WithCancel(ctx)
	var sources group
	for _, im := range r.images {
		if r.wanted(im) {
			sources.run(func() { r.openImage(reading, im) })
		}
	}
	defer r.closeImages()
	defer sources.wg.Wait()
	defer stopReading()

	var logins group
	for _, s := range r.registries {
		logins.run(func() { r.login(ctx, s) })
	}
	defer logins.wg.Wait()
	switch {
	case r.DryRun:
		r.everywhere(func(s *registryRun, im *sourceImage) { r.compare(ctx, s, im) })
	case r.Atomic:
		r.publishAtomically(ctx)
	default:
		r.everywhere(func(s *registryRun, im *sourceImage) {
			r.publishImage(ctx, ctx, s, im, func() bool { return true })
		})
	}
}

// everywhere calls f for every image of every registry at once. A panic in f fails what it
// was called for.
func (r *run) everywhere(f func(*registryRun, *sourceImage)) {
	atOnce(r.registries, func(s *registryRun) { r.everyImage(s, f) })
}

func (r *run) everyImage(s *registryRun, f func(*registryRun, *sourceImage)) {
	atOnce(s.images(), func(im *sourceImage) {
		if err := protect(func() { f(s, im) }); err != nil {
			r.failAll(context.Background(), s, im, internalError(s.Host, err))
		}
	})
}

func internalError(host string, err error) error {
	return usererror.New(usererror.Internal, host, "publishing to "+host, "", err)
}

// publishImage publishes one image to one registry: copy, under copying, then if mayTag says so, which
// may wait, tag and verify.
func (r *run) publishImage(ctx, copying context.Context, s *registryRun, im *sourceImage, mayTag func() bool) {
	l := r.newLeases(im)
	defer l.end()
	if whole := r.copyImage(copying, s, im, l); !mayTag() || !whole {
		return
	}
	updates := r.resolved(s, im)
	r.writeTags(ctx, s, updates)
	r.finishManifests(ctx, s, im)
	r.verify(ctx, s, updates)
}

// wanted reports whether any registry is to get the image.
func (r *run) wanted(im *sourceImage) bool {
	return slices.ContainsFunc(r.registries, func(s *registryRun) bool { return len(s.targetsOf(im)) > 0 })
}
