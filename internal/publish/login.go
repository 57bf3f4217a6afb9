package publish

import (
	"context"
	"fmt"
	"slices"

	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// planned puts down what the plan alone tells, and reports whether there is anything to do.
func (r *run) planned() bool {
	unconfigured := r.FailOnMissing && len(r.plan.Skipped) > 0
	for _, skipped := range r.plan.Skipped {
		if r.FailOnMissing {
			r.runFailed(usererror.New(usererror.MissingCredentials, "",
				fmt.Sprintf("%s, line %d, %q is not configured (%s), and missing-credentials is fail", skipped.Input,
					skipped.Line, skipped.Text, skipped.Reason),
				"Set the variable that should stand there, or leave the line out. Pull requests from forks have no "+
					"variables: leave `missing-credentials` at `skip` for them.", nil))
		}
	}
	missing := map[string]error{}
	for _, p := range r.plan.Registries {
		if err := r.missing(p); err != nil {
			missing[p.Host] = err
		}
		r.noteChoices(p)
	}
	for _, p := range r.plan.Registries {
		switch s := r.resultsOf(p.Host); {
		case missing[p.Host] != nil:
			s.failed(r.failure(missing[p.Host], false))
			s.settleAll(ReferenceResult{Status: Failed, Reason: "credentials are missing"})
		case len(missing) > 0 || unconfigured:
			s.settleAll(ReferenceResult{Status: Skipped, SkipKind: SkipElsewhere, Reason: ReasonElsewhere})
		}
	}
	return r.plan.Enabled() && len(missing) == 0 && !unconfigured
}

// missing returns the error that the plan of a registry holds: credentials that are missing
// where that is not a skip.
func (r *run) missing(p RegistryPlan) error {
	for _, l := range p.Left {
		if l.Why != SkipCredentials || !r.lacks(l.Required) {
			continue
		}
		why := "missing-credentials is fail"
		if l.Required == RequiredAlways {
			why = "its item has required: true"
		}
		return usererror.New(usererror.MissingCredentials, p.Host, fmt.Sprintf("%s: %s, and %s", p.Host, l.Reason, why),
			"", nil)
	}
	return nil
}

// settleAll puts the same word down for every reference, those included that the plan left
// out.
func (s *registryResults) settleAll(word ReferenceResult) {
	for i := range s.out.References {
		word.Image, word.Reference = s.out.References[i].Image, s.out.References[i].Reference
		s.change(func(out *RegistryResult) { out.References[i] = word })
		s.r.observer.Reference(s.out.Host, word)
	}
}

// noteChoices says what came up when the credentials of a registry were chosen: above all
// where that is why there are none.
func (r *run) noteChoices(p RegistryPlan) {
	var all []string
	for repository, c := range r.plan.Credentials {
		if repository.Host == p.Host {
			all = append(all, c.Warnings...)
		}
	}
	slices.Sort(all)
	for _, w := range slices.Compact(all) {
		r.note(Note{Host: p.Host, Warning: true}, w)
	}
}

// login logs in to every repository of a registry, and proves there that the account may
// push, both at once. Credentials that a provider has to be asked for are got meanwhile.
func (r *run) login(ctx context.Context, s *registryRun) {
	leave := s.results.enter(Login)
	defer func() {
		refused := slices.ContainsFunc(s.repositories, func(p *repository) bool { return p.loggedIn.err != nil })
		failed := slices.ContainsFunc(s.targets, func(t *target) bool { return t.err() != nil })
		alive := slices.ContainsFunc(s.targets, func(t *target) bool { return !t.out() })
		leave(ctx.Err() != nil || refused || failed && !alive)
	}()
	atOnce(s.repositories, func(p *repository) {
		stop := getAhead(ctx, p.Credential)
		defer stop()
		var proving group
		if !r.DryRun {
			proving.run(func() {
				p.allowed.resolve(r.guarded(s, func() error { return r.provePermission(ctx, s, p) }))
			})
		}
		p.loggedIn.resolve(r.guarded(s, func() error { return r.enterRepository(ctx, p) }))
		proving.wait()
	})
}

// getAhead starts to get what providers have to be asked for. stop ends that, and waits for it.
func getAhead(ctx context.Context, all ...credentials.Credential) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var g group
	for _, c := range all {
		g.run(func() { c.GetAhead(ctx) })
	}
	return func() {
		cancel()
		g.wait()
	}
}

// guarded calls f and returns a panic in it as an error.
func (r *run) guarded(s *registryRun, f func() error) (err error) {
	if panicked := protect(func() { err = f() }); panicked != nil {
		return internalError(s.Host, panicked)
	}
	return err
}

// step calls f, a step of a registry, and fails all images there for a panic in it.
func (r *run) step(s *registryRun, f func()) {
	if err := protect(f); err != nil {
		r.failImages(s, err)
	}
}

// failImages fails all images of a registry for a panic.
func (r *run) failImages(s *registryRun, panicked error) {
	for _, im := range s.images() {
		r.failAll(context.Background(), s, im, internalError(s.Host, panicked))
	}
}

// enterRepository proves the credentials, and in a dry run that they can read.
func (r *run) enterRepository(ctx context.Context, p *repository) error {
	err := p.client.Login(ctx)
	if err == nil && r.DryRun {
		if err = p.client.CheckPull(ctx); usererror.Is(err, usererror.RepositoryMissing) {
			err = nil
			p.mu.Lock()
			p.absent = true
			p.mu.Unlock()
		}
	}
	if p.Credential.Anonymous {
		err = wantsLogin(err, insteadOfAnonymous)
	}
	if p.Credential.Subject != nil && r.DryRun && err == nil {
		if subject := p.Credential.Subject(); subject != "" {
			r.note(Note{Host: p.Repository.Host}, "the job's OIDC token was taken, with the subject "+subject)
		}
	}
	return p.Credential.Refused(p.Repository.Host, err)
}

// provePermission opens an upload, and creates the repository first where it is missing
// and that was asked for.
func (r *run) provePermission(ctx context.Context, s *registryRun, p *repository) error {
	err := p.client.StartUpload(ctx)
	if usererror.Is(err, usererror.RepositoryMissing) && p.Credential.CreateRepository != nil {
		if err = r.create(ctx, s, p, err); err == nil {
			err = p.client.StartUpload(ctx)
		}
	}
	if err != nil && p.Credential.Anonymous {
		err = wantsLogin(err, insteadOfAnonymous)
	}
	return p.Credential.Refused(p.Repository.Host, err)
}

func (r *run) create(ctx context.Context, s *registryRun, p *repository, missing error) error {
	if !r.CreateRepository {
		return notThere(p, missing)
	}
	created, err := p.Credential.CreateRepository(ctx, p.Repository.Path, r.CreateImmutable)
	if err == nil && created {
		s.results.change(func(out *RegistryResult) {
			out.Created = append(out.Created, p.Repository.String())
			out.Wrote = true
		})
		r.note(Note{Host: s.Host}, "created the repository "+p.Repository.String())
	}
	return err
}

func notThere(p *repository, err error) error {
	return usererror.New(usererror.RepositoryMissing, p.Repository.Host,
		"repository "+p.Repository.String()+" does not exist",
		"create it, or set `create-repository: true` (the account then needs the IAM action ecr:CreateRepository, at "+
			"ECR Public ecr-public:CreateRepository)", err)
}

const insteadOfAnonymous = "The registry wants a login: give its item a username and a password in place of " +
	"anonymous: true."

// wantsLogin gives a refusal the remedy that it has where nobody logged in: there is no
// account whose user name or rights one could look at.
func wantsLogin(err error, remedy string) error {
	p := usererror.Of(err)
	if p == nil || !slices.Contains([]usererror.Code{usererror.WrongCredentials, usererror.NoPushPermission,
		usererror.NoPullPermission}, p.Code) {
		return err
	}
	refused := *p
	refused.Remedy = remedy
	return &refused
}

// sourceWantsLogin is wantsLogin for a source whose registry nobody logged in to.
func (r *run) sourceWantsLogin(im *sourceImage, err error) error {
	p := usererror.Of(err)
	for _, part := range im.plan.Parts {
		at := part.Repository()
		if p == nil || at == nil || at.Host != p.Registry {
			continue
		}
		switch c := r.plan.Credentials[*at]; {
		case c.Anonymous:
			return wantsLogin(err, insteadOfAnonymous)
		case c.Skip != "":
			if p.Code == usererror.WrongCredentials { // so says a token service, of none
				noLogin := *p
				noLogin.Code, err = usererror.NoPullPermission, &noLogin
			}
			return wantsLogin(err, fmt.Sprintf("The source was asked for without a login (%s). If it is not public, "+
				"give its registry an item with a username and a password.", c.Skip))
		}
	}
	return err
}

// waitLogin waits until the target's repository has been logged in to.
func (r *run) waitLogin(ctx context.Context, t *target) {
	<-t.loggedIn.done // a login ends when the run is cancelled
	err := t.loggedIn.err
	switch {
	case err == nil:
	case usererror.Is(err, usererror.MissingCredentials):
		// Some chains only know that they end in nothing when they are asked.
		r.unusable(ctx, t, err, SkipCredentials, "AWS credentials are unset")
	default:
		r.fail(ctx, t, err)
	}
}

// refused ends a target to which a push was refused.
func (r *run) refused(ctx context.Context, t *target, err error) {
	if usererror.Is(err, usererror.NoPushPermission) && r.Untrusted && t.Credential.JobToken {
		r.unusable(ctx, t, err, SkipFork,
			"the job's own token may not push here: the job runs for a pull request from a fork or by Dependabot")
		return
	}
	if usererror.Is(err, usererror.MissingCredentials) {
		r.unusable(ctx, t, err, SkipCredentials, "AWS credentials are unset")
		return
	}
	r.fail(ctx, t, err)
}

// unusable ends a target that has no usable credential after all: a skip, as for those of
// which the plan knew, unless that is an error here.
func (r *run) unusable(ctx context.Context, t *target, err error, kind SkipKind, reason string) {
	if r.lacks(t.Required) {
		r.gate.lack()
		r.fail(ctx, t, err)
		return
	}
	r.leaveOut(t, Skipped, kind, reason)
}

// leaveOut ends a target without a failure.
func (r *run) leaveOut(t *target, status Status, kind SkipKind, reason string) {
	if !t.end(nil) {
		return
	}
	for _, at := range t.registry.results.unsettled(t) {
		t.registry.results.settle(at, ReferenceResult{Status: status, SkipKind: kind, Reason: r.deps.Clean(reason)})
	}
}
