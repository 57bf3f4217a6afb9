package standins

import (
	"crypto/rand"
	"encoding/json"
	"mime"
	"net/http"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
)

// JFrog is a JFrog platform with an OIDC integration: Access, which exchanges tokens, and
// an Artifactory registry.
type JFrog struct {
	Platform string // host of Access
	Registry string // host of the registry, often the same
	Provider string // name of the integration
	Audience string // that the integration asks for
	Subject  string // that its identity mapping trusts
	User     string // whom the mapping makes of it
	// NamesUser says that the answer holds the user's name, which newer platforms give.
	NamesUser bool
	// Life is how long a token holds; 0 means an hour.
	Life time.Duration
	// Now is the clock; nil means [time.Now].
	Now func() time.Time

	github *GitHub
	tokens tokenStore
}

// NewJFrog puts a JFrog platform on the internet, with the registry at a host of its own if
// that is another.
func NewJFrog(t testing.TB, n *Internet, g *GitHub, platform, registry string) *JFrog {
	t.Helper()
	j := &JFrog{
		Platform: platform, Registry: registry, Provider: "github", Audience: "jfrog-github", Subject: mainSubject,
		User: "publisher", github: g,
	}
	front := newTokenFront(t, n, registry, j.now, j.accepts)
	access := func(otherwise http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/access/api/v1/oidc/token" {
				j.exchange(w, r)
				return
			}
			otherwise.ServeHTTP(w, r)
		})
	}
	n.Handle(platform, access(http.NotFoundHandler()))
	if platform == registry {
		n.Handle(platform, access(front))
	}
	return j
}

// Issued returns the access tokens given out so far.
func (j *JFrog) Issued() []string { return j.tokens.all() }

func (j *JFrog) now() time.Time {
	if j.Now != nil {
		return j.Now()
	}
	return time.Now()
}

// exchange is JFrog Access's OIDC token exchange.
// https://jfrog.com/help/r/jfrog-rest-apis/oidc-token-exchange
func (j *JFrog) exchange(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, message string) {
		answer(w, status, map[string]any{"errors": []any{map[string]string{"code": http.StatusText(status), "message": message}}})
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Method != http.MethodPost || err != nil || kind != "application/json" || r.Header.Get("Authorization") != "" {
		refuse(http.StatusBadRequest, "a POST of JSON without a login is expected")
		return
	}
	var in struct {
		GrantType        string `json:"grant_type"`
		SubjectTokenType string `json:"subject_token_type"`
		SubjectToken     string `json:"subject_token"`
		ProviderName     string `json:"provider_name"`
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	switch err := decoder.Decode(&in); {
	case err != nil:
		refuse(http.StatusBadRequest, err.Error())
		return
	case in.GrantType != "urn:ietf:params:oauth:grant-type:token-exchange":
		refuse(http.StatusBadRequest, "grant_type is not supported")
		return
	case in.SubjectTokenType != "urn:ietf:params:oauth:token-type:id_token":
		refuse(http.StatusBadRequest, "subject_token_type is not supported")
		return
	case in.ProviderName != j.Provider:
		refuse(http.StatusBadRequest, "OIDC configuration for provider "+in.ProviderName+" not found")
		return
	}
	if err := j.github.Verify(in.SubjectToken, j.Audience, j.Subject); err != nil {
		refuse(http.StatusForbidden, "no identity mapping matches: "+err.Error()+" "+in.SubjectToken)
		return
	}
	j.give(w)
}

// give answers with an access token.
func (j *JFrog) give(w http.ResponseWriter) {
	life := j.Life
	if life == 0 {
		life = time.Hour
	}
	end := j.now().Add(life)
	token, err := jwt.Signed(j.github.signer).Claims(map[string]any{
		"sub": "jfac@01hk/users/" + j.User, "scp": "applied-permissions/groups:publishers", "exp": end.Unix(), "jti": rand.Text(),
	}).Serialize()
	if err != nil {
		answer(w, http.StatusInternalServerError, map[string]string{"error": err.Error()})
		return
	}
	j.tokens.add(token, end)
	body := map[string]any{
		"access_token": token, "expires_in": int(life / time.Second), "token_type": "Bearer", "scope": "applied-permissions/groups:publishers",
		"issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
	}
	if j.NamesUser {
		body["username"] = j.User
	}
	answer(w, http.StatusOK, body)
}

func (j *JFrog) accepts(user, password string) error {
	if user != j.User {
		return errIncorrect
	}
	return j.tokens.check(password, j.now())
}
