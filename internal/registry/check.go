package registry

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/multi-registry-push/multi-registry-push/internal/registry/auth"
	"github.com/multi-registry-push/multi-registry-push/internal/registry/transport"
)

// Login finds scheme and challenge, and proves the credentials: by a token for
// pulling and pushing, or, where the registry takes user name and password as they
// are, by asking with them. Repositories that are only read need no Login. A refusal
// is of the kind WrongCredentials, or NoPushPermission where the credentials are right and
// only the scope was refused.
func (r *Repository) Login(ctx context.Context) error {
	return r.login(ctx, auth.Access{Write: true})
}

// CheckPull is Login for reading only: what a dry run may ask.
func (r *Repository) CheckPull(ctx context.Context) error {
	return r.login(ctx, auth.Access{})
}

func (r *Repository) login(ctx context.Context, need auth.Access) error {
	const doing = "logging in"
	if err := r.c.host.Probe(ctx); err != nil {
		return r.explain(ctx, doing, need.Write, err)
	}
	if err := r.c.host.Facade(); err != nil {
		return r.explain(ctx, doing, need.Write, err)
	}
	switch r.tokens.Scheme() {
	case "":
		return nil
	case "bearer":
		err := r.tokens.Prove(ctx, need)
		var answer *Error
		if errors.As(err, &answer) && answer.TokenService && answer.Status == http.StatusForbidden {
			// Is it the credentials, or this repository? Without a scope, a token
			// server judges the credentials alone.
			if plain := r.tokens.ProveAccount(ctx); plain != nil {
				return r.wrong(err)
			}
		}
		return r.explain(ctx, doing, need.Write, err)
	}
	header, err := r.tokens.Header(ctx, need)
	if err == nil {
		err = r.c.logins.once(ctx, header, func(ctx context.Context) error { return r.ping(ctx, doing, need) })
	}
	if answer, ok := errors.AsType[*Error](err); ok {
		switch answer.Status {
		case http.StatusUnauthorized, http.StatusForbidden:
			return r.wrong(err)
		case http.StatusNotFound: // /v2/ itself is not served
			return nil
		}
	}
	return r.explain(ctx, doing, need.Write, err)
}

// refusesPassword reports whether a registry that takes user name and password as they are does
// not take ours: err, its own answer, does not tell that from a repository that they may not use.
// Some answer 200 to whoever asks for the API's root without a password (zot).
func (r *Repository) refusesPassword(ctx context.Context, err error) bool {
	if answer, ok := errors.AsType[*Error](err); r.tokens.Scheme() != "basic" || !ok || answer.Elsewhere {
		return false
	}
	header, err := r.tokens.Header(ctx, auth.Access{})
	if err != nil || header == "" {
		return false
	}
	err = r.c.logins.once(ctx, header, func(ctx context.Context) error {
		return r.ping(ctx, "checking the password", auth.Access{})
	})
	return isStatus(err, http.StatusUnauthorized)
}

// ping asks for the API's root.
func (r *Repository) ping(ctx context.Context, doing string, need auth.Access) error {
	resp, err := r.do(ctx, func() call {
		u := r.c.host.Base()
		return call{doing: doing, method: http.MethodGet, url: &u, need: need}
	})
	if err == nil {
		transport.Drain(resp)
	}
	return err
}

// logins remembers what a host says of each user and password, by the header that carries
// them: one question is enough, however many repositories are logged in to.
type logins struct {
	mu    sync.Mutex
	asked map[string]*loggedIn
}

// loggedIn is the question for one header.
type loggedIn struct {
	asking  transport.SharedCall
	settled bool  // the host has answered
	err     error // its answer
}

// once returns what ask says of header, which is asked for again only while the host has
// not judged it.
func (l *logins) once(ctx context.Context, header string, ask func(context.Context) error) error {
	l.mu.Lock()
	one := l.asked[header]
	if one == nil {
		one = &loggedIn{}
		l.asked[header] = one
	}
	l.mu.Unlock()
	return one.asking.Do(ctx, func(ctx context.Context) error {
		if one.settled {
			return one.err
		}
		err := ask(ctx)
		var answer *Error
		one.settled, one.err = err == nil || errors.As(err, &answer) && !answer.Transient(), err
		return err
	})
}

func (r *Repository) wrong(err error) error {
	return r.failed(WrongCredentials, "logging in", err)
}
