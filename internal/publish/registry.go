package publish

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
)

// registryRun is a registry that gets images.
type registryRun struct {
	RegistryPlan
	client       Host
	repositories []*repository
	targets      []*target
	results      *registryResults

	mu    sync.Mutex
	blobs map[v1.Hash]*hostBlob
}

// repository is one repository that gets images.
type repository struct {
	RepositoryPlan
	client   Repository
	loggedIn *future // the account can be used here
	allowed  *future // the permission to push is proved

	pending atomic.Int64 // images that may still send blobs here

	mu     sync.Mutex
	absent bool // a dry run found no repository
}

// target is one image in one repository: what fails alone.
type target struct {
	*repository
	registry *registryRun
	image    *sourceImage
	tags     []string
	optional bool
	inventory

	mu           sync.Mutex
	failure      error
	left         bool // skipped or held back: nothing more is done
	cancels      map[*context.CancelFunc]bool
	refused      error               // of a manifest
	oneTagFailed error               // of one tag or several, while others may be well
	answers      map[v1.Hash]*future // about manifests that the inventory asked for
	arrived      bool                // at the gate

	repairing sync.Once
	repaired  error
}

func (r *run) newRegistry(plan RegistryPlan, client Host) *registryRun {
	s := &registryRun{
		RegistryPlan: plan, client: client,
		blobs: map[v1.Hash]*hostBlob{},
	}
	for _, p := range plan.Repositories {
		repo := &repository{
			RepositoryPlan: p, client: client.Repository(p.Repository.Path),
			loggedIn: newFuture(), allowed: newFuture(),
		}
		repo.pending.Store(int64(len(p.Targets)))
		s.repositories = append(s.repositories, repo)
		for _, t := range p.Targets {
			s.targets = append(s.targets, &target{
				repository: repo, registry: s, image: r.images[t.Image], tags: t.Tags,
				optional: p.Required == RequiredNever, cancels: map[*context.CancelFunc]bool{},
				answers: map[v1.Hash]*future{},
			})
		}
	}
	s.results = r.resultsOf(plan.Host)
	return s
}

// images returns the images that the registry gets.
func (s *registryRun) images() (all []*sourceImage) {
	for _, t := range s.targets {
		if !slices.Contains(all, t.image) {
			all = append(all, t.image)
		}
	}
	return all
}

func (s *registryRun) targetsOf(im *sourceImage) []*target {
	return only(s.targets, func(t *target) bool { return t.image == im })
}

// alive returns the targets of an image that nothing has ended yet.
func (s *registryRun) alive(im *sourceImage) []*target {
	return slices.DeleteFunc(s.targetsOf(im), (*target).out)
}

// out reports whether nothing more is done for the target.
func (t *target) out() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failure != nil || t.left
}

// err returns why the target, or one of its tags, failed.
func (t *target) err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failure != nil {
		return t.failure
	}
	return t.oneTagFailed
}

// within returns ctx, ended also when the target fails or is left out.
func (t *target) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failure != nil || t.left {
		cancel()
		return ctx, cancel
	}
	t.cancels[&cancel] = true
	return ctx, func() {
		cancel()
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.cancels, &cancel)
	}
}

// end ends the target, for a failure unless err is nil, and what is in flight for it. It reports
// whether the target had not ended before.
func (t *target) end(err error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failure != nil || t.left {
		return false
	}
	t.failure, t.left = err, err == nil
	for cancel := range t.cancels {
		(*cancel)()
	}
	return true
}

// sent says that an image sends no more blobs to the repository. After the last one, uploads that
// carry no blob are given up.
func (p *repository) sent() {
	if p.pending.Add(-1) == 0 {
		p.client.CancelUploads()
	}
}

// connect makes the client of every enabled registry.
func (r *run) connect() {
	for _, plan := range r.plan.Registries {
		if plan.Enabled() {
			r.registries = append(r.registries, r.newRegistry(plan, r.host(plan.Host)))
		}
	}
	for _, im := range r.images {
		for _, s := range r.registries {
			if len(s.targetsOf(im)) > 0 {
				im.unfinished++
			}
		}
	}
	r.gate = r.newSendGate()
}

// host returns the client of a host; a source on the host of a destination shares its
// client.
func (r *run) host(host string) Host {
	r.hostsMu.Lock()
	defer r.hostsMu.Unlock()
	if h := r.hosts[host]; h != nil {
		return h
	}
	h := r.deps.Connect(host, r.insecure(host), func(path string) credentials.Credential {
		return r.plan.Credentials[imageref.Repository{Host: host, Path: path}]
	})
	r.hosts[host] = h
	return h
}

// insecure reports whether a host may be reached without verified TLS: only if that was
// said for every repository that is used there, since they share one client.
func (r *run) insecure(host string) bool {
	all, said := true, false
	for _, repository := range r.repositoriesOf(host) {
		c := r.plan.Credentials[repository]
		one := c.Item != nil && c.Item.Insecure
		all, said = all && one, said || one
	}
	if said && !all {
		r.note(Note{Host: host, Warning: true}, host+
			" is reached by verified TLS alone: insecure: true does not hold for all of its repositories that are "+
			"used here")
	}
	return all && said
}

// repositoriesOf returns the repositories of a host that are written to or read from.
func (r *run) repositoriesOf(host string) (all []imageref.Repository) {
	for _, s := range r.plan.Registries {
		for _, p := range s.Repositories {
			if s.Host == host {
				all = append(all, p.Repository)
			}
		}
	}
	for _, im := range r.plan.Images {
		for _, part := range im.Parts {
			if at := part.Repository(); at != nil && at.Host == host {
				all = append(all, *at)
			}
		}
	}
	return all
}

func (r *run) disconnect() {
	r.hostsMu.Lock()
	defer r.hostsMu.Unlock()
	for _, h := range r.hosts {
		h.Close()
	}
}
