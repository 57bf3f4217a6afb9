package transport

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Who waits for somebody who is cancelled does it himself.
func TestSharedCallOfACancelledCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f SharedCall
		first, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			err := f.Do(first, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		synctest.Wait()
		done := 0
		for range 3 {
			all.Go(func() {
				err := f.Do(t.Context(), func(context.Context) error { time.Sleep(time.Second); done++; return nil })
				if err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		cancel()
		all.Wait()
		if done != 1 {
			t.Errorf("done %d times", done)
		}
	})
}
