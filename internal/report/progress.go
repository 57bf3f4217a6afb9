package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/publish"
	"github.com/multi-registry-push/multi-registry-push/internal/retry"
)

// Progress is how far the copy to one registry has come.
type Progress struct {
	Registry    string
	Done, Total int64 // bytes; Done never exceeds Total
	PerSecond   float64
	Left        time.Duration // 0 when it cannot be told
	Growing     bool          // layers are still being compressed: Total is what is known so far
}

// meter measures the copy to one registry. What is handed over to a connection disappears
// into buffers first, of this machine and of proxies on the way, and links pause: so an
// estimate looks at the whole copy, not at its last second.
type meter struct {
	host                    string
	copying                 int // how many times the phase was entered, and not left
	since                   time.Time
	expected, sent, arrived int64 // bytes of blobs
	samples                 []sample
	idle                    time.Duration // that all was handed over, before idleSince
	idleSince               time.Time     // zero while something is to be handed over
}

// sample is how many bytes had been handed over after some time in which there were any.
type sample struct {
	after time.Duration
	bytes int64
}

const (
	// window is how far back the rate of a transfer looks: long enough to be calm, short
	// enough to show that a link has become slow.
	window = 15 * time.Second
	// mostSamples bounds what a meter keeps. Of more than these, every other one goes.
	mostSamples = 512
)

// phase is told when the registry enters or leaves a phase.
func (m *meter) phase(p publish.Phase, at time.Time, done bool) {
	switch {
	case p != publish.Copy:
	case done:
		m.copying--
	default:
		if m.copying++; m.since.IsZero() {
			m.since = at
		}
	}
}

// add is told what turned out to be needed, what was handed over, and what the registry has
// confirmed. What was lost on the way counts as never handed over.
func (m *meter) add(now time.Time, expected, sent, arrived int64) {
	if m.since.IsZero() {
		m.since = now
	}
	m.expected += expected
	m.sent += sent
	m.arrived += arrived
	if sent < 0 {
		for i := range m.samples {
			m.samples[i].bytes = max(m.samples[i].bytes+sent, 0)
		}
	}
	if done := m.sent >= m.expected; done && m.idleSince.IsZero() {
		m.idleSince = now
	} else if !done && !m.idleSince.IsZero() {
		m.idle, m.idleSince = m.idle+now.Sub(m.idleSince), time.Time{}
	}
	after := m.active(now)
	if n := len(m.samples); n > 0 && after-m.samples[n-1].after < max(after/mostSamples, 100*time.Millisecond) {
		return
	}
	if m.samples = append(m.samples, sample{after, m.sent}); len(m.samples) > mostSamples {
		for i := range mostSamples / 2 {
			m.samples[i] = m.samples[2*i]
		}
		m.samples = append(m.samples[:mostSamples/2], sample{after, m.sent})
	}
}

// idled is how long all that was expected had been handed over.
func (m *meter) idled(now time.Time) time.Duration {
	if m.idleSince.IsZero() {
		return m.idle
	}
	return m.idle + now.Sub(m.idleSince)
}

// active is how long there was something to hand over.
func (m *meter) active(now time.Time) time.Duration { return now.Sub(m.since) - m.idled(now) }

// under reports whether a copy is under way.
func (m *meter) under() bool { return m.copying > 0 && m.expected > 0 }

func (m *meter) progress(now time.Time) Progress {
	p := Progress{Registry: m.host, Total: m.expected}
	p.Done = min(max(m.sent, 0), p.Total)
	if active := m.active(now); active >= time.Second {
		p.PerSecond = m.rate(now, active-window)
		p.Left = m.left(now)
	}
	return p
}

// rate returns how many bytes a second were handed over since the copy had lasted for from.
func (m *meter) rate(now time.Time, from time.Duration) float64 {
	from = max(from, 0)
	if passed := m.active(now) - from; passed > 0 {
		return float64(m.sent-m.at(from)) / passed.Seconds()
	}
	return 0
}

// at returns how many bytes had been handed over when the copy had lasted for after.
func (m *meter) at(after time.Duration) int64 {
	before := sample{}
	for _, s := range m.samples {
		if s.after > after {
			share := float64(after-before.after) / float64(s.after-before.after)
			return before.bytes + int64(share*float64(s.bytes-before.bytes))
		}
		before = s
	}
	return before.bytes
}

// left estimates the time that a copy still takes, 0 where it cannot tell. Buffers are full
// after the first quarter of a copy: from then on they take what the link takes, and what
// was handed over beyond that rate is in them, unless the registry has confirmed it. A link
// that paused will pause again.
func (m *meter) left(now time.Time) time.Duration {
	active := m.active(now)
	perSecond := m.rate(now, active/4)
	buffered := max(float64(m.sent)-perSecond*active.Seconds(), 0)
	if buffered == 0 {
		perSecond = m.rate(now, 0)
	}
	if perSecond <= 0 {
		return 0
	}
	buffered = min(max(buffered-perSecond*m.idled(now).Seconds(), 0), float64(max(m.sent-m.arrived, 0)))
	left := (float64(max(m.expected-m.sent, 0)) + buffered) / perSecond
	return time.Duration(min(left, time.Hour.Seconds()*24*365) * float64(time.Second))
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
		if p.Left >= time.Second {
			parts = append(parts, remaining(p.Left)+" left")
		}
	case p.PerSecond > 0:
		parts = append(parts, fmt.Sprintf("%.1f MB/s", p.PerSecond/1e6))
		if p.Left > 0 {
			parts = append(parts, remaining(p.Left)+" left")
		}
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
	return retry.Text(d)
}
