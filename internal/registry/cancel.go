package registry

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/registry/auth"
	"github.com/multi-registry-push/multi-registry-push/internal/registry/transport"
	"github.com/multi-registry-push/multi-registry-push/internal/retry"
)

// Bounds of giving an upload up.
const (
	// mostCancels is how often an upload that is still being written to is asked to end.
	mostCancels = 8
	// firstCancelPause is waited before the second try, twice that before the third, and
	// so on.
	firstCancelPause = 50 * time.Millisecond
)

// cancellations are uploads that are being given up while everything else goes on.
type cancellations struct {
	mu      sync.Mutex
	running map[*session]*cancellation
}

type cancellation struct {
	stop context.CancelFunc
	done chan struct{}
}

// start runs cancel in a goroutine of its own, which wait waits for.
func (c *cancellations) start(s *session, cancel func(context.Context)) {
	ctx, stop := context.WithCancel(context.Background())
	one := &cancellation{stop: stop, done: make(chan struct{})}
	c.mu.Lock()
	if c.running == nil {
		c.running = map[*session]*cancellation{}
	}
	c.running[s] = one
	c.mu.Unlock()
	go func() {
		defer close(one.done)
		defer func() {
			stop()
			c.mu.Lock()
			delete(c.running, s)
			c.mu.Unlock()
		}()
		cancel(ctx)
	}()
}

// wait waits for all that were started. What has not ended within limit is stopped.
func (c *cancellations) wait(limit time.Duration) {
	c.mu.Lock()
	all := make([]*cancellation, 0, len(c.running))
	for _, one := range c.running {
		all = append(all, one)
	}
	c.mu.Unlock()
	if len(all) == 0 {
		return
	}
	timer := time.AfterFunc(limit, func() {
		for _, one := range all {
			one.stop()
		}
	})
	defer timer.Stop()
	for _, one := range all {
		<-one.done
	}
}

// cancel gives an upload up in the background, so that the registry need not keep its
// bytes until they expire. Client.Close waits for it. Refusals are remembered, not
// reported: some registries do not cancel, or want the right to delete for it.
func (r *Repository) cancel(s *session) {
	if s != nil && !r.cannotCancel.Load() {
		r.c.cancellations.start(s, func(ctx context.Context) { r.cancelNow(ctx, s) })
	}
}

// cancelNow asks until the upload has ended. A registry that still reads from a
// connection that broke has moved on from where the session's URL says that it stands,
// and refuses (Distribution 3: 416): it is asked where it stands, and told again.
func (r *Repository) cancelNow(ctx context.Context, s *session) {
	pause := firstCancelPause
	for try := range mostCancels {
		if try > 0 {
			if (retry.SystemClock{}).Sleep(ctx, pause) != nil {
				return
			}
			pause *= 2
			if known, err := r.ask(ctx, "cancelling an upload", s); err != nil || !known {
				return
			}
		}
		resp, err := r.reach(ctx, call{
			doing: "cancelling an upload", method: http.MethodDelete, url: s.url, away: s.away,
			need: auth.Access{Write: true, Remove: true},
		}, s.url)
		if err != nil {
			return
		}
		transport.Drain(resp)
		switch resp.StatusCode {
		case http.StatusRequestedRangeNotSatisfiable, http.StatusConflict, http.StatusBadRequest:
			continue
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusNotImplemented:
			r.cannotCancel.Store(true)
		}
		return
	}
}
