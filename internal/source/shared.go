package source

import (
	"context"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/image"
)

// Shared are the sources that a run has open. One that several images are made from, whole or as
// one of their parts, is opened once and closed by the last of them. The zero value is ready; it
// may be used by several goroutines at once, and must not be copied.
type Shared struct {
	mu   sync.Mutex
	open map[string]*sharedSource
}

// sharedSource is one of them.
type sharedSource struct {
	image func() (*Image, error) // opens it, once
	users int                    // guarded by Shared.mu
}

// openWhole opens all of what spec names, unless it is open. The context of the first call has to
// live as long as the image of the last.
func (s *Shared) openWhole(ctx context.Context, spec Spec, o Options) (*Image, error) {
	s.mu.Lock()
	one, known := s.open[spec.Key()]
	if !known {
		if s.open == nil {
			s.open = map[string]*sharedSource{}
		}
		one = &sharedSource{image: sync.OnceValues(func() (*Image, error) { return openNew(ctx, spec, o) })}
		s.open[spec.Key()] = one
	}
	one.users++
	s.mu.Unlock()
	opened, err := one.image()
	if err != nil {
		return nil, err
	}
	if known && o.Found != nil && opened.Origin != nil {
		if err := tell(ctx, opened, o.Found); err != nil {
			return nil, err
		}
	}
	own := *opened
	own.close = sync.OnceValue(func() error { return s.leave(spec, one) })
	return &own, nil
}

// tell tells of the manifests of an image that is read already.
func tell(ctx context.Context, i *Image, found func([]v1.Descriptor)) error {
	root, err := i.Root(ctx)
	if err != nil {
		return err
	}
	all := []v1.Descriptor{root.Descriptor}
	for _, m := range image.ChildrenFirst(root) {
		all = append(all, m.Descriptor)
	}
	found(all)
	return nil
}

// leave closes the source if nobody else has it.
func (s *Shared) leave(spec Spec, one *sharedSource) error {
	s.mu.Lock()
	one.users--
	last := one.users == 0
	if last {
		delete(s.open, spec.Key())
	}
	s.mu.Unlock()
	if !last {
		return nil
	}
	opened, err := one.image()
	if err != nil {
		return err
	}
	return opened.Close()
}
