package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/multi-registry-push/multi-registry-push/internal/registry/auth"
	"github.com/multi-registry-push/multi-registry-push/internal/registry/transport"
)

// call is one request to a repository, as its methods put it.
type call struct {
	doing  string // "reading manifest latest", for people
	method string
	url    *url.URL // as at returns it, or what the registry gave us
	header http.Header
	body   *outgoing
	need   auth.Access
	want   []int // statuses that are a success; none means any 2xx
	away   bool  // another host named url: it is not asked as the registry's own
	bulk   bool
	count  bool // the answer's body is a blob or manifest: see WithReceived
	commit bool
	placed bool // its caller holds a place among the requests, or the blobs, of the host
}

// at returns the URL of an endpoint below the repository.
func (r *Repository) at(endpoint string, query url.Values) *url.URL {
	u := r.c.host.Base()
	u.Path += r.path + endpoint
	u.RawQuery = query.Encode()
	return &u
}

// do makes a call, again while it fails in passing. The response's body must be
// closed. An answer that is not wanted is an *Error.
func (r *Repository) do(ctx context.Context, k func() call) (*http.Response, error) {
	if err := r.c.host.Probe(ctx); err != nil {
		return nil, err
	}
	var resp *http.Response
	one := k()
	err := r.c.host.Retry(ctx, r.path+": "+one.doing, func(ctx context.Context) error {
		var err error
		resp, err = r.once(ctx, one)
		return err
	})
	return resp, err
}

// once makes a call one time. It keeps a place among the requests until the answer's
// headers are there; blobs being sent do not, since they may wait for a blob that is
// read from this same host.
func (r *Repository) once(ctx context.Context, k call) (*http.Response, error) {
	if !k.placed {
		release, err := r.c.host.AcquireRequest(ctx)
		if err != nil {
			return nil, err
		}
		defer release()
	}
	facade := r.c.host.Facade()
	if facade != nil && k.need.Write {
		return nil, facade
	}
	resp, err := r.follow(ctx, k)
	if err != nil {
		return nil, err
	}
	if facade != nil && transport.IsPage(resp) {
		transport.Drain(resp)
		return nil, facade
	}
	if slices.Contains(k.want, resp.StatusCode) || len(k.want) == 0 && resp.StatusCode >= 200 && resp.StatusCode < 300 {
		if received, ok := ctx.Value(receivedKey{}).(func(n int64)); ok && k.count {
			resp.Body = receivedBody{resp.Body, received}
		}
		return resp, nil
	}
	return nil, r.c.host.Answer(resp)
}

// maxRedirects bounds a chain of redirects.
const maxRedirects = 10

// follow sends a request and goes after its redirects. The Authorization header goes
// to the registry itself and to nobody else; after another host no later hop is the
// registry's own again, wherever it leads.
func (r *Repository) follow(ctx context.Context, k call) (*http.Response, error) {
	u := k.url
	for range maxRedirects + 1 {
		resp, err := r.reach(ctx, k, u)
		if err != nil {
			return nil, err
		}
		next, err := r.redirect(k, u, resp)
		if err != nil {
			transport.Drain(resp)
			return nil, err
		}
		if next == nil {
			return resp, nil
		}
		k.away = transport.FromElsewhere(resp)
		transport.Drain(resp)
		u = next
	}
	what := fmt.Sprintf("%s %s: more than %d redirects", k.method, r.c.host.Redact(k.url.Path), maxRedirects)
	return nil, &transport.UnsafeError{What: what}
}

// redirect returns where resp sends us, nil if it does not.
func (r *Repository) redirect(k call, from *url.URL, resp *http.Response) (*url.URL, error) {
	switch resp.StatusCode {
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther:
		if k.method != http.MethodGet && k.method != http.MethodHead {
			return nil, nil // a write that would turn into a read
		}
	default:
		return nil, nil
	}
	if resp.Header.Get("Location") == "" || slices.Contains(k.want, resp.StatusCode) {
		return nil, nil
	}
	return r.c.host.Target(from, resp.Header.Get("Location"))
}

// reach sends a request to u. Where u is another port of the registry's own host, it is
// tried as it is named, and as the registry was reached if it is refused there, or nobody
// answers.
func (r *Repository) reach(ctx context.Context, k call, u *url.URL) (*http.Response, error) {
	all := r.c.host.Addresses(u)
	for i, at := range all {
		to := ctx
		if at != u {
			to = transport.Named(ctx, u.Host)
		}
		resp, err := r.authorized(to, k, at)
		if i == len(all)-1 || ctx.Err() != nil || !refusedThere(resp, err) {
			if err != nil && at != u {
				err = &transport.NamedError{Host: r.c.host.Redact(u.Host), Err: err}
			}
			return resp, err
		}
		if err == nil {
			transport.Drain(resp)
		}
		r.c.host.NotServed(at)
	}
	return nil, nil // there is always an address
}

// refusedThere reports whether a request without credentials to another port of the
// registry came to nothing for being sent there.
func refusedThere(resp *http.Response, err error) bool {
	if err != nil {
		_, ours := errors.AsType[*contentError](err)
		return !ours
	}
	return resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden
}

// authorized sends a request to u, with credentials if u is the registry's. A 401
// means a new token and the same request once more, its body from the start.
func (r *Repository) authorized(ctx context.Context, k call, u *url.URL) (*http.Response, error) {
	own := r.c.host.Owns(u) && !k.away
	var visitor *visitorToken
	if !own && !k.need.Write && r.c.host.Facade() != nil {
		visitor = r.visitors.at(u)
	}
	for try := 0; ; try++ {
		req, err := http.NewRequestWithContext(ctx, k.method, u.String(), nil)
		if err != nil {
			return nil, err
		}
		maps.Copy(req.Header, k.header)
		header := ""
		if own {
			if header, err = r.tokens.Header(ctx, k.need); err != nil {
				return nil, err
			}
		} else if visitor != nil {
			header = visitor.get()
		}
		if header != "" {
			req.Header.Set("Authorization", header)
		}
		sending := transport.Sending{Foreign: !own, Bulk: k.bulk, Commit: k.commit}
		if k.body != nil {
			sending.Body = k.body
		}
		resp, err := r.c.host.Send(req, sending)
		if err != nil {
			return nil, err
		}
		asks := expired(resp) || own && header == "" && resp.StatusCode == http.StatusForbidden
		if !own && visitor == nil || try > 0 || !asks {
			return resp, nil
		}
		var again bool
		if own {
			again, err = r.tokens.Refused(ctx, k.need, header, resp)
		} else {
			again, err = r.refusedVisitor(ctx, visitor, header, resp)
		}
		if err == nil && !again {
			return resp, nil
		}
		transport.Drain(resp)
		if err != nil {
			return nil, err
		}
	}
}

// expired reports whether an answer may be due to a token that has expired or lacks
// a scope: 401, or ECR's 403 "Your authorization token has expired".
func expired(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		return true
	case http.StatusForbidden:
		return saysExpired(transport.Peek(resp))
	}
	return false
}
