package credentials

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/multi-registry-push/multi-registry-push/internal/retry"
)

// issued is a credential that a provider gave out.
type issued struct {
	config  authn.AuthConfig
	at      time.Time
	expires time.Time // zero: it does not expire
}

// fresh reports whether the credential can still be used at now. A tenth of its life, five
// minutes at most, is left unused: a request that is sent with it must arrive while it holds.
func (c issued) fresh(now time.Time) bool {
	if c.expires.IsZero() {
		return true
	}
	margin := min(c.expires.Sub(c.at)/10, 5*time.Minute)
	return now.Before(c.expires.Add(-margin))
}

// issueFunc gets a credential from a provider.
type issueFunc func(context.Context) (issued, error)

// account gets a credential when it is first needed, once for all who ask at the same
// time, and again when it runs out. A refusal is remembered: a provider that said no is not
// asked again for every repository.
type account struct {
	clock retry.Clock
	issue issueFunc

	mu      sync.Mutex
	current *issued
	refused error
	pending *sharedCall
}

// sharedCall is one call of issue that is under way.
type sharedCall struct {
	done chan struct{} // closed when the fields below are set
	got  issued
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

// AuthorizationContext returns the credential, and gets it first if need be. Its errors are
// problems: OIDCMissing, OIDCRefused, WrongCredentials, MissingCredentials, InvalidAuth,
// Unreachable, RateLimited, RegistryGaveUp, and those of certificates. An OIDCRefused of
// which the provider's trust is the reason holds a [*TrustRefused].
func (a *account) AuthorizationContext(ctx context.Context) (*authn.AuthConfig, error) {
	for {
		config, call, mine, err := a.join()
		if config != nil || err != nil {
			return config, err
		}
		if mine {
			a.run(ctx, call)
		} else {
			select {
			case <-call.done:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		if call.err == nil {
			config := call.got.config
			return &config, nil
		}
		if mine || ctx.Err() != nil || !abandoned(call.err) {
			return nil, call.err
		}
		// The one who was asking was cancelled, this caller was not: it asks itself.
	}
}

// join returns what is known already, a credential or a refusal, else the call that will
// tell; mine says that the caller has to run it.
func (a *account) join() (config *authn.AuthConfig, call *sharedCall, mine bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.refused != nil:
		return nil, nil, false, a.refused
	case a.current != nil && a.current.fresh(a.clock.Now()):
		config := a.current.config
		return &config, nil, false, nil
	case a.pending != nil:
		return nil, a.pending, false, nil
	}
	a.pending = &sharedCall{done: make(chan struct{})}
	return nil, a.pending, true, nil
}

// run asks the provider in the caller's goroutine and tells everybody who waits.
func (a *account) run(ctx context.Context, call *sharedCall) {
	call.err = errors.New("the token exchange did not end") // kept only if issue panics
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if call.err == nil {
			a.current = &call.got
		} else if final(call.err) {
			a.refused = call.err
		}
		a.pending = nil
		close(call.done)
	}()
	call.got, call.err = a.issue(ctx)
}

func abandoned(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// final reports whether asking again in this run could not help.
func final(err error) bool {
	kind, _ := kindOf(err)
	return slices.Contains([]ErrorKind{
		OIDCMissing, OIDCRefused, WrongCredentials, MissingCredentials, InvalidAuth,
	}, kind)
}
