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
