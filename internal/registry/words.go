package registry

import (
	"net/http"
	"slices"
	"strings"
)

// Codes of the distribution specification's errors that decide something here, and of
// its reference implementation (Distribution, registry/api/errcode).
const (
	codeNameUnknown     = "NAME_UNKNOWN"
	codeNameInvalid     = "NAME_INVALID"
	codeContentUnknown  = "MANIFEST_BLOB_UNKNOWN"
	codeManifestUnknown = "MANIFEST_UNKNOWN"
	codeManifestInvalid = "MANIFEST_INVALID"
	codeBlobUnknown     = "BLOB_UNKNOWN"
	codeUploadUnknown   = "BLOB_UPLOAD_UNKNOWN"
	codeUploadInvalid   = "BLOB_UPLOAD_INVALID"
	codeDigestInvalid   = "DIGEST_INVALID"
	codeTagInvalid      = "TAG_INVALID"
	codeUnsupported     = "UNSUPPORTED"
	codeRangeInvalid    = "RANGE_INVALID"
	codeSizeInvalid     = "SIZE_INVALID"
)

// says reports whether an answer's code or message holds one of the words, in any case.
func says(e *Error, words ...string) bool {
	text := strings.ToLower(e.Code + " " + e.Message)
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(text, word) })
}

// saysExpired reports whether the body of a 403 says that the token has expired: ECR's
// "Your authorization token has expired. Reauthenticate and try again."
func saysExpired(body []byte) bool {
	return strings.Contains(strings.ToLower(string(body)), "token has expired")
}

// missing reports whether an answer says that the repository is not there: NAME_UNKNOWN,
// or what ECR says under other codes (Amazon ECR API Reference, Common Errors:
// RepositoryNotFoundException).
func missing(e *Error) bool {
	return e.Status == http.StatusNotFound && e.Has(codeNameUnknown) || says(e, "repositorynotfoundexception") ||
		e.Status == http.StatusNotFound && says(e, "repository") && says(e, "does not exist")
}

// lacksContent reports whether a registry says that it does not have what a manifest
// points at. Distribution 2.8 may name another error first: that of looking into a blob
// that another job is just writing. Both of its versions say so with 500 of a foreign layer
// whose URL their configuration does not allow ("invalid URL on layer").
func lacksContent(e *Error) bool {
	switch e.Status {
	case http.StatusInternalServerError:
		return e.Has(codeContentUnknown)
	case http.StatusBadRequest, http.StatusNotFound:
		return e.Has(codeContentUnknown) || e.Has(codeBlobUnknown) || e.Has(codeManifestUnknown)
	}
	return false
}

// immutable recognises a registry's own protection of tags. ECR says TAG_INVALID or
// ImageTagAlreadyExistsException (Amazon ECR API Reference, PutImage), Harbor 412 to a
// PUT that had no condition, or DENIED (src/controller/immutable), others say it in words.
func immutable(e *Error, conditional bool) bool {
	return says(e, "immutable", "imagetagalreadyexists", "cannot be overwritten") ||
		e.Has(codeTagInvalid) && says(e, "already exists") ||
		e.Status == http.StatusPreconditionFailed && !conditional
}

// noMatterOfRights recognises refusals by 401, 403, 404 or 405 that more rights would
// not change.
func noMatterOfRights(e *Error) bool {
	return says(e,
		// Quotas: Harbor (src/pkg/quota), Quay (endpoints/v2/errors.py, QuotaExceeded),
		// DigitalOcean ("registry contains 1 repositories, limit is 1").
		"exceed the configured upper limit", "quota", ", limit is ",
		// Read-only and maintenance: Harbor (src/server/middleware/readonly), Quay
		// (endpoints/v2/errors.py, ReadOnlyMode, PushesDisabled).
		"read only mode", "read-only mode", "readonly mode", "currently read-only", "registry is read-only",
		"registry is read only", "maintenance", "have been disabled",
		// Policies: Harbor (src/server/middleware, PROJECTPOLICYVIOLATION), Azure ("The
		// operation is disallowed.").
		"policyviolation", "configured policy", "operation is disallowed",
		// Owners and projects that are not there: Gitea and Forgejo, Harbor.
		"owner does not exist", "namespace does not exist",
	) || says(e, "project ") && says(e, " not found")
}

// refusesMediaType recognises refusals of a kind of manifest: 415, or the reason in words
// (Harbor and Artifactory under MANIFEST_INVALID, Quay "manifest schema version not
// supported", others UNSUPPORTED).
func refusesMediaType(e *Error) bool {
	return e.Status == http.StatusUnsupportedMediaType || e.Status == http.StatusBadRequest && e.Has(codeUnsupported) ||
		says(e, "media type", "mediatype", "media-type", "schema version")
}
