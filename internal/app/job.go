package app

import (
	"encoding/json"
	"io"
	"os"
	"slices"
)

// largestEvent bounds what is read of the event file; GitHub caps payloads at 25 MB.
const largestEvent = 32 << 20

// Events that GitHub runs with a read-only token and without secrets when they come from
// a fork, and when Dependabot causes them (docs.github.com: "Events that trigger
// workflows", "Troubleshooting Dependabot on GitHub Actions").
var (
	forkEvents       = []string{"pull_request", "pull_request_review", "pull_request_review_comment"}
	dependabotEvents = append([]string{"push", "create", "deployment", "deployment_status", "issue_comment"}, forkEvents...)
)

// untrusted reports whether the job runs for a pull request from a fork or by Dependabot,
// whose token may not push. What cannot be told counts as trusted: then a refused push is
// a failure, as anywhere else.
func untrusted(vars variables, mapPath func(string) string) bool {
	if !vars.workflow() {
		return false
	}
	name := vars.get("GITHUB_EVENT_NAME")
	if vars.get("GITHUB_ACTOR") == "dependabot[bot]" && slices.Contains(dependabotEvents, name) {
		return true
	}
	if !slices.Contains(forkEvents, name) {
		return false
	}
	f, err := os.Open(mapPath(vars.get("GITHUB_EVENT_PATH")))
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	type repository struct {
		ID       int64  `json:"id"`
		FullName string `json:"full_name"`
	}
	var event struct {
		PullRequest *struct {
			Head struct {
				Repo *repository `json:"repo"` // null when the fork is gone
			} `json:"head"`
			Base struct {
				Repo *repository `json:"repo"`
			} `json:"base"`
		} `json:"pull_request"`
	}
	if err := json.NewDecoder(io.LimitReader(f, largestEvent)).Decode(&event); err != nil || event.PullRequest == nil {
		return false
	}
	head, base := event.PullRequest.Head.Repo, event.PullRequest.Base.Repo
	switch {
	case base == nil:
		return false
	case head == nil:
		return true
	}
	return head.ID != base.ID || head.FullName != base.FullName
}
