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
	hash   hash.Hash  // nil before the first byte, and when all is hashed
	hashed int64
	state  fileState // of the file when hashing began
	err    error     // what was wrong when all had been hashed
}

func newLocalBlob(d v1.Descriptor, f file) (*localBlob, error) {
	if _, err := v1.Hasher(d.Digest.Algorithm); err != nil {
		return nil, wrong(Unsupported, "blob %s: %v", d.Digest, err)
	}
	return &localBlob{descriptor: d, file: f}, nil
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
	state, err := stateOf(c)
	if err != nil {
		_ = c.Close()
		return nil, broken(err, "blob %s cannot be read", b.descriptor.Digest)
	}
	r := &verifiedReader{ctx: ctx, blob: b, content: c, state: state, offset: offset}
	if offset == b.file.size { // there is no last byte to withhold
		if _, err := b.finish(ctx, c, nil, offset); err != nil {
			_ = c.Close()
			return nil, err
		}
	}
	return r, nil
}

// see takes bytes that were read at offset into the hash, if they continue it and no other
// reader is doing just that. state is the file's from before they were read.
func (b *localBlob) see(state fileState, p []byte, offset int64) {
	if b.verified.Load() || !b.mu.TryLock() {
		return
	}
	defer b.mu.Unlock()
	if b.err == nil && b.begin(state) == nil {
		b.take(p, offset)
	}
}

// begin starts hashing, if nobody has. state is the file's from before the first byte was
// read: finish compares it with the state at the end.
func (b *localBlob) begin(state fileState) (err error) {
	if b.hash != nil {
		return nil
	}
	b.state = state
	b.hash, err = v1.Hasher(b.descriptor.Digest.Algorithm)
	b.hashed = 0
	return err
}

func (b *localBlob) take(p []byte, offset int64) {
	end := offset + int64(len(p))
	if offset > b.hashed || end <= b.hashed {
		return
	}
	_, _ = b.hash.Write(p[b.hashed-offset:])
	b.hashed = end
}

// finish hashes what is left, of which p at offset is the end, and says whether the
// digest is right. Where the file is not what it was when it was hashed, all of it is hashed
// again; again is then true, and p may not be what stands there now.
func (b *localBlob) finish(ctx context.Context, c content, p []byte, offset int64) (again bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now, err := stateOf(c)
	if err != nil {
		return false, broken(err, "blob %s cannot be read", b.descriptor.Digest)
	}
	if b.verified.Load() || b.err != nil {
		if now == b.state {
			return false, b.err
		}
		again = true
		b.verified.Store(false)
		b.hash, b.err = nil, nil
	}
	if b.hash != nil && now != b.state {
		again = true
		b.hash = nil
	}
	if err := b.begin(now); err != nil {
		return again, broken(err, "blob %s cannot be read", b.descriptor.Digest)
	}
	if again { // p was read before
		p, offset = nil, b.file.size
	}
	if err := b.rest(ctx, c, offset); err != nil {
		return again, err
	}
	b.take(p, offset)
	if got := hex.EncodeToString(b.hash.Sum(nil)); got != b.descriptor.Digest.Hex {
		b.err = mismatch("blob "+b.descriptor.Digest.String(), b.descriptor.Digest.String(),
			b.descriptor.Digest.Algorithm+":"+got)
	}
	b.hash = nil
	b.verified.Store(b.err == nil)
	return again, b.err
}

// rest hashes what was not hashed before end.
func (b *localBlob) rest(ctx context.Context, c content, end int64) error {
	if b.hashed >= end {
		return nil
	}
	if _, err := io.Copy(b.hashMore(ctx), io.NewSectionReader(c, b.hashed, end-b.hashed)); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return broken(err, "blob %s cannot be read", b.descriptor.Digest)
	}
	if b.hashed != end {
		return broken(io.ErrUnexpectedEOF, "blob %s became shorter while it was read", b.descriptor.Digest)
	}
	return nil
}

// hashWriter is a Write.
type hashWriter func(p []byte) (int, error)

func (w hashWriter) Write(p []byte) (int, error) { return w(p) }

// hashMore returns what goes on with the hash until ctx ends; the blob's lock is held.
func (b *localBlob) hashMore(ctx context.Context) hashWriter {
	return func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		_, _ = b.hash.Write(p)
		b.hashed += int64(len(p))
		return len(p), nil
	}
}

// verifiedReader reads a localBlob from some offset on.
type verifiedReader struct {
	ctx     context.Context //nolint:containedctx // io.Reader has no place for it
	blob    *localBlob
	content content
	state   fileState // of the file when it was opened
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
		if err == nil || err == io.EOF { //nolint:errorlint // wrapped, it is no end
			err = io.ErrUnexpectedEOF
		}
		return 0, broken(err, "blob %s cannot be read at byte %d", r.blob.descriptor.Digest, r.offset+int64(n))
	}
	if int64(n) < left {
		r.blob.see(r.state, p, r.offset)
	} else if again, err := r.blob.finish(r.ctx, r.content, p, r.offset); err != nil {
		return 0, err
	} else if again {
		//nolint:errorlint // wrapped, it is no end
		if _, err := r.content.ReadAt(p, r.offset); err != nil && err != io.EOF {
			return 0, broken(err, "blob %s cannot be read at byte %d", r.blob.descriptor.Digest, r.offset)
		}
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
