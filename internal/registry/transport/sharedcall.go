package transport

import (
	"context"
	"sync"
)

// SharedCall is work that is done once however many want it at a time: those who come
// while it is under way wait for its outcome and share it, failures too, so that what
// fails slowly does not fail slowly for each of them in turn. Its zero value is ready.
type SharedCall struct {
	mu      sync.Mutex
	current *attempt
}

// attempt is one go at it.
type attempt struct {
	done      chan struct{}
	err       error
	abandoned bool // its caller went away: that is no outcome
}

// Do runs work, or waits for the work that is under way. An attempt that failed because
// its own caller was cancelled is made again by one of those who waited.
func (c *SharedCall) Do(ctx context.Context, work func(context.Context) error) error {
	for {
		c.mu.Lock()
		a := c.current
		if a == nil {
			a = &attempt{done: make(chan struct{})}
			c.current = a
			c.mu.Unlock()
			return c.lead(ctx, a, work)
		}
		c.mu.Unlock()
		select {
		case <-a.done:
			if !a.abandoned {
				return a.err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (c *SharedCall) lead(ctx context.Context, a *attempt, work func(context.Context) error) error {
	a.abandoned = true // should work panic
	defer func() {
		c.mu.Lock()
		c.current = nil
		c.mu.Unlock()
		close(a.done)
	}()
	a.err = work(ctx)
	a.abandoned = a.err != nil && ctx.Err() != nil
	return a.err
}
