package source

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// countingFile counts the bytes that are read of it.
func countingFile(raw []byte, count *atomic.Int64) file {
	return file{size: int64(len(raw)), open: func() (content, error) { return counting{bytes.NewReader(raw), count}, nil }}
}

type counting struct {
	*bytes.Reader
	count *atomic.Int64
}

func (c counting) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.Reader.ReadAt(p, off)
	c.count.Add(int64(n))
	return n, err
}

func (counting) Close() error { return nil }

func newBlob(t testing.TB, raw []byte, digest v1.Hash, count *atomic.Int64) *localBlob {
	b, err := newLocalBlob(v1.Descriptor{Digest: digest, Size: int64(len(raw))}, countingFile(raw, count))
	must(t, err)
	return b
}

func TestReadersFromEveryOffset(t *testing.T) {
	raw := sample(300_000)
	for _, first := range []int64{0, 1, 100_000, 299_999, 300_000} {
		var count atomic.Int64
		b := newBlob(t, raw, digestOf(raw), &count)
		for _, offset := range []int64{first, 0, 7, 299_999, 300_000} {
			got, err := read(t.Context(), b, offset)
			must(t, err)
			if !bytes.Equal(got, raw[offset:]) {
				t.Errorf("from %d after %d: %d bytes that differ", offset, first, len(got))
			}
		}
	}
	var count atomic.Int64
	b := newBlob(t, raw, digestOf(raw), &count)
	for _, offset := range []int64{-1, 300_001} {
		if _, err := b.Open(t.Context(), offset); err == nil {
			t.Errorf("opened at %d", offset)
		}
	}
}

func TestManyReadersHashOnce(t *testing.T) {
	raw := sample(3 << 20)
	var count atomic.Int64
	b := newBlob(t, raw, digestOf(raw), &count)
	const readers = 8
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() {
			got, err := read(t.Context(), b, 0)
			if err != nil || !bytes.Equal(got, raw) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	wg.Wait()
	if !b.verified.Load() {
		t.Error("not verified")
	}
	// Each reads the file once; hashing adds at most one more pass.
	if n := count.Load(); n > (readers+1)*int64(len(raw)) {
		t.Errorf("%d bytes read of %d", n, len(raw))
	}
}

func TestOneReaderReadsOnce(t *testing.T) {
	raw := sample(3 << 20)
	var count atomic.Int64
	b := newBlob(t, raw, digestOf(raw), &count)
	for range 2 {
		_, err := read(t.Context(), b, 0)
		must(t, err)
	}
	if n := count.Load(); n != 2*int64(len(raw)) {
		t.Errorf("two readers read %d bytes of %d", n, len(raw))
	}
}

func TestMismatchReachesEveryReaderBeforeTheEnd(t *testing.T) {
	raw := sample(200_000)
	var count atomic.Int64
	b := newBlob(t, raw, digestOf([]byte("other")), &count)
	var readers []io.ReadCloser
	for range 3 {
		r, err := b.Open(t.Context(), 0)
		must(t, err)
		defer func() { _ = r.Close() }()
		readers = append(readers, r)
	}
	for _, r := range readers {
		got, err := io.ReadAll(r)
		wantProblem(t, err, usererror.DigestMismatch, digestOf([]byte("other")).String(), digestOf(raw).String())
		if len(got) >= len(raw) {
			t.Error("the last byte was given out")
		}
	}
	_, err := read(t.Context(), b, int64(len(raw)))
	wantProblem(t, err, usererror.DigestMismatch)
	_, err = read(t.Context(), b, int64(len(raw))-1)
	wantProblem(t, err, usererror.DigestMismatch)
}

func TestEmptyBlob(t *testing.T) {
	var count atomic.Int64
	got, err := read(t.Context(), newBlob(t, nil, digestOf(nil), &count), 0)
	if err != nil || len(got) != 0 {
		t.Errorf("%q, %v", got, err)
	}
	_, err = read(t.Context(), newBlob(t, nil, digestOf([]byte("x")), &count), 0)
	wantProblem(t, err, usererror.DigestMismatch)
}

func TestFileThatShrinks(t *testing.T) {
	raw := sample(100_000)
	b, err := newLocalBlob(v1.Descriptor{Digest: digestOf(raw), Size: int64(len(raw))},
		file{size: int64(len(raw)), open: func() (content, error) {
			return section{SectionReader: io.NewSectionReader(bytes.NewReader(raw[:50_000]), 0, 50_000)}, nil
		}})
	must(t, err)
	_, err = read(t.Context(), b, 0)
	wantProblem(t, err, usererror.SourceBroken, "byte 50000")
	_, err = read(t.Context(), b, 99_999)
	wantProblem(t, err, usererror.SourceBroken)
}

func TestReadingEndsWithItsContext(t *testing.T) {
	raw := sample(100_000)
	var count atomic.Int64
	b := newBlob(t, raw, digestOf(raw), &count)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := b.Open(ctx, 0)
	must(t, err)
	defer func() { _ = r.Close() }()
	cancel()
	if _, err := r.Read(make([]byte, 10)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
