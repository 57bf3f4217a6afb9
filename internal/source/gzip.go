package source

import (
	"context"
	"io"
	"runtime"
	"time"

	"github.com/klauspost/pgzip"
)

// What decides the bytes that come out, and so the digests of layers. A change of any of
// them, or of the compressor's own version, changes digests: a test pins some.
const (
	gzipLevel = 6
	gzipBlock = 1 << 20 // bytes of input that are compressed on their own
)

// maxCompressors bounds memory: a block, its output and a compressor take some 3 MiB.
const maxCompressors = 16

// compressGzip compresses src to dst as one gzip member, block by block on several cores; 0 is all.
// The bytes depend on src alone, neither on the number of cores nor on how src is read.
func compressGzip(ctx context.Context, dst io.Writer, src io.Reader, cores int) error {
	if cores <= 0 {
		cores = runtime.GOMAXPROCS(0)
	}
	z, err := pgzip.NewWriterLevel(dst, gzipLevel)
	if err != nil {
		return err
	}
	if err := z.SetConcurrency(gzipBlock, min(cores, maxCompressors)); err != nil {
		return err
	}
	z.ModTime = time.Unix(0, 0) // none (RFC 1952, 2.3.1); the zero Time would be one
	// Reset waits for the compressors, which Close does not after an error.
	defer z.Reset(io.Discard)
	if _, err := io.CopyBuffer(z, readUnder(ctx, src), make([]byte, 128<<10)); err != nil {
		return err
	}
	return z.Close()
}
