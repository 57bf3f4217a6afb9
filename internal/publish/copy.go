package publish

import (
	"context"
	"errors"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/internal/source"
)

// copy brings every blob and manifest to every target of s, by digest: what a manifest
// points at is there before the manifest is written.
func (r *run) copy(ctx context.Context, s *site, g *goods, sh *shelf) {
	defer r.enter(ctx, s, report.Copy)()
	had := &holdings{}
	r.copyAhead(ctx, s, g, sh, had)
	roots, err := r.roots(ctx, g)
	if err != nil {
		r.failAll(ctx, s, markSource(err))
		return
	}

	missing := r.survey(ctx, s, roots)
	jobs, err := r.missingBlobs(ctx, s, missing, had)
	if err != nil {
		r.failAll(ctx, s, err)
		return
	}
	sh.keep(jobs)
	r.transfer(ctx, s, g, sh, jobs)
	atOnce(s.alive(), func(t *target) { r.writeManifests(ctx, s, t, missing[t]) })
}

// survey finds out which manifests each target lacks.
func (r *run) survey(ctx context.Context, s *site, roots []*source.Manifest) map[*target][]*source.Manifest {
	var mu sync.Mutex
	missing := map[*target][]*source.Manifest{}
	atOnce(s.alive(), func(t *target) {
		m, err := missingManifests(ctx, t, roots)
		if err != nil {
			r.fail(ctx, s, t, err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		missing[t] = m
	})
	return missing
}

// copyAhead sends layers that are still being compressed, each as soon as its digest
// is known, before there is a manifest that names them.
func (r *run) copyAhead(ctx context.Context, s *site, g *goods, sh *shelf, had *holdings) {
	few(r.Concurrency, g.image.Ahead(), func(b source.Blob) {
		d, err := b.Descriptor(ctx)
		if err != nil {
			return // the root will not be known either, and say why
		}
		j := &job{descriptor: d, blob: b}
		for _, t := range s.alive() {
			start := r.Now()
			switch _, err := t.repository.StatBlob(ctx, d.Digest.String()); {
			case errors.Is(err, registry.ErrNotFound):
				j.lacking = append(j.lacking, t)
			case err != nil:
				r.fail(ctx, s, t, err)
			default:
				j.holding = append(j.holding, t.Repository.Path)
				r.blobDone(t, d, start, registry.Existing)
				had.add(t, d.Digest)
			}
		}
		if len(j.lacking) == 0 {
			return
		}
		r.emit(report.Expected{At: r.at(), Registry: s.Host, Bytes: d.Size})
		r.send(ctx, s, g, sh, j)
		for _, t := range s.alive() {
			had.add(t, d.Digest)
		}
	})
}

// writeManifests writes what t lacks, by digest, bottom-up. Manifests of the same height
// go at the same time.
func (r *run) writeManifests(ctx context.Context, s *site, t *target, missing []*source.Manifest) {
	levels := map[int][]*source.Manifest{}
	top := 0
	of := heights(missing...)
	for _, m := range missing {
		h := of[m.Descriptor.Digest]
		levels[h] = append(levels[h], m)
		top = max(top, h)
	}
	for h := range top + 1 {
		few(r.Concurrency, bySubject(levels[h]), func(line []*source.Manifest) {
			for _, m := range line {
				r.writeManifest(ctx, s, t, m)
			}
		})
	}
	if ctx.Err() != nil {
		r.fail(ctx, s, t, ctx.Err())
	}
}

func (r *run) writeManifest(ctx context.Context, s *site, t *target, m *source.Manifest) {
	if t.out() || ctx.Err() != nil {
		return
	}
	d := m.Descriptor
	if _, err := t.repository.PutManifest(ctx, d.Digest.String(), m.Raw, string(d.MediaType), registry.Condition{Whole: true}); err != nil {
		r.fail(ctx, s, t, err)
		return
	}
	r.emit(report.ManifestDone{At: r.at(), Registry: s.Host, Repository: t.Repository.String(), Digest: d.Digest.String(), Written: true})
}

// bySubject puts manifests that refer to the same subject into one line, to be written one
// after the other: registries keep the list of a subject's referrers by reading, adding and
// writing it, and some lose one of two that come at once.
func bySubject(all []*source.Manifest) [][]*source.Manifest {
	var lines [][]*source.Manifest
	of := map[v1.Hash]int{}
	for _, m := range all {
		subject, err := subjectOf(m)
		i, known := of[subject]
		switch {
		case err != nil: // it refers to nothing
			lines = append(lines, []*source.Manifest{m})
		case known:
			lines[i] = append(lines[i], m)
		default:
			of[subject] = len(lines)
			lines = append(lines, []*source.Manifest{m})
		}
	}
	return lines
}

func (r *run) failAll(ctx context.Context, s *site, err error) {
	for _, t := range s.alive() {
		r.fail(ctx, s, t, err)
	}
}

// lackingBytes adds up what jobs bring, each blob once.
func lackingBytes(jobs map[v1.Hash]*job) (n int64) {
	for _, j := range jobs {
		n += j.descriptor.Size
	}
	return n
}
