package report

import (
	"fmt"
	"strings"
	"time"
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

// sample notes how many bytes had been sent, at most once a second.
func (g *registry) sample(at time.Time) {
	if n := len(g.samples); n > 0 && at.Sub(g.samples[n-1].at) < time.Second {
		return
	}
	g.samples = append(g.samples, sample{at, g.sent})
	for len(g.samples) > 2 && at.Sub(g.samples[1].at) >= window {
		g.samples = g.samples[1:]
	}
}

// Progress returns the copies that are under way at now, in the order of the
// registries.
func (r *Record) Progress(now time.Time) []Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Progress
	for _, g := range r.registries {
		if g.open(Copy) < 0 || g.expected <= 0 || len(g.errs) > 0 {
			continue
		}
		p := g.progress(now)
		p.Growing = r.source.Digest == ""
		all = append(all, p)
	}
	return all
}

// reading returns for how long the source has been read, while it is not known yet what
// is to be copied: layers of an engine or archive may have to be compressed first.
func (r *Record) reading(now time.Time) (since time.Duration, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ok = r.phase == Copy && r.source.Digest == "" && len(r.errs) == 0 && !r.cancelled
	return now.Sub(r.copying), ok
}

func (g *registry) progress(now time.Time) Progress {
	p := Progress{Registry: g.host, Total: g.expected}
	p.Done = min(max(g.sent+g.mountedBytes, 0), p.Total)
	if len(g.samples) > 0 {
		from := g.samples[0]
		if passed := now.Sub(from.at); passed >= time.Second && g.sent > from.bytes {
			p.PerSecond = float64(g.sent-from.bytes) / passed.Seconds()
			p.Left = time.Duration(float64(p.Total-p.Done) / p.PerSecond * float64(time.Second))
		}
	}
	return p
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
		return fmt.Sprintf("%s MB sent, more to come", megabytes(p.Done))
	}
	parts := []string{fmt.Sprintf("%s of %s MB", megabytes(p.Done), megabytes(p.Total))}
	switch {
	case p.Done >= p.Total:
		parts = append(parts, "finishing") // the registry has yet to confirm the last bytes
	case p.PerSecond > 0:
		parts = append(parts, fmt.Sprintf("%.1f MB/s", p.PerSecond/1e6), left(p.Left)+" left")
	case p.Done == 0:
		parts = append(parts, "waiting")
	}
	return strings.Join(parts, ", ")
}

// left writes a remaining time, whose tenths nobody believes.
func left(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%d s", max(int(d.Round(time.Second)/time.Second), 1))
	}
	return duration(d)
}
