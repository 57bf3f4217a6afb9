package credentials

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
)

// fromEnvironment returns what applies to a repository without a credential in
// registry-auth: Docker's configuration, the job's own token, AWS's default chain, or none.
func (r *Resolver) fromEnvironment(ctx context.Context, repo imageref.Repository) Credential {
	var c Credential
	host, ecr := parseECR(repo.Host)
	if item := r.item(repo); item != nil {
		host, ecr = item.isECR()
	}
	if c.NeedsCreate = ecr; ecr {
		c.create = loginOnly(repo.Host)
		if r.holdsAWS() {
			e := &ecrRegistry{r: r, name: repo.Host, host: host, keys: r.defaultChain(repo.Host, host, false)}
			c.create = e.create
		}
	}
	if r.fromDockerConfig(ctx, &c, repo) {
		return c
	}
	// Without a server and a token nobody thinks of a workflow.
	workflow := r.job.ServerURL != "" || !r.o.GitHubToken.IsZero()
	if repo.Host == r.job.registry() || repo.Host == "ghcr.io" && workflow {
		return r.fromJobToken(c, repo.Host)
	}
	if !ecr {
		return c.skip(r.nothingFound(repo.Host))
	}
	if !r.holdsAWS() {
		return c.skip("AWS credentials are unset")
	}
	c.Origin, c.Key = "AWS default chain", "aws:"+repo.Host
	c.Account = c.Origin
	r.useECR(&c, repo.Host, host, r.defaultChain(repo.Host, host, false))
	return c
}

// fromDockerConfig makes c the first credential that Docker's configuration has for repo, and
// reports whether there is one.
func (r *Resolver) fromDockerConfig(ctx context.Context, c *Credential, repo imageref.Repository) bool {
	for _, config := range r.configs {
		f, ok, warnings := config.lookup(ctx, r, repo)
		c.Warnings = append(c.Warnings, warnings...)
		if !ok {
			continue
		}
		r.learn(f.config)
		c.Origin, c.Account = f.origin, f.origin
		if f.config.Username != "" {
			c.Origin += fmt.Sprintf(" (user %q)", f.config.Username)
			c.Account = fmt.Sprintf("user %q of %s", f.config.Username, f.origin)
		}
		c.Key = f.origin + ":" + f.key + ":" + repo.Host
		c.Auth = staticAuth{f.config}
		return true
	}
	return false
}

// fromJobToken returns the job's own token for the registry of its server, and why it is not
// used for another's.
func (r *Resolver) fromJobToken(c Credential, host string) Credential {
	job := r.job
	switch {
	case job.ServerURL == "":
		return c.skip("no credentials; github-token goes there only where GITHUB_SERVER_URL is https://github.com")
	case host != job.registry():
		return c.skip("no credentials; github-token is for the registry of " + job.ServerURL + " only")
	case r.o.GitHubToken.IsZero():
		return c.skip("github-token is empty")
	}
	user := cmp.Or(job.Actor, "github-actions")
	c.Origin, c.Key = "github-token", "github-token:"+host
	c.Account = fmt.Sprintf("user %q of github-token", user)
	c.Auth = staticAuth{authn.AuthConfig{Username: user, Password: r.o.GitHubToken.Reveal()}}
	return c
}

// nothingFound says why a registry has no credentials. A container action has a home of its
// own, so that the logins of steps before it are easily missed.
func (r *Resolver) nothingFound(host string) string {
	reason := "no credentials in registry-auth or Docker's configuration"
	if r.job.CommandLine {
		reason += "; give them with --registry-auth @auth.yml (--help shows such a file), or log in with docker login"
	}
	if r.job.InContainer && r.o.Getenv("DOCKER_CONFIG") == "" {
		reason += "; logins of earlier steps in ~/.docker (docker/login-action) cannot be seen from a container " +
			"action: " +
			"set DOCKER_CONFIG to a folder under the runner's temporary folder before those steps, " +
			"or give the registry an item in registry-auth"
	}
	if strings.Contains(host, ":") || !strings.Contains(host, ".") { // one of the user's own
		reason += "; one that needs no login is given an item with anonymous: true"
	}
	return reason
}
