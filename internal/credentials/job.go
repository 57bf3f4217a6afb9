package credentials

import (
	"context"
	"net/url"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/redact"
)

// Job is what a workflow's job knows about itself. The zero value is none.
type Job struct {
	ServerURL    string // address of the server, such as https://github.com
	Forge        bool   // the server is Gitea or Forgejo
	Actor        string
	Repository   string // OWNER/NAME
	RepositoryID string
	OwnerID      string
	RunID        string
	// InContainer says that the action runs in a container of its own, which does not see
	// the runner's home.
	InContainer bool
	// CommandLine says that no workflow runs the program: credentials are then given by a
	// flag, or by docker login.
	CommandLine bool

	// IDToken asks for an OIDC token of the job, which the redactor knows when it is
	// returned; nil where the job may not ask for one.
	IDToken func(ctx context.Context, audience string) (redact.Text, error)
}

// registry returns the container registry that the job's token is for: ghcr.io for
// github.com, containers.HOST for any other GitHub server, the server's own host for Gitea
// and Forgejo. It is empty where the address names none.
func (j Job) registry() string {
	u, err := url.Parse(strings.TrimRight(j.ServerURL, "/"))
	if err != nil || u.Host == "" || u.User != nil {
		return ""
	}
	host := imageref.CanonicalHost(u.Host)
	switch {
	case j.Forge && (u.Scheme == "https" || u.Scheme == "http"):
		return host
	case j.Forge, u.Scheme != "https", u.Path != "":
		return ""
	case host == "github.com":
		return "ghcr.io"
	}
	return "containers." + host
}

// hasOIDC reports whether the job can get OIDC tokens.
func (j Job) hasOIDC() bool { return j.IDToken != nil }

const longestSession = 64 // characters of a session name that AWS takes

// awsSession names the session of an assumed role, as CloudTrail shows it, after repository
// and run.
func (j Job) awsSession() string {
	run := strings.Trim(j.RunID, " ")
	if run == "" || strings.Trim(run, "0123456789") != "" || len(run) > 32 {
		run = ""
	}
	name := strings.Map(func(c rune) rune {
		if strings.ContainsRune("_+=,.@-", c) || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return c
		}
		return '-'
	}, j.Repository)
	if name == "" {
		name = "multi-registry-push"
	}
	if run == "" {
		return name[:min(len(name), longestSession)]
	}
	return name[:min(len(name), longestSession-1-len(run))] + "-" + run
}
