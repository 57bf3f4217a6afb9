package source

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// compressor prepares layers for registries: plain ones are compressed, compressed ones stay
// as they are. Both are hashed, and so is what they hold, for its diff id.
type compressor struct {
	temp  string // folder of temporary files
	cores int
}

// fromFile prepares a layer in a file. A compressed one is read in place.
func (p compressor) fromFile(ctx context.Context, f file) (layer, error) {
	c, err := f.open()
	if err != nil {
		return layer{}, broken(err, "the layer cannot be read")
	}
	defer func() { _ = c.Close() }()
	head := make([]byte, 6)
	n, err := c.ReadAt(head[:min(6, f.size)], 0)
	if err != nil && err != io.EOF { //nolint:errorlint // wrapped, it is no end
		return layer{}, broken(err, "the layer cannot be read")
	}
	r := io.NewSectionReader(c, 0, f.size)
	how := sniff(head[:n])
	if how == plain {
		return p.compress(ctx, r)
	}
	before, err := stateOf(c)
	if err != nil {
		return layer{}, broken(err, "the layer cannot be read")
	}
	l, err := p.inspect(ctx, r, how, io.Discard)
	l.file, l.state = f, before
	return l, err
}

// fromStream prepares a layer that can be read only once.
func (p compressor) fromStream(ctx context.Context, r io.Reader) (layer, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	head, err := buffered.Peek(6)
	if err != nil && err != io.EOF { //nolint:errorlint // wrapped, it is no end
		return layer{}, err
	}
	how := sniff(head)
	if how == plain {
		return p.compress(ctx, buffered)
	}
	out, err := unnamed(p.temp)
	if err != nil {
		return layer{}, err
	}
	l, err := p.inspect(ctx, buffered, how, keepReserve(out, diskSpace))
	if err != nil {
		_ = out.Close()
		return layer{}, err
	}
	return l.inFile(out), nil
}

// compress packs a plain layer into a temporary file.
func (p compressor) compress(ctx context.Context, r io.Reader) (layer, error) {
	out, err := unnamed(p.temp)
	if err != nil {
		return layer{}, err
	}
	diff, digest := sha256.New(), sha256.New()
	compressed := &countingWriter{w: digest}
	err = compressGzip(ctx, io.MultiWriter(keepReserve(out, diskSpace), compressed),
		io.TeeReader(readUnder(ctx, r), diff), p.cores)
	if err != nil {
		_ = out.Close()
		return layer{}, readError(ctx, err)
	}
	l := layer{diffID: sum(diff),
		descriptor: v1.Descriptor{MediaType: types.OCILayer, Size: compressed.n, Digest: sum(digest)}}
	return l.inFile(out), nil
}

// inspect reads a compressed layer to its end, and writes it to out as it is.
func (p compressor) inspect(ctx context.Context, r io.Reader, how compression, out io.Writer) (layer, error) {
	mediaType := types.OCILayer
	if how == zstandard {
		mediaType = types.OCILayerZStd
	}
	diff, digest := sha256.New(), sha256.New()
	compressed := &countingWriter{w: digest}
	tee := io.TeeReader(readUnder(ctx, r), io.MultiWriter(compressed, out))
	z, err := decompress(tee, how)
	if err != nil {
		return layer{}, err
	}
	defer func() { _ = z.Close() }()
	if _, err := io.Copy(diff, z); err != nil {
		return layer{}, readError(ctx, err)
	}
	if _, err := io.Copy(io.Discard, tee); err != nil { // padding behind the data
		return layer{}, readError(ctx, err)
	}
	return layer{diffID: sum(diff),
		descriptor: v1.Descriptor{MediaType: mediaType, Size: compressed.n, Digest: sum(digest)}}, nil
}

// readError says which side an error of copying came from.
func readError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case isTemporary(err):
		return err
	}
	return unpackError(err, "a layer cannot be read to its end")
}

// inFile puts the layer's bytes into a temporary file that is its own.
func (l layer) inFile(f *os.File) layer {
	l.file = file{size: l.descriptor.Size, open: func() (content, error) {
		return section{io.NewSectionReader(f, 0, l.descriptor.Size), nil}, nil // nobody else has it
	}}
	l.release = f.Close
	return l
}

func sum(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}
