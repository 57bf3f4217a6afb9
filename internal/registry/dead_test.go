package registry

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
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
		if took := time.Since(start); took > firstContact {
			t.Errorf("took %v, the budget is %v", took, firstContact)
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
			return 0, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
		}, retryBudget / 2, retryBudget + longestPause},
		"503": {func(string) (int, error) { return 503, nil }, retryBudget / 2, retryBudget + longestPause},
		"503 for one, others live": {func(path string) (int, error) {
			if strings.HasSuffix(path, "/well") {
				return 404, nil
			}
			return 503, nil
		}, 2 * retryBudget, 3 * retryBudget},
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
		if took := time.Since(start); took > retryBudget {
			t.Errorf("took %v, the budget is %v", took, retryBudget)
		}
	})
}
