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
	hash   hash.Hash
	hashed int64
	err    error
}

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

// see takes bytes that were read at offset into the hash, if they continue it and
// no other reader is doing just that.
func (b *localBlob) see(p []byte, offset int64) {
	if b.verified.Load() || !b.mu.TryLock() {
		return
	}
	defer b.mu.Unlock()
	b.take(p, offset)
}

func (b *localBlob) take(p []byte, offset int64) {
	end := offset + int64(len(p))
	if b.hash == nil || offset > b.hashed || end <= b.hashed {
		return
	}
	_, _ = b.hash.Write(p[b.hashed-offset:])
	b.hashed = end
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
	if b.hashed < offset {
		if _, err := io.Copy(hashWriter{ctx, b}, io.NewSectionReader(c, b.hashed, offset-b.hashed)); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return broken(err, "blob %s cannot be read", b.descriptor.Digest)
		}
		if b.hashed != offset {
			return broken(io.ErrUnexpectedEOF, "blob %s became shorter while it was read", b.descriptor.Digest)
		}
	}
	b.take(p, offset)
	if got := hex.EncodeToString(b.hash.Sum(nil)); got != b.descriptor.Digest.Hex {
		b.err = mismatch("blob "+b.descriptor.Digest.String(), b.descriptor.Digest.String(), b.descriptor.Digest.Algorithm+":"+got)
	}
	b.hash = nil
	b.verified.Store(b.err == nil)
	return b.err
}

// hashWriter goes on with the hash; the blob's lock is held.
type hashWriter struct {
	ctx  context.Context
	blob *localBlob
}

func (w hashWriter) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	_, _ = w.blob.hash.Write(p)
	w.blob.hashed += int64(len(p))
	return len(p), nil
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
	n, err := r.content.ReadAt(p, r.offset)
	if n < len(p) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, broken(err, "blob %s cannot be read at byte %d", r.blob.descriptor.Digest, r.offset+int64(n))
	}
	if int64(n) == left {
		err = r.blob.finish(r.ctx, r.content, p, r.offset)
		if err != nil {
			return 0, err
		}
	} else {
		r.blob.see(p, r.offset)
	}
	r.offset += int64(n)
	return n, nil
}

func (r *verifiedReader) Close() error {
	if r.closed.Swap(true) {
		return nil
	}
	return r.content.Close()
}
