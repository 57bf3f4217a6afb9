package blobcache

import (
	"fmt"
	"io"
	"sync"
	"testing"
)

// BenchmarkFanOut reads one blob from a source that costs nothing and hands it to
// readers that cost nothing: what is left is the hash, the disk and the copies.
// MB/s are bytes of the blob, whatever the number of readers.
func BenchmarkFanOut(b *testing.B) {
	content := random(1, 64<<20)
	d := descriptor(content)
	for _, readers := range []int{1, 4, 16} {
		b.Run(fmt.Sprintf("%d readers", readers), func(b *testing.B) {
			s, err := New(Options{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				fanOut(b, s.Blob(d, &origin{content: content}, readers), readers)
			}
		})
	}
}

// BenchmarkSmall is the cost of a small blob, which stays in memory.
func BenchmarkSmall(b *testing.B) {
	content := random(1, 4<<10)
	d := descriptor(content)
	s, err := New(Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		fanOut(b, s.Blob(d, &origin{content: content}, 4), 4)
	}
}

func fanOut(b *testing.B, blob *Blob, readers int) {
	var wg sync.WaitGroup
	for range readers {
		c := blob.Lease()
		wg.Go(func() {
			defer c.Release()
			r, err := c.Open(b.Context(), 0)
			if err != nil {
				b.Error(err)
				return
			}
			defer r.Close()
			n, err := io.CopyBuffer(onlyWriter{io.Discard}, r, make([]byte, 32<<10))
			if err != nil || n != blob.size {
				b.Errorf("%d bytes, %v", n, err)
			}
		})
	}
	wg.Wait()
}

// onlyWriter hides that io.Discard reads by itself, in pieces of 8 KiB.
type onlyWriter struct{ io.Writer }
