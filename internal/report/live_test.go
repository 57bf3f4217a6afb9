package report

import (
	"bytes"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mattn/go-runewidth"

	"github.com/multi-registry-push/multi-registry-push/internal/publish"
)

// terminal is one that wraps its lines anew when it is narrowed, and understands what
// bars are drawn with.
type terminal struct {
	mu    sync.Mutex
	width int
	rows  []string // the last one is the cursor's
}

func newTerminal(width int) *terminal { return &terminal{width: width, rows: []string{""}} }

func (w *terminal) columns() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.width
}

// narrow wraps every row at the new width.
func (w *terminal) narrow(width int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.width = width
	w.wrap()
}

func (w *terminal) wrap() {
	var rows []string
	for _, row := range w.rows {
		for runewidth.StringWidth(row) > w.width {
			part := runewidth.Truncate(row, w.width, "")
			rows, row = append(rows, part), row[len(part):]
		}
		rows = append(rows, row)
	}
	w.rows = rows
}

func (w *terminal) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for text := string(p); text != ""; {
		switch {
		case strings.HasPrefix(text, "\x1b["):
			end := strings.IndexAny(text, "AJKhlm")
			n, _ := strconv.Atoi(text[2:end])
			if text[end] == 'A' {
				w.rows = append(w.rows[:len(w.rows)-1-n], "") // what is drawn upwards is erased at once
			}
			text = text[end+1:]
		case text[0] == '\n':
			w.rows, text = append(w.rows, ""), text[1:]
		case text[0] == '\r':
			w.rows[len(w.rows)-1], text = "", text[1:]
		default:
			end := strings.IndexAny(text, "\x1b\n\r")
			if end < 0 {
				end = len(text)
			}
			w.rows[len(w.rows)-1] += text[:end]
			text = text[end:]
			w.wrap()
		}
	}
	return len(p), nil
}

func (w *terminal) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.rows, "\n")
}

func TestLiveBars(t *testing.T) { synctest.Test(t, liveBars) }

func liveBars(t *testing.T) {
	s := newStage(1, LogOptions{})
	var out bytes.Buffer
	live := NewLive(&out, s.Log, func() int { return 100 })
	s.Image(0, publish.ImageResult{Digest: digest})
	s.copying("ghcr.io", 100*mb)
	s.after(2 * time.Second)
	s.Bytes("ghcr.io", 0, 50*mb, 0)
	live.Tick(s.now)
	synctest.Wait() // for the drawing
	if _, err := live.Write([]byte("a line above\n")); err != nil {
		t.Fatal(err)
	}
	s.after(time.Second)
	s.Phase("ghcr.io", publish.Copy, s.now, publish.PhaseDone)
	live.Tick(s.now)
	live.Close()
	live.Close()
	text := out.String()
	for _, want := range []string{"ghcr.io", "50.0 of 100.0 MB, 25.0 MB/s, 2 s left", "a line above\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %q", want, text)
		}
	}
}

// TestBarsLeaveNothingBehind: interrupted bars are gone before the last words, and a window
// that was narrowed keeps no ghost of them.
func TestBarsLeaveNothingBehind(t *testing.T) { synctest.Test(t, barsLeaveNothingBehind) }

func barsLeaveNothingBehind(t *testing.T) {
	s := newStage(1, LogOptions{})
	w := newTerminal(100)
	live := NewLive(w, s.Log, w.columns)
	s.Image(0, publish.ImageResult{Digest: digest})
	hosts := []string{"ghcr.io", "docker.io", "registry.example.com"}
	for _, host := range hosts {
		s.copying(host, 100*mb)
		s.Bytes(host, 0, 10*mb, 0)
	}
	write := func(line string) {
		if _, err := live.Write([]byte(line + "\n")); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	for _, width := range []int{100, 100, 60, 45, 41, 90} {
		w.narrow(width)
		s.after(time.Second)
		live.Tick(s.now)
		synctest.Wait() // for the drawing
		for _, host := range hosts {
			if n := strings.Count(w.String(), host); n != 1 {
				t.Fatalf("%s is drawn %d times at %d columns:\n%s", host, n, width, w)
			}
		}
	}
	write("second")
	s.Cancelled()
	live.Tick(s.now)
	synctest.Wait()
	live.refresh <- s.now // mpb draws a bar once more before it goes
	synctest.Wait()
	if got := w.String(); got != "first\nsecond\n" {
		t.Errorf("of a run that was cancelled there is\n%s", got)
	}
	live.Close()
	if got := w.String(); got != "first\nsecond\n" {
		t.Errorf("the window holds\n%s", got)
	}
}

// TestBarsFollowTheirTotal: what is to be sent turns out as the source is read, and shrinks
// where a blob is mounted; a bar that has passed its first total goes on, and goes in the end.
func TestBarsFollowTheirTotal(t *testing.T) { synctest.Test(t, barsFollowTheirTotal) }

func barsFollowTheirTotal(t *testing.T) {
	s := newStage(1, LogOptions{})
	w := newTerminal(100)
	live := NewLive(w, s.Log, w.columns)
	s.Image(0, publish.ImageResult{Digest: digest})
	s.copying("ghcr.io", 10*mb)
	drawn := func() string {
		s.after(time.Second)
		live.Tick(s.now)
		synctest.Wait() // for the drawing
		return w.String()
	}
	drawn()
	for _, step := range []struct {
		expected, sent int64
		want           string
	}{
		{0, 10 * mb, "10.0 of 10.0 MB, finishing"},
		{40 * mb, 15 * mb, "25.0 of 50.0 MB"},
		{-20 * mb, 0, "25.0 of 30.0 MB"},
	} {
		s.Bytes("ghcr.io", step.expected, step.sent, 0)
		if got := drawn(); !strings.Contains(got, step.want) {
			t.Errorf("no %q in\n%s", step.want, got)
		}
	}
	s.Phase("ghcr.io", publish.Copy, s.now, publish.PhaseDone)
	drawn()
	if got := drawn(); strings.Contains(got, "ghcr.io  [") {
		t.Errorf("after the copy:\n%s", got)
	}
	live.Close()
}
