package publish

import (
	"cmp"
	"context"
	"slices"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/internal/report"
)

// queue gives out jobs, the largest first; one of several workers takes the smallest,
// so that many small blobs do not wait behind a few big ones. All sites go through the
// same blobs in the same order, which keeps the spool short.
type queue struct {
	mu   sync.Mutex
	jobs []*job // largest first
}

func newQueue(jobs map[v1.Hash]*job) *queue {
	q := &queue{}
	for _, j := range jobs {
		q.jobs = append(q.jobs, j)
	}
	slices.SortFunc(q.jobs, func(a, b *job) int {
		return cmp.Or(cmp.Compare(b.descriptor.Size, a.descriptor.Size), cmp.Compare(a.descriptor.Digest.Hex, b.descriptor.Digest.Hex))
	})
	return q
}

// next returns nil when there is nothing left.
func (q *queue) next(smallest bool) (j *job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch n := len(q.jobs); {
	case n == 0:
	case smallest:
		j, q.jobs = q.jobs[n-1], q.jobs[:n-1]
	default:
		j, q.jobs = q.jobs[0], q.jobs[1:]
	}
	return j
}

// transfer brings every job's blob to the targets that lack it.
func (r *run) transfer(ctx context.Context, s *site, g *goods, sh *shelf, jobs map[v1.Hash]*job) {
	q := newQueue(jobs)
	var wg sync.WaitGroup
	for worker := range min(r.Concurrency, len(jobs)) {
		wg.Go(func() {
			for {
				j := q.next(worker == 1)
				if j == nil || ctx.Err() != nil {
					return
				}
				r.send(ctx, s, g, sh, j)
			}
		})
	}
	wg.Wait()
}

// send brings one blob to the targets that lack it: the first gets the bytes, unless
// the registry can mount them from another repository, the others mount from it.
func (r *run) send(ctx context.Context, s *site, g *goods, sh *shelf, j *job) {
	digest := j.descriptor.Digest
	defer sh.release(digest)
	holding := slices.Clone(j.holding)
	if at := g.image.Origin; at != nil && at.Host == s.Host && !slices.Contains(holding, at.Path) {
		holding = append(holding, at.Path)
	}
	expected := j.descriptor.Size
	for _, t := range j.lacking {
		if t.out() {
			continue
		}
		within, cancel := t.within(ctx)
		p := &progress{r: r, host: s.Host}
		start := r.Now()
		how, err := t.repository.Upload(within, j.descriptor, slices.DeleteFunc(slices.Clone(holding), func(path string) bool { return path == t.Repository.Path }), sh.content(digest, j.blob), p, nil)
		cancel()
		if err != nil {
			if !t.out() || ctx.Err() != nil {
				r.fail(ctx, s, t, err)
			}
			continue
		}
		if how == registry.Uploaded {
			expected -= j.descriptor.Size
		}
		holding = slices.Insert(holding, 0, t.Repository.Path)
		r.blobDone(t, j.descriptor, start, how)
	}
	if expected != 0 { // mounted, or sent more than once
		r.emit(report.Expected{At: r.at(), Registry: s.Host, Bytes: -expected})
	}
	g.report()
}

// progress says what goes out.
type progress struct {
	r    *run
	host string
}

// Sent implements registry.Progress.
func (p *progress) Sent(n int64) {
	p.r.emit(report.Sent{At: p.r.at(), Registry: p.host, Bytes: n})
}

// holdings remembers which blobs have been brought to which target in this run.
type holdings struct {
	mu   sync.Mutex
	have map[*target]map[v1.Hash]bool
}

func (h *holdings) add(t *target, digest v1.Hash) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.have == nil {
		h.have = map[*target]map[v1.Hash]bool{}
	}
	if h.have[t] == nil {
		h.have[t] = map[v1.Hash]bool{}
	}
	h.have[t][digest] = true
}

func (h *holdings) has(t *target, digest v1.Hash) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.have[t][digest]
}
