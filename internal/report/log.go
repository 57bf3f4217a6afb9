package report

import (
	"cmp"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-runewidth"

	"github.com/multi-registry-push/multi-registry-push/internal/publish"
	"github.com/multi-registry-push/multi-registry-push/internal/retry"
)

// manyReferences is how many references of a registry get a line each; more are counted.
const manyReferences = 8

// LogOptions change how a log looks.
type LogOptions struct {
	Width    func() int       // in columns: of the closing table (nil, or 0, means 120), and of a terminal
	Progress bool             // print lines of copies at Tick; not where live bars show them
	Workflow bool             // GitHub reads along: annotations, groups that fold
	Quiet    bool             // only what is wrong
	Verbose  bool             // retries one by one, and the debug lines as text
	Now      func() time.Time // nil means time.Now
}

// Log writes the log of a run: a group for the plan, one for what goes on, one for what it
// took, then the table and the annotations. A failure is told where it happens, in one
// line, and at the end with its remedy. Log implements [publish.Observer] and is safe for
// concurrent use.
type Log struct {
	sink func(Line)
	o    LogOptions

	mu         sync.Mutex
	group      string // that is open
	started    time.Time
	loggedIn   bool // some registry is
	nextTick   time.Time
	closed     bool
	images     int // how many there are
	digests    map[int]string
	registries []*registryLog // in the order of the plan
	said       map[string]bool
	cancelled  bool
	broken     bool // a source is, or an input
	silent     bool // nothing sent does not mean that all was there: a dry run, or a registry held back
	unknown    int  // images that will never be known
}

// registryLog is what a line about a registry needs to know.
type registryLog struct {
	meter
	asked      int  // references
	served     int  // of them, so far
	anonymous  bool // needs no login
	failed     bool // wholly
	left       bool // out, after all
	partly     bool // an image is left out, of which it may have nothing
	byDigest   bool
	tagged     map[string]bool // references that were told to be published
	loggingIn  time.Time
	copyingNow time.Time
	images     map[int]bool // that it serves
}

// NewLog returns a log. sink gets the lines, one after the other.
func NewLog(sink func(Line), o LogOptions) *Log {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Log{sink: sink, o: o, digests: map[int]string{}, said: map[string]bool{}}
}

// write hands a line on, unless it is asked to be quiet.
func (l *Log) write(line Line) {
	if l.o.Quiet && line.Kind != ErrorLine && line.Kind != WarningLine {
		return
	}
	if line.Kind == DebugLine && l.o.Verbose {
		line.Kind, line.Style = Text, Faint
	}
	l.sink(line)
}

func (l *Log) say(format string, args ...any) { l.write(Line{Text: fmt.Sprintf(format, args...)}) }

// once says a text unless it has been said.
func (l *Log) once(line Line) {
	if key := line.Title + "\n" + line.Text; !l.said[key] {
		l.said[key] = true
		l.write(line)
	}
}

// open begins a group, unless it is open.
func (l *Log) open(group string) {
	if l.group == group {
		return
	}
	l.end()
	l.group = group
	l.write(Line{Kind: GroupStart, Text: group})
}

func (l *Log) end() {
	if l.group != "" {
		l.write(Line{Kind: GroupEnd})
	}
	l.group = ""
}

// The groups.
const (
	planGroup       = "Plan: what goes where"
	publishingGroup = "Publishing: log in, copy, tag and verify, all registries at once"
	resultGroup     = "Result"
)

// registry returns what is known of a registry.
func (l *Log) registry(host string) *registryLog {
	for _, g := range l.registries {
		if g.host == host {
			return g
		}
	}
	g := &registryLog{meter: meter{host: host}, images: map[int]bool{}, tagged: map[string]bool{}}
	l.registries = append(l.registries, g)
	return g
}

// Phase implements [publish.Observer].
func (l *Log) Phase(host string, p publish.Phase, at time.Time, change publish.PhaseChange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begin(at)
	g := l.registry(host)
	done := change != publish.PhaseBegan
	l.loggedIn = l.loggedIn || p == publish.Login && change == publish.PhaseDone
	g.phase(p, at, done)
	switch {
	case p == publish.Login && !done:
		g.loggingIn = at
	case p == publish.Copy && !done:
		g.copyingNow = at
	case !done || g.failed || g.left || l.cancelled:
	case change == publish.PhaseFailed: // why is a line of its own
	case p == publish.Login:
		text := "logged in"
		if g.anonymous {
			text = "needs no login"
		}
		l.say("%s  %s (%s)", host, text, retry.Text(at.Sub(g.loggingIn)))
	case p == publish.Copy && g.copying <= 0:
		if text := g.copied(at); text != "" && (g.sent > 0 || !l.silent) {
			l.say("%s  %s", host, text)
		}
	case p == publish.Verify:
		l.verified(g)
	}
}

// begin opens the group of what goes on.
func (l *Log) begin(at time.Time) {
	if l.started.IsZero() {
		l.started = at
	}
	l.open(publishingGroup)
}

// copied sums up what a registry was sent; nothing for a dry run, which sends nothing.
func (g *registryLog) copied(at time.Time) string {
	if g.sent <= 0 {
		if g.expected <= 0 && !g.partly {
			return "has every blob already"
		}
		return ""
	}
	took := at.Sub(g.copyingNow)
	text := fmt.Sprintf("sent %s in %s", amount(g.sent), retry.Text(took))
	if speed := rate(g.sent, took); speed != "" {
		text += ", " + speed
	}
	return text
}

// verified says what a registry serves.
func (l *Log) verified(g *registryLog) {
	what, under := count(len(g.images), "image"), "under "+count(g.served, "tag")
	if len(g.images) == 1 {
		for image := range g.images {
			what = cmp.Or(short(l.digests[image]), what)
		}
	}
	if g.byDigest {
		under = "by digest"
	}
	if g.served > 0 {
		l.say("%s  serves %s %s", g.host, what, under)
	}
}

// Bytes implements [publish.Observer].
func (l *Log) Bytes(host string, expected, sent, arrived int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.registry(host).add(l.o.Now(), expected, sent, arrived)
}

// Image implements [publish.Observer].
func (l *Log) Image(index int, image publish.ImageResult) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begin(l.o.Now())
	l.digests[index] = image.Digest
	text := image.Reference
	if len(image.Parts) > 0 {
		text = listed(image.Parts, 4) + ", merged"
	}
	if text != "" {
		text += ": "
	}
	if image.Name != "" {
		text = image.Name + "  " + text
	}
	text += image.Digest
	if len(image.Platforms) > 0 {
		text += ", " + listed(image.Platforms, 8)
	}
	l.say("%s, %s", text, amount(image.SizeBytes))
}

// Note implements [publish.Observer].
func (l *Log) Note(n publish.Note) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := prefixed(n.Host, withoutLookup(n.Host, string(n.Text)))
	switch {
	case n.Debug, n.Retry && l.said["retry\n"+n.Host]:
		l.write(Line{Kind: DebugLine, Text: text})
	case n.Retry:
		l.said["retry\n"+n.Host] = true
		l.say("%s", text)
	case n.Warning && !l.o.Workflow: // where no annotations follow
		l.once(Line{Kind: WarningLine, Title: n.Host, Text: string(n.Text)})
	default:
		l.once(Line{Text: text})
	}
}

// Failure implements [publish.Observer].
func (l *Log) Failure(host string, f publish.Failure) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := explain(host, f)
	if host != "" && following(f.Code) != "" {
		l.registry(host).failed = true
		return
	}
	if host == "" && l.group == "" {
		return // of an input, before anything began: the annotation that follows says it
	}
	if host == "" {
		l.broken = true
		l.unknown += max(len(f.Images), 1)
	} else if len(f.Images) == 0 {
		l.registry(host).failed = true
	}
	if host == "" && l.images == 1 && !l.o.Workflow {
		return // nothing is left to be done: the error at the end follows
	}
	code := strings.TrimPrefix(e.coded(), e.text)
	l.once(Line{Text: l.inOneRow(prefixed(host, "failed: "+e.text), code), Style: Bad})
}

// inOneRow returns text and its end as a terminal shows it, in one row: the whole of it stands at
// the end, in the table.
func (l *Log) inOneRow(text, end string) string {
	if l.o.Workflow || l.o.Progress || l.o.Width == nil || l.o.Width() == 0 {
		return text + end
	}
	room := l.o.Width() - runewidth.StringWidth(end)
	return runewidth.Truncate(text, max(room, 2), "…") + end
}

// Request writes a line for a request of a registry's client: what was asked for and what
// the answer was, how long after the run's start it began, and how long it took.
func (l *Log) Request(text string, start, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.write(Line{Kind: DebugLine, Text: fmt.Sprintf("%9.3f s  %s, %s", start.Seconds(), text, retry.Text(took))})
}

// Cancelled says that the run was asked to stop.
func (l *Log) Cancelled() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.cancelled {
		l.say("Cancelled: stopping, and tidying up.")
	}
	l.cancelled = true
}
