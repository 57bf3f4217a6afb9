package report

import (
	"io"
	"sync"
	"time"

	"github.com/mattn/go-runewidth"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// Live draws a bar for each copy under way, for terminals only. Lines of the log are
// written through it, so that they appear above the bars.
type Live struct {
	log     *Log
	screen  *screen
	bars    *mpb.Progress
	refresh chan any

	mu     sync.Mutex
	byHost map[string]*bar
	closed bool
}

// bar is a drawn bar and what its decorators show.
type bar struct {
	*mpb.Bar
	mu   sync.Mutex
	last Progress
}

// NewLive returns bars of the copies that log knows of, on a terminal. width is asked for
// the terminal's columns before each drawing; a window may be resized at any time.
func NewLive(w io.Writer, log *Log, width func() int) *Live {
	l := &Live{log: log, screen: &screen{out: w, width: width}, refresh: make(chan any), byHost: map[string]*bar{}}
	l.bars = mpb.New(mpb.WithConsoleWriter(l.screen), mpb.WithManualRefresh(l.refresh))
	return l
}

// Write puts whole lines above the bars.
func (l *Live) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return 0, io.ErrClosedPipe
	}
	n, err := l.bars.Write(text)
	l.refresh <- time.Time{}
	return n, err
}

// Tick draws the bars anew. Call it a few times a second.
func (l *Live) Tick(now time.Time) {
	under := l.log.Progress(now)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	keep := map[string]bool{}
	for _, p := range under {
		keep[p.Registry] = true
		b := l.byHost[p.Registry]
		if b == nil {
			b = l.add(p)
		}
		b.set(p)
	}
	l.drop(keep)
	l.refresh <- now
}

// drop takes away the bars of copies that have ended.
func (l *Live) drop(keep map[string]bool) {
	for host, b := range l.byHost {
		if !keep[host] {
			b.Abort(true)
			delete(l.byHost, host)
		}
	}
}

func (l *Live) add(p Progress) *bar {
	b := &bar{last: p}
	// Without a total of its own: mpb ends a bar that has reached the one it began with, and
	// leaves it there, while a copy's grows and shrinks.
	b.Bar = l.bars.AddBar(0,
		mpb.PrependDecorators(decor.Name(runewidth.Truncate(oneLine(p.Registry), 40, "…"), decor.WCSyncSpaceR)),
		mpb.AppendDecorators(decor.Any(
			func(decor.Statistics) string { return b.text() }, decor.WC{W: 36, C: decor.DindentRight},
		)),
	)
	l.byHost[p.Registry] = b
	return b
}

func (b *bar) set(p Progress) {
	b.mu.Lock()
	b.last = p
	b.mu.Unlock()
	b.SetTotal(p.Total, false)
	b.SetCurrent(p.Done)
}

func (b *bar) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last.figures()
}

// Close takes the bars away and waits for what draws them. Lines must not be written
// after it.
func (l *Live) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	l.drop(nil)
	l.refresh <- time.Time{}
	l.bars.Shutdown()
	_ = l.screen.clear() // what the last frame left; the log cannot say that it failed
}
