package credentials

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// https://learn.microsoft.com/entra/workload-id/workload-identity-federation
// https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md
const (
	azureAudience = "api://AzureADTokenExchange"
	azureScope    = "https://containerregistry.azure.net/.default"
	// acrUser is the user name that a refresh token is sent with.
	acrUser = "00000000-0000-0000-0000-000000000000"
	// acrLife is how long a refresh token holds if it does not say.
	acrLife = 3 * time.Hour
)

// buyAzure exchanges the job's OIDC token for an Entra access token, and that
// for a refresh token of the registry.
func (r *Resolver) buyAzure(registry, client, tenant string) func(context.Context) (bought, error) {
	return func(ctx context.Context) (bought, error) {
		id, err := r.jobToken(ctx, registry, azureAudience)
		if err != nil {
			return bought{}, err
		}
		access, err := r.postForm(ctx, "https://login.microsoftonline.com/"+url.PathEscape(tenant)+"/oauth2/v2.0/token", url.Values{
			"grant_type":            {"client_credentials"},
			"client_id":             {client},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			"client_assertion":      {id.Reveal()},
			"scope":                 {azureScope},
		}, "access_token", 0)
		if err != nil {
			return bought{}, r.refused(usererror.OIDCRefused, registry, "exchanging the job's OIDC token for one of Microsoft Entra for "+registry,
				"Compare the application's federated credential (issuer, subject, audience) with this workflow, and `azure-client` and `azure-tenant` with the application.", err)
		}
		refresh, err := r.postForm(ctx, "https://"+registry+"/oauth2/exchange", url.Values{
			"grant_type":   {"access_token"},
			"service":      {registry},
			"tenant":       {tenant},
			"access_token": {access.token.Reveal()},
		}, "refresh_token", 0)
		if err != nil {
			return bought{}, r.refused(usererror.OIDCRefused, registry, "exchanging the Entra token for one of "+registry,
				"Give the application the role AcrPush on the registry.", err)
		}
		r.o.Redactor.Learn(acrUser, refresh.token)
		expires := jwtExpiry(refresh.token)
		if expires.IsZero() {
			expires = refresh.at.Add(acrLife)
		}
		return bought{
			config:  authn.AuthConfig{Username: acrUser, Password: refresh.token.Reveal()},
			bought:  refresh.at,
			expires: expires,
		}, nil
	}
}

// jwtExpiry reads the claim exp (RFC 7519, 4.1.4) of a token; zero if it has none.
// The signature is the registry's business.
func jwtExpiry(t redact.Text) time.Time {
	parts := strings.Split(t.Reveal(), ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}
	}
	var claims struct {
		Expires float64 `json:"exp"`
	}
	if json.Unmarshal(payload, &claims) != nil || claims.Expires <= 0 {
		return time.Time{}
	}
	return time.Unix(int64(claims.Expires), 0)
}
