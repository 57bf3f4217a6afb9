package publish

import (
	"strings"
	"sync"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// A panic in any goroutine of a run becomes the error of the registry that it was for: that one
// fails, the others are pushed, and nothing is half.
func TestPanicsAreErrors(t *testing.T) {
	root := twoPlatforms(t, "app")
	var mu sync.Mutex
	calls := map[string]bool{}
	clean := newSetup(t, root, "a.test/app:1", "b.test/app:1")
	clean.hosts["a.test"].fail = func(call string) error {
		mu.Lock()
		defer mu.Unlock()
		calls[strings.Fields(call)[0]] = true
		return nil
	}
	clean.run(t.Context())
	if len(calls) < 5 {
		t.Fatalf("only %v", calls)
	}
	for method := range calls {
		t.Run(method, func(t *testing.T) {
			s := newSetup(t, root, "a.test/app:1", "b.test/app:1")
			s.hosts["a.test"].fail = func(call string) error {
				if strings.Fields(call)[0] == method {
					panic("of " + method)
				}
				return nil
			}
			s.run(t.Context())
			s.kept(t)
			r := s.registry("a.test")
			if r.Status() != Failed || len(r.Failures) == 0 || r.Failures[0].Code != usererror.Internal {
				t.Errorf("%s: %+v", r.Status(), r.Failures)
			}
			if other := s.registry("b.test"); other.Status() != Pushed {
				t.Errorf("the other registry is %s: %+v", other.Status(), other.Failures)
			}
		})
	}
}
