package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/registry/auth"
	"github.com/multi-registry-push/multi-registry-push/internal/registry/transport"
)

const (
	// publicWithin bounds the whole question, tokens and retries included.
	publicWithin = 30 * time.Second
	// mostPublicTries is how often a failure that may pass is met.
	mostPublicTries = 3
)

// CheckPublic asks for a manifest, by tag or digest, as a client without a login does:
// by HEAD, by GET where that is denied, with the anonymous token that the registry's
// token service gives to everybody. 401, 403 and 404, from the token service too, are
// ErrNotPublic; any other error says that the registry did not tell, as with 429 or 5xx.
func (r *Repository) CheckPublic(ctx context.Context, ref string) error {
	doing := "pulling " + short(ref) + " without a login"
	anonymous := &Repository{c: r.c, path: r.path, tokens: auth.New(r.c.host, nil).Repository(r.path)}
	bounded, stop := context.WithTimeout(ctx, publicWithin)
	defer stop()
	err := anonymous.pull(bounded, doing, http.MethodHead, ref)
	if denied(err) || isStatus(err, http.StatusMethodNotAllowed) {
		err = anonymous.pull(bounded, doing, http.MethodGet, ref)
	}
	if denied(err) {
		err = fmt.Errorf("%w: %w", ErrNotPublic, err)
	}
	return r.explain(ctx, doing, false, err)
}

// pull asks for a manifest. Too many requests are final: the limit is that of clients
// without a login, and must not slow down those with one.
func (r *Repository) pull(ctx context.Context, doing, method, ref string) error {
	tries := 0
	return r.retrying(ctx, doing, func(ctx context.Context) error {
		resp, err := r.once(ctx, call{
			doing: doing, method: method, url: r.at("/manifests/"+ref, nil),
			header: http.Header{"Accept": {accept}}, want: []int{http.StatusOK},
		})
		if err == nil {
			transport.Drain(resp)
			return nil
		}
		if tries++; tries >= mostPublicTries || isStatus(err, http.StatusTooManyRequests) {
			return &transport.GaveUpError{Err: err, Tries: tries}
		}
		return err
	})
}

// denied reports whether an answer says that somebody without a login may not pull.
func denied(err error) bool {
	return isStatus(err, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound)
}

// isStatus reports whether err is an answer with one of the statuses.
func isStatus(err error, statuses ...int) bool {
	var answer *Error
	return errors.As(err, &answer) && slices.Contains(statuses, answer.Status)
}
