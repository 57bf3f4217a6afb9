package source

import (
	"context"
	"errors"
	"io"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// layerJob turns layers into blobs in the background. It begins when somebody first asks
// for one, or for the root: nothing of an image is read before that.
type layerJob struct {
	cancel context.CancelFunc
	work   func() (*Manifest, error)

	once    sync.Once
	done    chan struct{}
	root    *Manifest
	err     error
	pending []*pendingLayer
	next    int // the first slot that is free; only work and what runs it use it
}

// newLayerJob returns what will make layers layers by work, which calls finished for each.
func newLayerJob(ctx context.Context, layers int, work func(context.Context) (*Manifest, error)) *layerJob {
	ctx, cancel := context.WithCancel(ctx)
	m := &layerJob{cancel: cancel, done: make(chan struct{})}
	m.work = func() (*Manifest, error) { return work(ctx) }
	for range layers {
		m.pending = append(m.pending, &pendingLayer{job: m, known: make(chan struct{})})
	}
	return m
}

func (m *layerJob) start() {
	m.once.Do(func() {
		go func() {
			defer close(m.done)
			m.root, m.err = m.work()
			if m.err == nil && m.next < len(m.pending) {
				m.err = broken(nil, "%d of %d layers are not there", len(m.pending)-m.next, len(m.pending))
			}
			for _, s := range m.pending[m.next:] {
				s.err = m.err
				close(s.known)
			}
		}()
	})
}

// finished gives the layer that is ready next the next slot: whoever waits for slots in
// their order gets layers in the order in which they become ready.
func (m *layerJob) finished(l layer) (*pendingLayer, error) {
	if m.next == len(m.pending) {
		return nil, broken(nil, "there are more layers than the image's config names")
	}
	s := m.pending[m.next]
	s.layer = l
	s.blob = &localBlob{descriptor: l.descriptor, file: l.file, state: l.state}
	s.blob.verified.Store(true)
	m.next++
	close(s.known)
	return s, nil
}

func (m *layerJob) wait(ctx context.Context) (*Manifest, error) {
	m.start()
	select {
	case <-m.done:
		return m.root, m.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// close stops the work, waits for it and frees its files.
func (m *layerJob) close() error {
	m.cancel()
	m.once.Do(func() { close(m.done) }) // it never began
	<-m.done
	var errs []error
	for _, s := range m.pending {
		if s.layer.release != nil {
			errs = append(errs, s.layer.release())
		}
	}
	return errors.Join(errs...)
}

// blobs returns the layers as blobs.
func (m *layerJob) blobs() []Blob {
	blobs := make([]Blob, len(m.pending))
	for i, s := range m.pending {
		blobs[i] = s
	}
	return blobs
}

// layer is a layer that is ready to be sent. Its bytes have been hashed when they were
// made.
type layer struct {
	descriptor v1.Descriptor
	diffID     v1.Hash
	file       file
	state      fileState    // of the file when it was hashed
	release    func() error // may be nil
}

// pendingLayer is a blob that becomes known when a layer is ready.
type pendingLayer struct {
	job   *layerJob
	known chan struct{}
	layer layer
	blob  *localBlob // reads the layer
	err   error
}

func (s *pendingLayer) Descriptor(ctx context.Context) (v1.Descriptor, error) {
	s.job.start()
	select {
	case <-s.known:
		return s.layer.descriptor, s.err
	case <-ctx.Done():
		return v1.Descriptor{}, context.Cause(ctx)
	}
}

func (s *pendingLayer) Open(ctx context.Context, offset int64) (io.ReadCloser, error) {
	if _, err := s.Descriptor(ctx); err != nil {
		return nil, err
	}
	return s.blob.Open(ctx, offset)
}
