package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
)

// Host carries the requests to one registry host. It is safe for concurrent use.
type Host struct {
	o        Options
	name     string // the host that answers the API
	loopback bool
	pace     *pace
	pools    pools
	private  atomic.Bool // the registry itself is at a private address
	public   atomic.Bool // it was at a public address once

	preconnected atomic.Bool

	limit                   atomic.Pointer[RateLimit]
	requests, retries, sent atomic.Int64
	answered                atomic.Bool // the host has answered something

	probing    SharedCall
	mu         sync.Mutex
	scheme     string   // "" until probed
	challenges []string // WWW-Authenticate of a 401 to the probe
	facade     error    // see Facade

	elsewhere *elsewhere
}

// New returns the transport of o.Host. Nothing is sent.
func New(o Options) *Host {
	o.Host = imageref.CanonicalHost(o.Host)
	o = o.withDefaults()
	name := imageref.APIHost(o.Host)
	h := &Host{
		o:        o,
		name:     name,
		loopback: imageref.Loopback(name),
		pace:     newPace(o.Clock, newLimiter(o.Clock, o.Concurrency, o.Bodies)),

		elsewhere: newElsewhere(),
	}
	ip := literal((&url.URL{Host: name}).Hostname())
	h.private.Store(h.loopback || ip != nil && private(ip))
	h.pools = h.newPools()
	return h
}

// Options returns the host's options, defaults filled in.
func (h *Host) Options() Options { return h.o }

// Name returns the host that answers the API, with its port if it was given one:
// index.docker.io for docker.io.
func (h *Host) Name() string { return h.name }

// Loopback reports whether the host is this machine by its name.
func (h *Host) Loopback() bool { return h.loopback }

// Close closes idle connections. The host can still be used.
func (h *Host) Close() { h.pools.closeIdle() }

// PlainAllowed is the contract's rule for the scheme: HTTPS for every address
// except loopback and what the user called insecure.
func (h *Host) PlainAllowed() bool { return h.o.Insecure || h.loopback }

// Probe finds out scheme and challenges by GET /v2/, once; whoever asks meanwhile
// shares the outcome, so that a dead host costs one budget however many repositories
// are wanted of it. TLS is tried first, everywhere; plain HTTP is tried only where it is
// allowed and only after the other side answered in plain HTTP, or, where the user allowed
// it and named no port, refused connections to that of TLS: a time-out or a broken
// handshake proves nothing, and must not make us send credentials in clear.
func (h *Host) Probe(ctx context.Context) error {
	if h.probed() {
		return nil
	}
	return h.probing.Do(ctx, h.probe)
}

func (h *Host) probe(ctx context.Context) error {
	if h.probed() {
		return nil
	}
	return h.Retry(ctx, "reaching the registry", func(ctx context.Context) error {
		scheme := "https"
		resp, err := h.ping(ctx, scheme)
		if err != nil && (h.PlainAllowed() && AnsweredInPlain(err) || h.onlyPlain(err)) {
			scheme = "http"
			resp, err = h.ping(ctx, scheme)
		}
		if err != nil {
			return err
		}
		defer Drain(resp)
		var challenges []string
		var facade error
		switch {
		case resp.StatusCode == http.StatusUnauthorized:
			challenges = append([]string{}, resp.Header.Values("WWW-Authenticate")...)
		case isPage(resp):
			return &NotRegistryError{"/v2/ is a web page"}
		case resp.StatusCode >= 300 && resp.StatusCode < 400:
			facade = redirected(resp, h)
		case resp.StatusCode >= 200 && resp.StatusCode < 300,
			resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusForbidden:
			// Some registries do not serve /v2/ itself; what is asked of a
			// repository will tell.
		default:
			return h.Answer(resp)
		}
		h.mu.Lock()
		h.scheme, h.challenges, h.facade = scheme, challenges, facade
		h.mu.Unlock()
		if h.pools.plain.Load() {
			h.preconnect(firstWave)
		}
		return nil
	})
}

// onlyPlain reports whether a registry that may speak plain HTTP, on no port in
// particular, refuses connections to the port of TLS.
func (h *Host) onlyPlain(err error) bool {
	named := url.URL{Host: h.name}
	var op *net.OpError
	return h.o.Insecure && named.Port() == "" && errors.Is(err, syscall.ECONNREFUSED) &&
		(!errors.As(err, &op) || op.Op != "proxyconnect")
}

// isPage reports whether the API's root is a page for people. (Quay calls its answer HTML,
// too.)
func isPage(resp *http.Response) bool {
	return resp.StatusCode >= 200 && resp.StatusCode < 300 &&
		resp.Header.Get("Docker-Distribution-Api-Version") == "" && IsPage(resp)
}

// redirected returns the error for an API's root that is somewhere else.
func redirected(resp *http.Response, h *Host) *NotRegistryError {
	if u, err := resp.Location(); err == nil {
		return &NotRegistryError{"/v2/ redirects to " + h.Redact(u.Host+u.Path)}
	}
	return &NotRegistryError{"/v2/ redirects to nowhere"}
}

func (h *Host) probed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.scheme != ""
}

func (h *Host) ping(ctx context.Context, scheme string) (*http.Response, error) {
	u := &url.URL{Scheme: scheme, Host: h.name, Path: "/v2/"}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	return h.Send(req, Sending{})
}

// Base returns the URL of the API's root, after Probe.
func (h *Host) Base() url.URL {
	h.mu.Lock()
	defer h.mu.Unlock()
	return url.URL{Scheme: h.scheme, Host: h.name, Path: "/v2/"}
}

// Challenges returns WWW-Authenticate of the answer to Probe, nil if it was no 401.
func (h *Host) Challenges() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.challenges
}

// Answered reports whether the host has answered anything.
func (h *Host) Answered() bool { return h.answered.Load() }

// Owns reports whether u is this registry itself: the only place, the realm of its
// 401 aside, where its credentials may go.
func (h *Host) Owns(u *url.URL) bool {
	base := h.Base()
	return u.Scheme == base.Scheme && sameHost(u, &base)
}

// Target resolves a URL that the registry gave us for something at from, and judges it:
// an *UnsafeError if it must not be called.
func (h *Host) Target(from *url.URL, location string) (*url.URL, error) {
	if len(location) > maxLocation {
		return nil, &UnsafeError{"a URL of more than 16 KiB"}
	}
	u, err := from.Parse(strings.TrimSpace(location))
	if err != nil {
		return nil, &UnsafeError{"a URL that is none"}
	}
	u.Fragment, u.User = "", nil
	base := h.Base()
	// A registry behind a proxy that ends TLS often calls itself http://.
	if base.Scheme == "https" && u.Scheme == "http" && SameName(u, &base) {
		u.Scheme = base.Scheme
		if port := u.Port(); port == "" || port == "80" {
			u.Host = base.Host
		}
	}
	if h.Owns(u) {
		return u, nil
	}
	if from.Scheme == "https" && u.Scheme == "http" && !h.o.Insecure {
		return nil, &UnsafeError{fmt.Sprintf("from TLS to plain HTTP at %s", u.Host)}
	}
	return u, h.CheckURL(u)
}

// maxLocation bounds a URL from outside, in bytes.
const maxLocation = 16 << 10

// sameHost compares host and port in the form in which they are dialled: default ports
// filled in, Docker Hub's names taken for one. A host that net/http would turn into
// another name before it dials is nobody's.
func sameHost(a, b *url.URL) bool {
	return dialledAsWritten(a.Host) && dialledAsWritten(b.Host) && HostPort(a) == HostPort(b)
}

// SameName reports whether a and b have one host name, whatever their ports. The registry's is
// never that of a name which only looks alike in small letters (U+212A for k, U+017F for s).
func SameName(a, b *url.URL) bool {
	return dialledAsWritten(a.Host) && dialledAsWritten(b.Host) && strings.EqualFold(a.Hostname(), b.Hostname())
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

// HostPort returns host and port of u, the scheme's port if it names none.
func HostPort(u *url.URL) string {
	host := imageref.APIHost(imageref.CanonicalHost(u.Host))
	parsed := url.URL{Scheme: u.Scheme, Host: host}
	return parsed.Hostname() + ":" + portOf(&parsed)
}

// portOf returns the port of u, the scheme's if it names none.
func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
}
