package publish

import (
	"context"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/registry"
)

// Host is the client of one registry host, as this package uses it.
type Host struct {
	Repository func(path string) Repository
	Stats      func() registry.Stats
	Close      func()
}

// HostOf returns the Host that c is.
func HostOf(c *registry.Client) Host {
	return Host{
		Repository: func(path string) Repository { return c.Repository(path) },
		Stats:      c.Stats,
		Close:      c.Close,
	}
}

// Repository is one repository of a host; registry.Repository is the real one and
// documents the methods.
type Repository interface {
	Login(ctx context.Context) error
	CheckPush(ctx context.Context) error
	CheckPull(ctx context.Context) error
	Manifest(ctx context.Context, ref string) (raw []byte, d v1.Descriptor, err error)
	Stat(ctx context.Context, ref string) (v1.Descriptor, error)
	PutManifest(ctx context.Context, ref string, raw []byte, mediaType string, cond registry.Condition) (registry.PutResult, error)
	DeleteTag(ctx context.Context, tag string) error
	StatBlob(ctx context.Context, digest string) (size int64, err error)
	OpenBlob(ctx context.Context, d v1.Descriptor, offset int64) (io.ReadCloser, error)
	Upload(
		ctx context.Context, d v1.Descriptor, from []string, c registry.Content, p registry.Progress, opened *registry.Upload,
	) (registry.How, error)
	Referrers(ctx context.Context, digest string) (ds []v1.Descriptor, api bool, err error)
	Tags(ctx context.Context) ([]string, error)
}
