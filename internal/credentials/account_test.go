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

func TestAccountBuysOnceForAll(t *testing.T) {
	clock := newClock()
	release := make(chan struct{})
	purchases := 0
	a := &account{clock: clock, buy: func(context.Context) (bought, error) {
		purchases++
		<-release
		return bought{config: authn.AuthConfig{Password: "p"}, bought: clock.Now(), expires: clock.Now().Add(time.Hour)}, nil
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
	if purchases != 1 {
		t.Errorf("bought %d times", purchases)
	}
}

func TestAccountRenewsBeforeTheEnd(t *testing.T) {
	for _, life := range []time.Duration{5 * time.Minute, time.Hour, 12 * time.Hour} {
		clock := newClock()
		purchases := 0
		a := &account{clock: clock, buy: func(context.Context) (bought, error) {
			purchases++
			return bought{bought: clock.Now(), expires: clock.Now().Add(life)}, nil
		}}
		ask := func(want int) {
			t.Helper()
			if _, err := a.Authorization(); err != nil {
				t.Fatal(err)
			}
			if purchases != want {
				t.Errorf("life %s: bought %d times, want %d", life, purchases, want)
			}
		}
		ask(1)
		clock.advance(life * 8 / 10)
		ask(1)
		clock.advance(life*2/10 - time.Second)
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
		purchases := 0
		a := &account{clock: newClock(), buy: func(context.Context) (bought, error) {
			purchases++
			return bought{}, tt.err
		}}
		for range 2 {
			if _, err := a.AuthorizationContext(t.Context()); !errors.Is(err, tt.err) {
				t.Errorf("got %v", err)
			}
		}
		if purchases != tt.want {
			t.Errorf("%v: asked %d times, want %d", tt.err, purchases, tt.want)
		}
	}
}

func TestAccountOutlivesTheBuyersCancellation(t *testing.T) {
	started, purchases := make(chan struct{}), 0
	a := &account{clock: newClock()}
	a.buy = func(ctx context.Context) (bought, error) {
		purchases++
		if purchases == 1 {
			close(started)
			<-ctx.Done()
			return bought{}, ctx.Err()
		}
		return bought{config: authn.AuthConfig{Password: "p"}}, nil
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
	if _, err := a.AuthorizationContext(gone); err == nil && purchases == 1 {
		t.Error("somebody without a context got a credential that nobody bought")
	}
	cancel()
	wg.Wait()
}
