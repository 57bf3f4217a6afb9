package auth

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/multi-registry-push/multi-registry-push/internal/reference"
	"github.com/multi-registry-push/multi-registry-push/internal/secret"
)

// Options is everything that decides which credential a registry gets.
type Options struct {
	// Items are those of registry-auth, in its order.
	Items []Item
	// GitHubToken is the input github-token; it is sent as Actor, and only to the
	// container registry of ServerURL.
	GitHubToken secret.Text
	// Actor is the workflow's actor; empty means GITHUB_ACTOR.
	Actor string
	// ServerURL is the GitHub server's address; empty means GITHUB_SERVER_URL.
	ServerURL string
	// Untrusted says that the job runs for a pull request from a fork or by
	// Dependabot: a keyless login without OIDC variables is a skip there.
	Untrusted bool

	// Vault learns every secret and every token bought, before its first use. Nil
	// means that nobody needs to know.
	Vault *secret.Vault

	// Getenv reads the environment; nil means an empty one. The AWS SDK's own chain
	// and credential helpers read that of the process.
	Getenv func(string) string
	// ReadFile reads Docker's configuration; nil means [os.ReadFile].
	ReadFile func(name string) ([]byte, error)
	// MapPath turns a path of the runner's host into the container's; nil means
	// that both are the same.
	MapPath func(string) string
	// Helper runs `docker-credential-NAME get` for a server; nil runs the program.
	Helper func(ctx context.Context, name, server string) (user string, password secret.Text, err error)

	// Transport carries the requests of exchanges; nil means one like
	// [http.DefaultTransport].
	Transport http.RoundTripper
	// Clock tells the time and waits between attempts; nil means the real one.
	Clock Clock
	// Timeout bounds one attempt of one exchange; 0 means 30 s.
	Timeout time.Duration
}

// Clock tells the time and waits.
type Clock interface {
	Now() time.Time
	// Sleep waits for d, or until ctx is done and returns its error.
	Sleep(ctx context.Context, d time.Duration) error
}

// Resolver decides which credential a repository gets. It is safe for
// concurrent use.
type Resolver struct {
	o     Options
	items []*Item // longest path first

	mu      sync.Mutex
	choices map[string]*Choice // by account
}

// NewResolver reads what there is of credentials; it sends nothing. The warnings
// are about configuration that could not be read.
func NewResolver(o Options) (*Resolver, []Warning) {
	if o.Getenv == nil {
		o.Getenv = func(string) string { return "" }
	}
	if o.ReadFile == nil {
		o.ReadFile = os.ReadFile
	}
	if o.MapPath == nil {
		o.MapPath = func(p string) string { return p }
	}
	if o.Vault == nil {
		o.Vault = secret.NewVault(nil)
	}
	o.Actor = cmp.Or(o.Actor, o.Getenv("GITHUB_ACTOR"))
	o.ServerURL = cmp.Or(o.ServerURL, o.Getenv("GITHUB_SERVER_URL"))

	r := &Resolver{o: o, choices: map[string]*Choice{}}
	for i := range o.Items {
		item := &o.Items[i]
		o.Vault.Learn(item.Username.Text, item.Password)
		if item.Registry != "" {
			r.items = append(r.items, item)
		}
	}
	slices.SortStableFunc(r.items, func(a, b *Item) int { return len(b.Path) - len(a.Path) })
	o.Vault.Learn(o.Actor, o.GitHubToken)
	return r, nil
}

// For decides which credential repo gets. It sends nothing to the registry or
// to a provider; it may run a credential helper.
func (r *Resolver) For(repo reference.Repository) Choice {
	item := r.item(repo)
	if item == nil {
		return Choice{Skip: "no credentials", Auth: authn.Anonymous}
	}
	if item.Anonymous {
		return Choice{Item: item, Anonymous: true, Origin: "anonymous", Auth: authn.Anonymous, Key: fmt.Sprintf("item:%d", item.Line)}
	}
	return Choice{
		Item:   item,
		Origin: fmt.Sprintf("token from registry-auth (user %q)", item.Username.Text),
		Auth:   authn.FromConfig(authn.AuthConfig{Username: item.Username.Text, Password: item.Password.Reveal()}),
		Key:    fmt.Sprintf("item:%d", item.Line),
	}
}

// item returns the item with the longest match for repo, nil if none matches.
func (r *Resolver) item(repo reference.Repository) *Item {
	for _, i := range r.items {
		if i.Registry == repo.Host && (i.Path == "" || repo.Path == i.Path || strings.HasPrefix(repo.Path, i.Path+"/")) {
			return i
		}
	}
	return nil
}
