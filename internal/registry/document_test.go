package registry

import (
	"context"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/retry"
)

// slowBody is a document of size bytes of which each read takes a second. It counts, in reading, those of
// which more is read than a small one has.
type slowBody struct {
	size    int
	sent    int
	large   bool
	reading func(n int)
}

func (b *slowBody) Read(p []byte) (int, error) {
	if b.sent == b.size {
		return 0, io.EOF
	}
	if b.sent >= smallDocument && !b.large {
		b.large = true
		b.reading(1)
	}
	_ = retry.SystemClock{}.Sleep(context.Background(), time.Second)
	n := min(len(p), b.size-b.sent)
	b.sent += n
	if b.sent == b.size && b.large {
		b.reading(-1)
	}
	return n, nil
}

// Of large documents few are read at once, of small ones any number.
func TestFewLargeDocumentsAtOnce(t *testing.T) {
	for name, size := range map[string]int{"small": smallDocument - 1, "large": 1 << 20, "too large": maxManifest + 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDocuments()
				var mu sync.Mutex
				var now, most int
				reading := func(n int) {
					mu.Lock()
					defer mu.Unlock()
					now += n
					most = max(most, now)
				}
				var all sync.WaitGroup
				for range 10 {
					all.Go(func() {
						raw, err := d.read(t.Context(), &slowBody{size: size, reading: reading})
						if err != nil || len(raw) != size {
							t.Errorf("%d bytes of %d: %v", len(raw), size, err)
						}
					})
				}
				all.Wait()
				if want := largeDocuments; size >= smallDocument && most != want {
					t.Errorf("%d were read at once, want %d", most, want)
				}
			})
		})
	}
}

// Whoever waits for a place does not wait for ever.
func TestLargeDocumentThatNobodyWants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDocuments()
		if err := d.places.Acquire(t.Context(), largeDocuments); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := d.read(ctx, &slowBody{size: 1 << 20, reading: func(int) { t.Error("it is read") }}); err == nil {
			t.Error("no error")
		}
	})
}
