package registry

import (
	"context"
	"errors"
	"net/http"

	"github.com/multi-registry-push/multi-registry-push/internal/registry/auth"
	"github.com/multi-registry-push/multi-registry-push/internal/registry/transport"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// Login finds scheme and challenge, and proves the credentials: by a token for
// pulling and pushing, or, where the registry takes user name and password as they
// are, by asking with them. Repositories that are only read need no Login. A refusal
// is usererror.WrongCredentials, or usererror.NoPushPermission where the credentials are
// right and only the scope was refused.
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
	resp, err := r.do(ctx, func() call {
		u := r.c.host.Base()
		return call{doing: doing, method: http.MethodGet, url: &u, need: need}
	})
	if err != nil {
		var answer *Error
		if errors.As(err, &answer) {
			switch answer.Status {
			case http.StatusUnauthorized, http.StatusForbidden:
				return r.wrong(err)
			case http.StatusNotFound: // /v2/ itself is not served
				return nil
			}
		}
		return r.explain(ctx, doing, need.Write, err)
	}
	transport.Drain(resp)
	return nil
}

func (r *Repository) wrong(err error) error {
	return usererror.New(usererror.WrongCredentials, r.c.o.Host, r.String()+": logging in", "", err)
}

// CheckPush proves the permission to push as StartUpload does, and gives the upload up.
func (r *Repository) CheckPush(ctx context.Context) error {
	u, err := r.StartUpload(ctx)
	if err != nil {
		return err
	}
	u.Cancel()
	return nil
}
