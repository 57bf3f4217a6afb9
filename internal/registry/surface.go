package registry

import (
	"context"
	"errors"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Client is one registry host.
type Client struct{ o Options }

// New returns the client of o.Host. Nothing is sent.
func New(o Options) *Client { return &Client{o: o} }

// Host returns the host as people write it.
func (c *Client) Host() string { return c.o.Host }

// Stats returns what went over the wire so far.
func (c *Client) Stats() Stats { return Stats{} }

// Close closes idle connections.
func (c *Client) Close() {}

// Repository returns the view on one repository.
func (c *Client) Repository(path string) *Repository { return &Repository{c: c, path: path} }

// Repository is one repository of a host.
type Repository struct {
	c    *Client
	path string
}

// What decisions are made on.
var (
	// ErrNotFound means that the manifest or blob is not in the repository.
	ErrNotFound = errors.New("not found")
	// ErrPrecondition means that a conditional write found another state.
	ErrPrecondition = errors.New("precondition failed")
	// ErrUnsupported means that the registry does not do this.
	ErrUnsupported = errors.New("not supported by the registry")
	// ErrImmutable means that the registry itself protects the tag.
	ErrImmutable = errors.New("tag is immutable in the registry")
)

var errSoon = errors.New("not there yet")

// How a blob came to be in a repository.
type How string

// The ways.
const (
	Uploaded How = "uploaded"
	Mounted  How = "mounted"
	Existing How = "existing"
)

// Content is a blob's bytes, which can be read again from any offset.
type Content interface {
	Open(ctx context.Context, offset int64) (io.ReadCloser, error)
}

// Progress is told how an upload goes on.
type Progress interface {
	// Sent says that n more bytes went out; n is negative when bytes were lost on
	// the way and will be sent again.
	Sent(n int64)
}

// Condition makes a manifest's write depend on what is there. Registries may
// ignore it.
type Condition struct {
	IfNoneMatch bool   // only if there is nothing
	IfMatch     string // only if there is this digest
}

// PutResult is what a registry says of a manifest it took.
type PutResult struct {
	// Subject is the OCI-Subject header: the registry has the referrers API and
	// has filed the manifest under this digest. Empty: maintain the fallback tag.
	Subject string
}

// Login finds scheme and challenge and gets a token.
func (r *Repository) Login(ctx context.Context) error { return errSoon }

// CheckPush opens an upload and cancels it.
func (r *Repository) CheckPush(ctx context.Context) error { return errSoon }

// CheckPull asks what a dry run may ask.
func (r *Repository) CheckPull(ctx context.Context) error { return errSoon }

// Manifest reads a manifest by tag or digest.
func (r *Repository) Manifest(ctx context.Context, ref string) (raw []byte, d v1.Descriptor, err error) {
	return nil, d, errSoon
}

// Stat asks for a manifest's descriptor.
func (r *Repository) Stat(ctx context.Context, ref string) (v1.Descriptor, error) {
	return v1.Descriptor{}, errSoon
}

// PutManifest writes a manifest.
func (r *Repository) PutManifest(ctx context.Context, ref string, raw []byte, mediaType string, cond Condition) (PutResult, error) {
	return PutResult{}, errSoon
}

// DeleteTag removes a tag by its name.
func (r *Repository) DeleteTag(ctx context.Context, tag string) error { return errSoon }

// StatBlob returns a blob's size.
func (r *Repository) StatBlob(ctx context.Context, digest string) (int64, error) { return 0, errSoon }

// OpenBlob reads a blob from offset on, in one attempt.
func (r *Repository) OpenBlob(ctx context.Context, d v1.Descriptor, offset int64) (io.ReadCloser, error) {
	return nil, errSoon
}

// Upload brings a blob into the repository.
func (r *Repository) Upload(ctx context.Context, d v1.Descriptor, from []string, content Content, p Progress) (How, error) {
	return "", errSoon
}

// Referrers lists what refers to a digest. api says whether the registry has the referrers API.
func (r *Repository) Referrers(ctx context.Context, digest string) (ds []v1.Descriptor, api bool, err error) {
	return nil, false, errSoon
}

// Tags lists the repository's tags.
func (r *Repository) Tags(ctx context.Context) ([]string, error) { return nil, errSoon }

// Retryable reports whether err is a passing failure.
func Retryable(err error) bool { return false }
