// Package actions is the way in which the program talks to GitHub's runner, or to one that
// is like it: inputs, facts about the job, workflow commands, outputs, the job summary and
// the job's OIDC token. It is the only package that reads INPUT_*, GITHUB_*, RUNNER_*,
// ACTIONS_* and their like of Gitea and Forgejo; others get values.
//
// It wraps github.com/sethvargo/go-githubactions and guards what that leaves to its
// callers: a constant delimiter in output files, panics where something cannot be written,
// formats and commands in texts, and answers that nobody bounded.
package actions
