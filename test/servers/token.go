package servers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// leeway is how long after its end Distribution still takes a token.
const leeway = 60 * time.Second

// TokenServer verifies credentials and issues tokens with the scopes that the user has, as
// Distribution's specification of token authentication has it (GET with basic authentication, POST with
// password or refresh token). Tokens are JWTs whose key the registry trusts.
type TokenServer struct {
	Log    *Log
	Faults *Faults

	Realm   string // the address that 401s name
	Service string
	Issuer  string
	JWKS    string // a file with the public key

	host      string
	users     []User
	anonymous bool
	lifetime  time.Duration
	key       *ecdsa.PrivateKey
	signer    jose.Signer
	handler   http.Handler

	mu      sync.Mutex
	refresh map[string]User
	issued  []string
}

const keyID = "test-key"

func newTokenServer(t testing.TB, s *Server) *TokenServer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key},
		(&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", keyID))
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: keyID, Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	ts := &TokenServer{
		Log: newLog(), Faults: &Faults{}, Service: "test-registry", Issuer: "test-token-server",
		JWKS: filepath.Join(t.TempDir(), "jwks.json"), users: s.Users, anonymous: s.options.AnonymousPull,
		lifetime: s.options.Lifetime, key: key, signer: signer, refresh: map[string]User{},
	}
	if ts.lifetime == 0 {
		ts.lifetime = 300 * time.Second
	}
	if err := os.WriteFile(ts.JWKS, set, 0o600); err != nil {
		t.Fatal(err)
	}
	ts.handler = ts.Log.Handler(ts.Faults.Handler(http.HandlerFunc(ts.serve)))
	if s.options.SameHost {
		ts.host, ts.Realm = s.Host, s.URL+"/auth/token"
		return ts
	}
	ts.listen(t, s)
	return ts
}

// listen serves tokens at localhost: a realm on another loopback address than the
// registry's own is refused by go-containerregistry.
func (ts *TokenServer) listen(t testing.TB, s *Server) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("token server for the test: %v", err)
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ts.host = "localhost:" + port
	ts.Realm = strings.SplitAfter(s.URL, "://")[0] + ts.host + "/auth/token"
	server := &http.Server{Handler: ts.handler, TLSConfig: s.tls.Clone(), ErrorLog: log.New(io.Discard, "", 0)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if s.tls != nil {
			_ = server.ServeTLS(listener, "", "")
			return
		}
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
}

// Issued returns the tokens issued so far, for tests that look for them where they must
// not be.
func (ts *TokenServer) Issued() []string {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return slices.Clone(ts.issued)
}

// granted is the access claim of Distribution's tokens.
type granted struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

func (ts *TokenServer) serve(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		refuse(w, http.StatusBadRequest, "UNSUPPORTED", err.Error())
		return
	}
	if r.Form.Get("service") != ts.Service {
		refuse(w, http.StatusBadRequest, "UNSUPPORTED", "another service than ours: "+r.Form.Get("service"))
		return
	}
	user, ok := ts.user(r)
	if !ok {
		w.Header().Set("WWW-Authenticate", `Basic realm="test token server"`)
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "incorrect username or password")
		return
	}
	now := time.Now()
	token, err := ts.sign(user, r.Form["scope"], now)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "UNKNOWN", err.Error())
		return
	}
	answer := map[string]any{
		"token": token, "access_token": token, "issued_at": now.UTC().Format(time.RFC3339),
		"expires_in": int(ts.lifetime / time.Second),
	}
	offline := r.Form.Get("offline_token") == "true" || r.Form.Get("access_type") == "offline"
	if offline && user.Name != "" {
		answer["refresh_token"] = ts.offline(user)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// user verifies the credentials of a request for a token.
func (ts *TokenServer) user(r *http.Request) (User, bool) {
	if r.Method == http.MethodPost {
		switch r.Form.Get("grant_type") {
		case "password":
			r.SetBasicAuth(r.Form.Get("username"), r.Form.Get("password"))
		case "refresh_token":
			ts.mu.Lock()
			defer ts.mu.Unlock()
			user, ok := ts.refresh[r.Form.Get("refresh_token")]
			return user, ok
		default:
			return User{}, false
		}
		return known(ts.users, r)
	}
	if r.Header.Get("Authorization") == "" && ts.anonymous {
		return User{Grants: []Grant{{Repository: "**", Actions: []string{"pull"}}}}, true
	}
	return known(ts.users, r)
}

func (ts *TokenServer) offline(user User) string {
	token := rand.Text()
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.refresh[token] = user
	ts.issued = append(ts.issued, token)
	return token
}

func (ts *TokenServer) sign(user User, scopes []string, now time.Time) (string, error) {
	claims := map[string]any{
		"iss": ts.Issuer, "sub": user.Name, "aud": ts.Service, "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(ts.lifetime - leeway).Unix(),
		"access": grants(user, scopes),
	}
	token, err := jwt.Signed(ts.signer).Claims(claims).Serialize()
	if err != nil {
		return "", err
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.issued = append(ts.issued, token)
	return token, nil
}

// grants returns of what was asked what the user has.
func grants(user User, scopes []string) []granted {
	out := []granted{}
	for _, scope := range strings.Fields(strings.Join(scopes, " ")) {
		kind, rest, _ := strings.Cut(scope, ":")
		i := strings.LastIndexByte(rest, ':')
		if kind != "repository" || i < 0 {
			continue
		}
		g := granted{Type: kind, Name: rest[:i]}
		for action := range strings.SplitSeq(rest[i+1:], ",") {
			if user.May(g.Name, action) {
				g.Actions = append(g.Actions, action)
			}
		}
		if len(g.Actions) > 0 {
			out = append(out, g)
		}
	}
	return out
}

// authenticate verifies tokens before a registry that does not do so itself.
func (ts *TokenServer) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		repository, action := access(r)
		problem := ts.verify(r, repository, action)
		if problem == "" {
			next.ServeHTTP(w, r)
			return
		}
		challenge := fmt.Sprintf("Bearer realm=%q,service=%q", ts.Realm, ts.Service)
		if repository != "" {
			actions := action
			if action == "push" {
				actions = "pull,push"
			}
			challenge += fmt.Sprintf(",scope=%q", "repository:"+repository+":"+actions)
		}
		if problem != "missing" {
			challenge += fmt.Sprintf(",error=%q", problem)
		}
		w.Header().Set("WWW-Authenticate", challenge)
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
	})
}

// verify returns what is wrong with a request's token, in the words of RFC 6750, "" if
// nothing is.
func (ts *TokenServer) verify(r *http.Request, repository, action string) string {
	raw, ok := bearer(r)
	if !ok {
		return "missing"
	}
	token, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return "invalid_token"
	}
	var claims struct {
		jwt.Claims
		Access []granted `json:"access"`
	}
	if err := token.Claims(ts.key.Public(), &claims); err != nil {
		return "invalid_token"
	}
	if err := claims.ValidateWithLeeway(jwt.Expected{Issuer: ts.Issuer, AnyAudience: jwt.Audience{ts.Service}, Time: time.Now()}, leeway); err != nil {
		return "invalid_token"
	}
	if repository == "" || slices.ContainsFunc(claims.Access, func(g granted) bool {
		return g.Type == "repository" && g.Name == repository && slices.Contains(g.Actions, action)
	}) {
		return ""
	}
	return "insufficient_scope"
}
