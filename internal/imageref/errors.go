package imageref

import "fmt"

// Kind says what a text should have been.
type Kind string

// The kinds of errors.
const (
	InvalidTag    Kind = "invalid-tag" // a destination
	InvalidSource Kind = "invalid-source"
)

// Rule is what a reference has to keep to.
type Rule string

// The rules, each by what breaks it.
const (
	CredentialsInFront Rule = "credentials-in-front" // #nosec G101 -- the name of a rule
	SchemeInFront      Rule = "scheme-in-front"      // of a destination
	Comment            Rule = "comment"              // in place of a destination
	DigestForTag       Rule = "digest-for-tag"       // in a destination
	BareWord           Rule = "bare-word"            // neither a repository nor a tag of one
	DigestEmpty        Rule = "digest-empty"         // behind its @
	DigestInvalid      Rule = "digest-invalid"
	ComponentEmpty     Rule = "component-empty" // of host and path
	HostInvalid        Rule = "host-invalid"
	PortInvalid        Rule = "port-invalid"
	PathTooLong        Rule = "path-too-long"
	PathInUpperCase    Rule = "path-in-upper-case"
	PathInvalid        Rule = "path-invalid" // a component of it
	TagEmpty           Rule = "tag-empty"    // behind its colon
	TagInvalid         Rule = "tag-invalid"
)

// Error says why a text is no reference.
type Error struct {
	Kind    Kind
	What    string // the text, and what is wrong with it; without credentials
	Rule    Rule   // that it breaks
	Allowed string // what the rule would allow in its place; "" where that is the same for all
}

// Error returns what is wrong.
func (e *Error) Error() string { return e.What }

// Failure returns what usererror makes a message and a code of.
func (e *Error) Failure() (host, what, kind string) { return "", e.What, string(e.Kind) }

// Broken returns what usererror makes a remedy of.
func (e *Error) Broken() (rule, allowed string) { return string(e.Rule), e.Allowed }

func invalidTag(text string, rule Rule, what, allowed string) error {
	return &Error{InvalidTag, fmt.Sprintf("%q: %s", short(text), what), rule, allowed}
}

func invalidSource(text string, e *badName) error {
	return &Error{InvalidSource, fmt.Sprintf("%q is not a reference to an image: %s", short(text), e.what),
		e.rule, e.allowed}
}

// badName says what is wrong with a part of a reference.
type badName struct {
	rule          Rule
	what, allowed string
}

func (e *badName) Error() string { return e.what }
