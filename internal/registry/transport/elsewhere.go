package transport

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// ElsewhereError says that another host than the registry, which the registry sent us to,
// did not answer.
type ElsewhereError struct {
	Host string // with its port, redacted
	Err  error

	key string // HostPort
}

func (e *ElsewhereError) Error() string { return e.Host + ": " + e.Err.Error() }

// Unwrap returns why there was no answer.
func (e *ElsewhereError) Unwrap() error { return e.Err }

// elsewhere is what is known of other hosts, by host and port.
type elsewhere struct {
	mu       sync.Mutex
	answered map[string]bool
	silent   map[string]time.Time // the first failure of those that have never answered
	gone     map[string]bool      // ports of the registry's host that it names, and does not serve us at
}

func newElsewhere() *elsewhere {
	return &elsewhere{answered: map[string]bool{}, silent: map[string]time.Time{}, gone: map[string]bool{}}
}

func (e *elsewhere) heard(host string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answered[host] = true
}

// failed says that err happened now. It returns since when a host has been silent that has
// never answered; never is false for any other error.
func (e *elsewhere) failed(err error, now time.Time) (since time.Time, never bool) {
	away, ok := errors.AsType[*ElsewhereError](err)
	e.mu.Lock()
	defer e.mu.Unlock()
	if !ok || e.answered[away.key] {
		return time.Time{}, false
	}
	if _, known := e.silent[away.key]; !known {
		e.silent[away.key] = now
	}
	return e.silent[away.key], true
}

// Addresses returns where to ask for u, in order: as it is named, and, where that is
// another port of the registry's own host, as the registry was reached. A registry behind
// a proxy often knows only the port that it listens on itself. The first is left out once
// NotServed has been called with it.
func (h *Host) Addresses(u *url.URL) []*url.URL {
	base := h.Base()
	if !SameName(u, &base) || h.Owns(u) {
		return []*url.URL{u}
	}
	reached := *u
	reached.Scheme, reached.Host = base.Scheme, base.Host
	h.elsewhere.mu.Lock()
	defer h.elsewhere.mu.Unlock()
	if h.elsewhere.gone[HostPort(u)] {
		return []*url.URL{&reached}
	}
	return []*url.URL{u, &reached}
}

// NotServed says that the registry does not serve us at u, an address that it named.
func (h *Host) NotServed(u *url.URL) {
	h.elsewhere.mu.Lock()
	defer h.elsewhere.mu.Unlock()
	h.elsewhere.gone[HostPort(u)] = true
}

// namedKey is the key of the host that the registry named in place of the one that is asked.
type namedKey struct{}

// Named returns a context for a request that goes to the registry as it was reached, though
// the registry named host: an Error says so.
func Named(ctx context.Context, host string) context.Context {
	return context.WithValue(ctx, namedKey{}, host)
}

// named returns the host that the registry named, "" if it is the one that was asked.
func named(ctx context.Context) string {
	host, _ := ctx.Value(namedKey{}).(string)
	return host
}

// NamedError is a failure of a request that a context of Named was for.
type NamedError struct {
	Host string
	Err  error
}

func (e *NamedError) Error() string { return e.Err.Error() + remark(e.Host) }

// Unwrap returns the failure.
func (e *NamedError) Unwrap() error { return e.Err }

func remark(host string) string {
	return " (asked as the registry was reached: it named " + host + ", which does not serve us)"
}

// Facade returns nil, or, after Probe, a *NotRegistryError where the API's root redirects:
// that is no registry to log in or push to. Reading may still follow the redirects of what
// is asked for.
func (h *Host) Facade() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.facade
}

// IsPage reports whether an answer is a page for people, in place of what was asked for.
func IsPage(resp *http.Response) bool {
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		return false
	}
	return resp.Request.Method == http.MethodHead || strings.HasPrefix(strings.TrimSpace(string(Peek(resp))), "<")
}
