package credentials

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// bought is a credential that a provider gave out.
type bought struct {
	config  authn.AuthConfig
	bought  time.Time
	expires time.Time // zero: it does not expire
}

// fresh reports whether b can still be used at now. A tenth of its life, five minutes
// at most, is left unused: a request that is sent with it must arrive while it holds.
func (b bought) fresh(now time.Time) bool {
	if b.expires.IsZero() {
		return true
	}
	margin := min(b.expires.Sub(b.bought)/10, 5*time.Minute)
	return now.Before(b.expires.Add(-margin))
}

// account buys a credential when it is first needed, once for all who ask at the
// same time, and again when it runs out. A refusal is remembered: a provider that
// said no is not asked again for every repository.
type account struct {
	clock Clock
	buy   func(context.Context) (bought, error)

	mu      sync.Mutex
	have    *bought
	refused error
	flight  *flight
}

// flight is one purchase that is under way.
type flight struct {
	done chan struct{} // closed when the fields below are set
	got  bought
	err  error
}

var (
	_ authn.Authenticator        = (*account)(nil)
	_ authn.ContextAuthenticator = (*account)(nil)
)

// Authorization is for callers without a context.
func (a *account) Authorization() (*authn.AuthConfig, error) {
	return a.AuthorizationContext(context.Background())
}

// AuthorizationContext returns the credential, buying it if need be. Its errors are
// problems: OIDCMissing, OIDCRefused, WrongCredentials, MissingCredentials,
// Unreachable, RegistryGaveUp.
func (a *account) AuthorizationContext(ctx context.Context) (*authn.AuthConfig, error) {
	for {
		a.mu.Lock()
		if a.refused != nil {
			defer a.mu.Unlock()
			return nil, a.refused
		}
		if a.have != nil && a.have.fresh(a.clock.Now()) {
			defer a.mu.Unlock()
			config := a.have.config
			return &config, nil
		}
		f, mine := a.flight, false
		if f == nil {
			f, mine = &flight{done: make(chan struct{})}, true
			a.flight = f
		}
		a.mu.Unlock()

		if mine {
			a.run(ctx, f)
		} else {
			select {
			case <-f.done:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		if f.err == nil {
			config := f.got.config
			return &config, nil
		}
		if ctx.Err() != nil {
			return nil, f.err
		}
		if mine || !abandoned(f.err) {
			return nil, f.err
		}
		// The one who was buying was cancelled, we were not: try it ourselves.
	}
}

// run buys in the caller's goroutine and tells everybody who waits.
func (a *account) run(ctx context.Context, f *flight) {
	f.err = errors.New("the exchange did not end") // kept only if buy panics
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if f.err == nil {
			a.have = &f.got
		} else if final(f.err) {
			a.refused = f.err
		}
		a.flight = nil
		close(f.done)
	}()
	f.got, f.err = a.buy(ctx)
}

func abandoned(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// final reports whether asking again in this run could not help.
func final(err error) bool {
	for _, code := range []usererror.Code{usererror.OIDCMissing, usererror.OIDCRefused, usererror.WrongCredentials, usererror.MissingCredentials, usererror.InvalidAuth} {
		if usererror.Is(err, code) {
			return true
		}
	}
	return false
}
