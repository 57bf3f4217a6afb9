package credentials

import (
	"errors"
	"strings"

	"github.com/aws/smithy-go"
)

// TrustRefused is a provider's refusal of the job's OIDC token: what the token claimed, and
// the rule that would let this job in.
type TrustRefused struct {
	Answer string // what the provider answered, without secrets
	Claims Claims // as they were sent; empty where the token could not be read
	// Rule is the text to paste at the provider, of several lines, and Where is where it goes.
	// Rule is empty for the subject of a pull request.
	Rule  string
	Where string
	Hint  string // what else to compare, may be empty
}

// Error returns the provider's answer.
func (e *TrustRefused) Error() string { return e.Answer }

// noRule says why there is none for a pull request.
const noRule = "There is no rule to paste for this subject: every pull request has it, whoever opened it, " +
	"and a rule for it would let all of them publish. Publish from a push, a tag or an environment."

// Advice returns what a person can do, in lines: the claims and the rule are indented by two
// spaces and are to be shown with their line breaks.
func (e *TrustRefused) Advice() string {
	var lines []string
	if claims := e.Claims.lines(); len(claims) > 0 {
		lines = append(lines, "The job's OIDC token was sent with these claims:")
		for _, claim := range claims {
			lines = append(lines, "  "+claim)
		}
	}
	switch {
	case e.Claims.pullRequest():
		lines = append(lines, noRule)
	case e.Rule != "":
		lines = append(lines, e.Where+":")
		for line := range strings.SplitSeq(e.Rule, "\n") {
			lines = append(lines, "  "+line)
		}
	}
	if e.Hint != "" {
		lines = append(lines, e.Hint)
	}
	return strings.Join(lines, "\n")
}

// explainTrust makes a *TrustRefused of a provider's refusal of a token with these claims. Errors
// that say nothing about trust are returned as they are: a provider that cannot be reached, is
// out of order, is not at this address or answers what is no answer.
func (r *Resolver) explainTrust(p trustProvider, c Claims, err error) error {
	var no *refusal
	var api smithy.APIError
	if !errors.As(err, &no) && !errors.As(err, &api) || no != nil && !no.aboutTheToken() {
		return err
	}
	answer := err.Error()
	if api != nil {
		answer = "AWS answered " + api.ErrorCode() + ": " + api.ErrorMessage()
	}
	e := &TrustRefused{Answer: r.clean(answer), Claims: c, Where: p.where, Hint: p.hint}
	if c.Subject != "" && !c.pullRequest() {
		e.Rule = p.rule(c, c.subjects(r.job))
	}
	return e
}
