package registry

import (
	"context"
	"net/http"
	"net/url"
	"sync"

	"github.com/multi-registry-push/multi-registry-push/internal/registry/transport"
)

// visitors are the tokens that anybody gets, without a login, at the hosts behind a facade
// (see transport.Host.Facade), by host and port. No credential of ours is in them.
type visitors struct {
	mu     sync.Mutex
	tokens map[string]*visitorToken
}

// visitorToken is the token of one host, or the place for it.
type visitorToken struct {
	asking transport.SharedCall

	mu     sync.Mutex
	header string
}

func (v *visitors) at(u *url.URL) *visitorToken {
	v.mu.Lock()
	defer v.mu.Unlock()
	key := transport.HostPort(u)
	if v.tokens == nil {
		v.tokens = map[string]*visitorToken{}
	}
	if v.tokens[key] == nil {
		v.tokens[key] = &visitorToken{}
	}
	return v.tokens[key]
}

// get returns the Authorization header, "" before the first 401.
func (t *visitorToken) get() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.header
}

// refusedVisitor takes note of a 401 to a request that carried header, and reports whether
// there is another one to try.
func (r *Repository) refusedVisitor(
	ctx context.Context, t *visitorToken, header string, resp *http.Response,
) (bool, error) {
	err := t.asking.Do(ctx, func(ctx context.Context) error {
		if t.get() != header { // somebody else just has
			return nil
		}
		issued, err := r.c.auth.Anonymous(ctx, resp.Header.Values("WWW-Authenticate"))
		if err != nil {
			return err
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.header = issued
		return nil
	})
	return err == nil && t.get() != header, err
}
