package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/publish"
)

// window is how far back the rate of a transfer looks: long enough to be calm, short
// enough to show that a link has become slow.
const window = 15 * time.Second

// Progress is how far the copy to one registry has come.
type Progress struct {
	Registry    string
	Done, Total int64 // bytes; Done never exceeds Total
	PerSecond   float64
	Left        time.Duration // 0 when it cannot be told
	Growing     bool          // layers are still being compressed: Total is what is known so far
}

// meter measures the copy to one registry.
type meter struct {
	host           string
	copying        int // how many times the phase was entered, and not left
	since          time.Time
	expected, sent int64 // bytes of blobs
	samples        []sample
	first          sample // a second or more after the start: buffers are full by then
}

// sample is how many bytes had been sent at a time.
type sample struct {
	at    time.Time
	bytes int64
}

// phase is told when the registry enters or leaves a phase.
func (m *meter) phase(p publish.Phase, at time.Time, done bool) {
	switch {
	case p != publish.Copy:
	case done:
		m.copying--
	default:
		if m.copying++; m.since.IsZero() {
			m.since = at
			m.samples = []sample{{at, m.sent}}
		}
	}
}

// add is told what turned out to be needed, and what was sent.
func (m *meter) add(now time.Time, expected, sent int64) {
	m.expected += expected
	m.sent += sent
	if n := len(m.samples); n > 0 && now.Sub(m.samples[n-1].at) < time.Second {
		return
	}
	m.samples = append(m.samples, sample{now, m.sent})
	if m.first.at.IsZero() && !m.since.IsZero() && now.Sub(m.since) >= time.Second {
		m.first = sample{now, m.sent}
	}
	for len(m.samples) > 2 && now.Sub(m.samples[1].at) >= window {
		m.samples = m.samples[1:]
	}
}

// under reports whether a copy is under way.
func (m *meter) under() bool { return m.copying > 0 && m.expected > 0 }

func (m *meter) progress(now time.Time) Progress {
	p := Progress{Registry: m.host, Total: m.expected}
	p.Done = min(max(m.sent, 0), p.Total)
	if len(m.samples) == 0 {
		return p
	}
	from := m.samples[0]
	if base := m.base(now); from.at.Before(base.at) {
		from = base
	}
	if passed := now.Sub(from.at); passed >= time.Second && m.sent > from.bytes {
		p.PerSecond = float64(m.sent-from.bytes) / passed.Seconds()
		p.Left = m.left(now, p)
	}
	return p
}

// base returns what rates are measured from: the first second, which fills buffers, is left
// out where there are others.
func (m *meter) base(now time.Time) sample {
	if m.first.at.IsZero() || now.Sub(m.first.at) < 2*time.Second {
		return sample{at: m.since}
	}
	return m.first
}

// left estimates the time that a copy still takes. What was handed over last is still in
// flight: it is in buffers on the way, and the registry has yet to confirm it. So it is not
// counted as done. And a link that pauses will pause again: the rate is that of the whole
// copy where it is lower than that of the last seconds.
func (m *meter) left(now time.Time, p Progress) time.Duration {
	base := m.base(now)
	perSecond := p.PerSecond
	if whole := now.Sub(base.at).Seconds(); whole > 0 {
		perSecond = min(perSecond, float64(m.sent-base.bytes)/whole)
	}
	if perSecond <= 0 {
		return 0
	}
	return time.Duration(float64(p.Total-p.Done+m.inFlight(now)) / perSecond * float64(time.Second))
}

// inFlight estimates what was handed over and has not arrived: buffers on the way take
// their fill at once and keep it, so that it is what the first second took above the rate
// of those that followed.
func (m *meter) inFlight(now time.Time) int64 {
	base := m.base(now)
	if base.bytes == 0 {
		return 0
	}
	perSecond := float64(m.sent-base.bytes) / now.Sub(base.at).Seconds()
	steady := int64(perSecond * base.at.Sub(m.since).Seconds())
	return min(max(base.bytes-steady, 0), base.bytes)
}

// Percent is 100 only when everything has arrived.
func (p Progress) Percent() int {
	if p.Total <= 0 {
		return 0
	}
	return int(float64(p.Done) / float64(p.Total) * 100)
}

// String writes the progress in one line:
//
//	ghcr.io  42 %, 132.1 of 314.6 MB, 25.1 MB/s, 8 s left
func (p Progress) String() string {
	if p.Growing {
		return p.Registry + "  " + p.figures()
	}
	return fmt.Sprintf("%s  %d %%, %s", p.Registry, p.Percent(), p.figures())
}

// figures are what stands behind a live bar: 132.1 of 314.6 MB, 25.1 MB/s, 8 s left.
func (p Progress) figures() string {
	if p.Growing {
		return amount(p.Done) + " sent, more to come"
	}
	parts := []string{portion(p.Done, p.Total)}
	switch {
	case p.Done >= p.Total:
		parts = append(parts, "finishing") // the registry has yet to confirm the last bytes
	case p.PerSecond > 0:
		parts = append(parts, fmt.Sprintf("%.1f MB/s", p.PerSecond/1e6), remaining(p.Left)+" left")
	case p.Done == 0:
		parts = append(parts, "waiting")
	}
	return strings.Join(parts, ", ")
}

// remaining writes a time whose tenths nobody believes.
func remaining(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%d s", max(int(d.Round(time.Second)/time.Second), 1))
	}
	return duration(d)
}
