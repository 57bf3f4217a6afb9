package source

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// bomb writes a compressed file of zeros behind head.
func bomb(t testing.TB, head []byte, zeros int64) string {
	path := filepath.Join(t.TempDir(), "bomb.tar.gz")
	f, err := os.Create(path)
	must(t, err)
	z := gzip.NewWriter(f)
	_, err = z.Write(head)
	must(t, err)
	_, err = io.CopyN(z, zeroReader{}, zeros)
	must(t, err)
	must(t, z.Close())
	must(t, f.Close())
	return path
}

func headOf(t testing.TB, name string, size int64) []byte {
	var b bytes.Buffer
	must(t, tar.NewWriter(&b).WriteHeader(&tar.Header{Name: name, Size: size, Mode: 0o644}))
	return b.Bytes()
}

// A small archive that grows is looked at before it has filled the disk.
func TestBombsAreLookedAtWhileTheyAreUnpacked(t *testing.T) {
	const size = 16 << 20
	for name, c := range map[string]struct {
		head []byte
		says string
		most int64 // bytes that reach the disk
	}{
		"zeros":                    {nil, "", 1 << 20},
		"something else":           {headOf(t, "zeros", maxUnknown+1), `begins with "zeros"`, 1 << 20},
		"behind the archive's end": {tarOf(t, newBuilder(t).files()...), "", 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := os.Open(bomb(t, c.head, size))
			must(t, err)
			r, err := decompress(f, gzipped)
			must(t, err)
			defer func() { must(t, r.Close()); must(t, f.Close()) }()
			w := &countingWriter{w: io.Discard}
			_, err = unpack(t.Context(), w, r)
			if c.says != "" {
				wantProblem(t, err, usererror.SourceBroken, c.says)
			} else {
				must(t, err)
			}
			if w.n > c.most {
				t.Errorf("%d MiB are written", w.n>>20)
			}
		})
	}
	_, err := open(t, bomb(t, nil, size), Options{})
	wantProblem(t, err, usererror.SourceBroken, "empty")
	_, err = open(t, bomb(t, headOf(t, "x", maxPadding), size), Options{})
	wantProblem(t, err, usererror.SourceBroken)
}

// What looks like an image is bounded by what is free.
func TestUnpackingLeavesAReserve(t *testing.T) {
	const size = checkSpaceEvery + 1<<20
	path := bomb(t, headOf(t, "blobs/sha256/x", size), size)
	for name, c := range map[string]struct {
		free, total int64
		known, full bool
	}{
		"nearly full":        {maxReserve - 1, 100 << 30, true, true},
		"enough":             {maxReserve, 100 << 30, true, false},
		"a small disk":       {50 << 20, 400 << 20, true, false},
		"a small disk, full": {39 << 20, 400 << 20, true, true},
		"nobody knows":       {0, 0, false, false},
		"it says nothing":    {0, 0, true, false},
	} {
		f, err := os.Open(path)
		must(t, err)
		out, _, err := unpacked(t.Context(), f, t.TempDir(), func(*os.File) (int64, int64, bool) { return c.free, c.total, c.known })
		if !c.full {
			must(t, err)
			must(t, out.Close())
			continue
		}
		must(t, f.Close())
		wantProblem(t, err, usererror.DiskFull, "left free", "TMPDIR", "read in place")
		t.Log(name)
	}
	f, err := os.CreateTemp(t.TempDir(), "")
	must(t, err)
	defer func() { must(t, f.Close()) }()
	if free, total, ok := diskSpace(f); ok && (free < 0 || total < free) {
		t.Errorf("%d of %d", free, total)
	}
}

// A window of more than 8 MiB takes as much memory, and not every tool reads it.
func TestZstdWindows(t *testing.T) {
	b := newBuilder(t)
	raw := tarOf(t, b.files(b.image("linux/amd64", b.layer("a")))...)
	plain := layerTar(t, "x", 3000)
	packed := func(raw []byte, window int) []byte {
		var out bytes.Buffer
		z, err := zstd.NewWriter(&out, zstd.WithWindowSize(window), zstd.WithSingleSegment(false))
		must(t, err)
		_, err = z.Write(raw[:1000])
		must(t, err)
		must(t, z.Flush()) // so that the size is not known when the frame's header is written
		_, err = z.Write(raw[1000:])
		must(t, err)
		must(t, z.Close())
		return out.Bytes()
	}
	for window, ok := range map[int]bool{8 << 20: true, 16 << 20: false, 128 << 20: false} {
		_, archiveErr := open(t, writeFile(t, "image.tar.zst", packed(raw, window)), Options{})
		image := newDockerImage(t, "linux/amd64", nil, plain)
		i, err := open(t, writeFile(t, "saved.tar", tarOf(t, member{name: "manifest.json", data: []byte(`[{"Config":"c","Layers":["l"]}]`)}, member{name: "c", data: image.config}, member{name: "l", data: packed(plain, window)})), Options{})
		must(t, err)
		_, layerErr := i.Root(t.Context())
		for _, err := range []error{archiveErr, layerErr} {
			if ok {
				must(t, err)
			} else {
				wantProblem(t, err, usererror.SourceUnsupported, "8 MiB", "--long")
			}
		}
	}
}
