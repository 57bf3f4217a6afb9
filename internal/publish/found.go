package publish

import (
	"context"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// foundManifests are the manifests of an image, as they become known: the index of a remote
// source names what is below it a round trip before that has been read.
type foundManifests struct {
	mu      sync.Mutex
	digests []v1.Hash // the root first
	more    chan struct{}
}

// add adds manifests, each once.
func (a *foundManifests) add(all []v1.Descriptor) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := map[v1.Hash]bool{}
	for _, h := range a.digests {
		known[h] = true
	}
	for _, d := range all {
		if !known[d.Digest] {
			known[d.Digest] = true
			a.digests = append(a.digests, d.Digest)
		}
	}
	close(a.more)
	a.more = make(chan struct{})
}

// from returns all but the first n, and what is closed when there are more.
func (a *foundManifests) from(n int) ([]v1.Hash, <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.digests[n:len(a.digests):len(a.digests)], a.more
}

// askAhead asks t for manifests of its image that have only been named.
func (r *run) askAhead(ctx context.Context, t *target) {
	var g group
	defer g.wait()
	slots := make(chan struct{}, requestsAtOnce)
	for asked := 0; ; {
		digests, more := t.image.found.from(asked)
		asked += len(digests)
		for _, h := range digests {
			g.run(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				_ = r.askOnce(ctx, t, h)
			})
		}
		select {
		case <-more:
		case <-t.image.known.done:
			return
		case <-ctx.Done():
			return
		}
	}
}

// askOnce is askForManifest, whose answer later questions share.
func (r *run) askOnce(ctx context.Context, t *target, digest v1.Hash) error {
	t.mu.Lock()
	answer, asked := t.answers[digest]
	if !asked {
		answer = newFuture()
		t.answers[digest] = answer
	}
	t.mu.Unlock()
	if !asked {
		answer.resolve(r.guarded(t.registry, func() error { return askForManifest(ctx, t, digest) }))
	}
	<-answer.done
	return answer.err
}

// askForManifest returns nil if t has a manifest.
func askForManifest(ctx context.Context, t *target, digest v1.Hash) error {
	within, cancel := t.within(ctx)
	defer cancel()
	_, err := t.client.Stat(within, digest.String())
	return err
}

// dismissProof gives the upload up that proved the permission where nothing will need it, as
// far as can be known: all tags serve the image already. Only the run's end waits for that,
// which then need not come later for it.
func (r *run) dismissProof(ctx context.Context, t *target, updates []*tagUpdate) {
	if r.DryRun || r.Thorough || r.Referrers || t.out() {
		return
	}
	root, ok := t.image.rootDigest(ctx)
	for _, u := range updates {
		ok = ok && !u.beforeUnknown && u.before == root.String()
	}
	if ok {
		<-t.allowed.done
		if t.pending.Load() == 1 { // no other image may use it
			t.client.CancelUploads()
		}
	}
}

// rootDigest waits until the root's digest is known. It is not if the source cannot be read.
func (im *sourceImage) rootDigest(ctx context.Context) (root v1.Hash, ok bool) {
	for {
		digests, more := im.found.from(0)
		if len(digests) > 0 {
			return digests[0], true
		}
		select {
		case <-more:
		case <-im.known.done:
			if im.known.err != nil {
				return root, false
			}
			return im.root.Descriptor.Digest, true
		case <-ctx.Done():
			return root, false
		}
	}
}
