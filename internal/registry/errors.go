package registry

import (
	"errors"
	"net"
	"slices"
	"strings"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/registry/transport"
)

// What decisions are made on.
var (
	// ErrNotFound means that the manifest or blob is not in the repository.
	ErrNotFound = transport.ErrNotFound
	// ErrUnclear means that the registry's answer does not tell whether a manifest is
	// there: a refusal, for instance, from one that answers so for what is missing, too.
	ErrUnclear = errors.New("the registry does not tell whether it is there")
	// ErrNotPublic means that somebody without a login cannot pull.
	ErrNotPublic = errors.New("not public")
	// ErrPrecondition means that a conditional write found another state.
	ErrPrecondition = errors.New("precondition failed")
	// ErrNoList means that what is kept for a list of referrers holds something else.
	ErrNoList = errors.New("it serves no list of referrers")
	// ErrUnsupported means that the registry does not do this.
	ErrUnsupported = errors.New("not supported by the registry")
	// ErrImmutable means that the registry itself protects the tag.
	ErrImmutable = errors.New("tag is immutable in the registry")
)

// maxManifest bounds a manifest, in bytes: registries must take at least this much
// (distribution spec, "Pushing Manifests").
const maxManifest = 4 << 20

// Error is a registry's answer that says no.
type Error = transport.Error

// Kind says what went wrong.
type Kind string

// The kinds of failures.
const (
	Refused            Kind = "refused"             // by an answer of which there is no more to say
	ReadOnly           Kind = "read-only"           // the host takes pushes from nobody
	GaveUp             Kind = "gave-up"             // it kept failing until the time for retries was used up
	RateLimited        Kind = "rate-limited"        // as GaveUp, by 429
	Unreachable        Kind = "unreachable"         // nobody has ever answered
	NameServerSilent   Kind = "name-server-silent"  // the host's name could not be asked for
	ProxyRefused       Kind = "proxy-refused"       // the proxy did not connect us
	LoopbackInside     Kind = "loopback-inside"     // nobody answers on the loopback of our own container
	UnknownHost        Kind = "unknown-host"        // the host's name does not resolve
	TLSMismatch        Kind = "tls-mismatch"        // plain HTTP where TLS is needed
	UnknownAuthority   Kind = "unknown-authority"   // who signed the certificate is not trusted
	CertificateInvalid Kind = "certificate-invalid" // out of date, or another host's
	NotARegistry       Kind = "not-a-registry"      // a page answers
	UnsafeRedirect     Kind = "unsafe-redirect"     // to an address that a registry must not name
	WrongCredentials   Kind = "wrong-credentials"   // #nosec G101 -- the name of a failure
	NoPushPermission   Kind = "no-push-permission"  // the credentials are right
	NoPullPermission   Kind = "no-pull-permission"  // as above
	RepositoryMissing  Kind = "repository-missing"  // and is not created by a push
	DigestMismatch     Kind = "digest-mismatch"     // bytes do not have their digest
	ManifestTooLarge   Kind = "manifest-too-large"  // above 4 MiB
	TagImmutable       Kind = "tag-immutable"       // the registry itself protects the tag
	TagRefused         Kind = "tag-refused"         // the tag is not written, or not removed
	NoReferrersList    Kind = "no-referrers-list"   // its tag serves something else
	MediaTypeRefused   Kind = "media-type-refused"  // the registry takes no such manifests
)

// OperationError says which operation on a repository failed, and how.
type OperationError struct {
	Host      string // as people write it
	Path      string // the repository's
	Operation string // what was being done, "reading manifest latest", or what is wrong with what came of it
	Kind      Kind
	Err       error // what happened, an *Error for instance; nil if Operation says it
}

// Error returns what failed, and what happened.
func (e *OperationError) Error() string {
	_, text, _ := e.Failure()
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns what happened.
func (e *OperationError) Unwrap() error { return e.Err }

// Failure returns what usererror makes a message, a code and a remedy of.
func (e *OperationError) Failure() (host, operation, kind string) {
	return e.Host, e.Host + "/" + e.Path + ": " + e.Operation, string(e.Kind)
}

// Gist returns a text that err is told in, without what differs where hosts fail alike: what
// was dialled, how often and for how long.
func Gist(err error, text string) string {
	if gaveUp, ok := errors.AsType[*transport.GaveUpError](err); ok {
		text = strings.Replace(text, gaveUp.Error(), gaveUp.Gist(), 1)
	}
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
		why := dial.Err.Error()
		if dns, ok := errors.AsType[*net.DNSError](dial.Err); ok {
			why = dns.Err
		} else if errno, ok := errors.AsType[syscall.Errno](dial.Err); ok {
			why = errno.Error()
		}
		text = strings.Replace(text, dial.Error(), why, 1)
	}
	return text
}

// isFailure reports whether whoever made err has told what people are to know of it already, as an
// *OperationError does: of an account that has no credential to give, or a source that cannot be read.
func isFailure(err error) bool {
	var f interface {
		Failure() (host, what, kind string)
	}
	return errors.As(err, &f)
}

// MissingContentError says that a registry refused a manifest because it lacks what the
// manifest points at: a blob that it lost, or does not see yet.
type MissingContentError struct {
	Digests []v1.Hash // what it says that it lacks; none if it does not say
	Err     error     // its answer
}

// Error returns the registry's answer.
func (e *MissingContentError) Error() string { return e.Err.Error() }

// Unwrap returns the registry's answer.
func (e *MissingContentError) Unwrap() error { return e.Err }

// Transient reports false, whatever status the answer has: asking again sends nothing that is
// missing.
func (e *MissingContentError) Transient() bool { return false }

// missingContent returns the error of an answer for which lacksContent is true.
func missingContent(answer *Error) *MissingContentError {
	e := &MissingContentError{Err: answer}
	for _, text := range answer.Digests {
		if digest, err := v1.NewHash(text); err == nil && !slices.Contains(e.Digests, digest) {
			e.Digests = append(e.Digests, digest)
		}
	}
	return e
}

// Retryable reports whether err is a transient failure: 408, 425, 429, 499, 5xx (501
// and 505 aside), or a connection that could not be made or broke. What a Client
// returns after it has used up its own retries is none.
func Retryable(err error) bool {
	return err != nil && !isFailure(err) && transport.Transient(err)
}
