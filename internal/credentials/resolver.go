package credentials

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/retry"
)

// Options is everything that decides which credential a registry gets.
type Options struct {
	// Items are those of registry-auth, in its order.
	Items []Item
	// GitHubToken is the input github-token; it is sent as the job's actor, and only to
	// the container registry of the job's server.
	GitHubToken redact.Text
	// Job is the workflow's job; the zero value means none.
	Job Job
	// Untrusted says that the job runs for a pull request from a fork or by
	// Dependabot: a keyless login without OIDC variables is a skip there.
	Untrusted bool

	// Redactor learns every secret and every issued token, before its first use. Nil
	// means that nobody needs to know.
	Redactor *redact.Redactor

	// Getenv reads the environment; nil means an empty one. The AWS SDK's own chain
	// and credential helpers read that of the process.
	Getenv func(string) string
	// ReadFile reads Docker's configuration; nil means [os.ReadFile].
	ReadFile func(name string) ([]byte, error)
	// MapPath turns a path of the runner's host into the container's; nil means
	// that both are the same.
	MapPath func(string) string
	// Helper runs `docker-credential-NAME get` for a server; nil runs the program.
	Helper func(ctx context.Context, name, server string) (user string, password redact.Text, err error)

	// Transport returns what carries the requests of exchanges, when there is one; nil means
	// one like [http.DefaultTransport].
	Transport func() http.RoundTripper
	// Clock tells the time and waits between attempts; nil means the real one.
	Clock retry.Clock
	// Timeout bounds one attempt of one exchange; 0 means 30 s.
	Timeout time.Duration
}

// Resolver decides which credential a repository gets. It is safe for
// concurrent use.
type Resolver struct {
	o       Options
	job     Job
	items   []*Item // longest path first
	configs []*dockerConfig

	mu       sync.Mutex
	accounts map[string]authn.Authenticator // by Credential.Key
	ecr      map[string]*ecrRegistry        // by Credential.Key
	helped   map[string]helperAnswer
	subjects map[string]string // of the job's last OIDC token, by the registry it was for
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
	if o.Helper == nil {
		o.Helper = execHelper
	}
	if o.Redactor == nil {
		o.Redactor = redact.NewRedactor(nil)
	}
	if o.Transport == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		o.Transport = func() http.RoundTripper { return transport }
	}
	if o.Clock == nil {
		o.Clock = retry.SystemClock{}
	}
	o.Timeout = cmp.Or(o.Timeout, defaultTimeout)
	r := &Resolver{
		o:        o,
		job:      o.Job,
		accounts: map[string]authn.Authenticator{},
		ecr:      map[string]*ecrRegistry{},
		helped:   map[string]helperAnswer{},
		subjects: map[string]string{},
	}
	o.GitHubToken = r.known(o.Job.Actor, o.GitHubToken)
	for _, item := range o.Items {
		if item.PasswordEnv.Text != "" && !item.PasswordSet {
			item.Password = redact.New(strings.TrimRight(o.Getenv(item.PasswordEnv.Text), "\r\n"))
		}
		item.Password = r.known(item.Username.Text, item.Password)
		if item.Registry != "" {
			r.items = append(r.items, &item)
		}
	}
	r.o = o
	slices.SortStableFunc(r.items, func(a, b *Item) int { return len(b.Path) - len(a.Path) })
	for _, name := range []string{"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"} {
		o.Redactor.Learn("", redact.New(o.Getenv(name)))
	}
	var warnings []Warning
	r.configs, warnings = r.readDockerConfigs()
	return r, warnings
}

// known returns a secret without the line ends behind it, which files and password managers
// add, and tells it to the redactor.
func (r *Resolver) known(user string, secret redact.Text) redact.Text {
	if secret.IsZero() {
		return secret
	}
	bare := redact.New(strings.TrimRight(secret.Reveal(), "\r\n"))
	r.o.Redactor.Learn(user, secret)
	r.o.Redactor.Learn(user, bare)
	return bare
}

// For decides which credential repo gets. It sends nothing to the registry or
// to a provider; it may run a credential helper, which is stopped when ctx is done.
func (r *Resolver) For(ctx context.Context, repo imageref.Repository) Credential {
	item := r.item(repo)
	c, decided := r.fromItem(r.credentials(repo))
	if !decided {
		c = r.fromEnvironment(ctx, repo)
	}
	c.Item = item
	if create := c.create; create != nil {
		c.CreateRepository = func(ctx context.Context, path string, immutable bool) (bool, error) {
			return create(ctx, path, item.tagMutability(immutable))
		}
	}
	r.complete(&c, repo.Host)
	if config, ok := c.Auth.(staticAuth); ok && !r.o.GitHubToken.IsZero() {
		c.JobToken = config.Password == r.o.GitHubToken.Reveal()
	}
	// Some registries take the token as the user name, too.
	c.Origin, c.Account = r.o.Redactor.Redact(c.Origin), r.o.Redactor.Redact(c.Account)
	return c
}

// complete sets Auth where there is none: to nobody only if nobody was meant. A login that has
// no exchange fails.
func (r *Resolver) complete(c *Credential, registry string) {
	switch {
	case c.Auth != nil:
	case c.Anonymous || c.Skip != "":
		c.Auth = authn.Anonymous
	default:
		c.Auth = r.account(c.Key, func(context.Context) (issued, error) {
			return issued{}, &Error{Kind: Internal, Host: registry, What: "logging in to " + registry,
				Err: errors.New("the way to log in of its item has no exchange")}
		})
	}
}

// item returns the item with the longest match for repo, nil if none matches: its
// options apply.
func (r *Resolver) item(repo imageref.Repository) *Item {
	return r.first(func(i *Item) bool { return i.Matches(repo) })
}

// credentials returns the item with the longest match for repo of those that say how to
// log in, nil if there is none. One that sets options only hides no other's credentials.
func (r *Resolver) credentials(repo imageref.Repository) *Item {
	return r.first(func(i *Item) bool { return i.Matches(repo) && (i.HasCredentialKey() || i.Skip != "") })
}

func (r *Resolver) first(is func(*Item) bool) *Item {
	if i := slices.IndexFunc(r.items, is); i >= 0 {
		return r.items[i]
	}
	return nil
}

// Matches reports whether the item is for repo.
func (i *Item) Matches(repo imageref.Repository) bool {
	return i.Registry == repo.Host && (i.Path == "" || repo.Path == i.Path || strings.HasPrefix(repo.Path, i.Path+"/"))
}

// skip returns c as one without a usable credential.
func (c Credential) skip(reason string) Credential {
	c.Skip, c.Origin, c.Account, c.Key, c.Auth = reason, "", "", "", nil
	return c
}

// account returns the authenticator of a key, one for all its repositories.
func (r *Resolver) account(key string, issue issueFunc) authn.Authenticator {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, there := r.accounts[key]
	if !there {
		a = &account{clock: r.o.Clock, issue: issue}
		r.accounts[key] = a
	}
	return a
}

// useECR makes c log in to an ECR registry with AWS credentials.
func (r *Resolver) useECR(c *Credential, name string, host ecrHost, keys awsKeys) {
	r.mu.Lock()
	e, there := r.ecr[c.Key]
	if !there {
		e = &ecrRegistry{r: r, name: name, host: host, keys: keys}
		r.ecr[c.Key] = e
	}
	r.mu.Unlock()
	c.create = e.create
	c.Auth = r.account(c.Key, e.issue)
}

// staticAuth is a credential that needs no exchange. It prints as nothing.
type staticAuth struct{ authn.AuthConfig }

// Authorization returns the credential.
func (s staticAuth) Authorization() (*authn.AuthConfig, error) {
	config := s.AuthConfig
	return &config, nil
}

// Format prints no secret, whatever the verb.
func (s staticAuth) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "***") }
