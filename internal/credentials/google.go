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
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

const (
	googleResource = "//iam.googleapis.com/"
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

// buyGoogle exchanges the job's OIDC token for a federated access token, and
// that, if account is not empty, for one of the service account.
func (r *Resolver) buyGoogle(registry, provider, account string) func(context.Context) (bought, error) {
	return func(ctx context.Context) (bought, error) {
		what := "exchanging the job's OIDC token for one of Google for " + registry
		var refused *refusal
		carrier := r.exchange()
		carrier.onAnswer = func(host string, status int, body []byte) {
			refused = nil
			if status >= http.StatusBadRequest {
				refused = &refusal{host: host, status: status, text: message(body)}
			}
			r.learnFederated(body)
		}
		supplier := &jobTokenSupplier{r: r, registry: registry}
		config := externalaccount.Config{
			Audience:             googleProvider(provider),
			SubjectTokenType:     "urn:ietf:params:oauth:token-type:jwt",
			Scopes:               []string{googleScope},
			SubjectTokenSupplier: supplier,
		}
		if account != "" {
			what += " (service account " + account + ")"
			config.ServiceAccountImpersonationURL = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/" + url.PathEscape(account) + ":generateAccessToken"
		}
		at := r.o.Clock.Now()
		source, err := externalaccount.NewTokenSource(context.WithValue(ctx, oauth2.HTTPClient, carrier.client()), config)
		if err != nil {
			return bought{}, r.refused(usererror.OIDCRefused, registry, what, "", err)
		}
		got, err := source.Token()
		if err == nil && got.AccessToken == "" {
			err = errors.New("the answer holds no access token")
		}
		if err != nil {
			// The library flattens errors to text; those that say more are kept aside.
			switch {
			case supplier.err != nil:
				return bought{}, supplier.err
			case carrier.failure != nil:
				err = carrier.failure
			case refused != nil:
				err = refused
			default:
				err = errors.New("the answer is not a token")
			}
			return bought{}, r.refused(usererror.OIDCRefused, registry, what,
				"Compare the provider's attribute condition and audience with this workflow, and see that the workload identity pool's principal may use the service account (roles/iam.workloadIdentityUser).", err)
		}
		expires := got.Expiry // as Google says it of a service account's token
		if account == "" {
			// Of a federated token it says for how long, which the library adds to the
			// machine's clock.
			expires = at.Add(time.Until(got.Expiry))
		}
		access := redact.New(got.AccessToken)
		r.o.Redactor.Learn(googleUser, access)
		return bought{
			config:  authn.AuthConfig{Username: googleUser, Password: got.AccessToken},
			bought:  at,
			expires: expires,
		}, nil
	}
}

// learnFederated tells the redactor the federated token in an answer, before the library
// buys that of the service account with it.
func (r *Resolver) learnFederated(body []byte) {
	var answer struct {
		Token string `json:"access_token"`
	}
	if json.Unmarshal(body, &answer) == nil {
		r.o.Redactor.Learn(googleUser, redact.New(answer.Token))
	}
}

// jobTokenSupplier gives the library the job's OIDC token.
type jobTokenSupplier struct {
	r        *Resolver
	registry string
	err      error // the last one, which the library turns into text
}

func (s *jobTokenSupplier) SubjectToken(ctx context.Context, o externalaccount.SupplierOptions) (string, error) {
	t, err := s.r.jobToken(ctx, s.registry, o.Audience)
	s.err = err
	return t.Reveal(), err
}
