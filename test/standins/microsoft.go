package standins

import (
	"crypto/rand"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
)

// Microsoft is Entra and Azure Container Registry.
type Microsoft struct {
	Tenant  string
	Client  string
	Subject string // what the application's federated credential trusts
	// Push says whether the application has a role on the registry.
	Push bool
	// Life is how long a refresh token holds; 0 means three hours.
	Life time.Duration
	// Now is the clock; nil means [time.Now].
	Now func() time.Time

	github  *GitHub
	access  tokenStore
	refresh tokenStore
}

// Hosts of Microsoft.
const (
	Entra         = "login.microsoftonline.com"
	AzureRegistry = "acme.azurecr.io"
)

// NewMicrosoft puts Entra and a registry on the internet.
func NewMicrosoft(t testing.TB, n *Internet, g *GitHub) *Microsoft {
	t.Helper()
	m := &Microsoft{
		Tenant: "72f988bf-86f1-41af-91ab-2d7cd011db47", Client: "0b6c0f0e-1d6a-4c39-9a5d-6f0d9d4b8f11",
		Subject: mainSubject, Push: true, github: g,
	}
	n.Handle(Entra, http.HandlerFunc(m.entra))
	front := newTokenFront(t, n, AzureRegistry, m.now, m.accepts)
	n.Handle(AzureRegistry, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/oauth2/exchange" {
			m.exchange(w, r)
			return
		}
		front.ServeHTTP(w, r)
	}))
	return m
}

// Issued returns the tokens given out so far, access tokens first.
func (m *Microsoft) Issued() []string { return slices.Concat(m.access.all(), m.refresh.all()) }

func (m *Microsoft) now() time.Time {
	if m.Now != nil {
		return m.Now()
	}
	return time.Now()
}

func (m *Microsoft) entra(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/"+m.Tenant+"/oauth2/v2.0/token" {
		oauthError(w, http.StatusBadRequest, "invalid_request", "AADSTS90002: Tenant not found.")
		return
	}
	f, err := form(r, "grant_type", "client_id", "client_assertion_type", "client_assertion", "scope")
	if err != nil {
		oauthError(w, http.StatusBadRequest, "invalid_request", "AADSTS900144: "+err.Error())
		return
	}
	switch {
	case f["grant_type"] != "client_credentials",
		f["client_assertion_type"] != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer":
		oauthError(w, http.StatusBadRequest, "unsupported_grant_type", "AADSTS70003")
		return
	case f["client_id"] != m.Client:
		oauthError(w, http.StatusBadRequest, "unauthorized_client", "AADSTS700016: Application with identifier '"+f["client_id"]+"' was not found in the directory.")
		return
	case f["scope"] != "https://containerregistry.azure.net/.default":
		oauthError(w, http.StatusBadRequest, "invalid_scope", "AADSTS70011")
		return
	}
	if err := m.github.Verify(f["client_assertion"], "api://AzureADTokenExchange", m.Subject); err != nil {
		oauthError(w, http.StatusUnauthorized, "invalid_client", "AADSTS70021: No matching federated identity record found for presented assertion. "+err.Error()+" Assertion: "+f["client_assertion"])
		return
	}
	answer(w, http.StatusOK, map[string]any{
		"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": m.access.issue("entra-", m.now().Add(time.Hour)),
	})
}

func (m *Microsoft) exchange(w http.ResponseWriter, r *http.Request) {
	f, err := form(r, "grant_type", "service", "tenant", "access_token")
	switch {
	case err != nil:
		registryError(w, http.StatusBadRequest, "UNSUPPORTED", err.Error())
		return
	case f["grant_type"] != "access_token" || f["service"] != AzureRegistry || f["tenant"] != m.Tenant:
		registryError(w, http.StatusBadRequest, "UNSUPPORTED", "grant_type, service or tenant")
		return
	case m.access.check(f["access_token"], m.now()) != nil || !m.Push:
		registryError(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required for "+f["access_token"])
		return
	}
	life := m.Life
	if life == 0 {
		life = 3 * time.Hour
	}
	end := m.now().Add(life)
	token, err := jwt.Signed(m.github.signer).Claims(map[string]any{"exp": end.Unix(), "grant_type": "refresh_token", "jti": rand.Text()}).Serialize()
	if err != nil {
		registryError(w, http.StatusInternalServerError, "UNKNOWN", err.Error())
		return
	}
	m.refresh.add(token, end)
	answer(w, http.StatusOK, map[string]string{"refresh_token": token})
}

func (m *Microsoft) accepts(user, password string) error {
	if user != "00000000-0000-0000-0000-000000000000" {
		return errIncorrect
	}
	return m.refresh.check(password, m.now())
}
