package servers

import (
	"net/http"
	"path"
	"regexp"
	"slices"
	"time"
)

// Auth says how a server authenticates.
type Auth int

// The ways to authenticate.
const (
	Basic Auth = iota // user and password with each request
	Token             // a bearer token, given by a token server
	None              // everybody may do everything
)

// Options says what a server is like. The zero value is one with basic
// authentication, plain HTTP, storage in memory and DefaultUser.
type Options struct {
	Auth  Auth
	Users []User // nil: DefaultUser

	// AnonymousPull lets requests without credentials read, with Token only.
	AnonymousPull bool
	// TLS serves HTTPS with a certificate of an authority of its own.
	TLS bool
	// Delete allows tags and manifests to be deleted.
	Delete bool
	// Folder holds the storage; empty means in memory. Distribution 2.8 always uses a folder.
	Folder string
	// Addr is where to listen; empty means a free port of 127.0.0.1.
	Addr string

	// Lifetime of a token as the token server says it; 0 means 300 s.
	Lifetime time.Duration
	// UsesPerToken, if not 0, is after how many requests a token is refused: expiry
	// without waiting for it.
	UsesPerToken int
	// SameHost puts the token server on the registry's own host and port, below
	// /auth/token, in place of one of its own on localhost.
	SameHost bool

	// Unchecked makes olareg take manifests that point at what is not there: then only the
	// client keeps an image whole.
	Unchecked bool
	// NoReferrersAPI hides the referrers API of registries that have it.
	NoReferrersAPI bool
	// Preconditions makes writes of tags honour If-Match and If-None-Match.
	Preconditions bool
	// ImmutableTags, if not nil, matches tags that the registry never moves.
	ImmutableTags *regexp.Regexp
	// Wrap, if not nil, is put around the registry, below faults and authentication.
	Wrap func(http.Handler) http.Handler
}

func (o Options) users() []User {
	if o.Users == nil {
		return []User{DefaultUser()}
	}
	return o.Users
}

// User is an account.
type User struct {
	Name, Password string
	Grants         []Grant
}

// Grant allows actions in repositories.
type Grant struct {
	Repository string   // a pattern as of path.Match; "**" is all of them
	Actions    []string // "pull", "push", "delete"; "*" is all of them
}

// DefaultUser returns the account that may do everything.
func DefaultUser() User {
	return User{Name: "acme", Password: "s3cret-of-acme/+%", Grants: []Grant{{Repository: "**", Actions: []string{"*"}}}}
}

// PullUser returns an account that may read everything and write nothing.
func PullUser() User {
	return User{Name: "reader", Password: "only-reads-9177", Grants: []Grant{{Repository: "**", Actions: []string{"pull"}}}}
}

// May reports whether the user may do action in repository.
func (u User) May(repository, action string) bool {
	return slices.ContainsFunc(u.Grants, func(g Grant) bool {
		if g.Repository != "**" {
			if ok, err := path.Match(g.Repository, repository); err != nil || !ok {
				return false
			}
		}
		return slices.Contains(g.Actions, "*") || slices.Contains(g.Actions, action)
	})
}
