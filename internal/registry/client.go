package registry

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/redact"
)

// Defaults of Options.
const (
	defaultConcurrency  = 4
	defaultStall        = 60 * time.Second
	defaultAnswer       = 5 * time.Minute
	defaultRetryBudget  = 5 * time.Minute
	defaultFirstContact = 10 * time.Second
	defaultUserAgent    = "multi-registry-push"
)

// Client is one registry host. It is safe for concurrent use.
type Client struct {
	o        Options
	apiHost  string
	registry name.Registry // for go-containerregistry's token exchange
	loopback bool

	wire     *wire
	throttle *throttle

	cancellations cancellations

	probing   flight
	mu        sync.Mutex
	scheme    string // "" until probed
	challenge *transport.Challenge
	contacted bool // the host has answered something
	headLies  bool // HEAD says that manifests are not there which GET returns
	repos     map[string]*Repository
}

// New returns the client of o.Host. Nothing is sent.
func New(o Options) *Client {
	o.Host = imageref.CanonicalHost(o.Host)
	if o.Concurrency <= 0 {
		o.Concurrency = defaultConcurrency
	}
	if o.Stall <= 0 {
		o.Stall = defaultStall
	}
	if o.Answer <= 0 {
		o.Answer = max(defaultAnswer, o.Stall)
	}
	if o.RetryBudget <= 0 {
		o.RetryBudget = defaultRetryBudget
	}
	if o.FirstContact <= 0 {
		o.FirstContact = min(defaultFirstContact, o.RetryBudget)
	}
	if o.Clock == nil {
		o.Clock = realClock{}
	}
	if o.Proxy == nil {
		o.Proxy = http.ProxyFromEnvironment
	}
	if o.UserAgent == "" {
		o.UserAgent = defaultUserAgent
	}
	if o.Redactor == nil {
		o.Redactor = redact.NewRedactor(nil)
	}
	if o.Notify == nil {
		o.Notify = func(Notice) {}
	}
	apiHost := imageref.APIHost(o.Host)
	// A host that go-containerregistry does not take for one gets the zero value:
	// then a realm must be on a public address.
	registry, _ := name.NewRegistry(apiHost)
	c := &Client{
		o:        o,
		apiHost:  apiHost,
		registry: registry,
		loopback: imageref.Loopback(apiHost),
		throttle: newThrottle(o.Clock, o.Concurrency),
		repos:    map[string]*Repository{},
	}
	c.wire = newWire(c)
	return c
}

// Host returns the host as people write it.
func (c *Client) Host() string { return c.o.Host }

// Stats returns what went over the wire so far.
func (c *Client) Stats() Stats { return c.wire.stats() }

// Close waits for uploads that are being given up, at most 2 s, and closes idle
// connections. The client can still be used.
func (c *Client) Close() {
	c.cancellations.wait(cancelWithin)
	c.wire.closeIdle()
}

// Repository returns the view on one repository. Every call with the same path
// returns the same value: views share their tokens.
func (c *Client) Repository(path string) *Repository {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.repos[path]
	if !ok {
		r = &Repository{c: c, path: path, written: map[string]bool{}}
		r.tokens = newTokens(c, path)
		c.repos[path] = r
	}
	return r
}

// Repository is one repository of a host. It is safe for concurrent use.
type Repository struct {
	c      *Client
	path   string
	tokens *tokens

	mu            sync.Mutex
	cannotCancel  bool            // the registry refused to cancel an upload
	cannotPutBody bool            // the registry refuses an upload in one PUT
	written       map[string]bool // manifests, by tag or digest, that HEAD has not been asked for since

	proof proof
}

// String returns host/path.
func (r *Repository) String() string { return r.c.o.Host + "/" + r.path }

// Path returns the repository's path.
func (r *Repository) Path() string { return r.path }

// plainAllowed is the contract's rule for the scheme: HTTPS for every address
// except loopback and what the user called insecure.
func (c *Client) plainAllowed() bool { return c.o.Insecure || c.loopback }

// probe finds out scheme and challenge by GET /v2/, once; whoever asks meanwhile shares
// the outcome, so that a dead host costs one budget however many repositories are
// wanted of it. TLS is tried first,
// everywhere; plain HTTP is tried only where it is allowed and only after the other
// side answered in plain HTTP: a time-out or a broken handshake proves nothing, and
// must not make us send credentials in clear.
func (c *Client) probe(ctx context.Context) error {
	if c.probed() {
		return nil
	}
	return c.probing.do(ctx, c.probeAlone)
}

func (c *Client) probeAlone(ctx context.Context) error {
	if c.probed() {
		return nil
	}
	scheme := "https"
	return c.retry(ctx, "reaching the registry", func(ctx context.Context) error {
		resp, err := c.ping(ctx, scheme)
		if err != nil && scheme == "https" && c.plainAllowed() && answeredInPlain(err) {
			scheme = "http"
			resp, err = c.ping(ctx, scheme)
		}
		if err != nil {
			return err
		}
		defer drain(resp)
		var challenge *transport.Challenge
		switch {
		case resp.StatusCode == http.StatusUnauthorized:
			challenge = c.challengeOf(resp)
		case resp.StatusCode >= 200 && resp.StatusCode < 300,
			resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusForbidden:
			// Some registries do not serve /v2/ itself; what is asked of a
			// repository will tell.
		default:
			return c.answer(resp)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.scheme, c.challenge = scheme, challenge
		return nil
	})
}

func (c *Client) probed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.scheme != ""
}

func (c *Client) ping(ctx context.Context, scheme string) (*http.Response, error) {
	u := &url.URL{Scheme: scheme, Host: c.apiHost, Path: "/v2/"}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	return c.wire.send(req, sending{})
}

// base returns the URL of the API's root, after probe.
func (c *Client) base() url.URL {
	c.mu.Lock()
	defer c.mu.Unlock()
	return url.URL{Scheme: c.scheme, Host: c.apiHost, Path: "/v2/"}
}

func (c *Client) hasAnswered() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.contacted
}

func (c *Client) answered() {
	c.mu.Lock()
	c.contacted = true
	c.mu.Unlock()
}

// owns reports whether u is this registry itself: the only place, the realm of its
// 401 aside, where its credentials may go.
func (c *Client) owns(u *url.URL) bool {
	base := c.base()
	return u.Scheme == base.Scheme && sameHost(u, &base)
}

// sameHost compares host and port in the form in which they are dialled: default ports
// filled in, Docker Hub's names taken for one. A host that net/http would turn into
// another name before it dials is nobody's.
func sameHost(a, b *url.URL) bool {
	return dialledAsWritten(a.Host) && dialledAsWritten(b.Host) && hostPort(a) == hostPort(b)
}

// dialledAsWritten reports whether a URL's host holds only what net/http dials as it is
// written. It converts other names by IDNA first: a host that looks like the registry's
// after lower-casing, or to people, may be somebody else's.
func dialledAsWritten(host string) bool {
	for i := range len(host) {
		switch c := host[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("-._:[]", c) >= 0:
		default:
			return false
		}
	}
	return host != ""
}

func hostPort(u *url.URL) string {
	host := imageref.APIHost(imageref.CanonicalHost(u.Host))
	parsed := url.URL{Host: host}
	port := parsed.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return parsed.Hostname() + ":" + port
}
