package standins

import (
	"net/http"
	"slices"
	"testing"
	"time"
)

// Quay is a Quay registry whose robot account trusts jobs: robot federation, the token
// server and the registry.
type Quay struct {
	Host  string
	Robot string // ORGANIZATION+NAME
	// Subjects are those of GitHub's issuer that the robot trusts. Audiences, if there are
	// any, are what newer releases check; older ones take a token for anybody.
	Subjects  []string
	Audiences []string
	// Passwords are the robot's own, which do not expire.
	Passwords []string
	// Life is how long a token holds; 0 means an hour.
	Life time.Duration
	// Now is the clock; nil means [time.Now].
	Now func() time.Time

	github *GitHub
	tokens tokenStore
}

// NewQuay puts a Quay on the internet.
func NewQuay(t testing.TB, n *Internet, g *GitHub, host string) *Quay {
	t.Helper()
	q := &Quay{Host: host, Robot: "acme+publisher", Subjects: []string{mainSubject}, Audiences: []string{host}, github: g}
	front := newTokenFront(t, n, host, q.now, q.accepts)
	n.Handle(host, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/oauth2/federation/robot/token" {
			q.exchange(w, r)
			return
		}
		front.ServeHTTP(w, r)
	}))
	return q
}

// Issued returns the tokens given out so far.
func (q *Quay) Issued() []string { return q.tokens.all() }

func (q *Quay) now() time.Time {
	if q.Now != nil {
		return q.Now()
	}
	return time.Now()
}

// exchange is what quay/quay does in endpoints/oauth/robot_identity_federation.py and
// util/security/federated_robot_auth.py: Basic, the robot as the user and the token as the
// password, GET only, 401 for everything that is not right.
func (q *Quay) exchange(w http.ResponseWriter, r *http.Request) {
	refuse := func(message string) { answer(w, http.StatusUnauthorized, map[string]string{"error": message}) }
	if r.Method != http.MethodGet || r.URL.RawQuery != "" {
		answer(w, http.StatusMethodNotAllowed, map[string]string{"error": "method not allowed"})
		return
	}
	robot, token, ok := r.BasicAuth()
	switch {
	case !ok:
		refuse("No auth header")
		return
	case robot != q.Robot:
		refuse("Could not find robot with username: " + robot)
		return
	}
	err := q.github.VerifyAny(token, q.Audiences, q.Subjects)
	if err != nil {
		refuse("Token does not match robot: " + err.Error() + " " + token)
		return
	}
	answer(w, http.StatusOK, map[string]string{"token": q.issue()})
}

func (q *Quay) issue() string {
	life := q.Life
	if life == 0 {
		life = time.Hour
	}
	return q.tokens.issue("quay-robot-", q.now().Add(life))
}

func (q *Quay) accepts(user, password string) error {
	switch {
	case user != q.Robot:
		return errIncorrect
	case slices.Contains(q.Passwords, password):
		return nil
	}
	return q.tokens.check(password, q.now())
}
