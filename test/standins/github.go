package standins

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// GitHub is the endpoint at which a job gets its OIDC tokens, and the issuer whose
// tokens the other stand-ins verify.
type GitHub struct {
	// Subject is the claim sub of the tokens.
	Subject string
	// Claims are further claims of the tokens, or others in place of the usual ones.
	Claims map[string]any
	// Now is the issuer's clock; nil means [time.Now].
	Now func() time.Time

	requestToken string
	key          *rsa.PrivateKey
	signer       jose.Signer

	mu     sync.Mutex
	issued []string
}

const (
	issuer       = "https://token.actions.githubusercontent.com"
	gitHubHost   = "run-actions-1-azure-eastus.actions.githubusercontent.com"
	gitHubPath   = "/42//idtoken/6dc6/2e4f"
	mainSubject  = "repo:acme/app:ref:refs/heads/main"
	tokenLife    = 5 * time.Minute
	signatureAlg = jose.RS256
)

// issuerKey is GitHub's key: one for all tests, because it takes long to make.
var issuerKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// NewGitHub puts GitHub's endpoint on the internet. Tokens are for the main branch
// of acme/app.
func NewGitHub(t testing.TB, n *Internet) *GitHub {
	t.Helper()
	key, err := issuerKey()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: signatureAlg, Key: key}, (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", "38826b17"))
	if err != nil {
		t.Fatal(err)
	}
	g := &GitHub{Subject: mainSubject, requestToken: "request-" + rand.Text(), key: key, signer: signer}
	n.Handle(gitHubHost, g)
	return g
}

// Host returns the endpoint's host.
func (g *GitHub) Host() string { return gitHubHost }

// Env returns the variables of a job with `permissions: id-token: write`.
func (g *GitHub) Env() []string {
	return []string{
		"ACTIONS_ID_TOKEN_REQUEST_URL=https://" + gitHubHost + gitHubPath + "?api-version=2.0",
		"ACTIONS_ID_TOKEN_REQUEST_TOKEN=" + g.requestToken,
	}
}

// Issued returns the tokens issued so far.
func (g *GitHub) Issued() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.issued)
}

func (g *GitHub) now() time.Time {
	if g.Now != nil {
		return g.Now()
	}
	return time.Now()
}

func (g *GitHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method != http.MethodGet || r.URL.Path != gitHubPath || r.URL.Query().Get("api-version") != "2.0":
		http.NotFound(w, r)
		return
	case r.Header.Get("Authorization") != "Bearer "+g.requestToken:
		http.Error(w, `{"message":"Bad credentials"}`, http.StatusUnauthorized)
		return
	}
	audience := r.URL.Query().Get("audience")
	if audience == "" {
		audience = "https://github.com/acme"
	}
	now := g.now()
	claims := map[string]any{
		"iss": issuer, "sub": g.Subject, "aud": audience, "jti": rand.Text(), "repository": "acme/app", "ref": "refs/heads/main",
		"job_workflow_ref": "acme/app/.github/workflows/publish.yml@refs/heads/main", "actor": "octocat", "run_id": "4711",
		"iat": now.Unix(), "nbf": now.Add(-5 * time.Minute).Unix(), "exp": now.Add(tokenLife).Unix(),
	}
	maps.Copy(claims, g.Claims)
	token, err := jwt.Signed(g.signer).Claims(claims).Serialize()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	g.mu.Lock()
	g.issued = append(g.issued, token)
	g.mu.Unlock()
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(map[string]any{"count": len(token), "value": token})
}

// Verify checks what every provider checks of a token: who signed and issued it,
// for whom, for how long; and that it is for the subject that is trusted.
func (g *GitHub) Verify(raw, audience, subject string) error {
	return g.VerifyAny(raw, []string{audience}, []string{subject})
}

// VerifyAny is [GitHub.Verify] for several audiences, none of which means any, and subjects.
func (g *GitHub) VerifyAny(raw string, audiences, subjects []string) error {
	token, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{signatureAlg})
	if err != nil {
		return fmt.Errorf("the token is not a JWT")
	}
	var claims jwt.Claims
	if err := token.Claims(g.key.Public(), &claims); err != nil {
		return fmt.Errorf("the token's signature is not valid")
	}
	if err := claims.ValidateWithLeeway(jwt.Expected{Issuer: issuer, AnyAudience: audiences, Time: g.now()}, 0); err != nil {
		return fmt.Errorf("the token is not for %v now: %w", audiences, err)
	}
	if !slices.Contains(subjects, claims.Subject) {
		return fmt.Errorf("the subject %q is not trusted", claims.Subject)
	}
	return nil
}
