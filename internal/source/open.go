package source

import (
	"context"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
)

// RemoteRepository is what a source needs of a repository in a registry.
type RemoteRepository interface {
	// Manifest returns the manifest that a tag or digest names. Its digest is
	// verified.
	Manifest(ctx context.Context, ref string) (raw []byte, d v1.Descriptor, err error)
	// Stat asks what a tag or digest names.
	Stat(ctx context.Context, ref string) (v1.Descriptor, error)
	// OpenBlob reads a blob from offset on.
	OpenBlob(ctx context.Context, d v1.Descriptor, offset int64) (io.ReadCloser, error)
	// Referrers returns what refers to a digest; api is false where the fallback
	// tag told.
	Referrers(ctx context.Context, digest string) (ds []v1.Descriptor, api bool, err error)
	// Tags lists the tags.
	Tags(ctx context.Context) ([]string, error)
}

// Docker says where the engine is, in the words of its own environment variables.
type Docker struct {
	Host      string // DOCKER_HOST; "" is unix:///var/run/docker.sock
	TLSVerify bool   // DOCKER_TLS_VERIFY is not empty
	CertPath  string // DOCKER_CERT_PATH: folder of ca.pem, cert.pem and key.pem
}

// Options are what Open needs besides the Spec. The zero value opens local
// sources whole.
type Options struct {
	// Platforms is the subset to publish, such as linux/arm64; empty is all.
	Platforms []string
	// Repository gives access to a repository in a registry. It must be set for
	// remote sources.
	Repository func(imageref.Repository) RemoteRepository
	// Docker says where the engine is.
	Docker Docker
	// Paths maps paths of the host; the same that Parse got.
	Paths Paths
	// TempDir is where temporary files go; "" is os.TempDir.
	TempDir string
	// Budget is shared by all images of a run; nil is one of its own for each.
	Budget *Budget
	// Shared are the sources that the run has open; nil shares none.
	Shared *Shared
	// Annotations are those of a merged index.
	Annotations map[string]string
	// Workers is how many cores compression uses; 0 is all.
	Workers int
	// Found is told of manifests that a remote image consists of before they are read, each
	// level of the graph on its own, its root first. It may be told of one twice. Nil is nobody.
	Found func([]v1.Descriptor)
}

// Open opens what spec names. It reads manifests, but no layer. The image must be
// closed; ctx must live as long as it and, with Options.Shared, as the run.
func Open(ctx context.Context, spec Spec, o Options) (*Image, error) {
	if err := checkPlatforms(o.Platforms); err != nil {
		return nil, err
	}
	if o.Shared != nil && len(o.Platforms) == 0 {
		return o.Shared.openWhole(ctx, spec, o)
	}
	return openNew(ctx, spec, o)
}

// openNew opens what spec names for one image.
func openNew(ctx context.Context, spec Spec, o Options) (*Image, error) {
	var (
		i    *Image
		err  error
		what = "source " + short(spec.Text)
	)
	switch spec.Kind {
	case Registry:
		what = "source " + spec.Reference.String()
		i, err = openRemote(ctx, spec, o)
	case DockerDaemon:
		i, err = openDaemon(ctx, spec, o)
	default:
		i, err = openLocal(ctx, spec, o)
	}
	if err != nil {
		return nil, withSource(what, err)
	}
	// The graph may be known only later.
	i.root, i.platforms = naming(what, i.root), naming(what, i.platforms)
	return i, nil
}

// naming returns f with the source named in its errors.
func naming[T any](what string, f func(context.Context) (T, error)) func(context.Context) (T, error) {
	return func(ctx context.Context) (T, error) {
		v, err := f(ctx)
		if err != nil {
			var none T
			return none, withSource(what, err)
		}
		return v, nil
	}
}

// setRoot loads the graph below d, or what is left of it, and makes it the image's
// root. present is nil where all that d names must be there.
func (i *Image) setRoot(ctx context.Context, g *graph, d v1.Descriptor, o Options,
	present func(v1.Descriptor) bool) error {
	s := subset{graph: g, present: present}
	var err error
	if s.platforms, err = parsePlatforms(o.Platforms); err != nil {
		return err
	}
	whole := d
	if d, err = s.of(ctx, d); err != nil {
		return err
	}
	if g.found = o.Found; i.Origin == nil {
		g.found = nil
	}
	root, err := g.load(ctx, d)
	g.found = nil
	if err != nil {
		return err
	}
	i.root = func(context.Context) (*Manifest, error) { return root, nil }
	i.imagePlatform = g.imagePlatform
	if absent := s.absentPlatforms(); len(absent) > 0 {
		i.absent = func(context.Context) ([]string, error) { return absent, nil }
	}
	i.knows = func(h v1.Hash) bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.manifests[h] != nil
	}
	if whole.Digest != d.Digest {
		i.passedOver = func(ctx context.Context) (PassedOver, error) {
			found, err := i.Referrers(ctx, &Manifest{Descriptor: whole})
			return PassedOver{Unpublished: len(found)}, err
		}
	}
	i.platforms = func(ctx context.Context) ([]string, error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.platformsOf(ctx, root, !i.Remote())
	}
	return nil
}
