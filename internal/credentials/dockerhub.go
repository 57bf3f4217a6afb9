package credentials

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// What Docker Hub's exchange takes; the life may be 300 s to 3600 s.
const (
	dockerHubAudience = "https://identity.docker.com"
	dockerHubTokenURL = "https://identity.docker.com/oauth/token" // #nosec G101 -- where tokens are bought
	dockerHubLife     = time.Hour

	dockerHubConnection = "DOCKERHUB_OIDC_CONNECTIONID"
)

// buyDockerHub exchanges the job's OIDC token for an access token, which is the
// password of the organization.
func (r *Resolver) buyDockerHub(organization, connection string) func(context.Context) (bought, error) {
	return func(ctx context.Context) (bought, error) {
		what := "exchanging the job's OIDC token for one of Docker Hub (connection " + strconv.Quote(connection) + ")"
		id, err := r.jobToken(ctx, imageref.DockerHub, dockerHubAudience)
		if err != nil {
			return bought{}, err
		}
		form := url.Values{
			"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
			"subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"},
			"subject_token":      {id.Reveal()},
			"connection_id":      {connection},
			"expires_in":         {strconv.Itoa(int(dockerHubLife / time.Second))},
		}
		got, err := r.postForm(ctx, dockerHubTokenURL, form, "access_token", dockerHubLife)
		if err != nil {
			return bought{}, r.refused(usererror.OIDCRefused, imageref.DockerHub, what,
				"Compare the ruleset of the OIDC connection in the organization's Docker Hub settings with this workflow's repository and branch, and its id with `dockerhub-connection`.", err)
		}
		r.o.Redactor.Learn(organization, got.token)
		return bought{
			config:  authn.AuthConfig{Username: organization, Password: got.token.Reveal()},
			bought:  got.at,
			expires: got.expires,
		}, nil
	}
}

// token is what a token endpoint gives out.
type token struct {
	token   redact.Text
	at      time.Time
	expires time.Time
}

// postForm sends a form to a token endpoint and reads the token from the answer's
// field. life is how long it holds if the answer does not say; 0 means it is not known.
// The redactor knows the token when it is returned.
func (r *Resolver) postForm(ctx context.Context, address string, form url.Values, field string, life time.Duration) (token, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return token{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	at := r.o.Clock.Now()
	var answer map[string]any
	if err := r.exchangeJSON(req, &answer); err != nil {
		return token{}, err
	}
	value, _ := answer[field].(string)
	if value == "" {
		return token{}, errors.New("the answer of " + req.URL.Host + " holds no " + field)
	}
	t := token{token: redact.New(value), at: at}
	r.o.Redactor.Learn("", t.token)
	// Microsoft has written the seconds as text.
	switch seconds := answer["expires_in"].(type) {
	case float64:
		life = time.Duration(seconds) * time.Second
	case string:
		if n, err := strconv.Atoi(seconds); err == nil {
			life = time.Duration(n) * time.Second
		}
	}
	if life > 0 {
		t.expires = at.Add(life)
	}
	return t, nil
}
