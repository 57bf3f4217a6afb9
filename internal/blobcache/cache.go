package blobcache

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/retry"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30

	defaultLimit = 4 * gib
	tmpfsLimit   = 256 * mib
	minLimit     = 4 * mib

	diskFetches = 8 // at a time, unless Options say otherwise
	// memoryFetches is how many blobs are being read from the source into memory at a time
	// unless Options say otherwise: they cost a round trip each rather than bandwidth, and the client of the
	// source bounds its requests itself.
	memoryFetches = 32
)

// Options are the settings of a cache. The zero value is usable.
type Options struct {
	Dir string // folder of the temporary files; empty means $TMPDIR, else /tmp
	// bytes on disk at any time; 0 means 4 GiB, less where the folder is small or a tmpfs
	Limit       int64
	MemoryBelow int64 // smaller blobs stay in memory; 0 means 1 MiB, negative none
	MemoryLimit int64 // bytes of blobs in memory; 0 means 16 MiB
	// blobs being read from the source to disk at a time, and to memory; 0 means 8, and 32 to memory
	Fetches     int
	RetryBudget time.Duration        // how long a broken source is tried again without progress; 0 means 3 minutes
	Retryable   func(err error) bool // whether another attempt may help; nil: after broken connections
	Clock       retry.Clock          // nil means the real one
	Notify      func(Notice)         // nil means nobody wants to know; must not call the cache
}

// Notice is something that a person may want to know while it goes on.
type Notice struct {
	Text string
}

// Stats are totals since the cache was made.
type Stats struct {
	Fetched   int64 // bytes received from the source for the first time
	Refetched int64 // bytes received again, for readers that were evicted or went back
	Disk      int64 // bytes on disk now
	PeakDisk  int64 // most bytes on disk at any time
	Memory    int64 // bytes of blobs in memory now
}

// Cache holds the blobs of one run.
type Cache struct {
	o       Options // defaults filled in
	note    string
	soft    int64 // of disk: above it what was read is freed and fetches wait for their readers
	window  int64 // a reader that is less than this behind the fetch is hungry
	slack   int64 // kept behind the slowest reader where possible: what a broken connection loses
	segment int64 // largest temporary file

	fetching func() (context.Context, context.CancelFunc) // a context for a fetch, until Close
	cancel   context.CancelFunc
	running  sync.WaitGroup
	buffers  sync.Pool
	create   func(dir string, start int64) (*segment, error)

	mu      sync.Mutex // guards what follows, and the guarded part of blobs, leases and readers
	closed  bool
	blobs   map[*Blob]struct{}     // that hold, or may come to hold, space
	disk    slots                  // of fetches to disk
	memory  slots                  // of fetches to memory: these never wait behind the others
	space   signal                 // something changed for a fetch that waits
	waiting int                    // fetches that wait for it
	garbage []interface{ close() } // segments and streams, to be closed when the mutex is free
	stats   Stats
}

// New makes a cache. It creates no file yet.
func New(o Options) (*Cache, error) {
	o.Dir = cmp.Or(o.Dir, os.TempDir())
	if info, err := os.Stat(o.Dir); err != nil {
		return nil, diskError(o.Dir, err)
	} else if !info.IsDir() {
		return nil, diskError(o.Dir, syscall.ENOTDIR)
	}
	note := ""
	if o.Limit <= 0 {
		o.Limit, note = limitOf(o.Dir)
	}
	o.Limit = max(o.Limit, minLimit)
	o.MemoryBelow, o.MemoryLimit = cmp.Or(o.MemoryBelow, 1*mib), cmp.Or(o.MemoryLimit, 16*mib)
	o.RetryBudget = cmp.Or(o.RetryBudget, 3*time.Minute)
	if o.Retryable == nil {
		o.Retryable = retryable
	}
	if o.Clock == nil {
		o.Clock = retry.SystemClock{}
	}
	if o.Notify == nil {
		o.Notify = func(Notice) {}
	}
	s := &Cache{
		o:       o,
		note:    note,
		soft:    o.Limit / 2,
		window:  min(8*mib, o.Limit/16),
		slack:   min(8*mib, o.Limit/32),
		segment: min(32*mib, o.Limit/64),
		create:  newSegment,
		blobs:   make(map[*Blob]struct{}),
	}
	s.disk.free, s.memory.free = cmp.Or(o.Fetches, diskFetches), cmp.Or(o.Fetches, memoryFetches)
	size := int(min(bufferSize, s.segment))
	s.buffers.New = func() any { b := make([]byte, size); return &b }
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.fetching = func() (context.Context, context.CancelFunc) { return context.WithCancel(ctx) }
	return s, nil
}

// limitOf returns the limit for a folder, and what is to be said about it.
func limitOf(dir string) (limit int64, note string) {
	free, memory, ok := folder(dir)
	if !ok {
		return defaultLimit, ""
	}
	return limitFor(dir, free, memory)
}

func limitFor(dir string, free int64, memory bool) (limit int64, note string) {
	limit = max(free/4*3, minLimit)
	switch {
	case memory:
		limit = min(limit, tmpfsLimit)
		return limit, fmt.Sprintf("%s is in memory (tmpfs): the blob cache uses at most %d MiB of it; point TMPDIR at "+
			"a disk to give it more", dir, limit/mib)
	case limit < defaultLimit:
		return limit, fmt.Sprintf("%s has %d MiB free: the blob cache uses at most %d MiB of it", dir, free/mib,
			limit/mib)
	}
	return defaultLimit, ""
}

// Note says what is unusual about the cache's folder, or "".
func (s *Cache) Note() string { return s.note }

// Limit returns the most bytes that the cache ever has on disk.
func (s *Cache) Limit() int64 { return s.o.Limit }

// Stats returns the totals so far.
func (s *Cache) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Blob adds a blob that as many destinations as leases may read. Nothing is
// fetched before the first of them opens it. Its space is freed when as many
// leases have been released.
func (s *Cache) Blob(d v1.Descriptor, source Opener, leases int) *Blob {
	b := &Blob{cache: s, source: source, digest: d.Digest, size: d.Size, leases: make([]*Lease, leases)}
	for i := range b.leases {
		b.leases[i] = &Lease{blob: b}
	}
	b.unmade = slices.Clone(b.leases)
	return b
}

// Close cancels what still runs, waits for it, and frees all files. Readers that
// are still open return an error.
func (s *Cache) Close() error {
	s.cancel()
	s.mu.Lock()
	s.closed = true
	for b := range s.blobs {
		b.fail(errClosed)
	}
	s.mu.Unlock()
	s.running.Wait()
	s.mu.Lock()
	defer s.unlock()
	for b := range s.blobs {
		b.drop()
	}
	return nil
}

// newHash returns the hash that digests of d's kind are made with, nil for one
// that is unknown here.
func newHash(d v1.Hash) hash.Hash {
	switch d.Algorithm {
	case "sha256":
		return sha256.New()
	case "sha512":
		return sha512.New()
	}
	return nil
}
