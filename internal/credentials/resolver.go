package credentials

import (
	"cmp"
	"context"
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
)

// Options is everything that decides which credential a registry gets.
type Options struct {
	// Items are those of registry-auth, in its order.
	Items []Item
	// GitHubToken is the input github-token; it is sent as Actor, and only to the
	// container registry of ServerURL.
	GitHubToken redact.Text
	// Actor is the workflow's actor; empty means GITHUB_ACTOR.
	Actor string
	// ServerURL is the GitHub server's address; empty means GITHUB_SERVER_URL.
	ServerURL string
	// Untrusted says that the job runs for a pull request from a fork or by
	// Dependabot: a keyless login without OIDC variables is a skip there.
	Untrusted bool

	// Redactor learns every secret and every token bought, before its first use. Nil
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

	// Transport carries the requests of exchanges; nil means one like
	// [http.DefaultTransport].
	Transport http.RoundTripper
	// Clock tells the time and waits between attempts; nil means the real one.
	Clock Clock
	// Timeout bounds one attempt of one exchange; 0 means 30 s.
	Timeout time.Duration
}

// Resolver decides which credential a repository gets. It is safe for
// concurrent use.
type Resolver struct {
	o       Options
	items   []*Item // longest path first
	configs []*dockerConfig

	mu       sync.Mutex
	accounts map[string]authn.Authenticator // by Credential.Key
	registry map[string]*ecrRegistry        // by Credential.Key
	helped   map[string]helperAnswer
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
		o.Transport = http.DefaultTransport.(*http.Transport).Clone()
	}
	if o.Clock == nil {
		o.Clock = realClock{}
	}
	o.Timeout = cmp.Or(o.Timeout, 30*time.Second)
	o.Actor = cmp.Or(o.Actor, o.Getenv("GITHUB_ACTOR"))
	o.ServerURL = cmp.Or(o.ServerURL, o.Getenv("GITHUB_SERVER_URL"))

	r := &Resolver{
		o:        o,
		accounts: map[string]authn.Authenticator{},
		registry: map[string]*ecrRegistry{},
		helped:   map[string]helperAnswer{},
	}
	o.GitHubToken = r.known(o.Actor, o.GitHubToken)
	for _, item := range o.Items {
		if item.PasswordEnv.Text != "" && !item.PasswordSet {
			item.Password = redact.New(o.Getenv(item.PasswordEnv.Text))
		}
		item.Password = r.known(item.Username.Text, item.Password)
		if item.Registry != "" {
			r.items = append(r.items, &item)
		}
	}
	r.o = o
	slices.SortStableFunc(r.items, func(a, b *Item) int { return len(b.Path) - len(a.Path) })
	for _, name := range []string{oidcToken, "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"} {
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
		c = r.fromSurroundings(ctx, repo)
	}
	c.Item = item
	if c.Auth == nil {
		c.Auth = authn.Anonymous
	}
	if config, ok := c.Auth.(staticAuth); ok && !r.o.GitHubToken.IsZero() {
		c.JobToken = config.Password == r.o.GitHubToken.Reveal()
	}
	// Some registries take the token as the user name, too.
	c.Origin = r.o.Redactor.Redact(c.Origin)
	return c
}

// item returns the item with the longest match for repo, nil if none matches: its
// options apply.
func (r *Resolver) item(repo imageref.Repository) *Item {
	for _, i := range r.items {
		if i.matches(repo) {
			return i
		}
	}
	return nil
}

// credentials returns the item with the longest match for repo of those that say how to
// log in, nil if there is none. One that sets options only hides no other's credentials.
func (r *Resolver) credentials(repo imageref.Repository) *Item {
	for _, i := range r.items {
		if i.matches(repo) && (i.HasCredentialKey() || i.Skip != "") {
			return i
		}
	}
	return nil
}

// matches reports whether the item is for repo.
func (i *Item) matches(repo imageref.Repository) bool {
	return i.Registry == repo.Host && (i.Path == "" || repo.Path == i.Path || strings.HasPrefix(repo.Path, i.Path+"/"))
}

// fromItem returns what the item says; decided is false if there is none.
func (r *Resolver) fromItem(item *Item) (c Credential, decided bool) {
	if item == nil {
		return Credential{}, false
	}
	host, ecr := item.isECR()
	_, byName := parseECR(item.Registry)
	c = Credential{Item: item, NeedsCreate: ecr || byName, Key: fmt.Sprintf("registry-auth:%d:%s", item.Line, item.Registry)}
	if c.NeedsCreate {
		c.CreateRepository = loginOnly(item.Registry)
	}
	connection := r.o.Getenv(dockerHubConnection)
	method, err := item.loginMethod(connection != "")
	switch empty := item.emptyKey(); {
	case item.Skip != "":
		return c.skip(item.Skip), true
	case empty != "":
		return c.skip(empty + " in registry-auth is empty"), true
	case item.PasswordEnv.Set && item.Password.IsZero():
		return c.skip("the variable " + item.PasswordEnv.Text + ", which password-env in registry-auth names, is unset or empty"), true
	case err != nil:
		return c.skip("its item in registry-auth is incomplete: " + err.Error()), true
	}

	user := fmt.Sprintf(" (user %q)", item.Username.Text)
	switch method {
	case anonymous:
		c.Anonymous, c.Origin = true, "anonymous"
	case static:
		if !item.PasswordSet && !item.PasswordEnv.Set {
			return c.skip("its item in registry-auth has no password, and " + dockerHubConnection + " is unset"), true
		}
		c.Origin = "token from registry-auth" + user
		c.Auth = staticAuth{authn.AuthConfig{Username: item.Username.Text, Password: item.Password.Reveal()}}
	case awsAccessKey:
		c.Origin = "AWS access key from registry-auth"
		r.useECR(&c, item.Registry, host, r.accessKey(item))
	case awsDefaultChain:
		c.Origin = "AWS default chain"
		r.useECR(&c, item.Registry, host, r.defaultChain(item.Registry, host, true))
	case awsRole:
		c.Origin = "OIDC, AWS role " + item.AWSRole.Text
		if c.keyless(r) {
			r.useECR(&c, item.Registry, host, r.assumedRole(item.Registry, host, item.AWSRole.Text))
		}
	case dockerHub:
		c.Origin = "OIDC, Docker Hub connection" + user
		if c.keyless(r) {
			c.Auth = r.account(c.Key, r.buyDockerHub(item.Username.Text, cmp.Or(item.DockerHubConnection.Text, connection)))
		}
	case google:
		c.Origin = "OIDC, Google workload identity"
		if item.GCPServiceAccount.Set {
			c.Origin += " (service account " + item.GCPServiceAccount.Text + ")"
		}
		if c.keyless(r) {
			c.Auth = r.account(c.Key, r.buyGoogle(item.Registry, item.GCPProvider.Text, item.GCPServiceAccount.Text))
		}
	case azure:
		c.Origin = "OIDC, Microsoft Entra application " + item.AzureClient.Text
		if c.keyless(r) {
			c.Auth = r.account(c.Key, r.buyAzure(item.Registry, item.AzureClient.Text, item.AzureTenant.Text))
		}
	default:
		return Credential{}, false
	}
	return c, true
}

// fromSurroundings returns what applies to a repository without a credential in
// registry-auth, in the contract's order.
func (r *Resolver) fromSurroundings(ctx context.Context, repo imageref.Repository) Credential {
	var c Credential
	host, ecr := parseECR(repo.Host)
	if item := r.item(repo); item != nil {
		host, ecr = item.isECR()
	}
	if c.NeedsCreate = ecr; ecr {
		c.CreateRepository = loginOnly(repo.Host)
		if r.holdsAWS() {
			e := &ecrRegistry{r: r, name: repo.Host, host: host, keys: r.defaultChain(repo.Host, host, false)}
			c.CreateRepository = e.create
		}
	}
	for _, config := range r.configs {
		f, ok, warnings := config.lookup(ctx, r, repo)
		c.Warnings = append(c.Warnings, warnings...)
		if !ok {
			continue
		}
		r.learn(f.config)
		c.Origin = f.origin
		if f.config.Username != "" {
			c.Origin += fmt.Sprintf(" (user %q)", f.config.Username)
		}
		c.Key = f.origin + ":" + f.key + ":" + repo.Host
		c.Auth = staticAuth{f.config}
		return c
	}
	// Without a server and a token nobody thinks of a workflow.
	mine := githubRegistry(r.o.ServerURL)
	if (repo.Host == "ghcr.io" || repo.Host == mine) && (r.o.ServerURL != "" || !r.o.GitHubToken.IsZero()) {
		switch {
		case r.o.ServerURL == "":
			return c.skip("no credentials; github-token goes there only where GITHUB_SERVER_URL is https://github.com")
		case repo.Host != mine:
			return c.skip("no credentials; github-token is for the registry of " + r.o.ServerURL + " only")
		case r.o.GitHubToken.IsZero():
			return c.skip("github-token is empty")
		}
		c.Origin, c.Key = "github-token", "github-token:"+repo.Host
		c.Auth = staticAuth{authn.AuthConfig{Username: cmp.Or(r.o.Actor, "github-actions"), Password: r.o.GitHubToken.Reveal()}}
		return c
	}
	if ecr {
		if !r.holdsAWS() {
			return c.skip("AWS credentials are unset")
		}
		c.Origin, c.Key = "AWS default chain", "aws:"+repo.Host
		r.useECR(&c, repo.Host, host, r.defaultChain(repo.Host, host, false))
		return c
	}
	reason := "no credentials in registry-auth or Docker's configuration"
	if strings.Contains(repo.Host, ":") || !strings.Contains(repo.Host, ".") { // one of the user's own
		reason += "; one that needs no login is given an item with anonymous: true"
	}
	return c.skip(reason)
}

// skip returns c as a choice without a credential.
func (c Credential) skip(reason string) Credential {
	c.Skip, c.Origin, c.Key, c.Auth = reason, "", "", nil
	return c
}

// keyless reports whether a login with the job's OIDC token can be tried. Where
// the job cannot have one because of who started it, the choice becomes a skip; anywhere
// else the login fails, and says which permission to add.
func (c *Credential) keyless(r *Resolver) bool {
	if r.hasOIDC() || !r.o.Untrusted {
		return true
	}
	*c = c.skip("the job has no OIDC token: it runs for a pull request from a fork or by Dependabot")
	return false
}

// account returns the authenticator of a key, one for all its repositories.
func (r *Resolver) account(key string, buy func(context.Context) (bought, error)) authn.Authenticator {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, there := r.accounts[key]
	if !there {
		a = &account{clock: r.o.Clock, buy: buy}
		r.accounts[key] = a
	}
	return a
}

// useECR makes c log in to an ECR registry with AWS credentials.
func (r *Resolver) useECR(c *Credential, name string, host ecrHost, keys awsKeys) {
	r.mu.Lock()
	e, there := r.registry[c.Key]
	if !there {
		e = &ecrRegistry{r: r, name: name, host: host, keys: keys}
		r.registry[c.Key] = e
	}
	r.mu.Unlock()
	c.CreateRepository = e.create
	c.Auth = r.account(c.Key, e.buy)
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
