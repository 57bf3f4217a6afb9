package publish

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
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

// With atomic a panic at any request, those after the first tag included, is the error of what it
// was for: every registry has a result, and no tag moves anywhere unless all may.
func TestPanicsInAnAtomicRun(t *testing.T) {
	root := twoPlatforms(t, "app")
	start := func() *setup {
		s := newSetup(t, root, "a.test/app:1", "b.test/app:1", "c.test/app:1")
		s.settings.Atomic = true
		no := false
		s.credential = func(r imageref.Repository) credentials.Credential {
			if r.Host == "c.test" {
				return credentials.Credential{Item: item(&no, false)}
			}
			return credentials.Credential{}
		}
		return s
	}
	at := func(s *setup, n int) (calls *int) {
		var mu sync.Mutex
		calls = new(int)
		s.hosts["a.test"].fail = func(call string) error {
			mu.Lock()
			defer mu.Unlock()
			if *calls++; *calls == n {
				panic("at " + call)
			}
			return nil
		}
		return calls
	}
	clean := start()
	all := at(clean, 0)
	clean.run(t.Context())
	if *all < 12 {
		t.Fatalf("only %d calls", *all)
	}
	for n := 1; n <= *all; n++ {
		s := start()
		at(s, n)
		s.run(t.Context())
		s.kept(t)
		a, b, c := s.registry("a.test"), s.registry("b.test"), s.registry("c.test")
		if a.Status() != Failed || !s.failedWith("a.test", usererror.Internal) {
			t.Errorf("call %d: a.test is %s: %+v", n, a.Status(), a.Failures)
		}
		for _, other := range []RegistryResult{b, c} {
			if got := other.Status(); got != HeldBack && got != Pushed {
				t.Errorf("call %d: %s is %s: %+v %+v", n, other.Host, got, other.Failures, other.References)
			}
			if tags := len(s.hosts[other.Host].tags()); (tags == 1) != (other.Status() == Pushed) {
				t.Errorf("call %d: %s is %s and serves %d tags", n, other.Host, other.Status(), tags)
			}
		}
	}
}

// A panic while a tag is put back is why it was not.
func TestPanicWhilePuttingBack(t *testing.T) {
	s := newSetup(t, twoPlatforms(t, "app"), "a.test/app:1", "b.test/app:1")
	s.settings.Atomic = true
	written := make(chan struct{})
	s.hosts["a.test"].fail = func(call string) error {
		switch call {
		case "PutManifest app 1":
			close(written)
		case "DeleteTag app 1":
			panic("of a delete")
		}
		return nil
	}
	s.hosts["b.test"].refuseAfter("PutManifest app 1", written)
	s.run(t.Context())
	if !s.failedWith("a.test", usererror.NotPutBack) || s.registry("b.test").Status() != Failed {
		t.Errorf("%v", s.failures())
	}
}

// A write that got no answer when the job was cancelled is not said to be put back, nor to be left
// alone: it may come.
func TestCutWriteMayYetMove(t *testing.T) {
	for _, atomic := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) { cutWriteMayYetMove(t, atomic) })
	}
}

func cutWriteMayYetMove(t *testing.T, atomic bool) {
	s := newSetup(t, twoPlatforms(t, "app"), "a.test/app:1")
	s.settings.Atomic = atomic
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.hosts["a.test"].fail = func(call string) error {
		if call == "PutManifest app 1" {
			cancel()
			return context.Canceled
		}
		return nil
	}
	s.run(ctx)
	ref := s.registry("a.test").References[0]
	if ref.Status != Failed || !strings.Contains(string(ref.Reason), "may yet move") {
		t.Errorf("atomic %v: %+v", atomic, ref)
	}
}
