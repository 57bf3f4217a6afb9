package report

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/publish"
)

// manyReferences is how many references of a registry get a line each; more are counted.
const manyReferences = 8

// LogOptions change how a log looks.
type LogOptions struct {
	Width    func() int       // of the closing table in columns; nil, or 0, means 120
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
	nextTick   time.Time
	closed     bool
	images     int // how many there are
	digests    map[int]string
	registries []*registryLog // in the order of the plan
	said       map[string]bool
	cancelled  bool
	broken     bool // a source is, or an input
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
	byDigest   bool
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
	g := &registryLog{meter: meter{host: host}, images: map[int]bool{}}
	l.registries = append(l.registries, g)
	return g
}

// Phase implements [publish.Observer].
func (l *Log) Phase(host string, p publish.Phase, at time.Time, done bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begin(at)
	g := l.registry(host)
	g.phase(p, at, done)
	switch {
	case p == publish.Login && !done:
		g.loggingIn = at
	case p == publish.Copy && !done:
		g.copyingNow = at
	case !done || g.failed || g.left || l.cancelled:
	case p == publish.Login:
		text := "logged in"
		if g.anonymous {
			text = "needs no login"
		}
		l.say("%s  %s (%s)", host, text, duration(at.Sub(g.loggingIn)))
	case p == publish.Copy && g.copying <= 0:
		if text := g.copied(at); text != "" {
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
		if g.expected <= 0 {
			return "has every blob already"
		}
		return ""
	}
	took := at.Sub(g.copyingNow)
	text := fmt.Sprintf("sent %s in %s", amount(g.sent), duration(took))
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
			what = firstOf(short(l.digests[image]), what)
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
func (l *Log) Bytes(host string, expected, sent int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.registry(host).add(l.o.Now(), expected, sent)
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

// Reference implements [publish.Observer].
func (l *Log) Reference(host string, r publish.ReferenceResult) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begin(l.o.Now())
	g := l.registry(host)
	switch {
	case r.Status == Pushed || r.Status == Unchanged:
		g.served++
		g.images[r.Image] = true
		g.byDigest = g.byDigest || strings.Contains(r.Reference, "@")
	case r.SkipKind == publish.SkipFork:
		g.left = true
	}
	text := referenceText(r)
	switch {
	case text == "", l.follows(host, r):
	case g.asked <= manyReferences:
		l.once(Line{Text: r.Reference + "  " + text})
	case r.Status == Failed || r.Status == HeldBack || r.Status == Skipped:
		l.once(Line{Text: prefixed(host, host+"  "+text)})
	default:
		l.write(Line{Kind: DebugLine, Text: r.Reference + "  " + text})
	}
}

// referenceText says what became of a reference.
func referenceText(r publish.ReferenceResult) string {
	moved := r.Before != "" && r.Before != r.Now
	because := ""
	if r.Reason != "" {
		because = ": " + oneLine(string(r.Reason))
	}
	switch r.Status {
	case Pushed:
		if moved {
			return "moved here from " + short(r.Before)
		}
		if strings.Contains(r.Reference, "@") {
			return "published"
		}
		return "tagged"
	case Unchanged:
		return "was there already"
	case Planned:
		if r.Before != "" {
			return "would move here from " + short(r.Before)
		}
		if strings.Contains(r.Reference, "@") {
			return "would be published"
		}
		return "would be tagged"
	case Skipped:
		return "left out" + because
	case HeldBack:
		return "not tagged" + because
	case Failed:
		if r.Now != "" {
			because += "; it serves " + short(r.Now)
		}
		return "not tagged" + because
	}
	return ""
}

// follows reports whether the reason is one that has been said.
func (l *Log) follows(host string, r publish.ReferenceResult) bool {
	switch r.Reason {
	case publish.ReasonCancelled, publish.ReasonSource, publish.ReasonElsewhere:
		return true
	case "":
		return r.Status == Failed // a failure of the registry says why
	}
	return r.Status == Failed && l.said["reason\n"+host+string(r.Reason)]
}

// Note implements [publish.Observer].
func (l *Log) Note(n publish.Note) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := prefixed(n.Host, string(n.Text))
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
	l.said["reason\n"+host+string(f.Message)] = true
	l.said["reason\n"+host+explain("", f).coded()] = true
	if host != "" && following(f.Code) != "" {
		l.registry(host).failed = true
		return
	}
	if host == "" {
		l.broken = true
		l.unknown += max(len(f.Images), 1)
	} else if len(f.Images) == 0 {
		l.registry(host).failed = true
	}
	l.once(Line{Text: prefixed(host, "failed: "+e.coded()), Style: Bad})
}

// Request writes a line for a request of a registry's client: what was asked for and what
// the answer was, how long after the run's start it began, and how long it took.
func (l *Log) Request(text string, start, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.write(Line{Kind: DebugLine, Text: fmt.Sprintf("%9.3f s  %s, %s", start.Seconds(), text, duration(took))})
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

// Progress returns the copies that are under way at now, in the order of the registries.
func (l *Log) Progress(now time.Time) []Progress {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.progress(now)
}

func (l *Log) progress(now time.Time) []Progress {
	var all []Progress
	for _, g := range l.registries {
		if g.under() && !g.failed {
			p := g.progress(now)
			p.Growing = !l.known()
			all = append(all, p)
		}
	}
	return all
}

// known reports whether it is known what is to be published.
func (l *Log) known() bool { return len(l.digests)+l.unknown >= l.images }

// Tick prints a line for each copy under way, or one for a source that takes its time
// before there is anything to copy, if the last ones are some seconds old:
// five at first, more later, so that the log of a long run stays readable. Call it
// about once a second.
func (l *Log) Tick(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	under := l.progress(now)
	reading := !l.known() && !l.started.IsZero() && !l.cancelled
	if l.closed || len(under) == 0 && !reading || len(under) > 0 && !l.o.Progress {
		return
	}
	if l.nextTick.IsZero() {
		l.nextTick = now.Add(interval(0))
		return
	}
	if now.Before(l.nextTick) {
		return
	}
	l.nextTick = now.Add(interval(now.Sub(l.started)))
	for _, p := range under {
		l.say("%s", p)
	}
	if len(under) == 0 {
		l.say("reading the image, %s so far", duration(now.Sub(l.started)))
	}
}

// interval is the time between progress lines of a run that is this old.
func interval(age time.Duration) time.Duration {
	switch {
	case age < 2*time.Minute:
		return 5 * time.Second
	case age < 10*time.Minute:
		return 10 * time.Second
	}
	return 30 * time.Second
}

// Result ends the log: what it took, the table, the annotations.
func (l *Log) Result(r publish.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	took := l.took(r)
	if len(took) > 0 || len(r.Registries) > 0 && !l.o.Workflow {
		l.open(resultGroup)
	}
	for _, text := range took {
		l.say("%s", text)
	}
	if l.o.Workflow {
		l.end() // what is in it folds; the table must not
	}
	l.unfolded(r)
	width := 0
	if l.o.Width != nil {
		width = l.o.Width()
	}
	if width == 0 {
		width = 120
	}
	for _, line := range Table(r, width) {
		l.write(line)
	}
	if allSkipped(r) && r.Untrusted { // of a fork there is no annotation
		l.say("Nothing was published: every registry was skipped.")
	}
	l.end()
	l.annotations(r)
}

// took returns a line for each registry that did something.
func (l *Log) took(r publish.Result) []string {
	var lines []string
	for _, g := range r.Registries {
		if g.Requests == 0 || g.Status() == Skipped {
			continue
		}
		text := strings.Join(append([]string{copied(g)}, besides(g)...), "; ")
		if l.o.Workflow || r.DryRun || len(besides(g)) > 0 {
			lines = append(lines, g.Host+"  "+text)
		}
	}
	return lines
}

// unfolded writes the errors of the run in full where GitHub shows so few annotations that
// some are put together, and nothing has said them.
func (l *Log) unfolded(r publish.Result) {
	errors := runErrors(r)
	if !l.o.Workflow || len(errors) <= mostAnnotations || l.broken {
		return
	}
	for _, e := range errors {
		l.write(Line{Text: "failed: " + e.Text, Style: Bad})
	}
}

// annotations writes what a person should know without opening the log. Where no runner
// makes something of it, table and log have said of registries what there is to say.
func (l *Log) annotations(r publish.Result) {
	all := Annotations(r)
	if l.o.Workflow {
		for _, line := range folded(all) {
			l.write(line)
		}
		return
	}
	ofRun := runErrors(r)
	for _, line := range all {
		nothing := line.Kind == WarningLine && !slices.ContainsFunc(r.Notes, func(n publish.Note) bool { return string(n.Text) == line.Text })
		if slices.Contains(ofRun, line) || l.o.Quiet && line.Kind == ErrorLine || nothing && (l.o.Quiet || allSkipped(r)) {
			l.write(line)
		}
	}
}
