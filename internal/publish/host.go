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
	// StartUpload proves the permission to push by opening an upload, which may carry a
	// blob. The upload is nil where the registry opens none.
	StartUpload(ctx context.Context) (Upload, error)
	// CheckPublic reads a reference as somebody does who has no account.
	CheckPublic(ctx context.Context, ref string) error
}

// Upload is an upload that a registry has opened.
type Upload interface {
	Cancel(ctx context.Context)
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
	// Upload brings a blob. into, which may be nil, is an upload that is open already; it
	// belongs to Upload from then on, whatever comes of it.
	Upload(ctx context.Context, d v1.Descriptor, from []string, c registry.Content, p registry.Progress, into Upload) (registry.How, error)
	PutManifest(ctx context.Context, ref string, raw []byte, mediaType string, cond registry.Condition) (registry.PutResult, error)
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

func (c client) Repository(path string) Repository { return repositoryClient{c.Client.Repository(path)} }

type repositoryClient struct{ *registry.Repository }

func (r repositoryClient) StartUpload(ctx context.Context) (Upload, error) {
	return nil, r.CheckPush(ctx)
}

func (r repositoryClient) CheckPublic(context.Context, string) error { return nil }

func (r repositoryClient) Upload(ctx context.Context, d v1.Descriptor, from []string, c registry.Content, p registry.Progress, _ Upload) (registry.How, error) {
	return r.Repository.Upload(ctx, d, from, c, p)
}

// isMissing reports whether what was asked for by digest is to be taken as not there. An
// answer that says neither yes nor no means that too: the write tells.
func isMissing(err error) bool { return errors.Is(err, registry.ErrNotFound) }

// isUnclear reports whether a registry answered so that nobody can tell whether there is
// such a tag.
func isUnclear(error) bool { return false }

// lacksContent reports whether a registry refused a manifest because it lacks what that
// points at.
func lacksContent(error) bool { return false }
