package source

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

// sample returns bytes that compress somewhat, the same on every machine.
func sample(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	words := make([][]byte, 500)
	for i := range words {
		w := make([]byte, 3+r.IntN(12))
		for j := range w {
			w[j] = byte(r.IntN(256))
		}
		words[i] = w
	}
	var b bytes.Buffer
	for b.Len() < n {
		b.Write(words[r.IntN(len(words))])
	}
	return b.Bytes()[:n]
}

func compressedOf(t testing.TB, r io.Reader, cores int) []byte {
	var b bytes.Buffer
	must(t, compressGzip(t.Context(), &b, r, cores))
	return b.Bytes()
}

// The digests of layers that are compressed here must never change by accident: the same
// image would get another digest, and immutable tags would be refused.
func TestGzipGolden(t *testing.T) {
	for _, c := range []struct {
		size int
		want string
	}{
		{0, "18cc39fce6d400d61490af9d0ee22138f8e8b0050ae6ef1ba78dc6ca38d611ca"},
		{1, "e7b364922ba89657b7dcdb431838d78a4589a6fb5e1d4a8c669423854ca5a467"},
		{1024, "7bca5aaf6aed3bd4c0444e444be22ca5666c6a0c20f80314c8da74b507bac776"},
		{5<<20 + 12345, "c0df14b4a1baa8e13e9c7150fd087124e7c9403fd58d0991c8d11de6921c9672"},
	} {
		sum := sha256.Sum256(compressedOf(t, bytes.NewReader(sample(c.size)), 2))
		if got := hex.EncodeToString(sum[:]); got != c.want {
			t.Errorf("%d bytes are packed to %s, not %s", c.size, got, c.want)
		}
	}
}

func TestGzipIsReproducible(t *testing.T) {
	for _, size := range []int{0, 1, gzipBlock - 1, gzipBlock, gzipBlock + 1, 2*gzipBlock + 77} {
		raw := sample(size)
		want := compressedOf(t, bytes.NewReader(raw), 1)
		for _, cores := range []int{2, 5, 100} {
			if !bytes.Equal(compressedOf(t, bytes.NewReader(raw), cores), want) {
				t.Errorf("%d bytes: %d cores write other bytes than 1", size, cores)
			}
		}
		if !bytes.Equal(compressedOf(t, iotest.HalfReader(bytes.NewReader(raw)), 2), want) {
			t.Errorf("%d bytes: reading in pieces changes them", size)
		}
		if !bytes.Equal(compressedOf(t, iotest.DataErrReader(bytes.NewReader(raw)), 2), want) {
			t.Errorf("%d bytes: an EOF with the data changes them", size)
		}
		z, err := gzip.NewReader(bytes.NewReader(want))
		must(t, err)
		z.Multistream(false)
		got, err := io.ReadAll(z)
		must(t, err)
		if !bytes.Equal(got, raw) {
			t.Errorf("%d bytes come back as %d others", size, len(got))
		}
	}
}

func TestGzipReportsErrors(t *testing.T) {
	raw := sample(3 * gzipBlock)
	boom := errors.New("boom")
	for name, err := range map[string]error{
		"reading":    compressGzip(t.Context(), io.Discard, io.MultiReader(bytes.NewReader(raw), iotest.ErrReader(boom)), 2),
		"breaks off": compressGzip(t.Context(), io.Discard, io.MultiReader(bytes.NewReader(raw), iotest.ErrReader(io.ErrUnexpectedEOF)), 2),
		"writing":    compressGzip(t.Context(), failingWriter{boom}, bytes.NewReader(raw), 2),
		"late":       compressGzip(t.Context(), &limitedWriter{100, boom}, bytes.NewReader(raw), 2),
	} {
		if name == "breaks off" && errors.Is(err, io.ErrUnexpectedEOF) {
			continue
		}
		if !errors.Is(err, boom) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := compressGzip(ctx, io.Discard, bytes.NewReader(raw), 2); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: error %v", err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

type limitedWriter struct {
	left int
	err  error
}

func (w *limitedWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, w.err
	}
	return len(p), nil
}

func BenchmarkGzip(b *testing.B) {
	raw := sample(32 << 20)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		must(b, compressGzip(b.Context(), io.Discard, bytes.NewReader(raw), 0))
	}
}
