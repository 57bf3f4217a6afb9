package standins

import (
	"crypto/rand"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// AWS is Amazon Web Services: principals with keys and permissions, STS, and the ECR
// registries of accounts.
type AWS struct {
	// Role is the role that jobs may assume; Subject is what its trust policy asks for.
	// What an assumed role may do is in RoleMay.
	Role    string
	Subject string
	RoleMay []string
	// SessionLife is how long an assumed role's keys hold; 0 means an hour.
	SessionLife time.Duration
	// PasswordLife is how long a registry's password holds; 0 means twelve hours.
	PasswordLife time.Duration
	// Now is the clock of ECR's passwords; nil means [time.Now]. Signatures and sessions
	// go by the real one, as the SDK does.
	Now func() time.Time

	t      testing.TB
	net    *Internet
	github *GitHub

	mu         sync.Mutex
	sessions   []string             // names of the assumed role's sessions
	principals map[string]principal // by access key id
	passwords  map[string]password
	registries map[string]*ECR // by host
	tokens     map[string]int  // GetAuthorizationToken calls, by host of the API
	assumed    int
}

type principal struct {
	secret, session string
	ends            time.Time // zero: never
	may             []string
}

type password struct {
	region string
	public bool
	ends   time.Time
	may    []string
}

// Everything is the IAM actions that publishing with create-repository needs.
func Everything() []string {
	return []string{
		"ecr:GetAuthorizationToken", "ecr:CreateRepository", "ecr:PutImage",
		"ecr-public:GetAuthorizationToken", "ecr-public:CreateRepository", "ecr-public:PutImage",
	}
}

// NewAWS puts AWS on the internet: STS now, registries with [AWS.Registry].
func NewAWS(t testing.TB, n *Internet, g *GitHub) *AWS {
	t.Helper()
	return &AWS{
		Role: "arn:aws:iam::123456789012:role/publisher", Subject: mainSubject, RoleMay: Everything(),
		t: t, net: n, github: g,
		principals: map[string]principal{}, passwords: map[string]password{}, registries: map[string]*ECR{}, tokens: map[string]int{},
	}
}

// User makes an access key of a user who may do these actions.
func (a *AWS) User(may ...string) (id, secret string) {
	id, secret = "AKIA"+rand.Text()[:16], "aws/"+rand.Text()+"+x"
	a.mu.Lock()
	defer a.mu.Unlock()
	a.principals[id] = principal{secret: secret, may: may}
	return id, secret
}

// Assumed returns how often the role was assumed.
func (a *AWS) Assumed() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.assumed
}

// sessionName is what STS takes as the name of a role's session.
var sessionName = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)

// Sessions returns the names of the sessions of the assumed role, in order.
func (a *AWS) Sessions() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.sessions)
}

// TokensAsked returns how often passwords were asked for at an API host.
func (a *AWS) TokensAsked(host string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tokens[host]
}

// Secrets returns all secrets that AWS gave out so far.
func (a *AWS) Secrets() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []string
	for _, p := range a.principals {
		out = append(out, p.secret)
		if p.session != "" {
			out = append(out, p.session)
		}
	}
	for p := range a.passwords {
		out = append(out, p)
	}
	return out
}

func (a *AWS) now() time.Time {
	if a.Now != nil {
		return a.Now()
	}
	return time.Now()
}

// STS puts the token service at a host, such as sts.eu-west-1.amazonaws.com. audience is
// what tokens must be for.
func (a *AWS) STS(host, audience string) {
	a.net.Handle(host, a.STSHandler(audience))
}

// STSHandler is the token service, for a test that serves it at an address of its own.
func (a *AWS) STSHandler(audience string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out, err := a.assumeRole(r, audience)
		w.Header().Set("Content-Type", "text/xml")
		if err != nil {
			f := fault{http.StatusBadRequest, "ValidationError", err.Error()}
			errors.As(err, &f)
			w.WriteHeader(f.status)
			_ = xml.NewEncoder(w).Encode(stsError{Type: "Sender", Code: f.code, Message: f.message})
			return
		}
		_ = xml.NewEncoder(w).Encode(out)
	})
}

type stsError struct {
	XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
	Type    string   `xml:"Error>Type"`
	Code    string   `xml:"Error>Code"`
	Message string   `xml:"Error>Message"`
}

type stsAnswer struct {
	XMLName    xml.Name  `xml:"https://sts.amazonaws.com/doc/2011-06-15/ AssumeRoleWithWebIdentityResponse"`
	Key        string    `xml:"AssumeRoleWithWebIdentityResult>Credentials>AccessKeyId"`
	Secret     string    `xml:"AssumeRoleWithWebIdentityResult>Credentials>SecretAccessKey"`
	Session    string    `xml:"AssumeRoleWithWebIdentityResult>Credentials>SessionToken"`
	Expiration time.Time `xml:"AssumeRoleWithWebIdentityResult>Credentials>Expiration"`
}

func (a *AWS) assumeRole(r *http.Request, audience string) (*stsAnswer, error) {
	f, err := form(r, "Action", "Version", "RoleArn", "RoleSessionName", "WebIdentityToken")
	if err != nil {
		return nil, err
	}
	switch {
	case f["Action"] != "AssumeRoleWithWebIdentity" || f["Version"] != "2011-06-15":
		return nil, fault{http.StatusBadRequest, "InvalidAction", f["Action"]}
	case r.Header.Get("Authorization") != "":
		return nil, fault{http.StatusForbidden, "AccessDenied", "this call is not signed"}
	case !sessionName.MatchString(f["RoleSessionName"]):
		return nil, fault{http.StatusBadRequest, "ValidationError", "1 validation error detected: Value at 'roleSessionName' failed to satisfy constraint"}
	case f["RoleArn"] != a.Role:
		return nil, fault{http.StatusForbidden, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"}
	}
	if err := a.github.Verify(f["WebIdentityToken"], audience, a.Subject); err != nil {
		return nil, fault{http.StatusForbidden, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity: " + err.Error() + "; token " + f["WebIdentityToken"]}
	}
	life := a.SessionLife
	if life == 0 {
		life = time.Hour
	}
	out := &stsAnswer{
		Key: "ASIA" + rand.Text()[:16], Secret: "sts/" + rand.Text(), Session: "session//" + rand.Text(),
		Expiration: time.Now().Add(life).UTC().Truncate(time.Second),
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.assumed++
	a.sessions = append(a.sessions, f["RoleSessionName"])
	a.principals[out.Key] = principal{secret: out.Secret, session: out.Session, ends: out.Expiration, may: a.RoleMay}
	return out, nil
}

// authorize verifies a signed request to an API and returns who sent it and the body.
func (a *AWS) authorize(r *http.Request, region, service string) (principal, []byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return principal{}, nil, err
	}
	var who principal
	s, err := verifySigV4(r, body, time.Now(), func(key string) (string, string, bool) {
		a.mu.Lock()
		defer a.mu.Unlock()
		p, ok := a.principals[key]
		who = p
		return p.secret, p.session, ok
	})
	switch {
	case err != nil:
		return who, nil, err
	case s.region != region || s.service != service:
		return who, nil, fault{http.StatusBadRequest, "InvalidSignatureException", "Credential should be scoped to a valid region"}
	case !who.ends.IsZero() && !time.Now().Before(who.ends):
		return who, nil, fault{http.StatusBadRequest, "ExpiredTokenException", "The security token included in the request is expired"}
	}
	return who, body, nil
}

// allowed reports, in the words of IAM, whether a principal may do an action.
func (p principal) allowed(action string) error {
	if slices.Contains(p.may, action) {
		return nil
	}
	return fault{http.StatusBadRequest, "AccessDeniedException",
		"User is not authorized to perform: " + action + " on resource: * because no identity-based policy allows the " + action + " action"}
}

func trimName(target string) string {
	_, name, _ := strings.Cut(target, ".")
	return name
}

// Forget takes an access key away.
func (a *AWS) Forget(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.principals, id)
}
