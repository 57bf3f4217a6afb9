package retry

import (
	"context"
	"time"
)

// Outlive returns a context that ends d after ctx does, for the reason why, whether ctx has ended
// already or does so meanwhile: for what has begun and must not be cut off. The time is the
// machine's.
func Outlive(ctx context.Context, d time.Duration, why error) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(d, func() { cancel(why) })
		context.AfterFunc(longer, func() { timer.Stop() })
	})
	return longer, func() { stop(); cancel(nil) }
}
