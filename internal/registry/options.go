package registry

import (
	"crypto/x509"
	"net/http"
	"net/url"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/registry/transport"
	"github.com/multi-registry-push/multi-registry-push/internal/retry"
)

// Options say how to talk to one host. Host is required; everything else works as
// its zero value.
type Options struct {
	// Host is the registry as people write it: "docker.io", "localhost:5000".
	Host string
	// Insecure allows plain HTTP, where the other side answers in plain HTTP, and
	// TLS that is not verified. Loopback hosts are allowed plain HTTP without it.
	Insecure bool
	// Auth returns the account of a repository; one host may have several. Nil, or
	// a nil result, is anonymous. It is asked once a repository; the Authenticator
	// is asked whenever a token is asked for, and may be a ContextAuthenticator.
	Auth func(repository string) authn.Authenticator
	// Redactor learns every token before its first use. Nil means nobody does.
	Redactor *redact.Redactor
	// Concurrency is how many blobs may be in flight at a time; 0 means as many as the
	// registry and the link take: large ones (256 KiB and more) from 8 up to 16 (12 over
	// HTTP/1.1), small ones as requests allow, 32 of both over HTTP/2 and 16 over HTTP/1.1.
	Concurrency int
	// Bodies bounds the large blobs in flight to all registries of a process, where
	// Concurrency is 0. Nil means that this registry is alone.
	Bodies *Bodies
	// Stall is how long a connection may rest without a byte in either direction
	// before it counts as broken; 0 means 60 s.
	Stall time.Duration
	// Answer is how long a registry may take to answer once it has the whole
	// request (some hash and move a blob of many gigabytes before they do); 0
	// means 5 minutes for requests that carried a body, Stall for all others.
	Answer time.Duration
	// RetryBudget is how long transient failures are tried again; it starts anew
	// with each progress. 0 means 5 minutes.
	RetryBudget time.Duration
	// FirstContact is the budget until the host has answered for the first time:
	// a typo in a host name must not take minutes. 0 means 10 s.
	FirstContact time.Duration
	// Clock tells the time and waits; nil is the machine's.
	Clock Clock
	// Roots returns the authorities that are trusted; nil means the system's. It is asked for each
	// connection while that is made, so that they may be read until then, once.
	Roots func() *x509.CertPool
	// Proxy picks the proxy of a request; nil means HTTPS_PROXY, HTTP_PROXY and
	// NO_PROXY of the environment.
	Proxy func(*http.Request) (*url.URL, error)
	// InContainer says that this process runs in a container action, where
	// localhost is the container itself; the remedies say so.
	InContainer bool
	// Notify is told of retries, pauses and the like; nil means nobody is. It may
	// be called from several goroutines at once.
	Notify func(Notice)
	// Trace is told each request at its end; nil means nobody is. It may be called from
	// several goroutines at once.
	Trace func(Trace)
	// UserAgent is sent with every request; empty means "multi-registry-push".
	UserAgent string
	// Base replaces the network; for tests.
	Base http.RoundTripper
}

// transport returns what of the options is the transport's.
func (o Options) transport() transport.Options {
	return transport.Options{
		Host: o.Host, Insecure: o.Insecure, Redactor: o.Redactor, Concurrency: o.Concurrency, Bodies: o.Bodies,
		Stall: o.Stall, Answer: o.Answer, RetryBudget: o.RetryBudget, FirstContact: o.FirstContact,
		Clock: o.Clock, Roots: o.Roots, Proxy: o.Proxy, Notify: o.Notify, Trace: o.Trace, UserAgent: o.UserAgent,
		Base: o.Base,
	}
}

// What the transport below is told, and tells.
type (
	// Clock tells the time and waits.
	Clock = retry.Clock
	// Notice is something that a person who reads the log may want to know.
	Notice = transport.Notice
	// Trace is one request, told when it has ended.
	Trace = transport.Trace
	// Stats count what went over the wire so far.
	Stats = transport.Stats
	// Bodies bounds the large blobs that a process has in flight; see NewBodies.
	Bodies = transport.Bodies
	// RateLimit is what a registry says of pulls.
	RateLimit = transport.RateLimit
)

// NewBodies returns the bound for a process that publishes to so many registries:
// max(64, 4 × registries) large blobs in flight, and never fewer than 4 to each.
func NewBodies(registries int) *Bodies { return transport.NewBodies(registries) }
