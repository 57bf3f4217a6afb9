package publish

import (
	"context"
	"slices"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// unproven is what a dry run cannot find out.
const unproven redact.Redacted = "push permission is unproven: a dry run opens no upload"

// ReasonStays is that of a planned reference whose tag does not move.
const ReasonStays redact.Redacted = "the tag stays; parts of the image, or what refers to it, are missing"

// compare is a dry run's copy and tag: it reads what a registry has and puts down what would
// be done, and what that would fail on. It sends nothing that writes.
func (r *run) compare(ctx context.Context, s *registryRun, im *sourceImage) {
	targets := s.targetsOf(im)
	atOnce(targets, func(t *target) { r.waitLogin(ctx, t) })
	if len(s.alive(im)) == 0 {
		return
	}
	leave := s.results.enter(Copy)
	defer func() { leave(ctx.Err() != nil || len(s.alive(im)) < len(targets)) }()
	r.takeInventory(ctx, s, im, nil)
	atOnce(s.alive(im), func(t *target) { r.checkRepository(ctx, s, t) })
	alive := s.alive(im)
	if len(alive) == 0 || ctx.Err() != nil {
		return
	}
	jobs, err := r.blobJobs(ctx, alive)
	if err != nil {
		r.failAll(ctx, s, im, err)
		return
	}
	for _, t := range alive {
		t.countExisting(ctx)
		t.countReferrers(true)
	}
	limited(requestsAtOnce, largestFirst(jobs), func(j *blobJob) {
		if lacking := r.askForBlob(ctx, s, j, s.blob(j.descriptor.Digest)); len(lacking) > 0 {
			s.results.missing(j.descriptor, lacking)
		}
	})
	s.results.change(func(out *RegistryResult) {
		if out.Unproven == "" {
			out.Unproven = unproven
		}
	})
	for _, t := range s.alive(im) {
		for _, u := range t.updates {
			r.planUpdate(t, u)
		}
	}
}

// planUpdate puts down what would become of one reference.
func (r *run) planUpdate(t *target, u *tagUpdate) {
	switch {
	case u.stays() && t.complete():
		u.settle(Unchanged, u.before, "")
	case u.stays():
		u.settle(Planned, u.before, string(ReasonStays))
	case u.tag == "":
		u.settle(Planned, "", "would be new")
	case u.before == "":
		u.settle(Planned, "", "would be new, at "+u.digest.String())
	default:
		u.settle(Planned, u.before, "would move to "+u.digest.String())
	}
}

// checkRepository finds out whether a repository is there, where the registry does not create
// it on push: one that has a tag or a manifest of ours is.
func (r *run) checkRepository(ctx context.Context, s *registryRun, t *target) {
	if !t.Credential.NeedsCreate {
		return
	}
	if !t.missingRepository() {
		if len(t.missing) < len(t.image.manifests()) ||
			slices.ContainsFunc(t.updates, func(u *tagUpdate) bool { return u.before != "" }) {
			return
		}
		_, _, err := t.client.Manifest(ctx, t.image.root.Descriptor.Digest.String())
		switch {
		case usererror.Is(err, usererror.RepositoryMissing):
		case err == nil, isMissing(err):
			return
		default:
			r.fail(ctx, t, err)
			return
		}
	}
	if !r.CreateRepository {
		r.fail(ctx, t, notThere(t.repository, nil))
		return
	}
	s.results.change(func(out *RegistryResult) {
		if !slices.Contains(out.ToCreate, t.Repository.String()) {
			out.ToCreate = append(out.ToCreate, t.Repository.String())
		}
	})
}

func (p *repository) missingRepository() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.absent
}
