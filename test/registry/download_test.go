package registry

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/blobcache"
	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
)

// opener reads a blob from a repository, one attempt at a time, and does something when
// it has come to a byte.
type opener struct {
	r  *registry.Repository
	d  v1.Descriptor
	at int64
	do func()
	// received is told of the bytes that arrive.
	received func(n int64)

	mu   sync.Mutex
	done bool
}

func (o *opener) Open(ctx context.Context, offset int64) (io.ReadCloser, error) {
	if o.at == 0 && offset == 0 {
		o.reach(0)
	}
	body, err := o.r.OpenBlob(registry.WithReceived(ctx, o.received), o.d, offset)
	if err != nil {
		return nil, err
	}
	return &reader{body, o, offset}, nil
}

func (o *opener) reach(offset int64) {
	o.mu.Lock()
	fire := !o.done && offset >= o.at
	o.done = o.done || fire
	o.mu.Unlock()
	if fire {
		o.do()
	}
}

type reader struct {
	io.ReadCloser
	o      *opener
	offset int64
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.offset += int64(n)
	r.o.reach(r.offset)
	return n, err
}

// downloads are the faults that can hit an answer's body.
var downloads = []fault{
	{name: "connection reset (RST)", hard: true, arm: down("reset_peer", map[string]any{"timeout": 0})},
	{name: "connection closed (FIN)", arm: down("limit_data", map[string]any{"bytes": 0})},
	{name: "stall, nothing passes any more", rests: true, arm: down("timeout", map[string]any{"timeout": 0})},
	{name: "bytes vanish, then closed", arm: down("timeout", map[string]any{"timeout": 50})},
	{name: "registry gone for a moment (refused)", arm: faults[6].arm},
	{name: "registry breaks off", exact: true},
	{name: "slow link, 16 MB/s", stays: true, arm: down("bandwidth", map[string]any{"rate": 16 << 10})},
	{name: "bytes in small pieces", stays: true, arm: down("slicer", map[string]any{"average_size": 8 << 10, "size_variation": 4 << 10, "delay": 10})},
}

// downloadSize is more than the buffers on the way hold.
const downloadSize = 16 << 20

// A source that breaks off goes on by range, and each of the readers gets it whole.
func TestDownloads(t *testing.T) {
	var mu sync.Mutex
	byKind := map[string][]result{}
	t.Run("all", func(t *testing.T) {
		for _, kind := range kinds {
			t.Run(kind.name, func(t *testing.T) {
				t.Parallel()
				s := kind.start(t)
				data, d := noise(downloadSize, 4)
				direct := newLink(t, s.Host, false)
				if _, err := client(t, s, direct, patience(false), nil).Repository("lib/base").Upload(t.Context(), d, nil, content(data), nil); err != nil {
					t.Fatal(err)
				}
				for _, f := range downloads {
					for _, place := range []struct {
						name string
						at   int64
					}{{"start", 0}, {"middle", downloadSize / 2}, {"end", downloadSize - 1}} {
						if !f.exact && place.name == "end" || f.stays && place.name == "start" {
							continue // by the end all of it is in buffers on the way
						}
						t.Run(f.name+" "+place.name, func(t *testing.T) {
							l := newLink(t, s.Host, f.hard)
							relieve := func() {
								if !f.stays {
									l.clear()
								}
							}
							c := client(t, s, l, patience(f.rests), relieve)
							var resumed, received atomic.Int64
							cache, err := blobcache.New(blobcache.Options{
								Dir: t.TempDir(), Clock: &quick{}, RetryBudget: time.Minute, Retryable: registry.Retryable,
								Notify: func(blobcache.Notice) { resumed.Add(1); relieve() },
							})
							if err != nil {
								t.Fatal(err)
							}
							r := c.Repository("lib/base")
							if err := r.CheckPull(t.Context()); err != nil {
								t.Fatal(err)
							}
							s.Log.Reset()
							arm := func() { f.arm(l, s) }
							if f.exact {
								arm = func() {}
								s.Faults.Add(servers.Fault{Match: func(r *http.Request) bool {
									return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/")
								}, CutAnswer: max(1, place.at)})
							}
							source := &opener{r: r, d: d, at: place.at, do: arm, received: func(n int64) { received.Add(n) }}
							b := cache.Blob(d, source, 2)
							var readers sync.WaitGroup
							for range 2 {
								lease := b.Lease()
								readers.Go(func() {
									defer lease.Release()
									body, err := lease.Open(t.Context(), 0)
									if err != nil {
										t.Error(err)
										return
									}
									defer body.Close()
									got, err := io.ReadAll(body)
									if err != nil || !bytes.Equal(got, data) {
										t.Errorf("%d bytes, %v", len(got), err)
									}
								})
							}
							readers.Wait()
							stats := cache.Stats()
							if err := cache.Close(); err != nil {
								t.Error(err)
							}
							l.clear()
							if stats.Fetched != d.Size || stats.Refetched != 0 {
								t.Errorf("fetched %d and again %d of %d", stats.Fetched, stats.Refetched, d.Size)
							}
							mu.Lock()
							byKind[kind.name] = append(byKind[kind.name], result{
								fault: f.name, where: place.name, kind: kind.name, retries: c.Stats().Retries + resumed.Load(),
								sent: float64(received.Load()) / float64(d.Size),
							})
							mu.Unlock()
						})
					}
				}
			})
		}
	})
	if os.Getenv("UPDATE") != "" && !t.Failed() {
		var results []result
		for _, kind := range kinds {
			results = append(results, byKind[kind.name]...)
		}
		write(t, "downloads", table(results))
	}
}

func down(kind string, attributes map[string]any) func(*link, *servers.Server) {
	return func(l *link, _ *servers.Server) { l.add(kind, "downstream", attributes) }
}
