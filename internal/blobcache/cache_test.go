package blobcache

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"go.uber.org/goleak"

	"github.com/multi-registry-push/multi-registry-push/internal/retry/clocktest"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// origin is a source in memory. Its fields are set before it is used.
type origin struct {
	content []byte
	// cut tells after how many bytes the n-th body, from 0, breaks off, and how; negative
	// never.
	cut func(n int, offset int64) (after int64, err error)
	// refuse is the error of the n-th Open.
	refuse func(n int) error
	// gate lets through as many bytes as are sent to it; nil means all.
	gate chan int
	// piece is the most that one Read returns; 0 means all.
	piece int

	mu     sync.Mutex
	opens  []int64
	bytes  int64
	open   int
	most   int
	closed chan struct{} // gets one for each body closed, if not nil
}

func (o *origin) Open(ctx context.Context, offset int64) (io.ReadCloser, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(o.opens)
	o.opens = append(o.opens, offset)
	if o.refuse != nil {
		if err := o.refuse(n); err != nil {
			return nil, err
		}
	}
	b := &body{o: o, ctx: ctx, off: offset, left: -1}
	if o.cut != nil {
		b.left, b.err = o.cut(n, offset)
	}
	o.open++
	o.most = max(o.most, o.open)
	return b, nil
}

func (o *origin) offsets() []int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]int64(nil), o.opens...)
}

type body struct {
	o    *origin
	ctx  context.Context
	off  int64
	left int64
	err  error
	done bool
}

func (b *body) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, b.err
	}
	if b.off >= int64(len(b.o.content)) {
		return 0, io.EOF
	}
	if b.o.piece > 0 {
		p = p[:min(len(p), b.o.piece)]
	}
	if b.left > 0 {
		p = p[:min(int64(len(p)), b.left)]
	}
	if b.o.gate != nil {
		select {
		case n := <-b.o.gate:
			p = p[:min(len(p), n)]
		case <-b.ctx.Done():
			return 0, b.ctx.Err()
		}
	}
	n := copy(p, b.o.content[b.off:])
	b.off += int64(n)
	if b.left > 0 {
		b.left -= int64(n)
	}
	b.o.mu.Lock()
	b.o.bytes += int64(n)
	b.o.mu.Unlock()
	return n, nil
}

func (b *body) Close() error {
	if b.done {
		return nil
	}
	b.done = true
	b.o.mu.Lock()
	b.o.open--
	b.o.mu.Unlock()
	if b.o.closed != nil {
		b.o.closed <- struct{}{}
	}
	return nil
}

// random returns n bytes that differ from seed to seed.
func random(seed uint64, n int) []byte {
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	b := make([]byte, n)
	rand.NewChaCha8(key).Read(b)
	return b
}

func descriptor(content []byte) v1.Descriptor {
	sum := sha256.Sum256(content)
	return v1.Descriptor{Digest: v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}, Size: int64(len(content))}
}

// ungate lets everything through the gate from now on.
func (o *origin) ungate(t *testing.T) {
	go func() {
		for {
			select {
			case o.gate <- 1 << 20:
			case <-t.Context().Done():
				return
			}
		}
	}()
}

func newCache(t testing.TB, o Options) *Cache {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Clock == nil {
		o.Clock = clocktest.New(time.Time{})
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if st := s.Stats(); st.Disk != 0 || st.Memory != 0 {
			t.Errorf("after Close: %d bytes on disk, %d in memory", st.Disk, st.Memory)
		}
		if files, err := os.ReadDir(s.o.Dir); err != nil || len(files) > 0 {
			t.Errorf("left in the folder: %v, %v", files, err)
		}
	})
	return s
}

func open(t testing.TB, c *Lease, offset int64) io.ReadCloser {
	t.Helper()
	r, err := c.Open(t.Context(), offset)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func readAll(c *Lease, offset int64) ([]byte, error) {
	r, err := c.Open(context.Background(), offset)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var b bytes.Buffer
	b.Grow(int(c.blob.size) + bytes.MinRead) // growing step by step costs most under the race detector
	_, err = b.ReadFrom(r)
	return b.Bytes(), err
}

func TestOneReadForAll(t *testing.T) {
	for _, size := range []int{0, 1, 1000, 1<<20 + 7} {
		for _, leases := range []int{1, 2, 16} {
			t.Run(fmt.Sprintf("%d bytes for %d", size, leases), func(t *testing.T) {
				s := newCache(t, Options{})
				src := &origin{content: random(1, size)}
				b := s.Blob(descriptor(src.content), src, leases)
				if n := len(src.offsets()); n != 0 {
					t.Fatalf("%d requests before the first Open", n)
				}
				var wg sync.WaitGroup
				for range leases {
					c := b.Lease()
					wg.Go(func() {
						defer c.Release()
						got, err := readAll(c, 0)
						if err != nil || !bytes.Equal(got, src.content) {
							t.Errorf("got %d bytes, %v", len(got), err)
						}
						for _, offset := range []int{size / 2, size} {
							got, err := readAll(c, int64(offset))
							if err != nil || !bytes.Equal(got, src.content[offset:]) {
								t.Errorf("from %d: got %d bytes, %v", offset, len(got), err)
							}
						}
					})
				}
				wg.Wait()
				if n := len(src.offsets()); n > 1 {
					t.Errorf("%d requests", n)
				}
				if src.bytes != int64(size) {
					t.Errorf("source gave %d bytes of %d", src.bytes, size)
				}
				st := s.Stats()
				if st.Fetched != int64(size) || st.Refetched != 0 || st.Disk != 0 || st.Memory != 0 {
					t.Errorf("stats %+v", st)
				}
			})
		}
	}
}

func TestNobodyReads(t *testing.T) {
	s := newCache(t, Options{})
	src := &origin{content: random(1, 3<<20)}
	b := s.Blob(descriptor(src.content), src, 2)
	b.Lease().Release()
	b.Lease().Release()
	if n := len(src.offsets()); n != 0 {
		t.Errorf("%d requests", n)
	}
	if _, err := b.Lease().Open(t.Context(), 0); !errors.Is(err, errReleased) {
		t.Errorf("a lease too late: %v", err)
	}
}

func TestReadWhileArriving(t *testing.T) {
	s := newCache(t, Options{})
	src := &origin{content: random(2, 2<<20), gate: make(chan int)}
	b := s.Blob(descriptor(src.content), src, 2)
	fast, slow := open(t, b.Lease(), 0), open(t, b.Lease(), 0)
	defer fast.Close()
	defer slow.Close()
	got := make([]byte, 0, 2<<20)
	for _, n := range []int{enough, enough + 3, 2 * enough} {
		src.gate <- n
		buf := make([]byte, n)
		if _, err := io.ReadFull(fast, buf); err != nil { // blocks for ever if nothing is shown
			t.Fatal(err)
		}
		got = append(got, buf...)
	}
	src.ungate(t)
	rest, err := io.ReadAll(fast)
	if err != nil || !bytes.Equal(append(got, rest...), src.content) {
		t.Fatalf("%d bytes more, %v", len(rest), err)
	}
	late, err := io.ReadAll(slow)
	if err != nil || !bytes.Equal(late, src.content) {
		t.Fatalf("the slow one: %d bytes, %v", len(late), err)
	}
}

func TestWrongContent(t *testing.T) {
	good := random(3, 3<<19)
	bad := bytes.Clone(good)
	bad[1<<20] ^= 1
	long := append(bytes.Clone(bad), "more"...)
	small := bytes.Clone(good[:1000])
	wrongSize := descriptor(good)
	wrongSize.Size += 10
	tests := []struct {
		name   string
		d      v1.Descriptor
		serves []byte
	}{
		{"one bit", descriptor(good), bad},
		{"small, one bit", descriptor(good[:1000]), append(small[:999:999], small[999]^1)},
		{"one byte", descriptor([]byte("a")), []byte("b")},
		{"empty with another digest", v1.Descriptor{Digest: descriptor(good).Digest}, nil},
		{"ends early", descriptor(good), good[:1<<20]},
		{"another size than described", wrongSize, good},
		{"longer, and the wrong bytes", descriptor(good), long},
		{"described shorter", v1.Descriptor{Digest: descriptor(good).Digest, Size: int64(len(good) - 1)}, good},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newCache(t, Options{})
			src := &origin{content: tt.serves}
			b := s.Blob(tt.d, src, 3)
			var wg sync.WaitGroup
			for range 3 {
				c := b.Lease()
				wg.Go(func() {
					got, err := readAll(c, 0)
					if !usererror.Is(err, usererror.DigestMismatch) {
						t.Errorf("got %v", err)
					}
					if tt.d.Size > 0 && int64(len(got)) >= tt.d.Size {
						t.Errorf("a reader got all %d bytes", len(got))
					}
					if _, err := readAll(c, 0); !usererror.Is(err, usererror.DigestMismatch) {
						t.Errorf("the second time: %v", err)
					}
				})
			}
			wg.Wait()
			if src.bytes > tt.d.Size+bufferSize {
				t.Errorf("read %d bytes of a blob of %d", src.bytes, tt.d.Size)
			}
		})
	}
}

func TestDigestKinds(t *testing.T) {
	s := newCache(t, Options{Limit: minLimit})
	src := &origin{content: random(3, 3<<20)}
	sum := sha512.Sum512(src.content)
	d := v1.Descriptor{Digest: v1.Hash{Algorithm: "sha512", Hex: hex.EncodeToString(sum[:])}, Size: int64(len(src.content))}
	if got, err := readAll(s.Blob(d, src, 1).Lease(), 0); err != nil || !bytes.Equal(got, src.content) {
		t.Errorf("sha512: %d bytes, %v", len(got), err)
	}
	d.Digest.Algorithm = "md5"
	if _, err := readAll(s.Blob(d, src, 1).Lease(), 0); !usererror.Is(err, usererror.SourceUnsupported) {
		t.Errorf("md5: %v", err)
	}
}

func TestSourceBreaksOff(t *testing.T) {
	broken := errors.New("connection reset")
	s := newCache(t, Options{})
	src := &origin{content: random(4, 4<<20), piece: 64 * kib}
	src.cut = func(n int, _ int64) (int64, error) {
		switch n {
		case 0:
			return 1<<20 + 1, broken
		case 1:
			return 0, broken
		case 2:
			return 1 << 20, io.EOF // a server that ends a body cleanly, but too early
		case 4:
			return 1, io.ErrUnexpectedEOF
		}
		return -1, nil
	}
	src.refuse = func(n int) error {
		if n == 3 {
			return broken
		}
		return nil
	}
	b := s.Blob(descriptor(src.content), src, 2)
	var wg sync.WaitGroup
	for range 2 {
		c := b.Lease()
		wg.Go(func() {
			if got, err := readAll(c, 0); err != nil || !bytes.Equal(got, src.content) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	wg.Wait()
	want := []int64{0, 1<<20 + 1, 1<<20 + 1, 2<<20 + 1, 2<<20 + 1, 2<<20 + 2}
	if got := src.offsets(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("asked from %v, want %v", got, want)
	}
	if src.bytes != int64(len(src.content)) {
		t.Errorf("source gave %d bytes of %d", src.bytes, len(src.content))
	}
	if st := s.Stats(); st.Refetched != 0 {
		t.Errorf("stats %+v", st)
	}
}

func TestSourceGivesUp(t *testing.T) {
	broken := errors.New("connection reset")
	t.Run("no progress", func(t *testing.T) {
		clock := clocktest.New(time.Time{})
		s := newCache(t, Options{Clock: clock, RetryBudget: time.Minute})
		src := &origin{content: random(4, 1<<20)}
		var progress time.Time
		src.cut = func(n int, _ int64) (int64, error) {
			if n < 20 {
				progress = clock.Now()
				return 1000, broken // each of these is progress
			}
			return 0, broken
		}
		_, err := readAll(s.Blob(descriptor(src.content), src, 1).Lease(), 0)
		if !usererror.Is(err, usererror.RegistryGaveUp) || !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
		if d := clock.Now().Sub(progress); d < time.Minute/2 || d > time.Minute {
			t.Errorf("gave up after %s", d)
		}
	})
	t.Run("not worth another attempt", func(t *testing.T) {
		s := newCache(t, Options{})
		refused := usererror.New(usererror.NoPullPermission, "example.com", "no", "", nil)
		src := &origin{content: random(4, 1<<20), refuse: func(int) error { return refused }}
		_, err := readAll(s.Blob(descriptor(src.content), src, 1).Lease(), 0)
		if !usererror.Is(err, usererror.NoPullPermission) || len(src.offsets()) != 1 {
			t.Errorf("got %v after %d requests", err, len(src.offsets()))
		}
	})
	t.Run("the caller's rule", func(t *testing.T) {
		s := newCache(t, Options{Retryable: func(err error) bool { return false }})
		src := &origin{content: random(4, 1<<20), refuse: func(int) error { return broken }}
		_, err := readAll(s.Blob(descriptor(src.content), src, 1).Lease(), 0)
		if !errors.Is(err, broken) || len(src.offsets()) != 1 {
			t.Errorf("got %v after %d requests", err, len(src.offsets()))
		}
	})
}

type says bool

func (s says) Error() string   { return "says" }
func (s says) Retryable() bool { return bool(s) }

func TestRetryable(t *testing.T) {
	tests := []struct {
		err  error
		want bool
	}{
		{errors.New("connection reset"), true},
		{io.ErrUnexpectedEOF, true},
		{usererror.New(usererror.NoPullPermission, "", "", "", nil), false},
		{usererror.New(usererror.RegistryRefused, "", "", "", says(true)), true},
		{fmt.Errorf("wrapped: %w", says(false)), false},
	}
	for _, tt := range tests {
		if got := retryable(tt.err); got != tt.want {
			t.Errorf("%v: %v", tt.err, got)
		}
	}
}

func TestCancelOneReader(t *testing.T) {
	s := newCache(t, Options{})
	src := &origin{content: random(5, 2<<20), gate: make(chan int)}
	b := s.Blob(descriptor(src.content), src, 2)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := b.Lease().Open(ctx, 0) // it starts the fetch
	if err != nil {
		t.Fatal(err)
	}
	other := open(t, b.Lease(), 0)
	failed := make(chan error)
	go func() {
		_, err := io.ReadAll(r)
		failed <- err
	}()
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	r.Close()
	src.ungate(t)
	if got, err := io.ReadAll(other); err != nil || !bytes.Equal(got, src.content) {
		t.Errorf("the other: %d bytes, %v", len(got), err)
	}
	other.Close()
}

func TestCloseWhileReadWaits(t *testing.T) {
	s := newCache(t, Options{})
	src := &origin{content: random(5, 2<<20), gate: make(chan int), closed: make(chan struct{}, 1)}
	b := s.Blob(descriptor(src.content), src, 3)
	leases := []*Lease{b.Lease(), b.Lease(), b.Lease()}
	failed := make(chan error)
	var readers []io.ReadCloser
	for _, c := range leases {
		r := open(t, c, 0)
		readers = append(readers, r)
		go func() {
			_, err := io.ReadAll(r)
			failed <- err
		}()
	}
	src.gate <- 1000 // the fetch has opened the source: a fetch that ends before that has no body to close
	readers[0].Close()
	if err := <-failed; err == nil {
		t.Error("a closed reader read on")
	}
	leases[1].Release()
	if err := <-failed; err == nil {
		t.Error("the reader of a released lease read on")
	}
	leases[0].Release()
	leases[2].Release() // the last: the fetch ends
	if err := <-failed; err == nil {
		t.Error("the reader of a released lease read on")
	}
	<-src.closed
}

func TestCloseSpool(t *testing.T) {
	s := newCache(t, Options{})
	src := &origin{content: random(5, 2<<20), gate: make(chan int)}
	b := s.Blob(descriptor(src.content), src, 2)
	c := b.Lease()
	r := open(t, c, 0)
	failed := make(chan error)
	go func() {
		_, err := io.ReadAll(r)
		failed <- err
	}()
	src.gate <- 1000
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err == nil {
		t.Error("a reader read on")
	}
	if _, err := c.Open(t.Context(), 0); !errors.Is(err, errClosed) {
		t.Errorf("open: %v", err)
	}
	c.Release()
	b.Lease().Release()
}

func TestOpenArguments(t *testing.T) {
	s := newCache(t, Options{})
	src := &origin{content: random(5, 1000)}
	c := s.Blob(descriptor(src.content), src, 1).Lease()
	for _, offset := range []int64{-1, 1001} {
		if _, err := c.Open(t.Context(), offset); err == nil {
			t.Errorf("opened from %d", offset)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Open(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	c.Release()
	c.Release()
	if _, err := c.Open(t.Context(), 0); !errors.Is(err, errReleased) {
		t.Errorf("released: %v", err)
	}
	if len(src.offsets()) != 0 {
		t.Error("the source was asked")
	}
	if _, err := New(Options{Dir: t.TempDir() + "/none"}); err == nil {
		t.Error("made a cache in a folder that is not there")
	}
}

func TestTemporaryFolderThatCannotBeUsed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Join(file, "missing"), file} {
		if _, err := New(Options{Dir: dir}); !usererror.Is(err, usererror.TemporaryFolder) || !strings.Contains(err.Error(), dir) {
			t.Errorf("got %v", err)
		}
	}
	gone := t.TempDir()
	s, err := New(Options{Dir: gone, MemoryBelow: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	src := &origin{content: random(6, 2<<20)}
	b := s.Blob(descriptor(src.content), src, 1)
	if _, err := readAll(b.Lease(), 0); !usererror.Is(err, usererror.TemporaryFolder) {
		t.Errorf("got %v", err)
	}
}

func TestDiskFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("needs /dev/full")
	}
	s := newCache(t, Options{})
	s.create = func(dir string, start int64) (*segment, error) {
		f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		return &segment{start: start, end: start, file: f}, nil
	}
	src := &origin{content: random(6, 2<<20)}
	b := s.Blob(descriptor(src.content), src, 2)
	for range 2 {
		if _, err := readAll(b.Lease(), 0); !usererror.Is(err, usererror.DiskFull) {
			t.Errorf("got %v", err)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	s := newCache(t, Options{MemoryBelow: 1000, MemoryLimit: 1500})
	var leases []*Lease
	for i := range 3 {
		src := &origin{content: random(uint64(i), 900)}
		c := s.Blob(descriptor(src.content), src, 1).Lease()
		leases = append(leases, c)
		if got, err := readAll(c, 0); err != nil || !bytes.Equal(got, src.content) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	}
	if st := s.Stats(); st.Memory != 900 || st.Disk != 1800 {
		t.Errorf("stats %+v", st)
	}
	for _, c := range leases {
		c.Release()
	}
	if st := s.Stats(); st.Memory != 0 || st.Disk != 0 {
		t.Errorf("after release: %+v", st)
	}
}

// TestErrorThatWrapsEOF: a source that cannot be reached any more breaks off with errors that wrap
// io.EOF; they are no end of the blob.
func TestErrorThatWrapsEOF(t *testing.T) {
	for _, left := range []int64{0, 5} {
		digest, size, err := v1.SHA256(strings.NewReader("hello blob"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(Options{Dir: t.TempDir(), Retryable: func(error) bool { return false }})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		dead := fmt.Errorf("GET /v2/: %w", io.EOF)
		lease := s.Blob(v1.Descriptor{Digest: digest, Size: size}, wrapsEOF{left, dead}, 1).Lease()
		defer lease.Release()
		r, err := lease.Open(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Close() }()
		if _, err := io.ReadAll(r); err == nil || !strings.Contains(err.Error(), "GET /v2/") {
			t.Errorf("after %d bytes: %v", left, err)
		}
	}
}

// wrapsEOF is a source that breaks off with err, after some bytes or at once.
type wrapsEOF struct {
	bytes int64
	err   error
}

func (w wrapsEOF) Open(context.Context, int64) (io.ReadCloser, error) {
	if w.bytes == 0 {
		return nil, w.err
	}
	return io.NopCloser(io.MultiReader(strings.NewReader("hello"[:w.bytes]), iotest.ErrReader(w.err))), nil
}

// A blob that nobody wants any more gives no leases: it has to be put into the cache again. One
// lease keeps it for the next.
func TestLeaseUnlessDropped(t *testing.T) {
	cache := newCache(t, Options{})
	src := &origin{content: random(1, 100)}
	b := cache.Blob(descriptor(src.content), src, 1)
	first := b.Lease()
	second, ok := b.LeaseUnlessDropped()
	if !ok {
		t.Fatal("a blob with a lease is called dropped")
	}
	first.Release()
	if _, err := second.Open(t.Context(), 0); err != nil {
		t.Error(err)
	}
	second.Release()
	if _, ok := b.LeaseUnlessDropped(); ok {
		t.Error("a dropped blob gives a lease")
	}
}
