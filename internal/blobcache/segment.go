package blobcache

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// segment holds the bytes from start to end of one blob, in a file without a name
// or in memory. A blob is a row of segments: those that nobody needs any more are
// dropped from its front, which gives the space back on every system and file
// system alike.
type segment struct {
	start, end int64
	file       *os.File
	memory     []byte
	refs       int  // calls that read or write it now
	writing    bool // the fetch is one of them
	dead       bool // to be closed by the last of them
}

// newSegment makes a file that has no name any more.
func newSegment(dir string, start int64) (*segment, error) {
	f, err := os.CreateTemp(dir, "multi-registry-push-*")
	if err != nil {
		return nil, diskError(dir, err)
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("temporary file of the cache: %w", err)
	}
	return &segment{start: start, end: start, file: f}, nil
}

// write stores p behind the segment's end, which the caller moves when it shows the
// bytes to readers.
func (g *segment) write(p []byte, dir string) error {
	if g.file == nil {
		copy(g.memory[g.end-g.start:], p)
		return nil
	}
	if _, err := g.file.WriteAt(p, g.end-g.start); err != nil {
		return diskError(dir, err)
	}
	return nil
}

// read fills p from offset, which the caller made sure are bytes of the segment.
func (g *segment) read(p []byte, offset int64) (int, error) {
	if g.file == nil {
		return copy(p, g.memory[offset-g.start:]), nil
	}
	n, err := g.file.ReadAt(p, offset-g.start)
	if err != nil {
		return n, fmt.Errorf("temporary file of the cache: %w", err)
	}
	return n, nil
}

func (g *segment) close() {
	if g.file != nil {
		_ = g.file.Close() // nothing that was written matters any more
	}
	g.memory = nil
}

// diskError returns the error of a temporary folder that is full or cannot be used.
func diskError(dir string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &Error{DiskFull, "no space left for the image's layers in the temporary folder " + dir, err}
	}
	return &Error{TemporaryFolder, "the temporary folder " + dir + " cannot be used", err}
}
