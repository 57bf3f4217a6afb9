package publish

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// origin is the registry that the source is in.
type origin struct {
	at   imageref.Repository
	host Host
}

// login starts the login of every site, and beside them that of a remote source, whose
// failure open will meet again and report. Sites come out of ended as their login ends;
// wait waits for everything that was started.
func (r *run) login(ctx context.Context, sites []*site, source *origin) (ended <-chan *site, wait func()) {
	var wg sync.WaitGroup
	done := make(chan *site, len(sites))
	for _, s := range sites {
		wg.Go(func() {
			defer func() { close(s.in); done <- s }()
			defer r.enter(ctx, s, report.Login)()
			atOnce(s.targets, func(t *target) { r.loginTarget(ctx, s, t) })
			r.sayIfSkipped(s)
		})
	}
	sourceCtx, stopSource := context.WithCancel(ctx)
	if source != nil && !slices.ContainsFunc(sites, func(s *site) bool { return s.Host == source.at.Host }) {
		wg.Go(func() { _ = source.host.Repository(source.at.Path).CheckPull(sourceCtx) })
	}
	return done, func() {
		stopSource() // by now it has succeeded, or nobody needs it
		wg.Wait()
	}
}

// loginTarget proves that the account may push to the repository, which it creates
// first where that was asked for. A dry run sends nothing that writes.
func (r *run) loginTarget(ctx context.Context, s *site, t *target) {
	err := t.repository.Login(ctx)
	if err == nil {
		err = r.checkPermission(ctx, t)
	}
	switch {
	case err == nil:
	case usererror.Is(err, usererror.NoPushPermission) && r.Untrusted && t.Credential.JobToken:
		r.lacks(ctx, s, t, err, "the job's own token may not push here: the job runs for a pull request from a fork or by Dependabot")
	case usererror.Is(err, usererror.MissingCredentials):
		// Some chains only know that they end in nothing when they are asked.
		r.lacks(ctx, s, t, err, "AWS credentials are unset")
	default:
		if t.Credential.Anonymous {
			err = wantsLogin(err)
		}
		r.fail(ctx, s, t, err)
	}
}

// wantsLogin gives a refusal the remedy that it has where nobody logged in: there is no
// account whose user name or rights one could look at.
func wantsLogin(err error) error {
	p, ok := errors.AsType[*usererror.Problem](err)
	if !ok || !slices.Contains([]usererror.Code{usererror.WrongCredentials, usererror.NoPushPermission, usererror.NoPullPermission}, p.Code) {
		return err
	}
	refused := *p
	refused.Remedy = "The registry wants a login: give its item a username and a password in place of anonymous: true."
	return &refused
}

// lacks says that t has no usable credential after all: a skip, as for those of which the
// plan knew, unless that is an error here.
func (r *run) lacks(ctx context.Context, s *site, t *target, err error, reason string) {
	if !r.mustHave(t) {
		t.skip(reason)
		return
	}
	t.lacking.Store(true)
	r.fail(ctx, s, t, err)
}

// mustHave reports whether missing credentials of t are an error.
func (r *run) mustHave(t *target) bool { return t.Required() || r.FailOnMissing && !t.Optional() }

func (r *run) checkPermission(ctx context.Context, t *target) error {
	if r.DryRun {
		err := t.repository.CheckPull(ctx)
		if usererror.Is(err, usererror.RepositoryMissing) {
			t.absent = true
			return nil
		}
		return err
	}
	err := t.repository.CheckPush(ctx)
	if !usererror.Is(err, usererror.RepositoryMissing) || t.Credential.CreateRepository == nil {
		return err
	}
	if !r.CreateRepository {
		return usererror.New(usererror.RepositoryMissing, t.Repository.Host, "repository "+t.Repository.String()+" does not exist",
			"create it, or set `create-repository: true` (the account then needs the IAM action ecr:CreateRepository, at ECR Public ecr-public:CreateRepository)", err)
	}
	created, err := t.Credential.CreateRepository(ctx, t.Repository.Path, r.CreateImmutable)
	if err != nil {
		return err
	}
	if created {
		r.emit(report.RepositoryCreated{At: r.at(), Registry: t.Repository.Host, Repository: t.Repository.String()})
	}
	return t.repository.CheckPush(ctx)
}

// sayIfSkipped says which targets were skipped at login: the whole registry, or
// only some of its references.
func (r *run) sayIfSkipped(s *site) {
	var references []string
	reason, all := "", true
	for _, t := range s.targets {
		if t.skipped == "" {
			all = false
			continue
		}
		reason = t.skipped
		references = append(references, t.References()...)
	}
	switch {
	case reason == "":
	case all:
		r.emit(report.RegistrySkipped{At: r.at(), Registry: s.Host, Reason: reason})
	default:
		r.emit(report.TagsSkipped{At: r.at(), Registry: s.Host, References: references, Reason: reason})
	}
}

// mayCopy waits until every login has ended, so that no byte of the image is read
// before all permissions are proved, and reports whether there is anything left to do.
// Sites that have logged in wait no longer than the grace for those that do not answer,
// since a dead registry must not hold back the others; unless atomic is on, or missing
// credentials are an error, which has to be known before anything is sent.
func (r *run) mayCopy(ctx context.Context, sites []*site, ended <-chan *site) bool {
	patient := r.Atomic || anyTarget(sites, r.mustHave)
	waiting := len(sites)
	required := 0
	for _, s := range sites {
		if !s.Optional() {
			required++
		}
	}
	patient = patient && required > 0
	var grace <-chan time.Time
	for waiting > 0 && (!patient || required > 0) {
		select {
		case s := <-ended:
			waiting--
			if !s.Optional() {
				required--
			}
			if grace == nil && !patient && len(s.alive()) > 0 {
				timer := time.NewTimer(r.LoginGrace)
				defer timer.Stop()
				grace = timer.C
			}
		case <-grace:
			return true
		}
	}
	if ctx.Err() != nil {
		return false
	}
	if r.Atomic && r.holdBack(ctx, sites) {
		return false
	}
	if anyTarget(sites, func(t *target) bool { return t.lacking.Load() }) {
		r.skipRest(sites)
		return false
	}
	return waiting > 0 || slices.ContainsFunc(sites, func(s *site) bool { return len(s.alive()) > 0 })
}

func anyTarget(sites []*site, is func(*target) bool) bool {
	return slices.ContainsFunc(sites, func(s *site) bool { return slices.ContainsFunc(s.targets, is) })
}

// skipRest leaves out every target that could have gone on.
func (r *run) skipRest(sites []*site) {
	for _, s := range sites {
		rest := s.alive()
		var references []string
		for _, t := range rest {
			t.skip(missingElsewhere)
			references = append(references, t.References()...)
		}
		switch {
		case len(rest) == 0:
		case len(rest) == len(s.targets):
			r.emit(report.RegistrySkipped{At: r.at(), Registry: s.Host, Reason: missingElsewhere})
		default:
			r.emit(report.TagsSkipped{At: r.at(), Registry: s.Host, References: references, Reason: missingElsewhere})
		}
	}
}
