package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/registry/transport"
	"github.com/multi-registry-push/multi-registry-push/internal/retry"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

func TestRetryable(t *testing.T) {
	for status, want := range map[int]bool{
		400: false, 401: false, 403: false, 404: false, 405: false, 408: true, 412: false, 416: false, 425: true, 429: true,
		499: true, 500: true, 501: false, 502: true, 503: true, 504: true, 505: false, 520: true, 524: true, 527: true,
	} {
		if got := Retryable(&Error{Status: status}); got != want {
			t.Errorf("Retryable(%d) = %v", status, got)
		}
	}
	for _, test := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{io.EOF, true},
		{io.ErrUnexpectedEOF, true},
		{transport.ErrStalled, true},
		{fmt.Errorf("read: %w", syscall.ECONNRESET), true},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, true},
		{&net.DNSError{IsTemporary: true}, true},
		{&transport.BrokenError{Err: errors.New("http2: stream closed")}, true},
		{context.Canceled, false},
		{&contentError{io.EOF}, false},
		{&transport.UnsafeError{What: "x"}, false},
		{&transport.GaveUpError{Err: io.EOF}, false},
		{usererror.New(usererror.RegistryGaveUp, "", "", "", io.EOF), false},
		{&transport.BrokenError{Err: http.ErrSchemeMismatch}, false},
		{errors.New("what is this"), false},
	} {
		if got := Retryable(test.err); got != test.want {
			t.Errorf("Retryable(%v) = %v", test.err, got)
		}
	}
}

func TestPassingFailuresAreTriedAgain(t *testing.T) {
	for _, status := range []int{408, 425, 429, 499, 500, 502, 503, 504, 520, 522, 527} {
		f := newFake(t)
		failures := 3
		f.hook = func(w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/manifests/") && failures > 0 {
				failures--
				w.WriteHeader(status)
				return true
			}
			return false
		}
		c, clock := f.client(nil)
		raw := []byte(`{"schemaVersion":2}`)
		if _, err := c.Repository("a").PutManifest(t.Context(), "v1", raw, "application/vnd.oci.image.manifest.v1+json", Condition{}); err != nil {
			t.Errorf("%d: %v", status, err)
		}
		if c.Stats().Retries != 3 || clock.Slept() < firstPause/2 {
			t.Errorf("%d: %d retries, slept %v", status, c.Stats().Retries, clock.Slept())
		}
	}
}

func TestRefusalsAreNotTriedAgain(t *testing.T) {
	for status, want := range map[int]usererror.Code{
		400: usererror.TagRefused, 401: usererror.NoPushPermission, 403: usererror.NoPushPermission, 404: usererror.TagRefused, 409: usererror.TagRefused, 501: usererror.TagRefused,
	} {
		f := newFake(t)
		f.hook = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut {
				refuse(w, status, "WHATEVER", "says the registry")
				return true
			}
			return false
		}
		c, clock := f.client(nil)
		_, err := c.Repository("a").PutManifest(t.Context(), "v1", []byte("{}"), "x/y", Condition{})
		if !usererror.Is(err, want) || !strings.Contains(err.Error(), "says the registry") || clock.Slept() != 0 || f.requests("PUT") != 1 {
			t.Errorf("%d: %v, %d PUTs, want %s", status, err, f.requests("PUT"), want)
		}
	}
}

// A pause that the registry asks for holds for everything sent to it.
func TestRetryAfterHoldsForTheHost(t *testing.T) {
	f := newFake(t)
	clock := newClock()
	var until time.Time
	f.hook = func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case !strings.Contains(r.URL.Path, "/blobs/"):
			return false
		case until.IsZero():
			until = clock.Now().Add(40 * time.Second)
			w.Header().Set("Retry-After", "40")
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		case clock.Now().Before(until):
			t.Errorf("%s %s came before the pause was over", r.Method, r.URL.Path)
		}
		return false
	}
	c, _ := f.client(func(o *Options) { o.Clock = clock })
	data, d := blobOf(10)
	if _, err := c.Repository("a").Upload(t.Context(), d, nil, &bytesContent{data: data}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Repository("b").StatBlob(t.Context(), d.Digest.String()); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
}

func TestRetryAfterTooLong(t *testing.T) {
	f := newFake(t)
	f.hook = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/manifests/") {
			w.Header().Set("Retry-After", "7200")
			http.Error(w, "You have reached your pull rate limit.", http.StatusTooManyRequests)
			return true
		}
		return false
	}
	c, clock := f.client(nil)
	_, _, err := c.Repository("a").Manifest(t.Context(), "latest")
	if !usererror.Is(err, usererror.RateLimited) || !strings.Contains(err.Error(), "2 h 0 min") || !strings.Contains(err.Error(), "pull rate limit") {
		t.Errorf("Manifest: %v", err)
	}
	if clock.Slept() != 0 {
		t.Errorf("slept %v for a limit that does not end in time", clock.Slept())
	}
}

// limited lets n requests through each window.
func limited(n int, window time.Duration, sayWhen bool) func(http.ResponseWriter, *http.Request) bool {
	var mu sync.Mutex
	var passed []time.Time
	return func(w http.ResponseWriter, _ *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		for len(passed) > 0 && !now.Before(passed[0].Add(window)) {
			passed = passed[1:]
		}
		if len(passed) < n {
			passed = append(passed, now)
			return false
		}
		if sayWhen {
			w.Header().Set("Retry-After", fmt.Sprint(int(passed[0].Add(window).Sub(now).Seconds()+1)))
		}
		refuse(w, http.StatusTooManyRequests, "TOOMANYREQUESTS", "slow down")
		return true
	}
}

func TestRateLimitedRegistries(t *testing.T) {
	for _, test := range []struct {
		n      int
		window time.Duration
	}{{20, time.Second}, {20, time.Minute}} {
		for _, sayWhen := range []bool{true, false} {
			name := fmt.Sprintf("%d in %v, Retry-After %v", test.n, test.window, sayWhen)
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { pushToALimitedRegistry(t, test.n, test.window, sayWhen) })
			})
		}
	}
}

// pushToALimitedRegistry uploads 60 blobs at once: all arrive, whoever has to wait longest.
func pushToALimitedRegistry(t *testing.T, n int, window time.Duration, sayWhen bool) {
	t.Helper()
	f := newFakeHandler(t)
	f.hook = limited(n, window, sayWhen)
	c := New(Options{Host: "registry.example", Base: handlerTripper{f}})
	defer c.Close()
	start := time.Now()
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			data, d := blobOf(100 + i)
			if _, err := c.Repository("me/app").Upload(t.Context(), d, nil, &bytesContent{data: data}, nil); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(f.blobs) != 60 {
		t.Errorf("%d blobs arrived", len(f.blobs))
	}
	t.Logf("%d requests, %d retries, %v", c.Stats().Requests, c.Stats().Retries, time.Since(start))
}

// Requests that rest are broken and tried again; those that move slowly are not.
func TestStalls(t *testing.T) {
	const stall = 500 * time.Millisecond
	raw := []byte(strings.Repeat("x", 64))
	for name, first := range map[string]func(w http.ResponseWriter, release chan struct{}){
		"before the answer": func(_ http.ResponseWriter, release chan struct{}) { <-release },
		"in the body": func(w http.ResponseWriter, release chan struct{}) {
			w.Header().Set("Content-Length", "64")
			_, _ = w.Write(raw[:10])
			w.(http.Flusher).Flush()
			<-release
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			release := make(chan struct{})
			t.Cleanup(func() { close(release) })
			f.manifests["a:v1"] = raw
			var stalled atomic.Bool
			f.hook = func(w http.ResponseWriter, r *http.Request) bool {
				if strings.Contains(r.URL.Path, "/manifests/") && !stalled.Swap(true) {
					first(w, release)
					return true
				}
				return false
			}
			c, _ := f.client(func(o *Options) { o.Stall = stall; o.Answer = time.Minute })
			if _, _, err := c.Repository("a").Manifest(t.Context(), "v1"); err != nil {
				t.Error(err)
			}
			if c.Stats().Retries == 0 {
				t.Error("the stall went unnoticed")
			}
		})
	}
	t.Run("upload", func(t *testing.T) {
		f := newFake(t)
		release := make(chan struct{})
		t.Cleanup(func() { close(release) })
		data, d := blobOf(16 << 20) // more than the buffers on the way hold
		var stalled atomic.Bool
		f.hook = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut && !stalled.Swap(true) {
				_, _ = io.ReadFull(r.Body, make([]byte, 1000))
				<-release
				return true
			}
			return false
		}
		c, _ := f.client(func(o *Options) { o.Stall = stall; o.Answer = time.Minute })
		if _, err := c.Repository("a").Upload(t.Context(), d, nil, &bytesContent{data: data}, nil); err != nil {
			t.Error(err)
		}
		if !bytes.Equal(f.blobs["a@"+d.Digest.String()], data) || c.Stats().Retries == 0 {
			t.Error("the stall went unnoticed")
		}
	})
}

// What we ourselves take our time for is no stall, on whatever machine.
func TestNoStalls(t *testing.T) {
	const stall = 500 * time.Millisecond
	t.Run("a reader that rests", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeHandler(t)
			data, d := blobOf(1 << 20) // more than the buffers on the way hold
			f.blobs["a@"+d.Digest.String()] = data
			c := f.inBubble(Options{Stall: stall, Answer: stall})
			body, err := c.Repository("a").OpenBlob(t.Context(), d, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer body.Close()
			for range 3 { // before the first byte, and between others
				if err := (retry.SystemClock{}).Sleep(t.Context(), 3*stall); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(body, make([]byte, 1000)); err != nil {
					t.Fatal(err)
				}
			}
			if rest, err := io.ReadAll(body); err != nil || !bytes.Equal(rest, data[3000:]) {
				t.Errorf("%d bytes more, %v", len(rest), err)
			}
		})
	})
	t.Run("slow but moving", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeHandler(t)
			data, d := blobOf(20)
			// The source takes longer than a stall for each byte: not the registry's fault.
			content := slowContent{data, stall + stall/2}
			c := f.inBubble(Options{Stall: stall, Answer: time.Minute})
			if _, err := c.Repository("a").Upload(t.Context(), d, nil, content, nil); err != nil || c.Stats().Retries != 0 {
				t.Errorf("Upload: %v after %d retries", err, c.Stats().Retries)
			}
		})
	})
}

type slowContent struct {
	data  []byte
	pause time.Duration
}

func (s slowContent) Open(ctx context.Context, offset int64) (io.ReadCloser, error) {
	return io.NopCloser(&slowReader{ctx, s.data[offset:], s.pause}), nil
}

type slowReader struct {
	ctx   context.Context
	data  []byte
	pause time.Duration
}

func (s *slowReader) Read(p []byte) (int, error) {
	if err := (retry.SystemClock{}).Sleep(s.ctx, s.pause/10); err != nil {
		return 0, err
	}
	if len(s.data) == 10 {
		if err := (retry.SystemClock{}).Sleep(s.ctx, s.pause); err != nil {
			return 0, err
		}
	}
	if len(s.data) == 0 {
		return 0, io.EOF
	}
	p[0], s.data = s.data[0], s.data[1:]
	return 1, nil
}
