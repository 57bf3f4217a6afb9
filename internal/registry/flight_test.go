package registry

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// A host that is dead costs one budget, not one for each repository that is wanted.
func TestADeadHostCostsOneBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{Host: "registry.example", Base: tripperFunc(func(*http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
		})})
		start := time.Now()
		var all sync.WaitGroup
		for _, path := range []string{"a", "b", "c", "d"} {
			all.Go(func() {
				if err := c.Repository(path).Login(t.Context()); err == nil || !strings.Contains(err.Error(), "refused") {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if took := time.Since(start); took > defaultFirstContact {
			t.Errorf("took %v, the budget is %v", took, defaultFirstContact)
		}
	})
}

// A host that dies in mid-run costs one budget, too, however much is still wanted of it, one after
// the other; one that only refuses one thing costs a budget for each.
func TestAHostThatDiesCostsOneBudget(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(path string) (int, error)
		least  time.Duration
		most   time.Duration
	}{
		"connection refused": {func(string) (int, error) {
			return 0, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
		}, defaultRetryBudget / 2, defaultRetryBudget + longestPause},
		"503": {func(string) (int, error) { return 503, nil }, defaultRetryBudget / 2, defaultRetryBudget + longestPause},
		"503 for one, others live": {func(path string) (int, error) {
			if strings.HasSuffix(path, "/well") {
				return 404, nil
			}
			return 503, nil
		}, 2 * defaultRetryBudget, 3 * defaultRetryBudget},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c1 := New(Options{Host: "registry.example", Base: tripperFunc(func(req *http.Request) (*http.Response, error) {
					resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: req}
					var err error
					if req.URL.Path != "/v2/" {
						resp.StatusCode, err = c.answer(req.URL.Path)
					}
					if err != nil {
						return nil, err
					}
					return resp, nil
				})})
				start := time.Now()
				for _, tag := range []string{"1", "2", "3"} {
					if _, err := c1.Repository("a").Stat(t.Context(), tag); !usererror.Is(err, usererror.RegistryGaveUp) {
						t.Errorf("%s: %v", tag, err)
					}
					_, _ = c1.Repository("a").StatBlob(t.Context(), "well")
				}
				if took := time.Since(start); took < c.least || took > c.most {
					t.Errorf("took %v, want %v to %v", took, c.least, c.most)
				}
			})
		})
	}
}

// What fails now and then, with nothing between to tell, is not dead.
func TestRareFailuresAreNoDeath(t *testing.T) {
	clock := newClock()
	th := newThrottle(clock, 4)
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
}

// A token server that is down costs one budget, too.
func TestADeadTokenServerCostsOneBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{Host: "registry.example", Base: tripperFunc(func(req *http.Request) (*http.Response, error) {
			resp := &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{}, Body: http.NoBody, Request: req}
			if req.URL.Path != "/token" {
				resp.StatusCode = http.StatusUnauthorized
				resp.Header.Set("WWW-Authenticate", `Bearer realm="https://registry.example/token",service="x"`)
			}
			return resp, nil
		})})
		start := time.Now()
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if err := c.Repository("a").Login(t.Context()); err == nil || !strings.Contains(err.Error(), "503") {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if took := time.Since(start); took > defaultRetryBudget {
			t.Errorf("took %v, the budget is %v", took, defaultRetryBudget)
		}
	})
}

// Who waits for somebody who is cancelled does it himself.
func TestFlightOfACancelledCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flight
		first, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			err := f.do(first, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		synctest.Wait()
		done := 0
		for range 3 {
			all.Go(func() {
				err := f.do(t.Context(), func(context.Context) error { time.Sleep(time.Second); done++; return nil })
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
