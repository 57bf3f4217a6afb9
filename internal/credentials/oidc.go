package credentials

import (
	"context"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// idToken is an OIDC token of the job, for one audience.
type idToken struct {
	text   redact.Text
	claims Claims
}

// idToken asks GitHub for the job's OIDC token for an audience; registry is the
// one it is wanted for. The redactor knows the token when it is returned.
func (r *Resolver) idToken(ctx context.Context, registry, audience string) (idToken, error) {
	if !r.job.hasOIDC() {
		remedy := ""
		switch {
		case r.job.CommandLine:
			remedy = "Only a workflow's job has one: on a command line, give the item `username` and `password-env`."
		case r.job.Forge:
			remedy = "On Forgejo add `enable-openid-connect: true` to the workflow; Gitea gives jobs no OIDC token."
		}
		return idToken{}, usererror.New(usererror.OIDCMissing, registry, "logging in to "+registry+
			" without a stored secret needs the job's OIDC token, and the job may not ask for one", remedy, nil)
	}
	token, err := r.job.IDToken(ctx, audience)
	if err != nil {
		return idToken{}, r.problemOf(usererror.OIDCRefused, registry,
			"asking GitHub for the job's OIDC token for "+registry, "", err)
	}
	claims := readClaims(token)
	r.noteSubject(registry, claims.Subject)
	return idToken{token, claims}, nil
}

// noteSubject keeps the subject that was sent for a registry.
func (r *Resolver) noteSubject(registry, subject string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.subjects[registry] = subject
}

// subject returns the subject of the last token of the job that was asked for on behalf of
// a registry, "" if there was none.
func (r *Resolver) subject(registry string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.subjects[registry]
}
