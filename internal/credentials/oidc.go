package credentials

import (
	"context"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
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
		var hint Hint
		switch {
		case r.job.CommandLine:
			hint.Name = OnCommandLine
		case r.job.Forge:
			hint.Name = OnForge
		}
		return idToken{}, &Error{Kind: OIDCMissing, Host: registry, What: "logging in to " + registry +
			" without a stored secret needs the job's OIDC token, and the job may not ask for one", Hint: hint}
	}
	token, err := r.job.IDToken(ctx, audience)
	if err != nil {
		return idToken{}, r.failed(OIDCRefused, registry,
			"asking GitHub for the job's OIDC token for "+registry, Hint{}, err)
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
