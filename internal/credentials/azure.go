package credentials

import (
	"context"
	"net/url"
	"time"
)

// https://learn.microsoft.com/entra/workload-id/workload-identity-federation
// https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md
const (
	entra         = "https://login.microsoftonline.com"
	azureAudience = "api://AzureADTokenExchange"
	azureScope    = "https://containerregistry.azure.net/.default"
	// acrUser is the user name that a refresh token is sent with.
	acrUser = "00000000-0000-0000-0000-000000000000"
	// acrLife is how long a refresh token holds if it does not say.
	acrLife = 3 * time.Hour
)

// exchangeAzure exchanges the job's OIDC token for an Entra access token, and that
// for a refresh token of the registry.
func (r *Resolver) exchangeAzure(registry, client, tenant string) issueFunc {
	return func(ctx context.Context) (issued, error) {
		id, err := r.idToken(ctx, registry, azureAudience)
		if err != nil {
			return issued{}, err
		}
		access, err := r.postForm(ctx, entra+"/"+url.PathEscape(tenant)+"/oauth2/v2.0/token", url.Values{
			"grant_type":            {"client_credentials"},
			"client_id":             {client},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			"client_assertion":      {id.text.Reveal()},
			"scope":                 {azureScope},
		}, "access_token")
		if err != nil {
			return issued{}, r.failed(OIDCRefused, registry,
				"exchanging the job's OIDC token for one of Microsoft Entra for "+registry, Hint{},
				r.explainTrust(azureTrust(), id.claims, err))
		}
		refresh, err := r.postForm(ctx, "https://"+registry+"/oauth2/exchange", url.Values{
			"grant_type":   {"access_token"},
			"service":      {registry},
			"tenant":       {tenant},
			"access_token": {access.token.Reveal()},
		}, "refresh_token")
		if err != nil {
			return issued{}, r.failed(OIDCRefused, registry,
				"exchanging the Entra token for one of "+registry, Hint{Name: AzureRole}, err)
		}
		return r.passwordOf(acrUser, refresh, acrLife), nil
	}
}
