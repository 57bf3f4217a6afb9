package report

import (
	"fmt"
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
	drawn, end, longest := 0, time.Duration(0), 0
	for _, g := range r.registries {
		steps := g.steps()
		if len(steps) == 0 || g.skip != "" {
			continue
		}
		if drawn++; drawn > mostDrawn {
			continue
		}
		name := label(middleCut(g.host, 26))
		longest = max(longest, len(name))
		bars = append(bars, "  section "+name)
		for _, s := range steps {
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
	if len(bars) == 0 {
		return ""
	}
	every, axis := ticks(end)
	// Names stand in the padding on the left, at about seven pixels a letter.
	text := fmt.Sprintf("```mermaid\n%%%%{init: {\"gantt\": {\"leftPadding\": %d, \"rightPadding\": 20}}}%%%%\n", max(60, 7*longest+10)) +
		"gantt\n  dateFormat HH:mm:ss.SSS\n  axisFormat " + axis + "\n  tickInterval " + every + "\n" + strings.Join(bars, "\n") + "\n```\n"
	if drawn > mostDrawn {
		text += fmt.Sprintf("\nThe first %d of %d registries are drawn.\n", mostDrawn, drawn)
	}
	return text
}

// ticks returns the distance of the axis's marks, of which there are four to ten, and
// how they are written.
func ticks(end time.Duration) (every, axis string) {
	for _, t := range []struct {
		step time.Duration
		name string
		axis string
	}{
		{100 * time.Millisecond, "100millisecond", "%S.%L"}, {200 * time.Millisecond, "200millisecond", "%S.%L"}, {500 * time.Millisecond, "500millisecond", "%S.%L"},
		{time.Second, "1second", "%M:%S"}, {2 * time.Second, "2second", "%M:%S"}, {5 * time.Second, "5second", "%M:%S"}, {10 * time.Second, "10second", "%M:%S"},
		{15 * time.Second, "15second", "%M:%S"}, {30 * time.Second, "30second", "%M:%S"},
		{time.Minute, "1minute", "%M:%S"}, {2 * time.Minute, "2minute", "%M:%S"}, {5 * time.Minute, "5minute", "%M:%S"}, {10 * time.Minute, "10minute", "%H:%M"},
		{30 * time.Minute, "30minute", "%H:%M"}, {time.Hour, "1hour", "%H:%M"},
	} {
		if end <= 8*t.step {
			return t.name, t.axis
		}
	}
	return "3hour", "%H:%M"
}

// middleCut shortens a name in its middle: the ends tell registries apart.
func middleCut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return s[:limit/2-1] + "..." + s[len(s)-limit/2+2:]
}

// steps are the phases worth a bar: tag and verify, which are over in a blink, are one.
func (g *registry) steps() []span {
	var out []span
	for _, s := range g.phases {
		if s.end.Sub(s.start) < time.Millisecond {
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
