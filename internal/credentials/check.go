package credentials

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
)

// Check returns what is wrong with the item's keys: one that lacks another, is for other
// hosts, does not go with another, or holds what it cannot hold. The login of an item with
// an empty key is not looked at: such an item is skipped, not wrong.
//
// Whether password-env may be used at all (not in a workflow) is the caller's to check.
func (i *Item) Check() []*KeyError {
	if i.Registry == "" || i.Skip != "" {
		return nil
	}
	var found []*KeyError
	if i.emptyKey() == "" {
		var wrong *KeyError
		if _, err := i.loginMethod(true); errors.As(err, &wrong) {
			found = append(found, wrong)
		} else if wrong := i.checkValues(); wrong != nil {
			found = append(found, wrong)
		}
	}
	if wrong := i.checkTagMutability(); wrong != nil {
		found = append(found, wrong)
	}
	if host, ecr := i.isECR(); i.Public && ecr && !host.public {
		found = append(found, keyError("public", "is not for private ECR, which answers nobody without a login"))
	}
	return found
}

var (
	// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
	awsSessionName = compiled(`^[A-Za-z0-9_+=,.@-]+$`) // of 2 to 64
	// Quay's names of robots are the organization's or user's, a +, and a short name.
	quayRobotName = compiled(`^[a-z0-9][a-z0-9_.-]*\+[a-z0-9_.-]+$`)
)

func isAWSSessionName(s string) bool {
	return len(s) >= 2 && len(s) <= 64 && awsSessionName().MatchString(s)
}

// checkValues looks at values that are known to have a form.
func (i *Item) checkValues() *KeyError {
	switch {
	case strings.Contains(i.Username.Text, ":"): // RFC 7617, section 2
		return keyError("username",
			"holds a colon, at which registries end a user's name: the password goes into a key of its own")
	case i.AWSSession.Text != "" && !isAWSSessionName(i.AWSSession.Text):
		return keyError("aws-session", "is 2 to 64 letters, digits and any of _+=,.@-")
	case i.QuayRobot.Text != "" && !quayRobotName().MatchString(i.QuayRobot.Text):
		return keyError("quay-robot", "is not ORGANIZATION+ROBOT, such as acme+publisher")
	case i.JFrogURL.Text != "":
		u, err := url.Parse(i.JFrogURL.Text)
		if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
			u.Scheme != "https" && (u.Scheme != "http" || !imageref.Loopback(u.Host)) {
			return keyError("jfrog-url", "is not the HTTPS address of a JFrog platform, such as https://acme.jfrog.io")
		}
	}
	return nil
}

// Tag mutability as ECR spells it.
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html
const (
	ecrMutable                = "MUTABLE"
	ecrImmutable              = "IMMUTABLE"
	ecrMutableWithExclusion   = "MUTABLE_WITH_EXCLUSION"
	ecrImmutableWithExclusion = "IMMUTABLE_WITH_EXCLUSION"

	ecrMostExclusions = 5
)

// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageTagMutabilityExclusionFilter.html
var ecrTagFilter = compiled(`^[0-9a-zA-Z._*-]+$`) // of 1 to 128

func (i *Item) checkTagMutability() *KeyError {
	if i.ECRTagMutability == "" && len(i.ECRTagExclusions) == 0 {
		return nil
	}
	key := "ecr-tag-mutability"
	if i.ECRTagMutability == "" {
		key = "ecr-tag-exclusions"
	}
	host, ecr := i.isECR()
	known := []string{ecrMutable, ecrImmutable, ecrMutableWithExclusion, ecrImmutableWithExclusion}
	exclusive := strings.HasSuffix(i.ECRTagMutability, "_WITH_EXCLUSION")
	switch {
	case host.public:
		return keyError(key, "is not for ECR Public, whose tags are always mutable")
	case !ecr:
		return keyError(key, "is for a private ECR registry (or with `ecr: true`) only, not for %s", i.Registry)
	case i.ECRTagMutability != "" && !slices.Contains(known, i.ECRTagMutability):
		return keyError(key, "is none of %s", strings.Join(known, ", "))
	case len(i.ECRTagExclusions) > 0 && !exclusive:
		return keyError("ecr-tag-exclusions", "needs ecr-tag-mutability: %s or %s",
			ecrImmutableWithExclusion, ecrMutableWithExclusion)
	case exclusive && len(i.ECRTagExclusions) == 0:
		return keyError(key, "needs ecr-tag-exclusions beside it: one to %d filters such as latest or dev-*",
			ecrMostExclusions)
	case len(i.ECRTagExclusions) > ecrMostExclusions:
		return keyError("ecr-tag-exclusions", "has %d filters; ECR takes at most %d",
			len(i.ECRTagExclusions), ecrMostExclusions)
	}
	for _, filter := range i.ECRTagExclusions {
		if len(filter) > 128 || !ecrTagFilter().MatchString(filter) {
			return keyError("ecr-tag-exclusions", "holds %q: a filter is letters, digits and any of ._*-, at most 128",
				filter)
		}
	}
	return nil
}
