package registry

import (
	"context"
	"crypto/x509"
	"net/http"
	"net/url"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
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
	// is asked whenever a token is bought, and may be a ContextAuthenticator.
	Auth func(repository string) authn.Authenticator
	// Redactor learns every token before its first use. Nil means nobody does.
	Redactor *redact.Redactor
	// Concurrency is how many blobs may be in flight at a time; 0 means 4.
	Concurrency int
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
	// Clock tells the time and waits; nil is the real one.
	Clock Clock
	// Roots are the authorities that are trusted; nil means the system's.
	Roots *x509.CertPool
	// Proxy picks the proxy of a request; nil means HTTPS_PROXY, HTTP_PROXY and
	// NO_PROXY of the environment.
	Proxy func(*http.Request) (*url.URL, error)
	// InContainer says that this process runs in a container action, where
	// localhost is the container itself; the remedies say so.
	InContainer bool
	// Notify is told of retries, pauses and the like; nil means nobody is. It may
	// be called from several goroutines at once.
	Notify func(Notice)
	// UserAgent is sent with every request; empty means "multi-registry-push".
	UserAgent string
	// Base replaces the network; for tests.
	Base http.RoundTripper
}

// Clock is time, so that tests can hold it.
type Clock interface {
	Now() time.Time
	// Sleep waits for d, or until ctx is done, whose error it then returns.
	Sleep(ctx context.Context, d time.Duration) error
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

// Stats count what went over the wire so far.
type Stats struct {
	Requests int64 // sent, token requests and retries included
	Retries  int64
	// BytesReceived counts bodies of blobs and manifests, not headers.
	BytesReceived int64
	// BytesSent counts bodies of blobs and manifests, those sent twice included.
	BytesSent int64
	// RateLimit is what the registry last said of it, nil if it never did.
	RateLimit *RateLimit
}

// RateLimit is what a registry says of pulls, such as Docker Hub's
// ratelimit-limit: 100;w=21600.
type RateLimit struct {
	Limit     int
	Remaining int
	Window    time.Duration // 0 if not said
}
