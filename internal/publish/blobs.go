package publish

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/image"
	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/internal/source"
)

// blobJob is a blob that repositories of one registry may lack.
type blobJob struct {
	descriptor v1.Descriptor
	blob       source.Blob
	targets    []*target
	arrived    map[*target]*future // resolved when the target has the blob, or never will
	repair     map[*target]bool    // a manifest that names the blob is there already
	repaired   int                 // targets that got it although one is there
}

func newBlobJob(d v1.Descriptor, b source.Blob) *blobJob {
	return &blobJob{descriptor: d, blob: b, arrived: map[*target]*future{}, repair: map[*target]bool{}}
}

func (j *blobJob) add(t *target, repair bool) {
	if j.arrived[t] == nil {
		j.targets = append(j.targets, t)
		j.arrived[t] = newFuture()
		j.repair[t] = repair
	}
	j.repair[t] = j.repair[t] && repair
}

// hostBlob is what is known of a blob on one host. Its turn is held by who sends it: the
// next repository mounts it then.
type hostBlob struct {
	turn chan struct{}

	mu      sync.Mutex
	holding []string // paths of repositories that have it
}

func (b *hostBlob) has(path string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Contains(b.holding, path)
}

func (b *hostBlob) add(path string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Contains(b.holding, path) {
		b.holding = slices.Insert(b.holding, 0, path)
	}
}

// others returns the repositories to mount from, the latest to get the blob first.
func (b *hostBlob) others(path string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.holding), func(p string) bool { return p == path })
}

func (s *registryRun) blob(digest v1.Hash) *hostBlob {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blobs[digest] == nil {
		s.blobs[digest] = &hostBlob{turn: make(chan struct{}, 1)}
	}
	return s.blobs[digest]
}

// blobJobs returns the blobs of the manifests that targets lack, by digest; with thorough
// those of all manifests.
func (r *run) blobJobs(ctx context.Context, targets []*target) (map[v1.Hash]*blobJob, error) {
	jobs := map[v1.Hash]*blobJob{}
	for _, t := range targets {
		if err := addJobs(ctx, jobs, t, t.missing, false); err != nil {
			return nil, err
		}
		if !r.Thorough {
			continue
		}
		if err := addJobs(ctx, jobs, t, image.ChildrenFirst(t.roots...), true); err != nil {
			return nil, err
		}
	}
	return jobs, nil
}

func addJobs(ctx context.Context, jobs map[v1.Hash]*blobJob, t *target, all []*source.Manifest, repair bool) error {
	for _, m := range all {
		for _, b := range m.Blobs {
			d, err := b.Descriptor(ctx)
			if err != nil {
				return markSource(err)
			}
			if jobs[d.Digest] == nil {
				jobs[d.Digest] = newBlobJob(d, b)
			}
			jobs[d.Digest].add(t, repair)
		}
	}
	return nil
}

// largestFirst returns jobs by size. All registries begin with the same blobs, which keeps the
// cache short; which of them is sent when depends on when the registry has said what it lacks.
func largestFirst(jobs map[v1.Hash]*blobJob) []*blobJob {
	return slices.SortedFunc(maps.Values(jobs), func(a, b *blobJob) int {
		return cmp.Or(cmp.Compare(b.descriptor.Size, a.descriptor.Size),
			cmp.Compare(a.descriptor.Digest.Hex, b.descriptor.Digest.Hex))
	})
}

// copyBlob copies one blob to the repositories of a registry that lack it: the first gets
// the bytes, unless the registry can mount them from another repository, the others mount
// from it.
func (r *run) copyBlob(ctx context.Context, s *registryRun, l *registryLeases, j *blobJob) {
	defer func() {
		for _, t := range j.targets {
			j.arrived[t].resolve(errNotThere) // which has not
		}
	}()
	known := s.blob(j.descriptor.Digest)
	lacking := r.askForBlob(ctx, s, j, known)
	if len(lacking) == 0 {
		return
	}
	if at, ok := image.Origin(j.blob); ok && at.Host == s.Host {
		known.add(at.Path)
	}
	select {
	case known.turn <- struct{}{}:
		defer func() { <-known.turn }()
	case <-ctx.Done():
		return
	}
	sent := &sentBytes{results: s.results, size: j.descriptor.Size}
	sent.expect(sent.size)
	for _, t := range lacking {
		how, ok := r.sendBlob(ctx, t, l, j, known, sent)
		if !ok {
			continue
		}
		j.arrived[t].resolve(nil)
		if how == registry.Uploaded {
			s.results.bytes(0, 0, j.descriptor.Size)
		}
	}
	sent.expect(sent.sent) // less where it was mounted, or an upload failed
}

// askForBlob asks every repository for a blob and returns those that lack it.
func (r *run) askForBlob(ctx context.Context, s *registryRun, j *blobJob, known *hostBlob) (lacking []*target) {
	lacks := make([]bool, len(j.targets))
	atOnce(indexes(j.targets), func(i int) {
		t := j.targets[i]
		if t.out() || known.has(t.Repository.Path) {
			return
		}
		within, cancel := t.within(ctx)
		defer cancel()
		size, err := t.client.StatBlob(within, j.descriptor.Digest.String())
		switch {
		case err == nil && size >= 0 && size != j.descriptor.Size: // a part, or something else
			lacks[i] = true
		case err == nil:
			known.add(t.Repository.Path)
			s.results.countBlob(t.Repository.Path, j.descriptor, registry.Existing)
		case isMissing(err):
			lacks[i] = true
		default:
			r.failWithin(ctx, t, err)
		}
	})
	for i, t := range j.targets {
		switch {
		case lacks[i]:
			lacking = append(lacking, t)
		case !t.out():
			j.arrived[t].resolve(nil)
		}
	}
	return lacking
}

// sendBlob sends a blob to one repository, and reports how and whether it is there.
func (r *run) sendBlob(
	ctx context.Context, t *target, l *registryLeases, j *blobJob, known *hostBlob, sent *sentBytes,
) (registry.How, bool) {
	path := t.Repository.Path
	if t.out() {
		return "", false
	}
	if known.has(path) { // another image brought it meanwhile
		return registry.Existing, true
	}
	from := known.others(path)
	within, cancel := t.within(ctx)
	defer cancel()
	results := t.registry.results
	how, err := t.client.Upload(within, j.descriptor, from, l.content(j.descriptor, j.blob), sent)
	if err != nil {
		r.failWithin(ctx, t, err)
		return "", false
	}
	known.add(path)
	results.countBlob(path, j.descriptor, how)
	if j.repair[t] && how != registry.Existing {
		j.repaired++
		results.change(func(out *RegistryResult) { out.Repaired++ })
	}
	return how, true
}

// sentBytes counts what goes out of a blob to the repositories of a registry, one after the other.
type sentBytes struct {
	results        *registryResults
	size           int64 // of the blob
	expected, sent int64
}

// expect makes the bytes that are expected of the blob n.
func (p *sentBytes) expect(n int64) {
	p.results.bytes(n-p.expected, 0, 0)
	p.expected = n
}

// Sent implements registry.Progress.
func (p *sentBytes) Sent(n int64) {
	p.sent += n
	if p.sent > p.expected { // it goes to another repository that cannot mount it
		p.expect(p.expected + p.size)
	}
	p.results.bytes(0, n, 0)
}

// copyAhead sends layers that are still being compressed, each as soon as its digest is
// known, before there is a manifest that names them.
func (r *run) copyAhead(ctx context.Context, s *registryRun, im *sourceImage, l *registryLeases) {
	ahead := im.source.PendingBlobs()
	if len(ahead) == 0 {
		return
	}
	for _, t := range s.alive(im) {
		if <-t.allowed.done; t.allowed.err != nil {
			return // what is there already is known when the root is
		}
	}
	if !r.mayCopy(ctx, s, im) {
		return
	}
	atOnce(ahead, func(b source.Blob) {
		d, err := b.Descriptor(ctx)
		if err != nil {
			return // the root will not be known either, and say why
		}
		j := newBlobJob(d, b)
		for _, t := range s.alive(im) {
			j.add(t, false)
		}
		r.copyBlob(ctx, s, l, j)
	})
}
