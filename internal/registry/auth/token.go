package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/registry/transport"
)

// Access is what a request needs to be allowed.
type Access struct {
	Write  bool
	Remove bool   // some registries want a right of its own to cancel uploads
	From   string // a repository to mount from
}

// Host holds what the repositories of a host share.
type Host struct {
	t         *transport.Host
	account   func(repository string) authn.Authenticator
	contacted sync.Map // token services that have answered, by host and port
}

// New returns the credentials of t's host. account returns the account of a repository:
// one host may have several. Nil, or a nil result, is anonymous. It is asked once a
// repository; the Authenticator is asked whenever a token is needed, and may be a
// ContextAuthenticator.
func New(t *transport.Host, account func(repository string) authn.Authenticator) *Host {
	return &Host{t: t, account: account}
}

// Tokens are the credentials of one repository. Parsing challenges and exchanging
// credentials for tokens is go-containerregistry's; what is ours is to hold a token
// for each repository (a scope that is refused hurts no other), to buy it once
// however many ask, to renew it before it expires, and to have it masked before its
// first use.
type Tokens struct {
	h    *Host
	repo string

	account func() authn.Authenticator

	mu        sync.Mutex
	challenge *challenge // this repository's own, if its 401 named another than the host's
	held      map[Access]*token
}

// token is one bearer token, or the place for it.
type token struct {
	buying transport.SharedCall

	mu      sync.Mutex
	value   string
	renewAt time.Time // zero: never by time
	extra   []string  // scopes that a 401 asked for
}

// Repository returns the tokens of one repository.
func (h *Host) Repository(repo string) *Tokens {
	return &Tokens{
		h:    h,
		repo: repo,
		held: map[Access]*token{},
		account: sync.OnceValue(func() authn.Authenticator {
			if h.account == nil {
				return authn.Anonymous
			}
			if a := h.account(repo); a != nil {
				return a
			}
			return authn.Anonymous
		}),
	}
}

// challenge returns the challenge of the host's answer to the probe, nil if that was no 401.
func (h *Host) challenge() *challenge {
	values := h.t.Challenges()
	if values == nil {
		return nil
	}
	ch, _ := choose(values)
	return &ch
}

// Scheme returns how the repository wants credentials: "basic", "bearer" or "".
func (t *Tokens) Scheme() string {
	if ch := t.currentChallenge(); ch != nil {
		return ch.scheme
	}
	return ""
}

// Prove gets the token for need, as any request that needs it does.
func (t *Tokens) Prove(ctx context.Context, need Access) error {
	_, err := t.bearer(ctx, need, t.currentChallenge())
	return err
}

// ProveAccount gets a token without a scope: a token service then judges the
// credentials alone.
func (t *Tokens) ProveAccount(ctx context.Context) error {
	_, _, err := t.buy(ctx, t.currentChallenge(), nil)
	return err
}

func (t *Tokens) currentChallenge() *challenge {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.challenge != nil {
		return t.challenge
	}
	return t.h.challenge()
}

// serves reports whether a token for a has all that need wants.
func (a Access) serves(need Access) bool {
	return (a.Write || !need.Write) && (a.Remove || !need.Remove) && (need.From == "" || a.From == need.From)
}

// entry returns the token for need: one that serves it, whatever it was issued for, else
// a place for one.
func (t *Tokens) entry(need Access) *token {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.h.t.Options().Clock.Now()
	for a, e := range t.held {
		if _, ok := e.usable(now); ok && a.serves(need) {
			return e
		}
	}
	e, ok := t.held[need]
	if !ok && need.Remove {
		// The token for writing will do, until it is refused: most registries want
		// no more, and a scope more to ask for may be one too many.
		need.Remove = false
		e, ok = t.held[need]
	}
	if !ok {
		e = &token{}
		t.held[need] = e
	}
	return e
}

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

// Header returns the Authorization header for need, "" for none.
func (t *Tokens) Header(ctx context.Context, need Access) (string, error) {
	ch := t.currentChallenge()
	if ch == nil {
		return "", nil
	}
	if ch.scheme == "basic" {
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
func (t *Tokens) basic(ctx context.Context) (string, error) {
	cfg, err := t.credentials(ctx)
	if err != nil {
		return "", err
	}
	if cfg.RegistryToken != "" {
		return "Bearer " + cfg.RegistryToken, nil
	}
	return basicHeader(cfg), nil
}

func basicHeader(cfg *authn.AuthConfig) string {
	switch {
	case cfg.Username != "" || cfg.Password != "":
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(cfg.Username+":"+cfg.Password))
	case cfg.Auth != "":
		return "Basic " + cfg.Auth
	}
	return ""
}

// credentials asks the account, and lets the redactor know.
func (t *Tokens) credentials(ctx context.Context) (*authn.AuthConfig, error) {
	cfg, err := authn.Authorization(ctx, t.account())
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, &AccountError{err}
	}
	if cfg == nil {
		cfg = &authn.AuthConfig{}
	}
	for _, s := range []string{cfg.Password, cfg.IdentityToken, cfg.RegistryToken, cfg.Auth} {
		if s != "" {
			t.h.t.Options().Redactor.Learn(cfg.Username, redact.New(s))
		}
	}
	return cfg, nil
}

// AccountError says that there is no credential to send: the exchange that gets it
// failed, say. Its cause explains itself.
type AccountError struct{ Err error }

func (e *AccountError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *AccountError) Unwrap() error { return e.Err }

// bearer returns the token for need, and buys it if there is none that will do.
func (t *Tokens) bearer(ctx context.Context, need Access, ch *challenge) (string, error) {
	e := t.entry(need)
	if value, ok := e.usable(t.h.t.Options().Clock.Now()); ok {
		return value, nil
	}
	err := e.buying.Do(ctx, func(ctx context.Context) error { return t.renew(ctx, e, need, ch) })
	if err != nil {
		return "", err
	}
	return e.get(), nil
}

// renew buys the token of e, unless somebody else just has.
func (t *Tokens) renew(ctx context.Context, e *token, need Access, ch *challenge) error {
	if _, ok := e.usable(t.h.t.Options().Clock.Now()); ok {
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
		e.renewAt = t.h.t.Options().Clock.Now().Add(life - min(life/4, 30*time.Second))
	}
	e.mu.Unlock()
	if renewed { // said without the lock: who listens may ask for a token
		o := t.h.t.Options()
		o.Notify(transport.Notice{Registry: o.Host, Routine: true,
			Text: fmt.Sprintf("%s/%s: token renewed", o.Host, t.repo)})
	}
	return nil
}

func (t *Tokens) scopes(need Access) []string {
	actions := "pull"
	if need.Write {
		actions = "pull,push"
	}
	scopes := []string{"repository:" + t.repo + ":" + actions}
	if need.From != "" {
		scopes = append(scopes, "repository:"+need.From+":pull")
	}
	return scopes
}

// wanted returns what a 401's scopes ask for of what need is: actions on this very
// repository. What a token can do is not for the registry to choose: somebody who sees
// our requests must not get one for other repositories, or the catalog, out of us.
func (t *Tokens) wanted(scopes string, need Access) (wanted []string) {
	allowed := []string{"pull"}
	if need.Write {
		allowed = append(allowed, "push")
	}
	if need.Remove {
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

// errInvalidToken says that what a token service sent cannot be a bearer token (RFC 6750,
// section 2.1).
var errInvalidToken = errors.New("something that is no token")

// buy exchanges the account's credentials for a token. life is 0 if the server did
// not say how long the token lives: then a 401 will tell.
func (t *Tokens) buy(ctx context.Context, ch *challenge, scopes []string,
) (value string, life time.Duration, err error) {
	cfg, err := t.credentials(ctx)
	if err != nil {
		return "", 0, err
	}
	if cfg.RegistryToken != "" { // a token that somebody else got
		return cfg.RegistryToken, 0, nil
	}
	var token issuedToken
	contacted := func() bool { return t.h.hasAnswered(ch.realm) }
	err = t.h.t.RetryElsewhere(ctx, "getting a token", contacted, func(ctx context.Context) error {
		var err error
		token, err = t.h.exchange(ctx, *ch, cfg, scopes)
		return err
	})
	return token.value, token.life, err
}

// hasAnswered reports whether the token service of a realm has answered anything.
func (h *Host) hasAnswered(realm string) bool {
	for _, realm := range h.realms(realm) {
		if u, err := url.Parse(realm); err == nil {
			if _, ok := h.contacted.Load(transport.HostPort(u)); ok {
				return true
			}
		}
	}
	return false
}

// Refused takes note of a 401 to a request that carried header, or of a 403 to one that carried
// none. It reports whether the request is worth sending again, with what Header returns then.
func (t *Tokens) Refused(ctx context.Context, need Access, header string, resp *http.Response) (bool, error) {
	old := t.currentChallenge()
	ch := old
	named, offered := choose(resp.Header.Values("WWW-Authenticate"))
	switch {
	case offered, old == nil && resp.StatusCode == http.StatusUnauthorized:
		ch = &named
	case old == nil && resp.StatusCode == http.StatusForbidden && header == "": // a 403 in place of a 401
		if again, err := t.basic(ctx); err != nil || again == "" {
			return false, err
		}
		ch = &named
	case old == nil:
		return false, nil
	}
	if old == nil || old.scheme != ch.scheme || old.realm != ch.realm || old.service != ch.service {
		t.mu.Lock()
		t.challenge = ch
		t.held = map[Access]*token{}
		t.mu.Unlock()
	}
	if ch.scheme == "basic" {
		again, err := t.basic(ctx)
		return err == nil && again != header && again != "", err
	}
	t.mu.Lock()
	if _, ok := t.held[need]; need.Remove && !ok {
		t.held[need] = &token{}
	}
	t.mu.Unlock()
	e := t.entry(need)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, scope := range t.wanted(ch.scope, need) {
		if !slices.Contains(t.scopes(need), scope) && !slices.Contains(e.extra, scope) && len(e.extra) < 4 {
			e.extra = append(e.extra, scope)
		}
	}
	if header == "Bearer "+e.value {
		e.renewAt = time.Unix(0, 1) // long ago
	}
	return true, nil
}

// Anonymous gets the token that a 401 of another host, with these headers WWW-Authenticate,
// wants of somebody without a login, and returns it as an Authorization header; "" where
// that is not the way in.
func (h *Host) Anonymous(ctx context.Context, challenges []string) (header string, err error) {
	ch, _ := choose(challenges)
	if ch.scheme != "bearer" {
		return "", nil
	}
	contacted := func() bool { return h.hasAnswered(ch.realm) }
	err = h.t.RetryElsewhere(ctx, "getting a token", contacted, func(ctx context.Context) error {
		token, err := h.exchange(ctx, ch, &authn.AuthConfig{}, strings.Fields(ch.scope))
		header = "Bearer " + token.value
		return err
	})
	if answer, ok := errors.AsType[*transport.Error](err); ok && !answer.Transient() {
		return "", nil // nobody gets in without a login
	}
	if err != nil {
		return "", err
	}
	return header, nil
}
