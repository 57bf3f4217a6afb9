package credentials

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google/externalaccount"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
)

const (
	googleResource = "//iam.googleapis.com/"
	googleIAM      = "https://iamcredentials.googleapis.com"
	googleScope    = "https://www.googleapis.com/auth/cloud-platform"
	// googleUser is the user name that an access token is sent with.
	// https://cloud.google.com/artifact-registry/docs/docker/authentication#token
	googleUser = "oauth2accesstoken"
)

// googleProvider returns the full resource name of a workload identity provider,
// which people also write without the service or as an address.
func googleProvider(s string) string {
	s = strings.TrimPrefix(s, "https:")
	return googleResource + strings.TrimPrefix(s, googleResource)
}

// googleExchange is one exchange with Google. The library that does it flattens errors to
// text; what says more is kept here.
type googleExchange struct {
	r              *Resolver
	registry       string
	provider       string
	serviceAccount string // may be empty

	claims  Claims // of the token that was sent
	noToken error  // why GitHub gave none
	refused *refusal
	byIAM   bool // refused by the service account's side, not by the provider's
	carrier *exchangeTransport
}

// exchangeGoogle exchanges the job's OIDC token for a federated access token, and
// that, if serviceAccount is not empty, for one of the service account.
func (r *Resolver) exchangeGoogle(registry, provider, serviceAccount string) issueFunc {
	return func(ctx context.Context) (issued, error) {
		x := &googleExchange{r: r, registry: registry, provider: provider, serviceAccount: serviceAccount}
		x.carrier = r.exchangeTransport()
		x.carrier.onAnswer = x.answered
		what := "exchanging the job's OIDC token for one of Google for " + registry
		config := externalaccount.Config{ // #nosec G101 -- the name of a type
			Audience:             googleProvider(provider),
			SubjectTokenType:     "urn:ietf:params:oauth:token-type:jwt",
			Scopes:               []string{googleScope},
			SubjectTokenSupplier: x,
		}
		if serviceAccount != "" {
			what += " (service account " + serviceAccount + ")"
			config.ServiceAccountImpersonationURL = googleIAM + "/v1/projects/-/serviceAccounts/" +
				url.PathEscape(serviceAccount) + ":generateAccessToken"
		}
		at := r.o.Clock.Now()
		source, err := externalaccount.NewTokenSource(context.WithValue(ctx, oauth2.HTTPClient, x.carrier.client()),
			config)
		if err != nil {
			return issued{}, r.failed(OIDCRefused, registry, what, Hint{}, err)
		}
		got, err := source.Token()
		if err == nil && got.AccessToken == "" {
			err = errors.New("the answer holds no access token")
		}
		if err != nil {
			return issued{}, r.failed(OIDCRefused, registry, what, Hint{}, x.cause())
		}
		expires := got.Expiry // as Google says it of a service account's token
		if serviceAccount == "" {
			// Of a federated token it says for how long, which the library adds to the
			// machine's clock.
			expires = at.Add(time.Until(got.Expiry))
		}
		r.o.Redactor.Learn(googleUser, redact.New(got.AccessToken))
		return issued{
			config:  authn.AuthConfig{Username: googleUser, Password: got.AccessToken},
			at:      at,
			expires: expires,
		}, nil
	}
}

// answered sees each answer of Google before the library does.
func (x *googleExchange) answered(host string, status int, body []byte) {
	x.refused, x.byIAM = nil, "https://"+host == googleIAM
	if status >= http.StatusBadRequest {
		x.refused = &refusal{host: host, status: status, text: message(body)}
	}
	x.r.learnFederated(body)
}

// cause returns why there is no token.
func (x *googleExchange) cause() error {
	switch {
	case x.noToken != nil:
		return x.noToken
	case x.carrier.failure != nil:
		return x.carrier.failure
	case x.refused != nil && x.byIAM:
		return x.r.explainTrust(googleAccountTrust(x.provider, x.serviceAccount), x.claims, x.refused)
	case x.refused != nil:
		return x.r.explainTrust(googleTrust(), x.claims, x.refused)
	}
	return errors.New("the answer is not a token")
}

// SubjectToken gives the library the job's OIDC token.
func (x *googleExchange) SubjectToken(ctx context.Context, o externalaccount.SupplierOptions) (string, error) {
	t, err := x.r.idToken(ctx, x.registry, o.Audience)
	x.claims, x.noToken = t.claims, err
	return t.text.Reveal(), err
}

// learnFederated tells the redactor the federated token in an answer, before the library
// asks for that of the service account with it.
func (r *Resolver) learnFederated(body []byte) {
	var answer struct {
		Token string `json:"access_token"`
	}
	if json.Unmarshal(body, &answer) == nil {
		r.o.Redactor.Learn(googleUser, redact.New(answer.Token))
	}
}
