package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	// maxUnpacked bounds what a compressed archive may grow to, in bytes.
	maxUnpacked = 256 << 30
	// maxWindow bounds the memory of zstd; it is what `zstd` itself takes without
	// being asked for more.
	maxWindow = 128 << 20
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
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return zstandard
	case bytes.HasPrefix(head, []byte("BZh")), bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		return otherwise
	}
	return plain
}

// unpacked returns f, or if f is compressed its contents in a temporary file that has no
// name any more: seeking needs them whole. Then f is closed. The file takes as much of
// the temporary folder as the contents are long.
func unpacked(ctx context.Context, f *os.File, temp string) (*os.File, int64, error) {
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
	size, err := io.Copy(writeOnly{out}, io.LimitReader(readUnder{ctx, r}, maxUnpacked+1))
	switch {
	case err == nil && size > maxUnpacked:
		err = broken(nil, "the archive grows beyond %d GiB", maxUnpacked>>30)
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case err != nil && !isTemporary(err):
		err = broken(err, "the compressed archive cannot be read to its end")
	}
	if err != nil {
		_ = out.Close()
		return nil, 0, err
	}
	_ = f.Close()
	return out, size, nil
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
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, broken(err, "the zstd data cannot be read")
		}
		return z.IOReadCloser(), nil
	case plain:
		return io.NopCloser(r), nil
	}
	return nil, unsupported("Compress it with gzip or zstd, or not at all.", "this is compressed with bzip2 or xz")
}

// unnamed returns a temporary file without a name: it is gone when it is closed,
// however the process ends.
func unnamed(folder string) (*os.File, error) {
	f, err := os.CreateTemp(folder, "multi-registry-push-")
	if err != nil {
		return nil, temporary(err)
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, temporary(err)
	}
	return f, nil
}

// writeOnly marks errors of writing, which are the temporary folder's, not the
// source's.
type writeOnly struct{ w io.Writer }

type temporaryError struct{ error }

func (e temporaryError) Unwrap() error { return e.error }

func (w writeOnly) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	if err != nil {
		err = temporaryError{temporary(err)}
	}
	return n, err
}

func isTemporary(err error) bool {
	var t temporaryError
	return errors.As(err, &t)
}

// readUnder reads until a context ends.
type readUnder struct {
	ctx context.Context
	r   io.Reader
}

func (r readUnder) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, fmt.Errorf("reading: %w", context.Cause(r.ctx))
	}
	return r.r.Read(p)
}
