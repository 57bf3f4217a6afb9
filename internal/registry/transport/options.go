package transport

import (
	"crypto/x509"
	"net/http"
	"net/url"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/retry"
)

// Options say how to talk to one host, for all layers of its client: Auth is for package auth,
// InContainer for package registry. Host is required; everything else works as its zero value.
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
	// Redactor takes secrets out of texts from outside, and learns every token before its
	// first use. Nil knows none.
	Redactor *redact.Redactor
	// Concurrency is how many blobs may be in flight at a time; 0 means as many as the
	// registry and the link take: large ones (256 KiB and more) from 8 up to 16 (12 over
	// HTTP/1.1), small ones as requests allow, 32 of both over HTTP/2 and 16 over HTTP/1.1.
	Concurrency int
	// Bodies bounds the large blobs that are in flight to all hosts that share it, where
	// Concurrency is 0. Nil means that this host is alone.
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
	// GivingUp is how long Client.Close waits for uploads that are being given up; 0 means 2 s.
	GivingUp time.Duration
	// Clock tells the time and waits; nil is the machine's.
	Clock retry.Clock
	// Roots returns the authorities that are trusted; nil means the system's. It is asked for each
	// connection while that is made, so that they may be read until then, once.
	Roots func() *x509.CertPool
	// Proxy picks the proxy of a request; nil means HTTPS_PROXY, HTTP_PROXY and
	// NO_PROXY of the environment.
	Proxy func(*http.Request) (*url.URL, error)
	// InContainer says that this process runs in a container action, where
	// localhost is the container itself; errors say so.
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

// Defaults of Options.
const (
	defaultStall        = 60 * time.Second
	defaultAnswer       = 5 * time.Minute
	defaultRetryBudget  = 5 * time.Minute
	defaultFirstContact = 10 * time.Second
	defaultGivingUp     = 2 * time.Second // a run that is cancelled ends within seconds
	defaultUserAgent    = "multi-registry-push"
)

// withDefaults returns o with its zero values filled in.
func (o Options) withDefaults() Options {
	o.Concurrency = max(0, o.Concurrency)
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
	if o.GivingUp <= 0 {
		o.GivingUp = defaultGivingUp
	}
	if o.Clock == nil {
		o.Clock = retry.SystemClock{}
	}
	if o.Roots == nil {
		o.Roots = func() *x509.CertPool { return nil }
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
	return o
}

// Notice is something that a person who reads the log may want to know. It never
// holds a secret. Text can hold words of the registry's: it is not escaped.
type Notice struct {
	Registry string
	// Warning is for what a person should do something about.
	Warning bool
	// Routine is for what belongs to any long run, such as a token that is renewed:
	// worth a line only when somebody looks for it.
	Routine bool
	Text    string
}
