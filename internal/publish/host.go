package publish

import (
	"context"
	"errors"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/registry"
)

// Host is the client of one registry host, as this package uses it.
type Host interface {
	Repository(path string) Repository
	Stats() registry.Stats
	Preconnect(sizes []int64)
	Close()
}

// Repository is one repository of a host; registry.Repository is the real one and
// documents the methods.
type Repository interface {
	Access
	Reader
	Writer
	Lister
}

// Access proves what an account may do.
type Access interface {
	Login(ctx context.Context) error
	CheckPull(ctx context.Context) error
	StartUpload(ctx context.Context) error
	CheckPublic(ctx context.Context, ref string) error
}

// Reader reads manifests and blobs.
type Reader interface {
	Manifest(ctx context.Context, ref string) (raw []byte, d v1.Descriptor, err error)
	Stat(ctx context.Context, ref string) (v1.Descriptor, error)
	StatBlob(ctx context.Context, digest string) (size int64, err error)
	OpenBlob(ctx context.Context, d v1.Descriptor, offset int64) (io.ReadCloser, error)
}

// Writer writes blobs, manifests and tags.
type Writer interface {
	Upload(
		ctx context.Context, d v1.Descriptor, from []string, c registry.Content, p registry.Progress,
	) (registry.How, error)
	OpenUploads(ctx context.Context, n int) (wait func())
	CancelUploads()
	PutManifest(ctx context.Context, ref string, raw []byte, mediaType string,
		cond registry.Condition) (registry.PutResult, error)
	DeleteTag(ctx context.Context, tag string) error
}

// Lister lists what a repository holds.
type Lister interface {
	Referrers(ctx context.Context, digest string) (ds []v1.Descriptor, api bool, err error)
	Tags(ctx context.Context) ([]string, error)
}

// HostOf returns the Host that c is.
func HostOf(c *registry.Client) Host { return client{c} }

type client struct{ *registry.Client }

func (c client) Repository(path string) Repository { return c.Client.Repository(path) }

// isMissing reports whether what was asked for by digest is to be taken as not there. An
// answer that says neither yes nor no means that too: the write tells.
func isMissing(err error) bool {
	return errors.Is(err, registry.ErrNotFound) || errors.Is(err, registry.ErrUnclear)
}

// lacksContent reports whether a registry refused a manifest because it lacks what that
// points at.
func lacksContent(err error) bool {
	_, ok := errors.AsType[*registry.MissingContentError](err)
	return ok
}
