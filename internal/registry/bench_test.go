package registry

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

type zeros int64

func (z zeros) Open(_ context.Context, offset int64) (io.ReadCloser, error) {
	return io.NopCloser(io.LimitReader(zeroReader{}, int64(z)-offset)), nil
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// BenchmarkUpload is one blob to a server that throws it away, over plain HTTP and TLS.
func BenchmarkUpload(b *testing.B) {
	const size = 256 << 20
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		buf := make([]byte, 1<<20)
		_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, r.Body, buf)
		switch r.Method {
		case http.MethodPost:
			w.Header().Set("Location", "/v2/a/blobs/uploads/1")
			w.WriteHeader(http.StatusAccepted)
		case http.MethodPut:
			w.WriteHeader(http.StatusCreated)
		}
	})
	for name, start := range map[string]func(http.Handler) *httptest.Server{"plain": httptest.NewServer, "TLS": httptest.NewTLSServer} {
		b.Run(name, func(b *testing.B) {
			s := start(handler)
			defer s.Close()
			f := &fake{Server: s}
			c := New(Options{Host: f.host(), Insecure: true})
			defer c.Close()
			_, d := blobOf(0) // the server does not look
			d.Size = size
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Repository("a").Upload(b.Context(), d, nil, zeros(size), nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
