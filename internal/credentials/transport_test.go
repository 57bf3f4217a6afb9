package credentials

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/retry/clocktest"
)

// answers is a network that gives one answer after the other, and repeats the last.
type answers struct {
	clock  *clocktest.Clock
	takes  time.Duration // for each
	list   []http.Response
	bodies []string // received
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	a.clock.Advance(a.takes)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	a.bodies = append(a.bodies, string(body))
	next := a.list[0]
	if len(a.list) > 1 {
		a.list = a.list[1:]
	}
	if next.StatusCode == 0 {
		return nil, errors.New("connection reset by peer")
	}
	next.Body = io.NopCloser(strings.NewReader("the answer"))
	return &next, nil
}

func status(code int, header ...string) http.Response {
	r := http.Response{StatusCode: code, Header: http.Header{}}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func TestExchangeTriesAgain(t *testing.T) {
	tests := []struct {
		name  string
		list  []http.Response
		takes time.Duration
		sent  int
		waits []time.Duration // 0: somewhat random
		want  string          // of the error
	}{
		{name: "at once", list: []http.Response{status(200)}, sent: 1},
		{name: "refused", list: []http.Response{status(403)}, sent: 1},
		{name: "redirected", list: []http.Response{status(302, "Location", "https://evil.example/")}, sent: 1},
		{name: "broken, then busy", list: []http.Response{status(0), status(503), status(200)}, sent: 3, waits: []time.Duration{0, 0}},
		{name: "Retry-After", list: []http.Response{status(429, "Retry-After", "7"), status(200)}, sent: 2, waits: []time.Duration{7 * time.Second}},
		{name: "Retry-After as a date", list: []http.Response{status(503, "Retry-After", "Sat, 21 Nov 2026 12:00:09 GMT"), status(200)}, sent: 2, waits: []time.Duration{9 * time.Second}},
		{name: "Retry-After that is too long", list: []http.Response{status(429, "Retry-After", "3600")}, sent: 1, want: "provider.example answered 429 Too Many Requests"},
		{name: "always busy", list: []http.Response{status(500)}, sent: 4, waits: []time.Duration{0, 0, 0}, want: "provider.example answered 500 Internal Server Error, 4 times"},
		{name: "always broken", list: []http.Response{status(0)}, sent: 4, waits: []time.Duration{0, 0, 0}, want: "provider.example does not answer: connection reset by peer"},
		{name: "broken after a long time", list: []http.Response{status(0)}, takes: 40 * time.Second, sent: 2, waits: []time.Duration{0}, want: "provider.example does not answer: connection reset by peer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			clock := newClock()
			net := &answers{clock: clock, takes: tt.takes, list: tt.list}
			e := &exchangeTransport{base: net, clock: clock, timeout: time.Minute}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://provider.example/token?secret=1", io.MultiReader(strings.NewReader("the "), strings.NewReader("form")))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := e.client().Do(req)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
			} else if u := (*unanswered)(nil); !errors.As(err, &u) || u.Error() != tt.want {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if len(net.bodies) != tt.sent || len(clock.Waits()) != len(tt.waits) {
				t.Errorf("sent %d times, waited %v", len(net.bodies), clock.Waits())
			}
			for _, body := range net.bodies {
				if body != "the form" {
					t.Errorf("sent %q", body)
				}
			}
			for i, want := range tt.waits {
				if want != 0 && clock.Waits()[i] != want || clock.Waits()[i] <= 0 {
					t.Errorf("waited %v, want %v", clock.Waits(), tt.waits)
				}
			}
		})
	}
}

func TestExchangeStopsWhenCancelled(t *testing.T) {
	clock := newClock()
	ctx, cancel := context.WithCancel(t.Context())
	net := &answers{clock: clock, list: []http.Response{status(500)}}
	e := &exchangeTransport{base: net, clock: clock, timeout: time.Minute, onAnswer: func(string, int, []byte) { cancel() }}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://provider.example/token", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.client().Do(req); !errors.Is(err, context.Canceled) || len(net.bodies) != 1 {
		t.Errorf("%v after %d requests", err, len(net.bodies))
	}
}

func TestTokensAreSentOverTLSOnly(t *testing.T) {
	for address, allowed := range map[string]bool{
		"https://provider.example": true, "http://127.0.0.1:8080": true, "http://[::1]:8080": true, "http://localhost": true,
		"http://provider.example": false, "http://10.0.0.1": false, "http://localhost.evil.example": false, "http://127.0.0.1.evil.example": false,
	} {
		net := &answers{clock: newClock(), list: []http.Response{status(200)}}
		e := &exchangeTransport{base: net, clock: net.clock, timeout: time.Minute}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := e.client().Do(req)
		if (err == nil) != allowed || (len(net.bodies) > 0) != allowed {
			t.Errorf("%s: %v", address, err)
		}
		if err == nil {
			_ = resp.Body.Close()
		}
	}
}
