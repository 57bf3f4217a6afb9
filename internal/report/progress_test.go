package report

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/publish"
)

// link is a connection with buffers on the way, such as a slow proxy has: what is handed
// over goes into them as fast as fill allows, and out of them at the rate of the moment.
type link struct {
	total  int64                  // bytes, in blobs of one size, handed over in order
	blob   int64                  // bytes of one; 0 means total
	rate   func(second int) int64 // bytes a second that the registry takes
	buffer int64                  // bytes on the way
	fill   int64                  // bytes a second into the buffer; 0 means at once
	gulp   int64                  // the buffer takes more only when that much of it is free

	handed, arrived, confirmed int64
	full                       bool
}

// pass lets a tenth of the second pass, and returns what was handed over and confirmed.
func (l *link) pass(second int) (sent, confirmed int64) {
	through := l.rate(second) / 10
	room := l.arrived + l.buffer + through - l.handed
	if l.gulp > 0 {
		l.full = room < l.gulp && (l.full || room <= through)
	}
	sent = max(min(room, l.total-l.handed), 0)
	if l.fill > 0 {
		sent = min(sent, l.fill/10)
	}
	if l.full {
		sent = 0
	}
	l.handed += sent
	l.arrived = min(l.handed, l.arrived+through)
	blob := l.blob
	if blob == 0 {
		blob = l.total
	}
	confirmed = l.arrived/blob*blob - l.confirmed
	l.confirmed += confirmed
	return sent, confirmed
}

func always(perSecond int64) func(int) int64 { return func(int) int64 { return perSecond } }

// TestTimeLeft: what buffers hold has not arrived, and a link that pauses will pause again.
// From the second quarter of a copy on, the estimate is near what it then takes.
func TestTimeLeft(t *testing.T) {
	for name, c := range map[string]struct {
		link
		least, most float64 // of what it takes
	}{
		"steady":                         {link{total: 100 * mb, rate: always(2 * mb)}, 0.9, 1.1},
		"a small buffer":                 {link{total: 20 * mb, rate: always(mb), buffer: 4 * mb}, 0.9, 1.3},
		"half the image in a buffer":     {link{total: 8 * mb, rate: always(2 * mb), buffer: 4 * mb}, 0.7, 1.5},
		"a large buffer":                 {link{total: 200 * mb, rate: always(2 * mb), buffer: 60 * mb}, 0.9, 1.1},
		"a large one that fills slowly":  {link{total: 200 * mb, rate: always(2 * mb), buffer: 60 * mb, fill: 12 * mb}, 0.9, 1.1},
		"a large one, several layers":    {link{total: 200 * mb, blob: 20 * mb, rate: always(2 * mb), buffer: 60 * mb, fill: 12 * mb}, 0.9, 1.1},
		"a proxy that takes it in gulps": {link{total: 200 * mb, rate: always(2 * mb), buffer: 30 * mb, gulp: 12 * mb}, 0.7, 1.4},
		"short pauses": {link{total: 100 * mb, rate: func(second int) int64 {
			return map[bool]int64{true: 5 * mb}[second%5 == 4]
		}}, 0.8, 1.2},
		"long pauses": {link{total: 400 * mb, blob: 20 * mb, rate: func(second int) int64 {
			return map[bool]int64{true: 5 * mb}[second%20 < 10]
		}, buffer: 10 * mb}, 0.6, 2},
		"slower in the end": {link{total: 400 * mb, blob: 20 * mb, rate: func(second int) int64 {
			return map[bool]int64{true: 10 * mb, false: 4 * mb}[second < 20]
		}}, 0.4, 1.5},
		"faster in the end": {link{total: 400 * mb, blob: 20 * mb, rate: func(second int) int64 {
			return map[bool]int64{true: 4 * mb, false: 10 * mb}[second < 20]
		}}, 0.9, 2.5},
	} {
		s := newStage(1, LogOptions{})
		s.Image(0, publish.ImageResult{Digest: digest})
		s.copying("r", c.total)
		var left []time.Duration // after each tenth of a second
		for c.arrived < c.total {
			s.after(time.Second / 10)
			sent, confirmed := c.pass(len(left) / 10)
			s.Bytes("r", 0, sent, confirmed)
			left = append(left, s.Progress(s.now)[0].Left)
		}
		for _, percent := range []int{25, 40, 50, 60, 70, 80, 90} {
			at := len(left) * percent / 100
			takes := time.Duration(len(left)-at) * time.Second / 10
			if ratio := left[at].Seconds() / takes.Seconds(); ratio < c.least || ratio > c.most {
				t.Errorf("%s: after %d %% of %d s %v are said to be left, %.2f of %v",
					name, percent, len(left)/10, left[at], ratio, takes)
			}
		}
	}
}

// TestTimeLeftWhenAllIsHandedOver: what is said goes on, down to nothing, though nothing
// more is sent; and a small blob that follows is no reason to take the link for a slow one.
func TestTimeLeftWhenAllIsHandedOver(t *testing.T) {
	s := newStage(1, LogOptions{})
	s.Image(0, publish.ImageResult{Digest: digest})
	s.copying("r", 20*mb)
	s.Bytes("r", 0, 10*mb, 0) // into buffers
	for range 10 {
		s.after(time.Second)
		s.Bytes("r", 0, mb, 0)
	}
	figures := func() string { return s.Progress(s.now)[0].figures() }
	if got := figures(); got != "20.0 of 20.0 MB, finishing, 10 s left" {
		t.Errorf("when all is handed over: %s", got)
	}
	s.after(8 * time.Second)
	if got := figures(); got != "20.0 of 20.0 MB, finishing, 2 s left" {
		t.Errorf("eight seconds later: %s", got)
	}
	s.after(2 * time.Second)
	s.Bytes("r", 1000, 0, 20*mb)
	if got := s.Progress(s.now)[0].Left; got > time.Second {
		t.Errorf("a small blob is said to take %v", got)
	}
}

// TestMeterKeepsLittle: however long a copy takes, and however often it is told of.
func TestMeterKeepsLittle(t *testing.T) {
	s := newStage(1, LogOptions{})
	s.Image(0, publish.ImageResult{Digest: digest})
	s.copying("r", 1<<50)
	for range 200_000 {
		s.after(50 * time.Millisecond)
		s.Bytes("r", 0, 1000, 0)
	}
	if n := len(s.registry("r").samples); n > mostSamples {
		t.Errorf("%d samples", n)
	}
	if got := fmt.Sprintf("%.3f", s.Progress(s.now)[0].PerSecond/1e6); !strings.HasPrefix(got, "0.020") {
		t.Errorf("%s MB/s", got)
	}
}
