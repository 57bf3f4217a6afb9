package standins

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// DockerHub is Docker Hub: the exchange of OIDC tokens, the token server and the
// registry.
type DockerHub struct {
	// Organization and Connection are what is configured at Docker Hub; Subject is what
	// the connection's ruleset trusts.
	Organization string
	Connection   string
	Subject      string
	// Passwords are static tokens, by user name.
	Passwords map[string]string
	// Pulls is how many of 100 pulls are left; it does not fall by itself.
	Pulls int
	// Now is the clock; nil means [time.Now].
	Now func() time.Time

	github *GitHub
	tokens tokenStore
}

// Hosts of Docker Hub.
const (
	DockerHubIdentity = "identity.docker.com"
	DockerHubRegistry = "index.docker.io"
	HardenedImages    = "dhi.io"
)

// NewDockerHub puts Docker Hub on the internet.
func NewDockerHub(t testing.TB, n *Internet, g *GitHub) *DockerHub {
	t.Helper()
	d := &DockerHub{
		Organization: "acme", Connection: "7f1b9c3e-51c2-4d0e-9f6e-2f3b1c0d4e5f", Subject: mainSubject,
		Passwords: map[string]string{}, Pulls: 87, github: g,
	}
	n.Handle(DockerHubIdentity, http.HandlerFunc(d.exchange))
	newTokenFront(t, n, DockerHubRegistry, d.now, d.accepts).answers = d.limits
	newTokenFront(t, n, HardenedImages, d.now, d.accepts)
	return d
}

// Issued returns the access tokens given out so far.
func (d *DockerHub) Issued() []string { return d.tokens.all() }

func (d *DockerHub) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

// limits adds what Docker Hub says of pulls, on requests for manifests.
// https://docs.docker.com/docker-hub/usage/pulls/
func (d *DockerHub) limits(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.URL.Path, "/manifests/") && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		w.Header().Set("ratelimit-limit", "100;w=21600")
		w.Header().Set("ratelimit-remaining", strconv.Itoa(d.Pulls)+";w=21600")
		w.Header().Set("docker-ratelimit-source", "198.51.100.7")
	}
}

func (d *DockerHub) exchange(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/oauth/token" {
		http.NotFound(w, r)
		return
	}
	f, err := form(r, "grant_type", "subject_token_type", "subject_token", "connection_id", "expires_in")
	if err != nil {
		oauthError(w, http.StatusBadRequest, "invalid_request", err.Error())
		return
	}
	seconds, err := strconv.Atoi(f["expires_in"])
	switch {
	case f["grant_type"] != "urn:ietf:params:oauth:grant-type:token-exchange":
		oauthError(w, http.StatusBadRequest, "unsupported_grant_type", f["grant_type"])
		return
	case f["subject_token_type"] != "urn:ietf:params:oauth:token-type:id_token":
		oauthError(w, http.StatusBadRequest, "invalid_request", "subject_token_type")
		return
	case err != nil || seconds < 300 || seconds > 3600:
		oauthError(w, http.StatusBadRequest, "invalid_request", "expires_in must be 300 to 3600")
		return
	case f["connection_id"] != d.Connection:
		oauthError(w, http.StatusForbidden, "access_denied", "no such connection")
		return
	}
	if err := d.github.Verify(f["subject_token"], "https://identity.docker.com", d.Subject); err != nil {
		// The real one quotes what it was given more often than one would like.
		oauthError(w, http.StatusForbidden, "access_denied", err.Error()+" (token "+f["subject_token"]+")")
		return
	}
	life := time.Duration(seconds) * time.Second
	answer(w, http.StatusOK, map[string]any{
		"access_token": d.tokens.issue("dckr_oat_", d.now().Add(life)), "token_type": "Bearer", "expires_in": seconds,
		"issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
	})
}

func (d *DockerHub) accepts(user, password string) error {
	if known, ok := d.Passwords[user]; ok && known == password {
		return nil
	}
	if user != d.Organization {
		return errIncorrect
	}
	return d.tokens.check(password, d.now())
}
