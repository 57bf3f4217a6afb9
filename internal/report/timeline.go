package report

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// mostDrawn is how many registries a timeline has before it is no picture any more.
const mostDrawn = 16

// timeline draws what each registry did when, as a Mermaid gantt diagram; "" when
// nothing has a beginning and an end.
//
// Times count from the run's first event. They are written and shown as times of a day,
// both in the reader's zone, so that the axis begins at zero everywhere.
func (r *Record) timeline() string {
	var bars []string
	drawn, end := 0, time.Duration(0)
	for _, g := range r.registries {
		if len(g.phases) == 0 {
			continue
		}
		if drawn++; drawn > mostDrawn {
			continue
		}
		bars = append(bars, "  section "+label(g.host))
		for _, s := range g.steps() {
			from, to := s.start.Sub(r.first), s.end.Sub(r.first)
			end = max(end, to)
			mark := "done, "
			switch {
			case s.failed:
				mark = "crit, "
			case s.phase == Copy:
				mark = "active, "
			}
			bars = append(bars, fmt.Sprintf("  %s %s :%s%s, %s", stepName(s.phase), duration(to-from), mark, clock(from), clock(to)))
		}
	}
	if end <= 0 || !slices.ContainsFunc(r.registries, func(g *registry) bool { return g.skip == "" }) {
		return ""
	}
	axis := "%M:%S"
	switch {
	case end < 10*time.Second:
		axis = "%S.%L"
	case end >= time.Hour:
		axis = "%H:%M"
	}
	text := "```mermaid\ngantt\n  dateFormat HH:mm:ss.SSS\n  axisFormat " + axis + "\n" + strings.Join(bars, "\n") + "\n```\n"
	if drawn > mostDrawn {
		text += fmt.Sprintf("\nThe first %d of %d registries are drawn.\n", mostDrawn, drawn)
	}
	return text
}

// steps are the phases worth a bar: tag and verify, which are over in a blink, are one.
func (g *registry) steps() []span {
	var out []span
	for _, s := range g.phases {
		if s.end.IsZero() {
			continue
		}
		if n := len(out); n > 0 && s.phase == Verify && out[n-1].phase == Tag {
			out[n-1].end, out[n-1].failed = s.end, out[n-1].failed || s.failed
			continue
		}
		if s.phase != Plan {
			out = append(out, s)
		}
	}
	return out
}

func stepName(phase Phase) string {
	if phase == Tag {
		return "tag and verify"
	}
	return string(phase)
}

// clock writes a duration as a time of day, which is all that a run of less than a
// day needs.
func clock(d time.Duration) string {
	d = min(max(d, 0), 24*time.Hour-time.Millisecond)
	return fmt.Sprintf("%02d:%02d:%02d.%03d", d/time.Hour, d/time.Minute%60, d/time.Second%60, d/time.Millisecond%1000)
}
