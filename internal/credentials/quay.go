package credentials

import (
	"context"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// quayLife is how long a robot's token holds if it does not say.
const quayLife = time.Hour

// exchangeQuay exchanges the job's OIDC token for a short-lived password of a robot account,
// which trusts pairs of issuer and subject (Quay 3.13 and later, quay.io).
//
// Red Hat Quay 3.16, "Manage Red Hat Quay", Keyless authentication with robot accounts.
func (r *Resolver) exchangeQuay(registry, robot, audience string) issueFunc {
	return func(ctx context.Context) (issued, error) {
		what := "exchanging the job's OIDC token for one of " + registry + " (robot account " + robot + ")"
		id, err := r.jobToken(ctx, registry, audience)
		if err != nil {
			return issued{}, err
		}
		address := providerURL(registry) + "/oauth2/federation/robot/token"
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return issued{}, r.refused(usererror.OIDCRefused, registry, what, "", err)
		}
		req.SetBasicAuth(robot, id.text.Reveal())
		r.o.Redactor.Learn(robot, id.text)
		got, err := r.askToken(req, "token", 0)
		if err != nil {
			return issued{}, r.refused(usererror.OIDCRefused, registry, what,
				"See that "+registry+" is Quay 3.13 or later, or quay.io.", r.distrust(quayTrust(robot), id.claims,
					err))
		}
		r.o.Redactor.Learn(robot, got.token)
		expires := jwtExpiry(got.token)
		if expires.IsZero() {
			expires = got.at.Add(quayLife)
		}
		return issued{
			config:  authn.AuthConfig{Username: robot, Password: got.token.Reveal()},
			at:      got.at,
			expires: expires,
		}, nil
	}
}

// providerURL returns the base address of a provider that runs on a registry's own host. The
// job's token goes there by HTTPS; on loopback, where nobody listens in, by HTTP.
func providerURL(host string) string {
	if imageref.Loopback(host) {
		return "http://" + host
	}
	return "https://" + host
}
