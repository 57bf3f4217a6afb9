package standins

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

var errIncorrect = errors.New("incorrect username or password")

// Google is Google Cloud: its security token service, the credentials of service
// accounts, and Artifact Registry.
type Google struct {
	// Provider is the workload identity provider that is configured, with the subject
	// that it trusts; Account is the service account that it may use.
	Provider string
	Subject  string
	Account  string
	// AccountOnly says that only the service account may use the registry.
	AccountOnly bool
	// Key is the content of a key file that Artifact Registry takes with _json_key.
	Key string
	// Life is how long access tokens hold; 0 means an hour.
	Life time.Duration
	// Now is the clock; nil means [time.Now].
	Now func() time.Time

	github       *GitHub
	federated    tokenStore
	impersonated tokenStore
}

// Hosts of Google Cloud.
const (
	GoogleSTS      = "sts.googleapis.com"
	GoogleIAM      = "iamcredentials.googleapis.com"
	GoogleRegistry = "europe-west1-docker.pkg.dev"
)

const cloudPlatform = "https://www.googleapis.com/auth/cloud-platform"

// NewGoogle puts Google Cloud on the internet.
func NewGoogle(t testing.TB, n *Internet, g *GitHub) *Google {
	t.Helper()
	c := &Google{
		Provider: "projects/123456/locations/global/workloadIdentityPools/ci/providers/github",
		Subject:  mainSubject, Account: "publisher@acme.iam.gserviceaccount.com", github: g,
	}
	n.Handle(GoogleSTS, http.HandlerFunc(c.exchange))
	n.Handle(GoogleIAM, http.HandlerFunc(c.impersonate))
	newTokenFront(t, n, GoogleRegistry, c.now, c.accepts)
	return c
}

// Issued returns the tokens given out so far, federated ones first.
func (c *Google) Issued() []string { return slices.Concat(c.federated.all(), c.impersonated.all()) }

func (c *Google) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

func (c *Google) life() time.Duration {
	if c.Life != 0 {
		return c.Life
	}
	return time.Hour
}

func (c *Google) exchange(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/v1/token" {
		http.NotFound(w, r)
		return
	}
	// The library sends an empty options field along.
	r.PostForm = nil
	if err := r.ParseForm(); err == nil && (r.PostForm.Get("options") == "" || r.PostForm.Get("options") == "null") {
		r.PostForm.Del("options")
	}
	f, err := form(r, "audience", "grant_type", "requested_token_type", "subject_token_type", "subject_token", "scope")
	if err != nil {
		oauthError(w, http.StatusBadRequest, "invalid_request", err.Error())
		return
	}
	resource := "//iam.googleapis.com/" + c.Provider
	switch {
	case f["grant_type"] != "urn:ietf:params:oauth:grant-type:token-exchange",
		f["requested_token_type"] != "urn:ietf:params:oauth:token-type:access_token",
		f["subject_token_type"] != "urn:ietf:params:oauth:token-type:jwt",
		f["scope"] != cloudPlatform:
		oauthError(w, http.StatusBadRequest, "invalid_request", "Invalid value")
		return
	case f["audience"] != resource:
		oauthError(w, http.StatusBadRequest, "invalid_target", "The target service indicated by the \"audience\" parameters is invalid.")
		return
	}
	if err := c.github.Verify(f["subject_token"], resource, c.Subject); err != nil {
		oauthError(w, http.StatusUnauthorized, "unauthorized_client", "The given credential is rejected by the attribute condition: "+err.Error()+" "+f["subject_token"])
		return
	}
	answer(w, http.StatusOK, map[string]any{
		"access_token": c.federated.issue("ya29.d.", c.now().Add(c.life())), "token_type": "Bearer", "expires_in": int(c.life() / time.Second),
		"issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
	})
}

func (c *Google) impersonate(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, code, message string) {
		answer(w, status, map[string]any{"error": map[string]any{"code": status, "status": code, "message": message}})
	}
	account, ok := strings.CutPrefix(r.URL.Path, "/v1/projects/-/serviceAccounts/")
	account, ok2 := strings.CutSuffix(account, ":generateAccessToken")
	if !ok || !ok2 || r.Method != http.MethodPost {
		http.NotFound(w, r)
		return
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if err := c.federated.check(token, c.now()); !ok || err != nil {
		refuse(http.StatusUnauthorized, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
		return
	}
	var body struct {
		Scope    []string `json:"scope"`
		Lifetime string   `json:"lifetime"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || !slices.Equal(body.Scope, []string{cloudPlatform}) {
		refuse(http.StatusBadRequest, "INVALID_ARGUMENT", "scope")
		return
	}
	if account != c.Account {
		refuse(http.StatusForbidden, "PERMISSION_DENIED", "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).")
		return
	}
	end := c.now().Add(c.life())
	answer(w, http.StatusOK, map[string]string{"accessToken": c.impersonated.issue("ya29.c.", end), "expireTime": end.UTC().Format(time.RFC3339)})
}

func (c *Google) accepts(user, password string) error {
	switch user {
	case "_json_key":
		if c.Key != "" && password == c.Key {
			return nil
		}
	case "oauth2accesstoken":
		err := c.impersonated.check(password, c.now())
		if err != nil && !c.AccountOnly {
			err = c.federated.check(password, c.now())
		}
		return err
	}
	return errIncorrect
}
