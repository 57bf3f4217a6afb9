package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/publish"
	"github.com/multi-registry-push/multi-registry-push/internal/retry"
)

// mostDrawn is how many registries a timeline has before it is no picture any more.
const mostDrawn = 16

// shortestDrawn is the length of a run below which a timeline says nothing.
const shortestDrawn = time.Second

// look makes a diagram readable on a light page and on a dark one. Labels that have no
// room in their bar stand on the page: their grey has the same contrast to white as to
// GitHub's dark background. Bars of login and tag are hollow, so that a label within them
// is on the page, too. Bands are a faint grey; Mermaid's own are yellow, as for a warning.
// The axis's lines have a colour of their own, the page's text's, and would cross labels.
const look = `"theme": "base", "themeVariables": {` +
	`"textColor": "#777777", "titleColor": "#777777", ` +
	`"taskTextOutsideColor": "#777777", "taskTextDarkColor": "#777777", ` +
	`"taskTextColor": "#ffffff", "taskTextLightColor": "#ffffff", ` +
	`"taskBkgColor": "#0969da", "taskBorderColor": "#0969da", ` +
	`"doneTaskBkgColor": "transparent", "doneTaskBorderColor": "#777777", ` +
	`"critBkgColor": "#cf222e", "critBorderColor": "#cf222e", ` +
	`"sectionBkgColor": "rgba(136,136,136,0.5)", "sectionBkgColor2": "rgba(136,136,136,0.5)", ` +
	`"altSectionBkgColor": "transparent", "gridColor": "rgba(136,136,136,0.5)"}, ` +
	`"themeCSS": ".grid .tick line { stroke: #888888; stroke-opacity: 0.35; }"`

// timeline draws what each registry did when, as a Mermaid gantt diagram; "" for a dry
// run, for one that is over at once, and where nothing has a beginning and an end.
//
// Times count from the run's start. They are written and shown as times of a day,
// both in the reader's zone, so that the axis begins at zero everywhere.
func timeline(r publish.Result) string {
	if r.DryRun || r.End.Sub(r.Start) < shortestDrawn {
		return ""
	}
	var bars []string
	drawn, end, longest := 0, time.Duration(0), 0
	for _, g := range r.Registries {
		steps := stepsOf(g, r.End.Sub(r.Start)/50)
		if len(steps) == 0 {
			continue
		}
		if drawn++; drawn > mostDrawn {
			continue
		}
		name := label(middleCut(g.Host, 26))
		longest = max(longest, len(name))
		bars = append(bars, "  section "+name)
		for _, s := range steps {
			from, to := s.Start.Sub(r.Start), s.End.Sub(r.Start)
			end = max(end, to)
			name := string(s.Phase) + " " + retry.Text(to-from)
			if s.Phase == publish.Tag && counted(r) != "Tags" {
				name = "write " + retry.Text(to-from)
			}
			bars = append(bars, fmt.Sprintf("  %s :%s%s, %s", name, mark(s), clock(from), clock(to)))
		}
	}
	if len(bars) == 0 {
		return ""
	}
	every, axis := ticks(end)
	// Names stand in the padding on the left, at about seven pixels a letter.
	padding := fmt.Sprintf(`"gantt": {"leftPadding": %d, "rightPadding": 20}`, max(60, 7*longest+10))
	text := "```mermaid\n%%{init: {" + look + ", " + padding + "}}%%\n" +
		"gantt\n  dateFormat HH:mm:ss.SSS\n  axisFormat " + axis + "\n  tickInterval " + every + "\n" +
		strings.Join(bars, "\n") + "\n```\n"
	if drawn > mostDrawn {
		text += fmt.Sprintf("\nThe first %d of %d registries are drawn.\n", mostDrawn, drawn)
	}
	return text
}

// mark says how a bar looks: red where it failed, full for a copy, else hollow.
func mark(s publish.Span) string {
	switch {
	case s.Failed:
		return "crit, "
	case s.Phase == publish.Copy:
		return ""
	}
	return "done, "
}

// ticks returns the distance of the axis's marks, of which there are two to five, for which a phone
// has room, and how they are written.
func ticks(end time.Duration) (every, axis string) {
	for _, t := range []struct {
		step time.Duration
		name string
		axis string
	}{
		{200 * time.Millisecond, "200millisecond", "%-S.%L s"},
		{500 * time.Millisecond, "500millisecond", "%-S.%L s"},
		{time.Second, "1second", "%-S s"},
		{2 * time.Second, "2second", "%-S s"},
		{5 * time.Second, "5second", "%-S s"},
		{10 * time.Second, "10second", "%-S s"},
		{30 * time.Second, "30second", "%-M:%S min"},
		{time.Minute, "1minute", "%-M min"},
		{2 * time.Minute, "2minute", "%-M min"},
		{5 * time.Minute, "5minute", "%-M min"},
		{10 * time.Minute, "10minute", "%-M min"},
		{30 * time.Minute, "30minute", "%-H:%M h"},
		{time.Hour, "1hour", "%-H h"},
	} {
		if end < 6*t.step {
			return t.name, t.axis
		}
	}
	return "3hour", "%-H h"
}

// middleCut shortens a name in its middle: the ends tell registries apart.
func middleCut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return s[:limit/2-1] + "..." + s[len(s)-limit/2+2:]
}

// stepsOf returns the spans worth a bar, by their start: tag and verify, which are over in
// a blink, are one, called tag, as are spans of one step with less than gap between them. Only of a
// registry that failed a step is drawn as failed: others were held back or broken off.
func stepsOf(g publish.RegistryResult, gap time.Duration) []publish.Span {
	status := g.Status()
	if status == Skipped {
		return nil
	}
	spans := slices.Clone(g.Spans)
	slices.SortStableFunc(spans, func(a, b publish.Span) int { return a.Start.Compare(b.Start) })
	tags := slices.ContainsFunc(spans, func(s publish.Span) bool { return s.Phase == publish.Tag })
	var steps []publish.Span
	for _, s := range spans {
		if s.Phase == publish.Verify && tags {
			s.Phase = publish.Tag
		}
		s.Failed = s.Failed && status == Failed
		i := slices.IndexFunc(steps, func(o publish.Span) bool {
			return o.Phase == s.Phase && s.Start.Sub(o.End) <= gap
		})
		if i < 0 {
			steps = append(steps, s)
			continue
		}
		if s.End.After(steps[i].End) {
			steps[i].End = s.End
		}
		steps[i].Failed = steps[i].Failed || s.Failed
	}
	return slices.DeleteFunc(steps, func(s publish.Span) bool { return s.End.Sub(s.Start) < time.Millisecond })
}

// clock writes a duration as a time of day, which is all that a run of less than a
// day needs.
func clock(d time.Duration) string {
	d = min(max(d, 0), 24*time.Hour-time.Millisecond)
	return fmt.Sprintf("%02d:%02d:%02d.%03d", d/time.Hour, d/time.Minute%60, d/time.Second%60, d/time.Millisecond%1000)
}
