package credentials

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
)

// Token exchange (RFC 8693), 2.1 and 3.
const (
	tokenExchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange" // #nosec G101 -- the name of a grant
	idTokenType        = "urn:ietf:params:oauth:token-type:id_token"       // #nosec G101 -- the name of a type
)

// token is what a token endpoint gives out.
type token struct {
	token   redact.Text
	user    string // the name it is for, where the endpoint says it
	at      time.Time
	expires time.Time // as the answer says; zero: it does not
}

// postForm sends a form to a token endpoint; see [Resolver.askToken].
func (r *Resolver) postForm(ctx context.Context, address string, form url.Values, field string) (token, error) {
	return r.post(ctx, address, "application/x-www-form-urlencoded", form.Encode(), field)
}

// postJSON sends a JSON object to a token endpoint; see [Resolver.askToken].
func (r *Resolver) postJSON(ctx context.Context, address string, body map[string]string, field string) (token, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return token{}, err
	}
	return r.post(ctx, address, "application/json", string(text), field)
}

func (r *Resolver) post(ctx context.Context, address, contentType, body, field string) (token, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		return token{}, err
	}
	req.Header.Set("Content-Type", contentType)
	return r.askToken(req, field)
}

// askToken sends a request to a token endpoint and reads the token from the answer's field.
// The redactor knows the token when it is returned, as one that was sent: a short one hides
// nothing. What is sent on as a password goes through [Resolver.passwordOf], which makes it known
// together with its user name.
func (r *Resolver) askToken(req *http.Request, field string) (token, error) {
	req.Header.Set("Accept", "application/json")
	at := r.o.Clock.Now()
	var answer map[string]any
	if err := r.exchangeJSON(req, &answer); err != nil {
		return token{}, err
	}
	value, _ := answer[field].(string)
	if value == "" {
		return token{}, errors.New("the answer of " + req.URL.Host + " holds no " + field)
	}
	if !redact.ValidToken(value) { // it would be masked for the rest of the job, whatever it is
		return token{}, errors.New("the answer of " + req.URL.Host + " holds something that is no token")
	}
	t := token{token: redact.New(value), at: at}
	r.o.Redactor.LearnIssued(req.URL.Host, t.token)
	t.user, _ = answer["username"].(string)
	var life time.Duration
	// Microsoft has written the seconds as text.
	switch seconds := answer["expires_in"].(type) {
	case float64:
		life = time.Duration(seconds) * time.Second
	case string:
		if n, err := strconv.Atoi(seconds); err == nil {
			life = time.Duration(n) * time.Second
		}
	}
	if life > 0 {
		t.expires = at.Add(life)
	}
	return t, nil
}

// passwordOf returns a token as the password of a user. It holds as long as the answer said, or
// else the token itself, or else for life. The redactor knows it when it is returned, in the
// forms in which it is sent.
func (r *Resolver) passwordOf(user string, t token, life time.Duration) issued {
	r.o.Redactor.Learn(user, t.token)
	expires := t.expires
	if expires.IsZero() {
		expires = jwtExpiry(t.token)
	}
	if expires.IsZero() {
		expires = t.at.Add(life)
	}
	return issued{
		config:  authn.AuthConfig{Username: user, Password: t.token.Reveal()},
		at:      t.at,
		expires: expires,
	}
}
