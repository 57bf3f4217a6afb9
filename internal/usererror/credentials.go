package usererror

import (
	"cmp"
	"errors"
	"strings"
)

// loginFailure is what this package sees of the errors of internal/credentials.
type loginFailure interface {
	failure
	// Facts returns the name of a hint, and what that is about; both may be empty.
	Facts() (hint, of string)
}

// hints has the remedy for each hint; %s is what it is about.
var hints = map[string]string{
	"docker-hub-life": "Set DOCKERHUB_OIDC_EXPIREIN to the seconds that a token of Docker Hub shall hold, 300 to " +
		"3600, or leave it out for 3600.",
	"region-unknown": "Set AWS_REGION in the step's `env`: the host name does not tell the region.",
	"aws-unset":      "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or `aws-role` in the registry's item.",
	"aws-named": "Check what the AWS_ variables of the environment name. A container action sees no files but those " +
		"in the workspace and in the runner's temporary folder.",
	"aws-key":        "Check the access key, and whether it is active.",
	"aws-action":     "Allow %s to the user or role.",
	"create-action":  "Allow %s to the user or role, or create the repository by hand.",
	"create-by-hand": "Create the repository by hand, or see what AWS answered.",
	"create-by-keys": "Give the registry AWS credentials (`username` and `password` with an access key, or " +
		"`aws-role`), or create the repository by hand.",
	"alias-missing":   "Write the registry's alias before the repository: public.ecr.aws/ALIAS/NAME.",
	"alias-other":     "Use the alias of the account's own registry.",
	"on-command-line": "Only a workflow's job has one: on a command line, give the item `username` and `password-env`.",
	"on-forge": "On Forgejo add `enable-openid-connect: true` to the workflow; Gitea gives jobs no OIDC " +
		"token.",
	"quay-too-old":     "See that %s is Quay 3.13 or later, or quay.io.",
	"jfrog-elsewhere":  "See that the platform is at `jfrog-url`, or behind the registry's own host.",
	"jfrog-no-user":    "Give the identity mapping a user name.",
	"azure-role":       "Give the application the role AcrPush on the registry.",
	"host-not-reached": "Run it again. If it lasts, look whether the runner can reach %s.",
}

// loginRemedy returns the remedy for a failure: the rule to paste at a provider that refused a token, that
// of the registry's refusal which it is about, or that of its hint.
func loginRemedy(f loginFailure) string {
	var rule interface{ Advice() string }
	if errors.As(f, &rule) {
		return rule.Advice()
	}
	if refusal := Of(errors.Unwrap(f)); refusal != nil {
		return refusal.Advice()
	}
	host, _, kind := f.Failure()
	hint, of := f.Facts()
	return cmp.Or(strings.ReplaceAll(hints[hint], "%s", of), remedyAt(host, kind, f))
}
