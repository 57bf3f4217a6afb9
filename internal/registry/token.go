package registry

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
)

// access is what a request needs to be allowed.
type access struct {
	write  bool
	remove bool   // some registries want a right of its own to cancel uploads
	from   string // a repository to mount from
}

// tokens are the credentials of one repository. Parsing challenges and exchanging
// credentials for tokens is go-containerregistry's; what is ours is to hold a token
// for each repository (a scope that is refused hurts no other), to buy it once
// however many ask, to renew it before it expires, and to have it masked before its
// first use.
type tokens struct {
	c    *Client
	repo string

	account func() authn.Authenticator

	mu        sync.Mutex
	challenge *transport.Challenge // this repository's own, if its 401 named another than the host's
	held      map[access]*token
}

// token is one bearer token, or the place for it.
type token struct {
	buying flight

	mu      sync.Mutex
	value   string
	renewAt time.Time // zero: never by time
	extra   []string  // scopes that a 401 asked for
}

func newTokens(c *Client, repo string) *tokens {
	return &tokens{
		c:    c,
		repo: repo,
		held: map[access]*token{},
		account: sync.OnceValue(func() authn.Authenticator {
			if c.o.Auth == nil {
				return authn.Anonymous
			}
			if a := c.o.Auth(repo); a != nil {
				return a
			}
			return authn.Anonymous
		}),
	}
}

// challengeOf reads WWW-Authenticate of a 401, by go-containerregistry's parser: nil
// if there is none that it knows.
func (c *Client) challengeOf(resp *http.Response) *transport.Challenge {
	headers := http.Header{"Www-Authenticate": resp.Header.Values("WWW-Authenticate")}
	// Ping parses the answer to a request of its own making: it gets the answer
	// that we have. The host is a name that Ping never takes for a plain one.
	host, err := name.NewRegistry("registry.invalid")
	if err != nil {
		return nil
	}
	ch, err := transport.Ping(context.Background(), host, tripperFunc(func(req *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusUnauthorized, Header: headers, Body: http.NoBody, Request: req}, nil
	}))
	if err != nil {
		return nil
	}
	switch ch.Scheme = strings.ToLower(ch.Scheme); ch.Scheme {
	case "basic", "bearer":
		ch.Insecure = c.plainAllowed() // whether the realm may be plain: checkURL looks closer
		return ch
	}
	return nil
}

type tripperFunc func(*http.Request) (*http.Response, error)

func (f tripperFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func (t *tokens) currentChallenge() *transport.Challenge {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.challenge != nil {
		return t.challenge
	}
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	return t.c.challenge
}

// entry returns the token for need. Reading uses the token for writing if there is
// one, which saves a purchase.
func (t *tokens) entry(need access) *token {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !need.write && need.from == "" {
		if e, ok := t.held[access{write: true}]; ok && e.get() != "" {
			return e
		}
	}
	e, ok := t.held[need]
	if !ok && need.remove {
		// The token for writing will do, until it is refused: most registries want
		// no more, and a scope more to ask for may be one too many.
		need.remove = false
		e, ok = t.held[need]
	}
	if !ok {
		e = newToken()
		t.held[need] = e
	}
	return e
}

func newToken() *token { return &token{} }

func (e *token) get() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.value
}

func (e *token) usable(now time.Time) (string, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.value, e.value != "" && (e.renewAt.IsZero() || now.Before(e.renewAt))
}

// header returns the Authorization header for need, "" for none.
func (t *tokens) header(ctx context.Context, need access) (string, error) {
	ch := t.currentChallenge()
	if ch == nil {
		return "", nil
	}
	if ch.Scheme == "basic" {
		return t.basic(ctx)
	}
	value, err := t.bearer(ctx, need, ch)
	if err != nil {
		return "", err
	}
	return "Bearer " + value, nil
}

// basic returns the header for registries that take user name and password as they
// are.
func (t *tokens) basic(ctx context.Context) (string, error) {
	cfg, err := t.credentials(ctx)
	if err != nil {
		return "", err
	}
	switch {
	case cfg.RegistryToken != "":
		return "Bearer " + cfg.RegistryToken, nil
	case cfg.Username != "" || cfg.Password != "":
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(cfg.Username+":"+cfg.Password)), nil
	case cfg.Auth != "":
		return "Basic " + cfg.Auth, nil
	}
	return "", nil
}

// credentials asks the account, and lets the redactor know.
func (t *tokens) credentials(ctx context.Context) (*authn.AuthConfig, error) {
	cfg, err := authn.Authorization(ctx, t.account())
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, &accountError{err}
	}
	if cfg == nil {
		cfg = &authn.AuthConfig{}
	}
	for _, s := range []string{cfg.Password, cfg.IdentityToken, cfg.RegistryToken, cfg.Auth} {
		if s != "" {
			t.c.o.Redactor.Learn(cfg.Username, redact.New(s))
		}
	}
	return cfg, nil
}

// accountError says that there is no credential to send: the exchange that gets it
// failed, say. Its cause explains itself.
type accountError struct{ err error }

func (e *accountError) Error() string { return e.err.Error() }
func (e *accountError) Unwrap() error { return e.err }

// bearer returns the token for need, and buys it if there is none that will do.
func (t *tokens) bearer(ctx context.Context, need access, ch *transport.Challenge) (string, error) {
	e := t.entry(need)
	if value, ok := e.usable(t.c.o.Clock.Now()); ok {
		return value, nil
	}
	err := e.buying.do(ctx, func(ctx context.Context) error { return t.renew(ctx, e, need, ch) })
	if err != nil {
		return "", err
	}
	return e.get(), nil
}

// renew buys the token of e, unless somebody else just has.
func (t *tokens) renew(ctx context.Context, e *token, need access, ch *transport.Challenge) error {
	if _, ok := e.usable(t.c.o.Clock.Now()); ok {
		return nil
	}
	e.mu.Lock()
	renewed := e.value != ""
	scopes := slices.Concat(e.extra, t.scopes(need))
	e.mu.Unlock()
	value, life, err := t.buy(ctx, ch, scopes)
	if err != nil {
		return err
	}
	e.mu.Lock()
	e.value, e.renewAt = value, time.Time{}
	if life > 0 {
		// Early enough that what starts now is authorised before it ends: an
		// upload's token is looked at when its request begins.
		e.renewAt = t.c.o.Clock.Now().Add(life - min(life/4, 30*time.Second))
	}
	e.mu.Unlock()
	if renewed { // said without the lock: who listens may ask for a token
		t.c.o.Notify(Notice{Registry: t.c.o.Host, Routine: true, Text: fmt.Sprintf("%s/%s: token renewed", t.c.o.Host, t.repo)})
	}
	return nil
}

func (t *tokens) scopes(need access) []string {
	actions := "pull"
	if need.write {
		actions = "pull,push"
	}
	scopes := []string{"repository:" + t.repo + ":" + actions}
	if need.from != "" {
		scopes = append(scopes, "repository:"+need.from+":pull")
	}
	return scopes
}

// wanted returns what a 401's scopes ask for of what need is: actions on this very
// repository. What a token can do is not for the registry to choose: somebody who sees
// our requests must not get one for other repositories, or the catalog, out of us.
func (t *tokens) wanted(scopes string, need access) (wanted []string) {
	allowed := []string{"pull"}
	if need.write {
		allowed = append(allowed, "push")
	}
	if need.remove {
		allowed = append(allowed, "delete")
	}
	for scope := range strings.FieldsSeq(scopes) {
		actions, ok := strings.CutPrefix(scope, "repository:"+t.repo+":")
		if !ok {
			continue
		}
		asked := strings.Split(actions, ",")
		asked = slices.DeleteFunc(asked, func(action string) bool { return !slices.Contains(allowed, action) })
		if len(asked) > 0 && len(asked) <= len(allowed) {
			wanted = append(wanted, "repository:"+t.repo+":"+strings.Join(asked, ","))
		}
	}
	return wanted
}

// buy exchanges the account's credentials for a token. life is 0 if the server did
// not say how long the token lives: then a 401 will tell.
func (t *tokens) buy(ctx context.Context, ch *transport.Challenge, scopes []string) (value string, life time.Duration, err error) {
	cfg, err := t.credentials(ctx)
	if err != nil {
		return "", 0, err
	}
	if cfg.RegistryToken != "" { // a token that somebody else bought
		return cfg.RegistryToken, 0, nil
	}
	err = t.c.retryToken(ctx, func(ctx context.Context) error {
		realm := &realm{c: t.c}
		tok, err := transport.Exchange(ctx, t.c.registry, authn.FromConfig(*cfg), realm, scopes, ch)
		if tok != nil {
			for _, s := range []string{tok.Token, tok.AccessToken, tok.RefreshToken} {
				if s != "" {
					t.c.o.Redactor.Learn("", redact.New(s))
				}
			}
		}
		if err != nil {
			return realm.explain(ctx, err)
		}
		value = tok.AccessToken
		if value == "" {
			value = tok.Token
		}
		life = time.Duration(max(0, min(tok.ExpiresIn, 1<<31))) * time.Second
		return nil
	})
	return value, life, err
}

// retryToken is retry without the registry's pauses: token servers are others.
func (c *Client) retryToken(ctx context.Context, attempt func(context.Context) error) error {
	b := c.newBudget()
	for {
		started := c.o.Clock.Now()
		err := attempt(ctx)
		if err == nil {
			return nil
		}
		if err := b.again(ctx, "getting a token", started, err); err != nil {
			return err
		}
		var answer *Error
		if errors.As(err, &answer) && (answer.Status == http.StatusTooManyRequests || answer.RetryAfter > 0) {
			if _, err := c.throttle.wait(ctx); err != nil {
				return err
			}
		}
	}
}

// refused takes note of a 401 to a request that carried header. It reports whether
// the request is worth sending again, with what header returns then.
func (t *tokens) refused(ctx context.Context, need access, header string, resp *http.Response) (bool, error) {
	ch := t.c.challengeOf(resp)
	if ch == nil {
		if resp.StatusCode == http.StatusUnauthorized && header == "" {
			return false, nil
		}
		ch = t.currentChallenge()
	} else if old := t.currentChallenge(); old == nil || old.Scheme != ch.Scheme ||
		old.Parameters["realm"] != ch.Parameters["realm"] || old.Parameters["service"] != ch.Parameters["service"] {
		t.mu.Lock()
		t.challenge = ch
		t.held = map[access]*token{}
		t.mu.Unlock()
	}
	if ch == nil {
		return false, nil
	}
	if ch.Scheme == "basic" {
		again, err := t.basic(ctx)
		return err == nil && again != header && again != "", err
	}
	t.mu.Lock()
	if _, ok := t.held[need]; need.remove && !ok {
		t.held[need] = newToken()
	}
	t.mu.Unlock()
	e := t.entry(need)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, scope := range t.wanted(ch.Parameters["scope"], need) {
		if !slices.Contains(t.scopes(need), scope) && !slices.Contains(e.extra, scope) && len(e.extra) < 4 {
			e.extra = append(e.extra, scope)
		}
	}
	if header == "Bearer "+e.value {
		e.renewAt = time.Unix(0, 1) // long ago
	}
	return true, nil
}

// realm sends the requests of a token exchange. Credentials go to the realm and
// nowhere else: a redirect to another host ends the exchange.
type realm struct {
	c          *Client
	host       string
	retryAfter time.Duration
}

func (r *realm) RoundTrip(req *http.Request) (*http.Response, error) {
	own := r.c.owns(req.URL)
	if err := r.c.wire.checkURL(req.URL); err != nil && !own {
		return nil, &unsafeError{"the realm that the registry names for tokens is " + err.Error()}
	}
	at := req.URL.Scheme + "://" + hostPort(req.URL)
	if r.host == "" {
		r.host = at
	}
	if at != r.host {
		return nil, &unsafeError{fmt.Sprintf("the token server redirects to %s: credentials do not follow", req.URL.Host)}
	}
	resp, err := r.c.wire.send(req.Clone(req.Context()), sending{foreign: !own})
	if err != nil {
		return nil, err
	}
	r.retryAfter = retryAfter(resp.Header, r.c.o.Clock.Now())
	return resp, nil
}

// explain turns the exchange's error into ours. go-containerregistry's hold the
// token server's words at any length, and the whole answer when there is no token in
// it: that may be a secret under a name that nobody expects.
func (r *realm) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var answer *transport.Error
	var unsafe *unsafeError
	var broken *brokenError
	switch {
	case errors.As(err, &answer):
		e := &Error{Method: http.MethodGet, Status: answer.StatusCode, RetryAfter: r.retryAfter, token: true}
		if answer.Request != nil {
			e.Method = answer.Request.Method
			e.Path = r.c.outside(answer.Request.URL.Host + answer.Request.URL.Path)
		}
		var all []string
		for i, d := range answer.Errors {
			if i == 0 {
				e.Code = r.c.outside(string(d.Code))
			}
			all = append(all, d.Message)
		}
		e.Message = r.c.outside(strings.Join(all, "; "))
		return e
	case errors.As(err, &unsafe):
		return unsafe
	case errors.As(err, &broken):
		return broken
	case errors.Is(err, errStalled), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return err
	case strings.HasPrefix(err.Error(), "no token in bearer response"):
		return errors.New("the token server's answer holds no token")
	}
	return errors.New(r.c.outside(err.Error()))
}
