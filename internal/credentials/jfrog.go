package credentials

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
)

const (
	// jfrogAudience is what JFrog's own action asks for by convention.
	jfrogAudience = "jfrog-github"
	// jfrogLife is how long a token is taken to hold where neither it nor the answer says.
	jfrogLife = 5 * time.Minute
)

// exchangeJFrog exchanges the job's OIDC token for an access token of a JFrog platform, which
// is the password of the user that the integration's identity mapping names.
//
// https://jfrog.com/help/r/jfrog-rest-apis/oidc-token-exchange
func (r *Resolver) exchangeJFrog(registry, provider, audience, platform string) issueFunc {
	address := cmp.Or(strings.TrimRight(platform, "/"), providerURL(registry)) + "/access/api/v1/oidc/token"
	return func(ctx context.Context) (issued, error) {
		what := "exchanging the job's OIDC token for one of JFrog for " + registry +
			" (integration " + strconv.Quote(provider) + ")"
		id, err := r.idToken(ctx, registry, audience)
		if err != nil {
			return issued{}, err
		}
		got, err := r.postJSON(ctx, address, map[string]string{
			"grant_type":         tokenExchangeGrant,
			"subject_token_type": idTokenType,
			"subject_token":      id.text.Reveal(),
			"provider_name":      provider,
		}, "access_token")
		if err != nil {
			return issued{}, r.failed(OIDCRefused, registry, what, Hint{Name: JFrogElsewhere},
				r.explainTrust(jfrogTrust(provider), id.claims, err))
		}
		user := cmp.Or(got.user, jfrogUser(got.token))
		if user == "" {
			return issued{}, r.failed(OIDCRefused, registry, what, Hint{Name: JFrogNoUser},
				errors.New("neither the answer nor its token names a user"))
		}
		return r.passwordOf(user, got, jfrogLife), nil
	}
}

// jfrogUser returns the user of an access token, the last part of its subject:
// jfac@01h2…/users/NAME.
func jfrogUser(t redact.Text) string {
	var claims struct {
		Subject string `json:"sub"`
	}
	if !decodePayload(t, &claims) {
		return ""
	}
	_, user, found := strings.Cut(claims.Subject, "/users/")
	if !found {
		user = claims.Subject[strings.LastIndexByte(claims.Subject, '/')+1:]
	}
	return user
}
