package retry

import (
	"context"
	"time"
)

// Clock tells the time and waits, so that tests can hold it.
type Clock interface {
	Now() time.Time
	// Sleep waits for d, or until ctx is done, whose cause it then returns.
	Sleep(ctx context.Context, d time.Duration) error
}

// SystemClock is the machine's clock.
type SystemClock struct{}

// Now returns the time.
func (SystemClock) Now() time.Time { return time.Now() }

// Sleep waits for d, or until ctx is done, whose cause it then returns.
func (SystemClock) Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
