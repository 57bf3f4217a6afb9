// Package publish publishes one image to many registries: plan, login, copy,
// tag, verify, for all of them at once.
//
// Run reads like those five steps. Each is a function from the result of the one
// before; what happens is said as report events.
package publish

import (
	"context"
	"regexp"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/blobcache"
	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/source"
)

// Destination is one line of tags.
type Destination struct {
	Reference imageref.Reference
	Line      int // in the input, from 1
}

// Unconfigured is a line of tags, or an item, that names a destination which is
// not configured (an empty variable): skipped with a notice that quotes it.
type Unconfigured struct {
	Input  string // "tags" or "registry-auth"
	Line   int
	Text   string // the line as written; of registry-auth never more than the registry
	Reason string
}

// Request is everything a run needs; it is checked before it gets here.
type Request struct {
	Destinations []Destination
	Unconfigured []Unconfigured

	// Choose decides which credential a repository gets. It sends nothing, but may run
	// a credential helper.
	Choose func(context.Context, imageref.Repository) credentials.Credential
	// Connect makes the client of one host; it is called once a host, the source's
	// included.
	Connect func(host string, insecure bool, account func(repository string) credentials.Credential) Host
	// Open opens the source. It is called only when some registry is enabled; a
	// remote source is read through the repositories it is given.
	Open func(ctx context.Context, repository func(imageref.Repository) source.RemoteRepository) (*source.Image, error)
	// SourceRepository is set if the source is remote, so that its login happens
	// beside the others.
	SourceRepository *imageref.Repository
	// Spool makes the spool for the blobs of a remote source.
	Spool func() (*blobcache.Spool, error)

	FailOnMissing    bool           // missing-credentials: fail
	Atomic           bool           // no tag moves before all registries are whole
	ImmutableTags    *regexp.Regexp // anchored, nil for none
	Referrers        bool
	CreateRepository bool
	CreateImmutable  bool // with immutable tags: immutable-tags is .*
	Concurrency      int  // blobs in flight to one registry; 0 means 4
	DryRun           bool
	// Untrusted says that the job runs for a pull request from a fork or by
	// Dependabot: a push refused to the job's own token is a skip there.
	Untrusted bool
	// LoginGrace is how long registries that have logged in wait for those that do
	// not answer before they start to copy (never with atomic); 0 means 2 s.
	LoginGrace time.Duration
	// VerifyPauses are the waits between the questions after a tag that a registry
	// does not serve yet; nil means 0.2, 0.5, 1 and 2 s.
	VerifyPauses []time.Duration
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}
