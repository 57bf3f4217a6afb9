package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// sample is one measure.
type sample struct {
	Seconds, CPU float64
	Peak         int64
	SourceBytes  int64 // of blobs, sent by the source
	Requests     int64 // at all servers
}

// line is a row of the table: one contender at one work.
type line struct {
	Work, Who string
	Samples   []sample
	Bytes     int64         // of the image's blobs
	Limit     time.Duration // of the slowest link, 0 if there is none
	Trip      time.Duration // to the servers and back, 0 where they are on this machine
}

func (l *line) values(of func(sample) float64) (all []float64) {
	for _, s := range l.Samples {
		all = append(all, of(s))
	}
	return all
}

func (l *line) times() []float64 { return l.values(func(s sample) float64 { return s.Seconds }) }
func (l *line) seconds() float64 { return median(l.times()) }
func (l *line) trips() float64   { return l.seconds() / l.Trip.Seconds() }
func (l *line) cpu() float64     { return median(l.values(func(s sample) float64 { return s.CPU })) }
func (l *line) peak() int64 {
	return int64(median(l.values(func(s sample) float64 { return float64(s.Peak) })))
}
func (l *line) requests() int64 {
	return int64(median(l.values(func(s sample) float64 { return float64(s.Requests) })))
}

// sourceBytes is the most of all samples: a count has no spread that excuses it.
func (l *line) sourceBytes() int64 {
	return int64(most(l.values(func(s sample) float64 { return float64(s.SourceBytes) })))
}

// growth is a point of how cost grows along an axis.
type growth struct {
	Axis         string
	N            int
	Seconds, CPU float64
	Peak, Disk   int64
	SourceBytes  int64
	Requests     int64
}

// goal is a row of the goals, measured.
type goal struct {
	Work, Goal, Measured string
	Met                  bool
}

// report is all that was measured.
type report struct {
	Machine    string
	ImageBytes int64
	Blobs      int
	Lines      []*line
	Growth     []growth
	Goals      []goal
}

func (b *bench) goal(work, want string, met bool, measured string, args ...any) {
	b.report.Goals = append(b.report.Goals, goal{work, want, fmt.Sprintf(measured, args...), met})
}

// merge writes the report into a file, over what the file has of the same measures.
func (r *report) merge(file string) error {
	var all report
	text, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(text, &all); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	all.Machine, all.ImageBytes, all.Blobs = r.Machine, r.ImageBytes, r.Blobs
	for _, l := range r.Lines {
		replace(&all.Lines, l, func(o *line) bool { return o.Work == l.Work && o.Who == l.Who })
	}
	for _, g := range r.Growth {
		replace(&all.Growth, g, func(o growth) bool { return o.Axis == g.Axis && o.N == g.N })
	}
	for _, g := range r.Goals {
		replace(&all.Goals, g, func(o goal) bool { return o.Work == g.Work })
	}
	raw, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(raw, '\n'), 0o644)
}

func replace[T any](all *[]T, v T, same func(T) bool) {
	if i := slices.IndexFunc(*all, same); i >= 0 {
		(*all)[i] = v
		return
	}
	*all = append(*all, v)
}

// lineHeader and cells are the columns of the table.
func lineHeader() []string {
	return []string{"work", "who", "time", "ratio to us", "round trips", "ratio to the limit", "source bytes", "requests", "CPU", "peak memory"}
}

func (r *report) cells(l *line) []string {
	ours := l
	for _, o := range r.Lines {
		if o.Work == l.Work && o.Who == us {
			ours = o
		}
	}
	limit, trips := "-", "-"
	if l.Trip > 0 {
		trips = fmt.Sprintf("%.1f", l.trips())
	}
	if l.Limit > 0 {
		limit = fmt.Sprintf("%.2f ×", l.seconds()/l.Limit.Seconds())
	}
	source := "-"
	if n := l.sourceBytes(); n > 0 {
		source = fmt.Sprintf("%.2f ×", float64(n)/float64(l.Bytes))
	}
	return []string{
		l.Work, l.Who,
		fmt.Sprintf("%.2f s (%.2f–%.2f)", l.seconds(), least(l.times()), most(l.times())),
		fmt.Sprintf("%.2f ×", l.seconds()/ours.seconds()),
		trips, limit, source,
		fmt.Sprint(l.requests()),
		fmt.Sprintf("%.2f s", l.cpu()),
		fmt.Sprintf("%d MiB", l.peak()>>20),
	}
}

func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "%s\nimage: two platforms, %d blobs, %.1f MB; medians, in brackets the spread\n\n", r.Machine, r.Blobs, float64(r.ImageBytes)/1e6)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { fmt.Fprintln(table, strings.Join(cells, "\t")) }
	if len(r.Lines) > 0 {
		row(lineHeader()...)
		for _, l := range r.Lines {
			row(r.cells(l)...)
		}
		row()
	}
	if len(r.Growth) > 0 {
		row(growthHeader()...)
		for _, g := range r.Growth {
			row(g.cells()...)
		}
		row()
	}
	row("goal", "", "measured", "")
	for _, g := range r.Goals {
		row(g.Work, g.Goal, g.Measured, g.verdict())
	}
	table.Flush()
}

func (g goal) verdict() string {
	if g.Met {
		return "met"
	}
	return "NOT MET"
}

func growthHeader() []string {
	return []string{"along", "", "time", "CPU", "peak memory", "peak disk", "source bytes", "requests"}
}

func (g growth) cells() []string {
	n := fmt.Sprint(g.N)
	if g.Axis != "registries" && g.N < 1e6 {
		n = ""
	}
	disk := "-"
	if g.Disk > 0 {
		disk = fmt.Sprintf("%.2f GiB", float64(g.Disk)/(1<<30))
	}
	return []string{g.Axis, n, fmt.Sprintf("%.2f s", g.Seconds), fmt.Sprintf("%.2f s", g.CPU), fmt.Sprintf("%.1f MiB", float64(g.Peak)/(1<<20)), disk,
		fmt.Sprintf("%.1f MB", float64(g.SourceBytes)/1e6), fmt.Sprint(g.Requests)}
}

func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(all))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

func least(all []float64) float64 { return slices.Min(all) }
func most(all []float64) float64  { return slices.Max(all) }

// worst is the median of times and the largest of what is bounded.
func worst(all []growth) growth {
	g := all[0]
	var times, cpu []float64
	for _, o := range all {
		times, cpu = append(times, o.Seconds), append(cpu, o.CPU)
		g.Peak = max(g.Peak, o.Peak)
		g.SourceBytes = max(g.SourceBytes, o.SourceBytes)
		g.Requests = max(g.Requests, o.Requests)
	}
	g.Seconds, g.CPU = median(times), median(cpu)
	return g
}
