package actions

import (
	"os"
	"slices"

	"github.com/sethvargo/go-githubactions"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
)

const eventFile = "GITHUB_EVENT_PATH"

// largestEvent bounds what is read of the event, in bytes; that of a pull request has some
// tens of KiB.
const largestEvent = 4 << 20

// Job is what is known of the job. Outside of a workflow most of it is empty.
type Job struct {
	Workflow   bool   // the program is a step of a workflow, and somebody reads its commands
	Gitea      bool   // the server is Gitea or Forgejo
	Actor      string // who caused the run
	Repository string // owner/name
	// RepositoryID and OwnerID are numbers, as text.
	RepositoryID, OwnerID string
	ServerURL             string // "https://github.com"; empty where the runner does not say
	RunID                 string
	// Untrusted says that the job runs for a pull request from a fork or by Dependabot:
	// its token may not push, and it has neither secrets nor an OIDC token.
	Untrusted bool
	// IDToken says that the job may ask for OIDC tokens.
	IDToken bool
}

// Workflow reports whether the program is a step of a workflow: only then are commands
// understood, and only then would an unknown input be a typo.
func (r *Runner) Workflow() bool { return r.action.Getenv("GITHUB_ACTIONS") == "true" }

// Debug reports whether the job was asked for its debug log.
func (r *Runner) Debug() bool { return r.action.Getenv("RUNNER_DEBUG") == "1" }

// Job returns what is known of the job. What cannot be read counts as absent: a job must
// not fail for a malformed number that it has no use for.
func (r *Runner) Job() Job {
	job := Job{
		Workflow: r.Workflow(),
		Gitea:    r.action.Getenv("GITEA_ACTIONS") != "" || r.action.Getenv("FORGEJO_ACTIONS") != "",
		// Context would say https://github.com where nobody says so, and github-token
		// would be sent to its registry.
		ServerURL:    r.action.Getenv("GITHUB_SERVER_URL"),
		RepositoryID: r.action.Getenv("GITHUB_REPOSITORY_ID"),
		OwnerID:      r.action.Getenv("GITHUB_REPOSITORY_OWNER_ID"),
		RunID:        r.action.Getenv("GITHUB_RUN_ID"),
		IDToken:      r.action.Getenv(idTokenURL) != "" && r.action.Getenv(idTokenRequestToken) != "",
	}
	c := r.context()
	job.Actor, job.Repository = c.Actor, c.Repository
	job.Untrusted = job.Workflow && untrusted(c)
	return job
}

// context reads the library's context, and the event only where it decides something and
// is of a size that an event has.
func (r *Runner) context() *githubactions.GitHubContext {
	read := func(event bool) *githubactions.GitHubContext {
		getenv := func(name string) string {
			if name == eventFile && !event {
				return ""
			}
			return r.getenv(name)
		}
		c, _ := githubactions.New(githubactions.WithGetenv(getenv)).Context()
		return c
	}
	c := read(false)
	if !slices.Contains(forkEvents, c.EventName) {
		return c
	}
	info, err := os.Stat(r.getenv(eventFile))
	if err != nil || !info.Mode().IsRegular() || info.Size() > largestEvent {
		return c
	}
	if whole := read(true); whole != nil {
		return whole
	}
	return c
}

// Events that GitHub runs with a read-only token and without secrets when they come from
// a fork, and when Dependabot causes them (docs.github.com: "Events that trigger
// workflows", "Troubleshooting Dependabot on GitHub Actions").
var (
	forkEvents       = []string{"pull_request", "pull_request_review", "pull_request_review_comment"}
	dependabotEvents = append([]string{"push", "create", "deployment", "deployment_status", "issue_comment"},
		forkEvents...)
)

// untrusted reports whether the job runs for a pull request from a fork or by Dependabot.
// What cannot be told counts as trusted: then a refused push is a failure, as anywhere
// else.
func untrusted(c *githubactions.GitHubContext) bool {
	if c.Actor == "dependabot[bot]" && slices.Contains(dependabotEvents, c.EventName) {
		return true
	}
	pull, ok := c.Event["pull_request"].(map[string]any)
	if !ok || !slices.Contains(forkEvents, c.EventName) {
		return false
	}
	head, ok := side(pull, "head")
	base, based := side(pull, "base")
	switch {
	case !ok || !based || base == nil:
		return false
	case head == nil: // the fork is gone
		return true
	}
	return head["id"] != base["id"] || head["full_name"] != base["full_name"]
}

// side returns the repository of one side of a pull request, nil where it is null.
func side(pull map[string]any, name string) (repository map[string]any, ok bool) {
	of, ok := pull[name].(map[string]any)
	if !ok {
		return nil, false
	}
	repository, _ = of["repo"].(map[string]any)
	return repository, true
}

// Secrets returns the secrets of the job's environment: an error of a proxy or a provider
// could repeat them.
func (r *Runner) Secrets() []redact.Text {
	var secrets []redact.Text
	for _, name := range []string{"GITHUB_TOKEN", "ACTIONS_RUNTIME_TOKEN", idTokenRequestToken} {
		if value := r.action.Getenv(name); value != "" {
			secrets = append(secrets, redact.New(value))
		}
	}
	return secrets
}

// Public returns values of the job that other steps' logs show everywhere.
func (r *Runner) Public() []string {
	var values []string
	for _, name := range []string{"GITHUB_REPOSITORY", "GITHUB_SERVER_URL", "GITHUB_API_URL", "GITHUB_GRAPHQL_URL",
		"GITHUB_SHA", "GITHUB_REF",
		"GITHUB_REF_NAME", "GITHUB_HEAD_REF", "GITHUB_BASE_REF", "GITHUB_ACTOR", "GITHUB_REPOSITORY_OWNER",
		"GITHUB_WORKFLOW_REF", "GITHUB_JOB",
		"GITHUB_RUN_ID", "GITHUB_WORKFLOW", "GITHUB_WORKSPACE", "RUNNER_WORKSPACE", "RUNNER_TEMP", "RUNNER_NAME"} {
		if value := r.action.Getenv(name); value != "" {
			values = append(values, value)
		}
	}
	return values
}
