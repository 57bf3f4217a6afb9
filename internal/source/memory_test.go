package source

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/gzip"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// allocated returns how many bytes f allocates, freed ones included: its peak is below.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// withoutRace skips a test under the race detector, which takes memory of its own and keeps
// pools from keeping anything, and many times as long for documents of many MiB that one
// goroutine reads. make test runs the package's tests with it and without it.
func withoutRace(t *testing.T) {
	t.Helper()
	if underRace {
		t.Skip("runs without the race detector: make test does both")
	}
}

// zeros writes an archive with a file of size zeros.
func zeros(t testing.TB, w io.Writer, name string, size int64) {
	tw := tar.NewWriter(w)
	must(t, tw.WriteHeader(&tar.Header{Name: name, Size: size, Mode: 0o644}))
	_, err := io.CopyN(tw, zeroReader{}, size)
	must(t, err)
	must(t, tw.Close())
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestBadInputTakesLittleMemory(t *testing.T) {
	withoutRace(t)
	const limit = 64 << 20
	huge := bytes.Repeat([]byte("x"), limit+1<<20)
	for name, c := range map[string]struct {
		members []member
		code    usererror.Code
	}{
		"a huge index.json":    {[]member{{name: "index.json", data: huge}}, usererror.ManifestTooLarge},
		"a huge manifest.json": {[]member{{name: "manifest.json", data: huge}}, usererror.ManifestTooLarge},
		"a million objects":    {[]member{{name: "index.json", data: []byte(`{"schemaVersion":2,"manifests":[{}` + strings.Repeat(",{}", 1<<20) + `]}`)}}, usererror.SourceBroken},
		"deep JSON":            {[]member{{name: "index.json", data: bytes.Repeat([]byte("["), 4<<20)}}, usererror.SourceBroken},
	} {
		path := writeFile(t, "image.tar", tarOf(t, c.members...))
		var err error
		if n := allocated(func() { _, err = open(t, path, Options{}) }); n > limit {
			t.Errorf("%s takes %d MiB", name, n>>20)
		}
		wantProblem(t, err, c.code)
	}
}

func TestLargeContentTakesLittleMemory(t *testing.T) {
	const size, limit = 128 << 20, 40 << 20
	dir := t.TempDir()

	t.Run("a compressed archive that grows", func(t *testing.T) {
		path := filepath.Join(dir, "bomb.tar.gz")
		f, err := os.Create(path)
		must(t, err)
		z := gzip.NewWriter(f)
		zeros(t, z, "zeros", size)
		must(t, z.Close())
		must(t, f.Close())
		if n := allocated(func() { _, err = open(t, path, Options{TempDir: dir}) }); n > limit {
			t.Errorf("%d MiB", n>>20)
		}
		wantProblem(t, err, usererror.SourceBroken, "neither")
	})
	t.Run("a blob that many read", func(t *testing.T) {
		b, err := newLocalBlob(v1.Descriptor{Digest: v1.Hash{Algorithm: "sha256", Hex: "254bcc3fc4f27172636df4bf32de9f107f620d559b20d760197e452b97453917"}, Size: size},
			file{size: size, open: func() (content, error) { return zeroFile{}, nil }})
		must(t, err)
		n := allocated(func() {
			for range 4 {
				r, err := b.Open(t.Context(), 0)
				must(t, err)
				if _, err := io.Copy(io.Discard, r); err != nil {
					t.Error(err)
				}
				must(t, r.Close())
			}
		})
		if n > limit {
			t.Errorf("%d MiB", n>>20)
		}
	})
	t.Run("a plain layer", func(t *testing.T) {
		p := compressor{temp: dir, cores: 2}
		n := allocated(func() {
			l, err := p.fromFile(t.Context(), file{size: size, open: func() (content, error) { return zeroFile{}, nil }})
			must(t, err)
			must(t, l.release())
		})
		if n > limit && !underRace {
			t.Errorf("%d MiB", n>>20)
		}
	})
}

type zeroFile struct{}

func (zeroFile) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

func (zeroFile) Close() error { return nil }
