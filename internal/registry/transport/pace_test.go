package transport

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/retry"
)

// What fails now and then, with nothing between to tell, is not dead.
func TestRareFailuresAreNoDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := retry.SystemClock{}
		th := newPace(clock, newLimiter(clock, 4, nil))
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
		th := newPace(clock, newLimiter(clock, 4, nil))
		started := clock.Now()
		th.slowDown(started, 0)
		_ = clock.Sleep(t.Context(), time.Second)
		if _, news := th.slowDown(started.Add(-time.Second), 0); news {
			t.Error("a request that began before the last slowing down was counted again")
		}
		if th.limiter.limit[large] != 2 || th.gap != firstGap {
			t.Errorf("limit %d, gap %v after a 429", th.limiter.limit[large], th.gap)
		}
		for range 10 {
			_ = clock.Sleep(t.Context(), time.Minute)
			th.slowDown(clock.Now(), 0)
		}
		if th.limiter.limit[large] != 1 || th.gap != longestGap {
			t.Errorf("limit %d, gap %v after many", th.limiter.limit[large], th.gap)
		}
		for range 600 {
			th.ok()
		}
		if th.limiter.limit[large] != 4 || th.limiter.limit[request] != boundsHTTP2.total || th.gap != 0 {
			t.Errorf("limits %d and %d, gap %v after recovery", th.limiter.limit[large], th.limiter.limit[request], th.gap)
		}
	})
}
