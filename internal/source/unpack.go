package source

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	// maxUnpacked bounds what a compressed archive may grow to, in bytes.
	maxUnpacked = 256 << 30
	// maxWindow bounds the memory of zstd, in bytes. Every decoder must take as much
	// (RFC 8878, 3.1.1.1.2), and `zstd` needs no more up to its level 19.
	maxWindow = 8 << 20
	// maxUnknown bounds how much of an archive is unpacked before a name shows that it may
	// hold an image, in bytes and in entries.
	maxUnknown        = 64 << 20
	maxUnknownEntries = 1000
	// maxPadding bounds what stands behind the end of an archive: it is read for the
	// checksum, but not kept.
	maxPadding = 1 << 30
)

// compression is how bytes are compressed; what they begin with tells.
type compression int

const (
	plain compression = iota
	gzipped
	zstandard
	otherwise // known to tar, but to no registry
)

func sniff(head []byte) compression {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return gzipped
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}), len(head) > 3 && head[0]>>4 == 5 &&
		bytes.HasPrefix(head[1:], []byte{0x2a, 0x4d, 0x18}): // a frame to skip, as pzstd begins (RFC 8878, 3.1.2)
		return zstandard
	case bytes.HasPrefix(head, []byte("BZh")), bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		return otherwise
	}
	return plain
}

// unpacked returns f, or if f is compressed its contents in a temporary file that has no
// name any more: seeking needs them whole. Then f is closed. The file takes as much of
// the temporary folder as the contents are long; free tells how much it may take.
func unpacked(ctx context.Context, f *os.File, temp string, free freeSpace) (*os.File, int64, error) {
	head := make([]byte, 6)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, broken(err, "the file cannot be read")
	}
	how := sniff(head[:n])
	if how == plain {
		info, err := f.Stat()
		if err != nil {
			return nil, 0, err
		}
		return f, info.Size(), nil
	}
	r, err := decompress(f, how)
	if err != nil {
		return nil, 0, err
	}
	defer r.Close()
	out, err := unnamed(temp)
	if err != nil {
		return nil, 0, err
	}
	size, err := unpack(ctx, keepReserve(out, free), r)
	if err != nil {
		_ = out.Close()
		return nil, 0, err
	}
	_ = f.Close()
	return out, size, nil
}

// unpack writes the archive in r to w, which marks its errors, and returns its size. It follows the entries, so
// that it ends with the archive, and before much is written of what holds no image. What is
// wrong with an entry, indexTar says.
func unpack(ctx context.Context, w io.Writer, r io.Reader) (int64, error) {
	whole := &brokenReader{r: readUnder(ctx, r)}
	counted := &countingWriter{w: w}
	entries := tar.NewReader(io.TeeReader(io.LimitReader(whole, maxUnpacked+1), counted))
	err := follow(entries)
	if err == nil && counted.n > 1024 { // more than an end
		var rest int64
		if rest, err = io.Copy(io.Discard, io.LimitReader(whole, maxPadding+1)); err == nil && rest > maxPadding {
			err = broken(nil, "the archive goes on for more than %d GiB behind its end", maxPadding>>30)
		}
	}
	switch {
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case isTemporary(err):
		return 0, err
	case whole.err != nil:
		return 0, unpackError(whole.err, "the compressed archive cannot be read to its end")
	case counted.n > maxUnpacked:
		return 0, broken(nil, "the archive grows beyond %d GiB", maxUnpacked>>30)
	case isKind(err, Broken):
		return 0, err
	}
	return counted.n, nil
}

// follow reads entries to their end, unless they are those of something else.
func follow(entries *tar.Reader) error {
	known, names, unknown := false, []string{}, int64(0)
	for n := 0; n <= maxEntries; n++ {
		h, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if known = known || mayBelong(h.Name); known {
			continue
		}
		if len(names) < 3 {
			names = append(names, fmt.Sprintf("%q", short(h.Name)))
		}
		if unknown += h.Size; unknown > maxUnknown || n == maxUnknownEntries {
			return broken(nil,
				"the archive begins with %s, and has neither index.json nor manifest.json up to there: it is no image",
				strings.Join(names, ", "))
		}
	}
	return nil
}

// mayBelong reports whether an OCI layout or what `docker save` writes has entries that are
// called so.
func mayBelong(name string) bool {
	name = strings.TrimPrefix(name, "./")
	return endsIn(name, ".json", ".tar", ".tar.gz", ".tgz", "/VERSION") || name == "oci-layout" ||
		name == "repositories" || strings.HasPrefix(name, "blobs/") || strings.HasPrefix(name, "sha256:")
}

// unpackError says why compressed data cannot be read.
func unpackError(err error, otherwise string) error {
	if errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		return wrong(WindowTooLarge, "the zstd data needs a window of more than %d MiB to be read", maxWindow>>20)
	}
	return broken(err, "%s", otherwise)
}

// brokenReader keeps the error that ended r, unless that is its end.
type brokenReader struct {
	r   io.Reader
	err error
}

func (b *brokenReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}

// countingWriter counts what is written.
type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// decompress returns what r holds.
func decompress(r io.Reader, how compression) (io.ReadCloser, error) {
	switch how {
	case gzipped:
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, broken(err, "the gzip data cannot be read")
		}
		return z, nil
	case zstandard:
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow),
			zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, unpackError(err, "the zstd data cannot be read")
		}
		return z.IOReadCloser(), nil
	case plain:
		return io.NopCloser(r), nil
	}
	return nil, wrong(OtherCompression, "this is compressed with bzip2 or xz")
}

// readerFunc is a Read.
type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// readUnder returns a reader of r that fails once ctx has ended.
func readUnder(ctx context.Context, r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		if ctx.Err() != nil {
			return 0, fmt.Errorf("reading: %w", context.Cause(ctx))
		}
		return r.Read(p)
	})
}
