package transport

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/retry"
)

// What fails now and then, with nothing between to tell, is not dead.
func TestRareFailuresAreNoDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := retry.SystemClock{}
		th := newPace(clock, 4)
		start := th.silentSince(time.Minute)
		_ = clock.Sleep(t.Context(), 30*time.Second)
		if got := th.silentSince(time.Minute); got != start {
			t.Errorf("silent since %v, want %v", got, start)
		}
		_ = clock.Sleep(t.Context(), 2*time.Minute)
		if got := th.silentSince(time.Minute); got != clock.Now() {
			t.Errorf("silent since %v, want %v", got, clock.Now())
		}
		th.alive()
		_ = clock.Sleep(t.Context(), time.Second)
		if got := th.silentSince(time.Minute); got != clock.Now() {
			t.Errorf("after a sign of life, silent since %v, want %v", got, clock.Now())
		}
	})
}

func TestPaceSlowsDownAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := retry.SystemClock{}
		th := newPace(clock, 4)
		started := clock.Now()
		th.slowDown(started, 0)
		_ = clock.Sleep(t.Context(), time.Second)
		if _, news := th.slowDown(started.Add(-time.Second), 0); news {
			t.Error("a request that began before the last slowing down was counted again")
		}
		if th.uploads.limit != 2 || th.gap != firstGap {
			t.Errorf("limit %d, gap %v after a 429", th.uploads.limit, th.gap)
		}
		for range 10 {
			_ = clock.Sleep(t.Context(), time.Minute)
			th.slowDown(clock.Now(), 0)
		}
		if th.uploads.limit != 1 || th.gap != longestGap {
			t.Errorf("limit %d, gap %v after many", th.uploads.limit, th.gap)
		}
		for range 600 {
			th.ok()
		}
		if th.uploads.limit != 4 || th.requests.limit != maxRequests || th.gap != 0 {
			t.Errorf("limits %d and %d, gap %v after recovery", th.uploads.limit, th.requests.limit, th.gap)
		}
	})
}

func TestLimiter(t *testing.T) {
	l := newLimiter(2)
	ctx, cancel := context.WithCancel(t.Context())
	for range 2 {
		if err := l.acquire(ctx); err != nil {
			t.Fatal(err)
		}
	}
	failed := make(chan error)
	go func() { failed <- l.acquire(ctx) }()
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("acquire: %v", err)
	}
	l.release()
	l.release()
	if l.held != 0 || len(l.waiting) != 0 {
		t.Errorf("held %d, waiting %d at the end", l.held, len(l.waiting))
	}
}
