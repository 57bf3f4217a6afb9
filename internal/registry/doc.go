// Package registry is a client of registries that speak the OCI distribution
// specification 1.1. A Client is one host; a Repository is the view on one of its
// repositories: it reads, uploads with resume, writes manifests and tags, and lists.
//
// One request passes through these layers, from the top:
//
//	registry    what is asked, and what the answer means; which ways of asking a host takes
//	send.go     redirects and credentials: a 401 means a new token, once
//	auth        challenges and tokens
//	transport   connections, retries, rate limits, stalls, which addresses may be called
//
// Where to find what:
//
//	check.go, session.go   login; the upload that proves the permission to push
//	open_uploads.go        uploads that are open before a blob needs one
//	upload.go              one blob on its way: mount, open, send
//	ways.go, resume.go     how a host takes bytes; how to go on after a failure
//	stat.go, read.go       what is there, and its bytes
//	write.go               manifests and tags
//	list.go                referrers and tags
//	public.go              what somebody without a login may pull
//	words.go               every word of registries that decides something, with its source
//
// Errors are *OperationError, which wrap what happened: an *Error is the registry's
// answer; ErrNotFound, ErrUnclear, ErrPrecondition, ErrImmutable, ErrUnsupported,
// ErrNotPublic and *MissingContentError are what decisions are made on.
package registry
