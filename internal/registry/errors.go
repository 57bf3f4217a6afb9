package registry

import (
	"errors"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/registry/transport"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
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
	var p *usererror.Problem
	return err != nil && !errors.As(err, &p) && transport.Transient(err)
}
