package credentials

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// What Docker Hub's exchange takes, and the variables of docker/login-action.
// https://docs.docker.com/enterprise/security/oidc-connections/
const (
	dockerHubAudience = "https://identity.docker.com"
	dockerHubTokenURL = "https://identity.docker.com/oauth/token" // #nosec G101 -- an address
	dockerHubLife     = time.Hour
	dockerHubShortest = 5 * time.Minute
	dockerHubLongest  = time.Hour

	dockerHubConnection = "DOCKERHUB_OIDC_CONNECTIONID"
	dockerHubExpiry     = "DOCKERHUB_OIDC_EXPIREIN"
)

// exchangeDockerHub exchanges the job's OIDC token for an access token, which is the
// password of the organization.
func (r *Resolver) exchangeDockerHub(registry, organization, connection string) issueFunc {
	return func(ctx context.Context) (issued, error) {
		what := "exchanging the job's OIDC token for one of Docker Hub for " + registry +
			" (connection " + strconv.Quote(connection) + ")"
		life, err := r.dockerHubLife()
		if err != nil {
			return issued{}, &Error{Kind: InvalidAuth, Host: registry, What: what,
				Hint: Hint{Name: DockerHubLife}, Err: err}
		}
		id, err := r.idToken(ctx, registry, dockerHubAudience)
		if err != nil {
			return issued{}, err
		}
		form := url.Values{
			"grant_type":         {tokenExchangeGrant},
			"subject_token_type": {idTokenType},
			"subject_token":      {id.text.Reveal()},
			"connection_id":      {connection},
			"expires_in":         {strconv.Itoa(int(life / time.Second))},
		}
		got, err := r.postForm(ctx, dockerHubTokenURL, form, "access_token")
		if err != nil {
			return issued{}, r.failed(OIDCRefused, registry, what, Hint{},
				r.explainTrust(dockerHubTrust(), id.claims, err))
		}
		return r.passwordOf(organization, got, life), nil
	}
}

// dockerHubLife returns how long a token is asked to hold.
func (r *Resolver) dockerHubLife() (time.Duration, error) {
	text := strings.TrimSpace(r.o.Getenv(dockerHubExpiry))
	if text == "" {
		return dockerHubLife, nil
	}
	seconds, err := strconv.Atoi(text)
	life := time.Duration(seconds) * time.Second
	if err != nil || life < dockerHubShortest || life > dockerHubLongest {
		return 0, errors.New(dockerHubExpiry + " is not a number from 300 to 3600")
	}
	return life, nil
}
