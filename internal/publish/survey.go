package publish

import (
	"context"
	"errors"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/internal/source"
)

// questions is how many HEAD requests go to one site at a time: they are small, and
// wait for round trips only.
const questions = 8

// job is a blob that targets of a site lack.
type job struct {
	descriptor v1.Descriptor
	blob       source.Blob
	lacking    []*target
	holding    []string // repositories of the site that have it
}

// missingManifests asks t for roots and for all below them, once each, and returns those
// that it lacks, in the order in which they can be written. A root that is there says
// nothing of what is below: clean-up jobs remove children of an index that stays.
func missingManifests(ctx context.Context, t *target, roots []*source.Manifest) ([]*source.Manifest, error) {
	all := manifests(roots...)
	lacks := make([]bool, len(all))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(questions)
	for i, m := range all {
		g.Go(func() error {
			_, err := t.repository.Stat(ctx, m.Descriptor.Digest.String())
			if errors.Is(err, registry.ErrNotFound) {
				lacks[i] = true
				return nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var missing []*source.Manifest
	for i, m := range all {
		if lacks[i] {
			missing = append(missing, m)
		}
	}
	return missing, nil
}

// missingBlobs asks every target for the blobs of the manifests that it lacks, and
// returns those that it lacks as jobs, by digest. had tells what is known to be there
// without asking.
func (r *run) missingBlobs(ctx context.Context, s *site, missing map[*target][]*source.Manifest, had *holdings) (map[v1.Hash]*job, error) {
	type question struct {
		t *target
		j *job
	}
	jobs := map[v1.Hash]*job{}
	var ask []question
	for _, t := range s.alive() {
		asked := map[v1.Hash]bool{}
		for _, m := range missing[t] {
			for _, b := range m.Blobs {
				d, err := b.Descriptor(ctx)
				if err != nil {
					return nil, markSource(err)
				}
				if asked[d.Digest] {
					continue
				}
				asked[d.Digest] = true
				if jobs[d.Digest] == nil {
					jobs[d.Digest] = &job{descriptor: d, blob: b}
				}
				ask = append(ask, question{t, jobs[d.Digest]})
			}
		}
	}
	var mu sync.Mutex
	few(questions, ask, func(q question) {
		if q.t.out() {
			return
		}
		there := had.has(q.t, q.j.descriptor.Digest)
		if !there {
			start := r.Now()
			_, err := q.t.repository.StatBlob(ctx, q.j.descriptor.Digest.String())
			there = err == nil
			if err != nil && !errors.Is(err, registry.ErrNotFound) {
				r.fail(ctx, s, q.t, err)
				return
			}
			if there {
				r.blobDone(q.t, q.j.descriptor, start, registry.Existing)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if there {
			q.j.holding = append(q.j.holding, q.t.Repository.Path)
		} else {
			q.j.lacking = append(q.j.lacking, q.t)
		}
	})
	var bytes int64
	for digest, j := range jobs {
		if len(j.lacking) == 0 {
			delete(jobs, digest)
			continue
		}
		bytes += j.descriptor.Size
	}
	if bytes > 0 {
		r.emit(report.Expected{At: r.at(), Registry: s.Host, Bytes: bytes})
	}
	return jobs, nil
}

func (r *run) blobDone(t *target, d v1.Descriptor, start time.Time, how registry.How) {
	r.emit(report.BlobDone{
		At: r.at(), Start: start, Registry: t.Repository.Host, Repository: t.Repository.String(),
		Digest: d.Digest.String(), SizeBytes: d.Size, How: report.How(how),
	})
}
