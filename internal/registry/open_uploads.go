package registry

import (
	"context"
	"sync"

	"github.com/multi-registry-push/multi-registry-push/internal/registry/auth"
)

// openUploads are uploads of a repository that are open, or being opened, before it is known
// which blob each will carry: the one that proves the permission, and those of OpenUploads.
type openUploads struct {
	mu     sync.Mutex
	all    []*opening
	closed bool // none is wanted any more
}

// opening is an upload that is being opened.
type opening struct {
	done    chan struct{} // closed when session is set
	session *session      // nil if none was opened
}

// OpenUploads opens uploads until there are n that carry no blob yet, and returns what waits
// for that. The next blobs take them (see Upload): opened while the registry is asked which
// blobs it has, they cost no round trip of their own. Each is tried once: what fails is left to
// a blob, which opens its own with the patience that a blob has, and says why it cannot.
func (r *Repository) OpenUploads(ctx context.Context, n int) (wait func()) {
	var running sync.WaitGroup
	for _, o := range r.uploads.reserve(n) {
		running.Go(func() {
			var s *session
			if _, err := r.c.host.Wait(ctx); err == nil {
				s, _ = r.post(ctx, call{doing: "opening an upload", need: auth.Access{Write: true}}, nil)
			}
			r.cancel(r.uploads.opened(o, s))
		})
	}
	return running.Wait
}

// CancelUploads gives all uploads up that carry no blob, and those that are still being opened.
// It does not wait: Client.Close does.
func (r *Repository) CancelUploads() {
	for _, s := range r.uploads.close() {
		r.cancel(s)
	}
}

// reserve adds uploads that are to be opened, until there are n.
func (u *openUploads) reserve(n int) (added []*opening) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for len(u.all) < n && !u.closed {
		o := &opening{done: make(chan struct{})}
		u.all = append(u.all, o)
		added = append(added, o)
	}
	return added
}

// opened says what came of an opening, and returns the session if nobody wants it any more.
func (u *openUploads) opened(o *opening, s *session) (unwanted *session) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		s, unwanted = nil, s
	}
	o.session = s
	close(o.done)
	return unwanted
}

// add adds an upload that is open, and returns it if nobody wants it any more.
func (u *openUploads) add(s *session) (unwanted *session) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return s
	}
	o := &opening{done: make(chan struct{}), session: s}
	close(o.done)
	u.all = append(u.all, o)
	return nil
}

// take returns the next upload, once it is open, and nil if there is none.
func (u *openUploads) take() *session {
	u.mu.Lock()
	if len(u.all) == 0 {
		u.mu.Unlock()
		return nil
	}
	o := u.all[0]
	u.all = u.all[1:]
	u.mu.Unlock()
	<-o.done
	return o.session
}

// close makes all that are opened from now on unwanted, and returns those that are open.
func (u *openUploads) close() (open []*session) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	for _, o := range u.all {
		open = append(open, o.session) // nil while it is being opened
	}
	u.all = nil
	return open
}
