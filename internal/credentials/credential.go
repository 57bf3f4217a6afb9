package credentials

import (
	"context"

	"github.com/google/go-containerregistry/pkg/authn"
)

// Credential says which credential a repository gets, or why it gets none.
type Credential struct {
	// Origin says where the credential comes from, in the words of the log:
	// `password from registry-auth (user "acme")`, `github-token`, `AWS default chain`.
	// It never holds the secret, and is empty where there is none.
	Origin string
	// Account says whose the credential is and where it stands, for the errors of a login:
	// `user "acme" of registry-auth, line 3`. It never holds the secret, and is empty where
	// there is none.
	Account string
	// Skip, if not empty, says why there is no usable credential:
	// "username in registry-auth is empty (item in line 3)".
	Skip string
	// Anonymous says that no login is wanted: the item has anonymous: true.
	Anonymous bool
	// Item is the item of registry-auth whose options apply, nil if there is none. The
	// credential may be that of another, with a shorter path: see [Item.HasCredentialKey].
	Item *Item
	// JobToken says that the secret is the job's own GITHUB_TOKEN, whichever way it
	// came here: on a pull request from a fork a refused push is then a skip.
	JobToken bool
	// Auth gives the credential. It is never nil: where there is none, it is
	// [authn.Anonymous]. It exchanges on first use, renews before expiry and is safe
	// for concurrent use; it implements [authn.ContextAuthenticator].
	Auth authn.Authenticator
	// Subject returns the subject of the job's OIDC token that was last sent for this
	// registry, "" if none was yet. It is nil where the login needs no such token.
	Subject func() string
	// Warnings are what a person should know about how the credential was found, such
	// as a credential helper that could not be started.
	Warnings []string
	// Key identifies the account. Repositories with the same Key share one Auth.
	Key string
	// NeedsCreate says that the registry does not create repositories on push.
	NeedsCreate bool
	// CreateRepository creates the repository at path on the registry, with the tag
	// mutability that its item says, else with immutable tags or mutable ones; created is
	// false if it was there already. It is nil where NeedsCreate is false.
	CreateRepository func(ctx context.Context, path string, immutable bool) (created bool, err error)

	create createFunc // what CreateRepository calls
}

// GetAhead gets a credential that a provider has to be asked for, so that it is there when it
// is needed. Whoever needs it meanwhile waits for this, and shares what comes of it.
func (c Credential) GetAhead(ctx context.Context) {
	if a, ok := c.Auth.(*account); ok {
		_, _ = a.AuthorizationContext(ctx) // a failure is for whoever needs the credential
	}
}

// Warning is something about the credentials at hand that a person should know,
// but that stops nothing.
type Warning struct {
	Origin string // what it is about: DOCKER_AUTH_CONFIG, $HOME/.docker/config.json
	Text   string
}

// String returns the text behind what it is about.
func (w Warning) String() string { return w.Origin + ": " + w.Text }
