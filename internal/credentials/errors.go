package credentials

import "errors"

// ErrorKind says what went wrong.
type ErrorKind string

// The kinds of failures, which are those of internal/registry where it knows them, too.
const (
	InvalidAuth        ErrorKind = "invalid-registry-auth" // what the login needs is not set, or not right
	MissingCredentials ErrorKind = "missing-credentials"   // where they could be there are none
	WrongCredentials   ErrorKind = "wrong-credentials"     // #nosec G101 -- the name of a failure
	NoPushPermission   ErrorKind = "no-push-permission"    // of this account
	NoPullPermission   ErrorKind = "no-pull-permission"    // as above
	CannotCreate       ErrorKind = "cannot-create-repository"
	OIDCMissing        ErrorKind = "oidc-missing"         // the job has no token to exchange
	OIDCRefused        ErrorKind = "oidc-refused"         // the provider does not take it
	Unreachable        ErrorKind = "registry-unreachable" // the provider does not answer
	UnknownAuthority   ErrorKind = "unknown-authority"    // of the provider's certificate
	CertificateInvalid ErrorKind = "certificate-invalid"  // the provider's
	RateLimited        ErrorKind = "rate-limited"         // by the provider
	GaveUp             ErrorKind = "registry-gave-up"     // the provider kept failing
	Internal           ErrorKind = "internal-error"       // a mistake of this package
)

// HintName names what there is to do about a failure.
type HintName string

// The names of hints, with what Hint.Of is.
const (
	DockerHubLife  HintName = "docker-hub-life"  // is no number of seconds
	RegionUnknown  HintName = "region-unknown"   // of a registry of AWS
	AWSUnset       HintName = "aws-unset"        // no credentials of AWS
	AWSNamed       HintName = "aws-named"        // what the environment names cannot be had
	AWSKey         HintName = "aws-key"          // is not taken
	AWSAction      HintName = "aws-action"       // IAM does not allow Of
	CreateAction   HintName = "create-action"    // as above, to create a repository
	CreateByHand   HintName = "create-by-hand"   // AWS does not say what is wrong
	CreateByKeys   HintName = "create-by-keys"   // there is a Docker login, and no credential of AWS
	AliasMissing   HintName = "alias-missing"    // of an account at ECR Public
	AliasOther     HintName = "alias-other"      // than the account's own
	OnCommandLine  HintName = "on-command-line"  // there is no job
	OnForge        HintName = "on-forge"         // Forgejo or Gitea
	QuayTooOld     HintName = "quay-too-old"     // perhaps: the registry Of
	JFrogElsewhere HintName = "jfrog-elsewhere"  // perhaps: the platform
	JFrogNoUser    HintName = "jfrog-no-user"    // in the identity mapping
	AzureRole      HintName = "azure-role"       // of the application
	NotReached     HintName = "host-not-reached" // Of
)

// Hint is a name and what it is about, which may be empty. The zero value is none.
type Hint struct {
	Name HintName
	Of   string
}

// Error says which login, or what else about an account, failed, and how.
type Error struct {
	Kind ErrorKind
	Host string // of the registry, as people write it
	What string // what was being done, or what is wrong
	Hint Hint   // where more is known than the kind
	Err  error  // the cause, without secrets; nil or without a text if What says it
}

// Error returns what failed, and the cause unless its text is empty.
func (e *Error) Error() string {
	if e.Err == nil || e.Err.Error() == "" {
		return e.What
	}
	return e.What + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Failure returns what usererror makes a message and a code of.
func (e *Error) Failure() (host, what, kind string) { return e.Host, e.What, string(e.Kind) }

// Facts returns what usererror makes a remedy of.
func (e *Error) Facts() (hint, of string) { return string(e.Hint.Name), e.Hint.Of }

// kindOf returns the kind of the first failure in err's chain, a registry's for instance, and its
// cause; "" if there is none.
func kindOf(err error) (kind ErrorKind, cause error) {
	var f interface {
		error
		Failure() (host, what, kind string)
	}
	if !errors.As(err, &f) {
		return "", nil
	}
	_, _, name := f.Failure()
	return ErrorKind(name), errors.Unwrap(f)
}

// cleaned is an error with secrets taken out of its text.
type cleaned struct {
	text string
	err  error
}

func (e *cleaned) Error() string { return e.text }
func (e *cleaned) Unwrap() error { return e.err }
