package source

import (
	"context"
	_ "crypto/sha512" // descriptors may use it (image-spec, descriptor.md)
	"encoding/hex"
	"hash"
	"io"
	"sync"
	"sync/atomic"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// localBlob is a blob in a file that is read in place. However many readers it has,
// its bytes are hashed once, by the readers themselves: whoever is at the frontier
// of what has been hashed takes it on, and nobody is given the end before all of
// it is verified.
type localBlob struct {
	descriptor v1.Descriptor
	file       file
	verified   atomic.Bool

	mu     sync.Mutex // guards what follows
	hash   hash.Hash  // nil when the digest has been checked
	hashed int64
	buffer []byte
	err    error
}

// smallGap is how much is read again, in bytes, when a reader goes on with a hash that
// others have left behind.
const smallGap = 256 << 10

func newLocalBlob(d v1.Descriptor, f file) (*localBlob, error) {
	h, err := v1.Hasher(d.Digest.Algorithm)
	if err != nil {
		return nil, unsupported("", "blob %s: %v", d.Digest, err)
	}
	return &localBlob{descriptor: d, file: f, hash: h}, nil
}

func (b *localBlob) Descriptor(context.Context) (v1.Descriptor, error) { return b.descriptor, nil }

func (b *localBlob) Open(ctx context.Context, offset int64) (io.ReadCloser, error) {
	if offset < 0 || offset > b.file.size {
		return nil, broken(nil, "blob %s has no byte %d", b.descriptor.Digest, offset)
	}
	c, err := b.file.open()
	if err != nil {
		return nil, broken(err, "blob %s cannot be read", b.descriptor.Digest)
	}
	r := &verifiedReader{ctx: ctx, blob: b, content: c, offset: offset}
	if offset == b.file.size { // there is no last byte to withhold
		if err := b.finish(ctx, c, nil, offset); err != nil {
			_ = c.Close()
			return nil, err
		}
	}
	return r, nil
}

// see takes bytes that were read at offset into the hash, unless another reader is
// doing just that. Small gaps that others have left are read again; large ones wait
// for the end.
func (b *localBlob) see(ctx context.Context, c io.ReaderAt, p []byte, offset int64) {
	if b.verified.Load() || !b.mu.TryLock() {
		return
	}
	defer b.mu.Unlock()
	if b.hash == nil || offset-b.hashed > smallGap || b.catchUp(ctx, c, offset) != nil {
		return
	}
	b.take(p, offset)
}

// take goes on with the hash, if p at offset continues it.
func (b *localBlob) take(p []byte, offset int64) {
	end := offset + int64(len(p))
	if offset > b.hashed || end <= b.hashed {
		return
	}
	_, _ = b.hash.Write(p[b.hashed-offset:])
	b.hashed = end
}

// catchUp reads and hashes what lies between what has been hashed and offset.
func (b *localBlob) catchUp(ctx context.Context, c io.ReaderAt, offset int64) error {
	if b.hashed < offset && b.buffer == nil {
		b.buffer = make([]byte, smallGap)
	}
	for b.hashed < offset {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		p := b.buffer[:min(smallGap, offset-b.hashed)]
		if err := readFull(c, p, b.hashed); err != nil {
			return broken(err, "blob %s cannot be read at byte %d", b.descriptor.Digest, b.hashed)
		}
		b.take(p, b.hashed)
	}
	return nil
}

// finish hashes what is left, of which p at offset is the end, and says whether the
// digest is right.
func (b *localBlob) finish(ctx context.Context, c io.ReaderAt, p []byte, offset int64) error {
	if b.verified.Load() {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.hash == nil {
		return b.err
	}
	if err := b.catchUp(ctx, c, offset); err != nil {
		return err
	}
	b.take(p, offset)
	if got := hex.EncodeToString(b.hash.Sum(nil)); got != b.descriptor.Digest.Hex {
		b.err = mismatch("blob "+b.descriptor.Digest.String(), b.descriptor.Digest.String(), b.descriptor.Digest.Algorithm+":"+got)
	}
	b.hash, b.buffer = nil, nil
	b.verified.Store(b.err == nil)
	return b.err
}

// readFull fills p from offset on; an end before that is an error.
func readFull(c io.ReaderAt, p []byte, offset int64) error {
	n, err := c.ReadAt(p, offset)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// verifiedReader reads a localBlob from some offset on.
type verifiedReader struct {
	ctx     context.Context
	blob    *localBlob
	content content
	offset  int64
	closed  atomic.Bool
}

func (r *verifiedReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, context.Cause(r.ctx)
	}
	left := r.blob.file.size - r.offset
	if left == 0 {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	p = p[:min(int64(len(p)), left)]
	if err := readFull(r.content, p, r.offset); err != nil {
		return 0, broken(err, "blob %s cannot be read from byte %d on", r.blob.descriptor.Digest, r.offset)
	}
	if int64(len(p)) == left {
		if err := r.blob.finish(r.ctx, r.content, p, r.offset); err != nil {
			return 0, err
		}
	} else {
		r.blob.see(r.ctx, r.content, p, r.offset)
	}
	r.offset += int64(len(p))
	return len(p), nil
}

func (r *verifiedReader) Close() error {
	if r.closed.Swap(true) {
		return nil
	}
	return r.content.Close()
}
