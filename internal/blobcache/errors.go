package blobcache

// Kind says what went wrong.
type Kind string

// The kinds of failures.
const (
	DigestMismatch  Kind = "digest-mismatch"    // bytes do not have their digest
	Unsupported     Kind = "source-unsupported" // a digest of a kind that cannot be checked
	GaveUp          Kind = "registry-gave-up"   // the source broke off until the time for retries was used up
	DiskFull        Kind = "disk-full"          // the temporary folder
	TemporaryFolder Kind = "temporary-folder"   // it is not there, or cannot be written to
)

// Error says what is wrong with a blob that is read, or with where it is kept.
type Error struct {
	Kind Kind
	What string // what is wrong, with the blob or the folder named
	Err  error  // the cause; nil if What says it
}

// Error returns what is wrong, and the cause.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.What
	}
	return e.What + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Failure returns what usererror makes a message, a code and a remedy of.
func (e *Error) Failure() (host, what, kind string) { return "", e.What, string(e.Kind) }
