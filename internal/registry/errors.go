package registry

import (
	"errors"

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

// Codes of the distribution specification's errors that decide something here.
const (
	codeNameUnknown     = "NAME_UNKNOWN"
	codeNameInvalid     = "NAME_INVALID"
	codeContentUnknown  = "MANIFEST_BLOB_UNKNOWN"
	codeManifestUnknown = "MANIFEST_UNKNOWN"
	codeBlobUnknown     = "BLOB_UNKNOWN"
	codeUploadUnknown   = "BLOB_UPLOAD_UNKNOWN"
	codeUploadInvalid   = "BLOB_UPLOAD_INVALID"
	codeDigestInvalid   = "DIGEST_INVALID"
	codeTagInvalid      = "TAG_INVALID"
	codeUnsupported     = "UNSUPPORTED"
	codeRangeInvalid    = "RANGE_INVALID"
	codeSizeInvalid     = "SIZE_INVALID"
)

// Error is a registry's answer that says no.
type Error = transport.Error

// Retryable reports whether err is a transient failure: 408, 425, 429, 499, 5xx (501
// and 505 aside), or a connection that could not be made or broke. What a Client
// returns after it has used up its own retries is none.
func Retryable(err error) bool {
	var p *usererror.Problem
	return err != nil && !errors.As(err, &p) && transport.Transient(err)
}
