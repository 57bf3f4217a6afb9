package registry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/multi-registry-push/multi-registry-push/internal/registry"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
	"github.com/multi-registry-push/multi-registry-push/test/servers/distribution"
)

// link is the way to a server, on which things happen.
type link struct {
	t        testing.TB
	server   *toxiproxy.ApiServer
	upstream string
	host     string
	abrupt   bool // connections end with a reset, not in order

	mu      sync.Mutex
	proxy   *toxiproxy.Proxy
	dormant map[string]*dormant // by stream
	ill     bool
}

func newLink(t testing.TB, upstream string, abrupt bool) *link {
	t.Helper()
	l := &link{
		t: t, upstream: upstream, host: address(), abrupt: abrupt,
		server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop()),
	}
	l.start()
	l.host = l.proxy.Listen
	t.Cleanup(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.proxy.Stop()
	})
	return l
}

var links atomic.Int64

// address is a loopback address for one link alone, with a port to be chosen: while the link is cut,
// no other listener and no connection of anybody takes its port. Elsewhere than on Linux there
// is only one such address.
func address() string {
	if runtime.GOOS != "linux" {
		return "127.0.0.1:0"
	}
	n := links.Add(1)
	return fmt.Sprintf("127.1.%d.%d:0", n>>8&0xff, n&0xff)
}

// start listens at the link's address; the kernel may hold the port for a moment.
func (l *link) start() {
	l.proxy = toxiproxy.NewProxy(l.server, "link", l.host, l.upstream)
	l.dormant = map[string]*dormant{}
	for _, stream := range []string{"upstream", "downstream"} {
		d, err := lay(l.proxy, stream)
		if err != nil {
			l.t.Fatal(err)
		}
		l.dormant[stream] = d
	}
	if l.abrupt {
		// It does nothing, but toxiproxy resets what it closes when it is there.
		if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(`{"type": "reset_peer", "toxicity": 0}`)); err != nil {
			l.t.Fatal(err)
		}
	}
	var err error
	for range 100 {
		if err = l.proxy.Start(); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	l.t.Errorf("the link's port: %v", err)
}

// add lets something happen, as toxiproxy names it, to every connection from now on.
func (l *link) add(kind, stream string, attributes map[string]any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ill {
		return
	}
	l.ill = true
	if err := l.dormant[stream].wake(kind, attributes); err != nil {
		l.t.Errorf("toxic %s %v: %v", kind, attributes, err)
	}
}

// cut refuses connections, and ends those that are open.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ill = true
	l.proxy.Stop()
}

// clear ends all that happens, with a new proxy at the same address.
func (l *link) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ill {
		l.ill = false
		l.proxy.Stop()
		l.start()
	}
}

// quick is a clock on which pauses pass twenty times as fast.
type quick struct {
	mu      sync.Mutex
	skipped time.Duration
}

const quickly = 20

func (q *quick) Now() time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	return time.Now().Add(q.skipped)
}

func (q *quick) Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d / quickly)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.skipped += d - d/quickly
	return nil
}

// patience is how long a client waits for a byte, of which the clock skips nothing: long
// enough for a machine that does much else, and short where a fault is that none comes.
func patience(rests bool) time.Duration {
	if rests {
		return 3 * time.Second
	}
	return 20 * time.Second
}

// client returns a client that reaches s over l. notify is called for each retry.
func client(t testing.TB, s *servers.Server, l *link, patience time.Duration, notify func()) *registry.Client {
	t.Helper()
	c := registry.New(registry.Options{
		Host:   l.host,
		Clock:  &quick{},
		Stall:  patience,
		Answer: patience,
		// A loaded machine may need longer than a short patience for the first answers, again and again.
		FirstContact: 5 * time.Minute,
		Auth:         func(string) authn.Authenticator { return s.Authenticator() },
		Notify: func(registry.Notice) {
			if notify != nil {
				notify()
			}
		},
	})
	t.Cleanup(c.Close)
	return c
}

// kinds are the registries that everything is done to.
var kinds = []struct {
	name  string
	start func(testing.TB) *servers.Server
	// keeps says that the registry keeps an upload whose connection broke.
	keeps bool
}{
	{"Distribution 3", func(t testing.TB) *servers.Server {
		return distribution.Start(t, servers.Options{Auth: servers.Token, Folder: t.TempDir()})
	}, true},
	{"Distribution 2.8", func(t testing.TB) *servers.Server { return servers.Distribution2(t, servers.Options{}) }, false},
	{"olareg", func(t testing.TB) *servers.Server { return servers.Olareg(t, servers.Options{Folder: t.TempDir()}) }, true},
}

// noise returns bytes that no compression makes less of, the same for the same seed.
func noise(size int, seed uint64) ([]byte, v1.Descriptor) {
	data := make([]byte, size)
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	_, _ = rand.NewChaCha8(key).Read(data)
	hash, n, err := v1.SHA256(bytes.NewReader(data))
	if err != nil {
		panic(err)
	}
	return data, v1.Descriptor{Digest: hash, Size: n, MediaType: "application/vnd.oci.image.layer.v1.tar"}
}

type content []byte

func (c content) Open(_ context.Context, offset int64) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(c[offset:])), nil
}

// trigger does something when an upload has come to a byte.
type trigger struct {
	mu  sync.Mutex
	at  []int64 // in order
	do  func()
	sum int64
}

func (p *trigger) Sent(n int64) {
	p.mu.Lock()
	p.sum += n
	fire := len(p.at) > 0 && p.sum >= p.at[0]
	if fire {
		p.at = p.at[1:]
	}
	do := p.do
	p.mu.Unlock()
	if fire {
		do()
	}
}

func (p *trigger) total() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sum
}

// bodies adds up what the server got in bodies of uploads.
func bodies(s *servers.Server) (n int64) {
	for _, r := range s.Log.Settled() {
		if r.Method == "PUT" || r.Method == "PATCH" {
			n += r.BytesIn
		}
	}
	return n
}
