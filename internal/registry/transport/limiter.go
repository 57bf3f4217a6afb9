package transport

import (
	"context"
	"sync"
)

// limiter lets a number of holders in that goes down by half and up by one.
type limiter struct {
	mu      sync.Mutex
	most    int
	limit   int
	held    int
	good    int // successes since the limit last changed
	waiting []chan struct{}
}

func newLimiter(most int) *limiter { return &limiter{most: most, limit: most} }

// acquire waits for a place, first come first served.
func (l *limiter) acquire(ctx context.Context) error {
	l.mu.Lock()
	if l.held < l.limit && len(l.waiting) == 0 {
		l.held++
		l.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	l.waiting = append(l.waiting, turn)
	l.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, w := range l.waiting {
		if w == turn {
			l.waiting = append(l.waiting[:i], l.waiting[i+1:]...)
			return context.Cause(ctx)
		}
	}
	// It became our turn at the same moment: pass the place on.
	l.held--
	l.admit()
	return context.Cause(ctx)
}

func (l *limiter) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held--
	l.admit()
}

func (l *limiter) admit() {
	for len(l.waiting) > 0 && l.held < l.limit {
		close(l.waiting[0])
		l.waiting = l.waiting[1:]
		l.held++
	}
}

func (l *limiter) less() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit, l.good = max(1, l.limit/2), 0
}

func (l *limiter) more() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limit == l.most {
		return
	}
	if l.good++; l.good >= l.limit {
		l.limit, l.good = l.limit+1, 0
		l.admit()
	}
}
