package registry

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/multi-registry-push/multi-registry-push/internal/registry/auth"
	"github.com/multi-registry-push/multi-registry-push/internal/registry/transport"
)

// Client is one registry host. It is safe for concurrent use.
type Client struct {
	o    Options
	host *transport.Host
	auth *auth.Host

	cancellations cancellations
	ways          ways
	logins        logins
	documents     documents

	headLies atomic.Bool // HEAD says that manifests are not there which GET returns

	mu    sync.Mutex
	repos map[string]*Repository
}

// New returns the client of o.Host. Nothing is sent.
func New(o Options) *Client {
	host := transport.New(o)
	return &Client{o: host.Options(), host: host, auth: auth.New(host, o.Auth), repos: map[string]*Repository{},
		logins: logins{asked: map[string]*loggedIn{}}, documents: newDocuments()}
}

// Host returns the host as people write it.
func (c *Client) Host() string { return c.o.Host }

// Stats returns what went over the wire so far.
func (c *Client) Stats() Stats { return c.host.Stats() }

// Preconnect says that blobs of these sizes, in bytes, are likely to be sent or read soon, so that
// connections for the large ones are there in time. It returns at once.
func (c *Client) Preconnect(sizes []int64) { c.host.Preconnect(sizes) }

// Close gives up uploads that carry no blob, waits for those that are being given up, at most
// Options.GivingUp, and closes idle connections. The client can still be used.
func (c *Client) Close() {
	c.mu.Lock()
	repos := slices.Collect(maps.Values(c.repos))
	c.mu.Unlock()
	for _, r := range repos {
		r.CancelUploads()
	}
	c.cancellations.wait(c.o.GivingUp)
	c.host.Close()
}

// Repository returns the view on one repository. Every call with the same path
// returns the same value: views share their tokens.
func (c *Client) Repository(path string) *Repository {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.repos[path]
	if !ok {
		r = &Repository{c: c, path: path, written: map[string]bool{}}
		r.tokens = c.auth.Repository(path)
		c.repos[path] = r
	}
	return r
}

// Repository is one repository of a host. It is safe for concurrent use.
type Repository struct {
	c      *Client
	path   string
	tokens *auth.Tokens

	cannotCancel atomic.Bool // the registry refused to cancel an upload

	mu      sync.Mutex
	written map[string]bool // manifests, by tag or digest, that HEAD has not been asked for since

	permission permission
	uploads    openUploads
	visitors   visitors
}

// String returns host/path.
func (r *Repository) String() string { return r.c.o.Host + "/" + r.path }

// Path returns the repository's path.
func (r *Repository) Path() string { return r.path }
