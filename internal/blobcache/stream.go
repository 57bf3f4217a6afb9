package blobcache

import (
	"bytes"
	"context"
	"encoding"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	"github.com/multi-registry-push/multi-registry-push/internal/retry"
)

// stream is one reading of a blob from the source, from any offset to its end, over
// as many attempts as that takes. It hashes what it reads and does not return the
// last byte of a blob whose digest is wrong.
type stream struct {
	blob *Blob
	o    *Options // of its cache

	sum    hash.Hash // of all bytes before pos
	pos    int64
	body   io.ReadCloser
	failed retry.Tries // in a row, without a byte between them
	ends   int         // of these, attempts that ended cleanly, but too early
	err    error       // sticky
}

// checkpoint is the state of a blob's hash at a position, so that the bytes from there on can be read
// and checked again without those before.
type checkpoint struct {
	pos   int64
	state []byte
}

// newStream reads blob from m on; the zero checkpoint is the blob's beginning.
func newStream(b *Blob, m checkpoint) (*stream, error) {
	st := &stream{blob: b, o: &b.cache.o, sum: newHash(b.digest), pos: m.pos}
	if st.sum == nil {
		return nil, &Error{Kind: Unsupported,
			What: fmt.Sprintf("%s: digests of the kind %q cannot be checked", st.name(), b.digest.Algorithm)}
	}
	if m.pos > 0 {
		if err := st.sum.(encoding.BinaryUnmarshaler).UnmarshalBinary(m.state); err != nil {
			return nil, fmt.Errorf("%s: %w", st.name(), err)
		}
	}
	return st, nil
}

// appendState appends the hash's state to b.
func (st *stream) appendState(b []byte) ([]byte, error) {
	return st.sum.(encoding.BinaryAppender).AppendBinary(b)
}

// agrees reports whether the bytes before m are those that m was made after.
func (st *stream) agrees(m checkpoint) bool {
	state, err := st.appendState(nil)
	return err == nil && bytes.Equal(state, m.state)
}

// read returns bytes of the blob, and io.EOF only behind a blob that has its digest. All
// calls are under contexts that end together.
func (st *stream) read(ctx context.Context, p []byte) (int, error) {
	if st.err != nil {
		return 0, st.err
	}
	n, err := st.attempt(ctx, p)
	if err != nil {
		st.err = err
		st.close()
	}
	return n, err
}

// attempt reads once, over as many attempts as that takes.
func (st *stream) attempt(ctx context.Context, p []byte) (int, error) {
	rest := st.blob.size - st.pos
	if rest == 0 {
		if err := st.verify(); err != nil {
			return 0, err
		}
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), rest)]
	if len(p) == 0 {
		return 0, nil
	}
	for empty := 0; ; {
		if st.body == nil {
			body, err := st.blob.source.Open(ctx, st.pos)
			if err != nil {
				if err := st.awaitRetry(ctx, err); err != nil {
					return 0, err
				}
				continue
			}
			st.body = body
		}
		n, err := st.body.Read(p)
		if n > 0 {
			st.failed, st.ends = retry.Tries{}, 0
			st.sum.Write(p[:n])
			st.pos += int64(n)
			if st.pos == st.blob.size {
				if err := st.verify(); err != nil {
					return 0, err
				}
				st.close()
			}
			return n, nil // an error that came along comes again, or the next attempt does not have it
		}
		switch {
		case err == nil && empty < 100:
			empty++
			continue
		case err == nil:
			err = io.ErrNoProgress
		case err == io.EOF: //nolint:errorlint // wrapped, it is no end
			if err := st.endedEarly(); err != nil {
				return 0, err
			}
			err = io.ErrUnexpectedEOF
		}
		st.close()
		if err := st.awaitRetry(ctx, err); err != nil {
			return 0, err
		}
	}
}

// endedEarly is called when the body ended before the blob should. It returns an error
// when that is the blob's end and not a connection's.
func (st *stream) endedEarly() error {
	st.ends++
	if st.ends < 3 {
		return nil
	}
	return &Error{Kind: DigestMismatch,
		What: fmt.Sprintf("%s: it ends after %d bytes, and should have %d", st.name(), st.pos, st.blob.size)}
}

func (st *stream) verify() error {
	got := hex.EncodeToString(st.sum.Sum(nil))
	if got == st.blob.digest.Hex {
		return nil
	}
	return &Error{Kind: DigestMismatch,
		What: fmt.Sprintf("%s: its %d bytes have the digest %s:%s", st.name(), st.blob.size,
			st.blob.digest.Algorithm, got)}
}

// awaitRetry waits until the next attempt is due. It returns the error to end with when
// there is to be none.
func (st *stream) awaitRetry(ctx context.Context, cause error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !st.o.Retryable(cause) {
		return fmt.Errorf("%s: %w", st.name(), cause)
	}
	now := st.o.Clock.Now()
	if st.failed.Count == 0 {
		st.failed.Since = now
	}
	pause, again := st.failed.Next(retry.Policy{Backoff: backoff, Budget: st.o.RetryBudget}, now, 0)
	if !again {
		return &Error{GaveUp, fmt.Sprintf("%s: the source kept failing at byte %d for %s", st.name(), st.pos,
			retry.Text(now.Sub(st.failed.Since))), cause}
	}
	st.o.Notify(Notice{fmt.Sprintf("%s broke off after %d of %d bytes, asking for the rest: %v", st.name(), st.pos,
		st.blob.size, cause)})
	return st.o.Clock.Sleep(ctx, pause)
}

func (st *stream) name() string { return "blob " + st.blob.digest.String() + " of the source" }

func (st *stream) close() {
	if st.body != nil {
		_ = st.body.Close() // what matters has been read, or is read again
		st.body = nil
	}
}
