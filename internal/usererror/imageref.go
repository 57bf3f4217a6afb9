package usererror

import "strings"

// reference is what this package sees of the errors of internal/imageref.
type reference interface {
	failure
	// Broken returns the rule that a reference breaks, and what it would allow instead.
	Broken() (rule, allowed string)
}

// rules has the remedy for each rule of a reference that is broken; %s is what it allows.
//
// #nosec G101 -- words about credentials
var rules = map[string]string{
	"credentials-in-front": "Write HOST/REPOSITORY:TAG, and the credentials in registry-auth.",
	"scheme-in-front":      "Write %s.",
	"comment":              "Leave the line out.",
	"digest-for-tag":       "Write %s: the digest follows from what is published.",
	"bare-word": "Write REPOSITORY:TAG. docker/metadata-action puts out bare tags when all of its `images` are " +
		"empty: look at the variables in them.",
	"digest-empty": "Look at the step whose output should be the digest: it may not have run, or not have " +
		"pushed.",
	"digest-invalid":     "Write sha256: and 64 hexadecimal digits.",
	"component-empty":    "Look at the variable that should hold it: it may be unset.",
	"host-invalid":       "Write HOST or HOST:PORT.",
	"port-invalid":       "Write a port from 1 to 65535.",
	"path-too-long":      "Use at most %s.",
	"path-in-upper-case": "Write %s: registries take lower case only.",
	"path-invalid": "Use lower-case letters and digits, with single dots, one or two underscores, or dashes " +
		"between them.",
	"tag-empty":   "Write a tag, or leave the colon out for latest; a variable for it may be unset.",
	"tag-invalid": "Use at most 128 letters, digits, dots, dashes and underscores, not beginning with a dot or dash.",
}

// ruleRemedy returns the remedy for a reference that breaks a rule.
func ruleRemedy(r reference) string {
	rule, allowed := r.Broken()
	return strings.Replace(rules[rule], "%s", allowed, 1)
}
