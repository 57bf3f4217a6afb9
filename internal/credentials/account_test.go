package credentials

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

func TestAccountAsksOnceForAll(t *testing.T) {
	clock := newClock()
	release := make(chan struct{})
	calls := 0
	a := &account{clock: clock, issue: func(context.Context) (issued, error) {
		calls++
		<-release
		return issued{config: authn.AuthConfig{Password: "p"}, at: clock.Now(), expires: clock.Now().Add(time.Hour)}, nil
	}}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if config, err := a.AuthorizationContext(t.Context()); err != nil || config.Password != "p" {
				t.Errorf("%v, %v", config, err)
			}
		})
	}
	close(release)
	wg.Wait()
	if calls != 1 {
		t.Errorf("asked %d times", calls)
	}
}

func TestAccountRenewsBeforeTheEnd(t *testing.T) {
	for _, life := range []time.Duration{5 * time.Minute, time.Hour, 12 * time.Hour} {
		clock := newClock()
		calls := 0
		a := &account{clock: clock, issue: func(context.Context) (issued, error) {
			calls++
			return issued{at: clock.Now(), expires: clock.Now().Add(life)}, nil
		}}
		ask := func(want int) {
			t.Helper()
			if _, err := a.Authorization(); err != nil {
				t.Fatal(err)
			}
			if calls != want {
				t.Errorf("life %s: asked %d times, want %d", life, calls, want)
			}
		}
		ask(1)
		clock.Advance(life * 8 / 10)
		ask(1)
		clock.Advance(life*2/10 - time.Second)
		ask(2)
	}
}

func TestAccountRemembersARefusal(t *testing.T) {
	tests := []struct {
		err  error
		want int
	}{
		{usererror.New(usererror.OIDCRefused, "", "", "", nil), 1},
		{usererror.New(usererror.WrongCredentials, "", "", "", nil), 1},
		{usererror.New(usererror.Unreachable, "", "", "", nil), 2},
		{errors.New("anything"), 2},
	}
	for _, tt := range tests {
		calls := 0
		a := &account{clock: newClock(), issue: func(context.Context) (issued, error) {
			calls++
			return issued{}, tt.err
		}}
		for range 2 {
			if _, err := a.AuthorizationContext(t.Context()); !errors.Is(err, tt.err) {
				t.Errorf("got %v", err)
			}
		}
		if calls != tt.want {
			t.Errorf("%v: asked %d times, want %d", tt.err, calls, tt.want)
		}
	}
}

func TestAccountOutlivesTheFirstCallersCancellation(t *testing.T) {
	started, calls := make(chan struct{}), 0
	a := &account{clock: newClock()}
	a.issue = func(ctx context.Context) (issued, error) {
		calls++
		if calls == 1 {
			close(started)
			<-ctx.Done()
			return issued{}, ctx.Err()
		}
		return issued{config: authn.AuthConfig{Password: "p"}}, nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := a.AuthorizationContext(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("the cancelled one got %v", err)
		}
	})
	<-started
	wg.Go(func() {
		if config, err := a.AuthorizationContext(t.Context()); err != nil || config.Password != "p" {
			t.Errorf("the other got %v, %v", config, err)
		}
	})
	// One who waits and is cancelled goes away at once.
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := a.AuthorizationContext(gone); err == nil && calls == 1 {
		t.Error("somebody without a context got a credential that nobody issued")
	}
	cancel()
	wg.Wait()
}
