package credentials

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
	"unicode"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
)

// Claims are those of a job's OIDC token that trust is decided by. They are no secrets;
// nothing else of a token is kept.
type Claims struct {
	Issuer         string
	Subject        string
	Audience       string
	Repository     string
	Ref            string
	Environment    string
	JobWorkflowRef string
}

const longestClaim = 1024 // bytes that are shown of one

// readClaims reads the claims of a token; they are empty where it is not a JWT. The
// signature is the provider's business.
func readClaims(token redact.Text) Claims {
	var c struct {
		Issuer         string          `json:"iss"`
		Subject        string          `json:"sub"`
		Audience       json.RawMessage `json:"aud"`
		Repository     string          `json:"repository"`
		Ref            string          `json:"ref"`
		Environment    string          `json:"environment"`
		JobWorkflowRef string          `json:"job_workflow_ref"`
	}
	if !decodePayload(token, &c) {
		return Claims{}
	}
	return Claims{
		Issuer: plainClaim(c.Issuer), Subject: plainClaim(c.Subject), Audience: plainClaim(firstAudience(c.Audience)),
		Repository: plainClaim(c.Repository), Ref: plainClaim(c.Ref), Environment: plainClaim(c.Environment),
		JobWorkflowRef: plainClaim(c.JobWorkflowRef),
	}
}

// firstAudience reads aud, which is one text or a list (RFC 7519, 4.1.3).
func firstAudience(raw json.RawMessage) string {
	var one string
	var several []string
	if json.Unmarshal(raw, &one) == nil {
		return one
	}
	if json.Unmarshal(raw, &several) == nil && len(several) > 0 {
		return several[0]
	}
	return ""
}

// plainClaim returns a claim on one line and of bounded length.
func plainClaim(s string) string {
	s = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return -1
		}
		return c
	}, strings.ToValidUTF8(s, ""))
	if len(s) > longestClaim {
		s = strings.ToValidUTF8(s[:longestClaim], "")
	}
	return s
}

// lines returns the claims that are there, one a line, under the names that the token gives them.
func (c Claims) lines() []string {
	var out []string
	for _, claim := range [][2]string{
		{"iss", c.Issuer}, {"sub", c.Subject}, {"aud", c.Audience}, {"repository", c.Repository}, {"ref", c.Ref},
		{"environment", c.Environment}, {"job_workflow_ref", c.JobWorkflowRef},
	} {
		if claim[1] != "" {
			out = append(out, claim[0]+": "+claim[1])
		}
	}
	return out
}

// pullRequest reports whether the job runs for a pull request and its subject is one that
// every pull request of the repository has, whoever opened it. An environment has rules of its
// own for who may use it.
func (c Claims) pullRequest() bool {
	return strings.HasSuffix(c.Subject, ":pull_request") || strings.Contains(c.Subject, ":ref:refs/pull/") ||
		strings.HasPrefix(c.Ref, "refs/pull/") && !strings.Contains(c.Subject, ":environment:")
}

// https://docs.github.com/en/actions/reference/security/oidc
const gitHubIssuer = "https://token.actions.githubusercontent.com"

// gitHubSubject is repo:OWNER/NAME:REST, each of the two names with or without @ID.
var gitHubSubject = compiled(`^repo:([^/@:]+)(@[0-9]+)?/([^/@:]+)(@[0-9]+)?(:.+)$`)

// subjects returns the subject and, where it is known, its other form: GitHub's subjects
// hold ids behind the names in repositories created, renamed or moved after 15 July 2026, and
// get them in others when those are moved or opt in.
func (c Claims) subjects(j Job) []string {
	m := gitHubSubject().FindStringSubmatch(c.Subject)
	if m == nil || c.Issuer != gitHubIssuer {
		return []string{c.Subject}
	}
	owner, ownerID, name, nameID, rest := m[1], m[2], m[3], m[4], m[5]
	own := strings.EqualFold(j.Repository, owner+"/"+name) && isNumber(j.OwnerID) && isNumber(j.RepositoryID)
	switch {
	case ownerID != "" && nameID != "":
		return []string{c.Subject, "repo:" + owner + "/" + name + rest}
	case ownerID+nameID == "" && own:
		return []string{c.Subject, "repo:" + owner + "@" + j.OwnerID + "/" + name + "@" + j.RepositoryID + rest}
	}
	return []string{c.Subject}
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// jwtExpiry reads the claim exp (RFC 7519, 4.1.4) of a token; zero if it has none.
func jwtExpiry(t redact.Text) time.Time {
	var claims struct {
		Expires float64 `json:"exp"`
	}
	if !decodePayload(t, &claims) || claims.Expires <= 0 {
		return time.Time{}
	}
	return time.Unix(int64(claims.Expires), 0)
}

// decodePayload decodes the payload of a JWT, without a look at its signature.
func decodePayload(t redact.Text, into any) bool {
	parts := strings.Split(t.Reveal(), ".")
	if len(parts) != 3 {
		return false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	return err == nil && json.Unmarshal(payload, into) == nil
}
