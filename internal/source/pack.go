package source

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"runtime"

	"github.com/klauspost/compress/flate"
	"golang.org/x/sync/errgroup"
)

// What decides the bytes that come out, and so the digests of layers. A change of any of
// them, or of the compressor's own version, changes digests: a test pins one.
const (
	packLevel = 6
	packBlock = 1 << 20  // bytes of input that are compressed on their own
	packDict  = 32 << 10 // bytes of the block before that one may refer to: deflate's window
)

// maxPackers bounds memory: a block, its output and a compressor take some 3 MiB.
const maxPackers = 16

// pack compresses src to dst as one gzip member, block by block on several cores. The
// bytes depend on src alone, neither on the number of cores nor on how src is read.
func pack(ctx context.Context, dst io.Writer, src io.Reader, cores int) error {
	if cores <= 0 {
		cores = runtime.GOMAXPROCS(0)
	}
	cores = min(cores, maxPackers)
	group, ctx := errgroup.WithContext(ctx)
	p := &packer{
		free:  make(chan *block, cores+2),
		work:  make(chan *block, cores+2),
		order: make(chan *block, cores+2),
	}
	for range cores + 2 {
		p.free <- &block{done: make(chan struct{}, 1)}
	}
	for range cores {
		group.Go(func() error { return p.compress() })
	}
	group.Go(func() error { return p.write(ctx, dst) })
	group.Go(func() error { return p.read(ctx, src) })
	return group.Wait()
}

// packer is one run of pack: blocks go from free through work and order back to free.
type packer struct{ free, work, order chan *block }

type block struct {
	in   []byte // the end of the block before, then the block
	dict int    // how much of in is that
	last bool
	out  bytes.Buffer
	err  error
	done chan struct{} // gets a value when out is there

	crc  uint32 // of everything up to here; the last block's is the trailer's
	size uint32
}

func (p *packer) read(ctx context.Context, src io.Reader) error {
	defer close(p.work)
	defer close(p.order)
	var tail []byte
	var crc, size uint32
	// One byte is read ahead: the last block must know that it is the last.
	ahead := &ahead{r: src}
	for last := false; !last; {
		var b *block
		select {
		case b = <-p.free:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if b.in == nil { // a small layer needs one block only
			b.in = make([]byte, 0, packDict+packBlock)
		}
		b.in = append(b.in[:0], tail...)
		b.dict = len(tail)
		n, err := ahead.fill(b.in[b.dict : b.dict+packBlock])
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		last = errors.Is(err, io.EOF)
		b.in, b.last = b.in[:b.dict+n], last
		crc = crc32.Update(crc, crc32.IEEETable, b.in[b.dict:])
		size += uint32(n) // #nosec G115 -- gzip counts modulo 2³² (RFC 1952, 2.3.1)
		b.crc, b.size = crc, size
		tail = append(tail[:0], b.in[max(0, len(b.in)-packDict):]...)
		// Both have room for all blocks there are.
		p.order <- b
		p.work <- b
	}
	return nil
}

func (p *packer) compress() error {
	var z *flate.Writer
	for b := range p.work {
		if z == nil {
			var err error
			if z, err = flate.NewWriter(io.Discard, packLevel); err != nil {
				return err
			}
		}
		b.out.Reset()
		z.ResetDict(&b.out, b.in[:b.dict])
		_, err := z.Write(b.in[b.dict:])
		if err == nil && b.last {
			err = z.Close()
		} else if err == nil {
			err = z.Flush()
		}
		b.err = err
		b.done <- struct{}{}
	}
	return nil
}

func (p *packer) write(ctx context.Context, dst io.Writer) error {
	// RFC 1952, 2.3: no name, no time, no extra, unknown system.
	header := []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}
	if _, err := dst.Write(header); err != nil {
		return err
	}
	for b := range p.order {
		select {
		case <-b.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if b.err != nil {
			return b.err
		}
		if b.last {
			b.out.Write(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, b.crc), b.size))
		}
		if _, err := dst.Write(b.out.Bytes()); err != nil {
			return err
		}
		p.free <- b
	}
	return nil // a reader that failed has closed order, too, and says why
}

// ahead reads one byte further than it gives out, so that the end is known with the
// last bytes.
type ahead struct {
	r    io.Reader
	next [1]byte
	have bool
}

// fill fills p. The error is io.EOF if nothing follows, which comes with the last bytes.
// A source that breaks off is another error (io.ReadFull would not tell them apart).
func (a *ahead) fill(p []byte) (n int, err error) {
	if a.have {
		p[0] = a.next[0]
		n, a.have = 1, false
	}
	m, err := full(a.r, p[n:])
	if n += m; err != nil {
		return n, err
	}
	if _, err := full(a.r, a.next[:]); err != nil {
		return n, err
	}
	a.have = true
	return n, nil
}

// full reads until p is full or r has an error, which it returns as it is.
func full(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = r.Read(p[n:])
		n += m
	}
	if n == len(p) {
		return n, nil
	}
	return n, err
}
