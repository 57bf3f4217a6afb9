package publish

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// verifyPublic asks for every reference of the repositories with public: true as somebody
// does who has no account. A registry that does not let such a client read fails; one that
// does not answer is a warning.
func (r *run) verifyPublic(ctx context.Context, s *registryRun, updates []*tagUpdate) {
	all := only(updates, func(u *tagUpdate) bool {
		return u.asked && u.t.Public && !u.t.out() && (u.written || u.stays())
	})
	if len(all) == 0 {
		return
	}
	leave := s.results.enter(Verify)
	defer func() { leave(ctx.Err() != nil || anyFailed(all)) }()
	limited(requestsAtOnce, all, func(u *tagUpdate) {
		err := u.t.client.CheckPublic(ctx, u.ref())
		switch {
		case err == nil || ctx.Err() != nil:
		case errors.Is(err, registry.ErrNotPublic):
			r.failTag(u.t, usererror.New(usererror.NotPublic, s.Host,
				u.String()+" cannot be pulled without a login, and its item has public: true", visibility(s.Host,
					u.t.Repository.Path), err))
		default:
			r.note(Note{Host: s.Host, Warning: true},
				"whether "+u.String()+" can be pulled without a login could not be found out: "+usererror.Text(err))
		}
	})
}

// visibility says where the visibility of a repository is changed: no registry has an
// interface for that which an action could use.
func visibility(host, path string) string {
	owner, name, _ := strings.Cut(path, "/")
	switch host {
	case "ghcr.io":
		name = url.PathEscape(name)
		return "A new package is private until its owner changes that, in the package's settings under \"Danger " +
			"Zone\": https://github.com/users/" +
			owner + "/packages/container/" + name +
			"/settings, or, where the owner is an organization, https://github.com/orgs/" +
			owner + "/packages/container/" + name + "/settings."
	case "docker.io":
		return "Change it at https://hub.docker.com/repository/docker/" + path + "/settings."
	case "quay.io":
		return "Change it at https://quay.io/repository/" + path + "?tab=settings."
	}
	return ""
}
