package credentials

import (
	"context"
	"net/http"
	"time"
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
		id, err := r.idToken(ctx, registry, audience)
		if err != nil {
			return issued{}, err
		}
		address := providerURL(registry) + "/oauth2/federation/robot/token"
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return issued{}, r.failed(OIDCRefused, registry, what, Hint{}, err)
		}
		req.SetBasicAuth(robot, id.text.Reveal())
		r.o.Redactor.Learn(robot, id.text)
		got, err := r.askToken(req, "token")
		if err != nil {
			return issued{}, r.failed(OIDCRefused, registry, what, Hint{QuayTooOld, registry},
				r.explainTrust(quayTrust(robot), id.claims, err))
		}
		return r.passwordOf(robot, got, quayLife), nil
	}
}
