package report

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// Kind is what a line of the log is.
type Kind int

// The kinds.
const (
	Text       Kind = iota // a plain line
	GroupStart             // Text is the group's name
	GroupEnd
	NoticeLine // an annotation with Title and Text
	WarningLine
	ErrorLine
	DebugLine // shown at RUNNER_DEBUG=1 only
)

// Line is one thing to put into the log. Title and Text are plain and unescaped, and
// may hold outside text and line breaks: the writer escapes.
type Line struct {
	Kind        Kind
	Title, Text string
	Style       Style // for terminals
}

// Printer turns events into the lines of a log: a group for each phase, a progress
// line a registry every few seconds, the closing table, then the annotations. It is
// safe for concurrent use.
type Printer struct {
	record *Record
	sink   func(Line)
	o      PrinterOptions

	mu        sync.Mutex
	group     Phase // the group that is open, if any
	wanted    Phase // the phase that the run has reached: some registry is in it
	later     map[Phase][]Line
	warnings  []Notice
	nextTick  time.Time
	started   time.Time
	cancelled bool
	closed    bool
	failures  map[string]bool // said
	unsaid    []error         // of the run, for which there is an annotation only
}

// PrinterOptions change how a log looks.
type PrinterOptions struct {
	Width    int  // of the closing table in columns; 0 means 120
	Progress bool // print lines of copies at Tick; not where live bars show them
	Fold     bool // GitHub reads along, and shows a few annotations of each kind only
}

// NewPrinter returns a printer of what happens to record. sink gets the lines, one
// after the other.
func NewPrinter(record *Record, sink func(Line), o PrinterOptions) *Printer {
	if o.Width == 0 {
		o.Width = 120
	}
	return &Printer{record: record, sink: sink, o: o, later: map[Phase][]Line{}, failures: map[string]bool{}}
}

// Print shows one event. Call it after Record.Apply with the same event.
func (p *Printer) Print(e Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started.IsZero() {
		p.started = e.at()
	}
	switch e := e.(type) {
	case PhaseStarted:
		p.wanted = e.Phase
		p.advance()
	case RegistryPlanned:
		p.planned(e)
	case TagsSkipped:
		p.say(Plan, "%s  left out: %s (%s)", e.Registry, listed(tags(e.References), 8), e.Reason)
	case LineSkipped:
		p.say(Plan, "%s", lineSkipped(e))
	case SourceKnown:
		p.say("", "%s", sourceLine(e))
	case RegistryPhase:
		p.phase(e)
	case RepositoryCreated:
		p.say("", "%s  created the repository %s", e.Registry, e.Repository)
	case TagDone:
		p.tag(e)
	case RegistrySkipped:
		p.say("", "%s  skipped: %s", e.Registry, e.Reason)
		p.advance()
	case RegistryFailed:
		if !p.record.said(e.Registry, "") {
			p.problem(e.Registry, e.Err)
		}
		p.advance()
	case RunFailed:
		if p.group != "" {
			p.problem("", e.Err)
		} else { // nothing stands between here and the annotation
			p.unsaid = append(p.unsaid, e.Err)
		}
	case DryRunPlan:
		p.dryRun(e)
	case Notice:
		p.notice(e)
	case Cancelled:
		if !p.cancelled {
			p.say("", "Cancelled: stopping, and tidying up.")
		}
		p.cancelled = true
	case BlobDone:
		p.debug("%s  blob %s, %s, %s in %s", e.Registry, e.Digest, amount(e.SizeBytes), e.How, duration(e.Time.Sub(e.Start)))
	case ManifestDone:
		p.debug("%s  manifest %s in %s, %s", e.Registry, e.Digest, e.Repository, map[bool]string{true: "written", false: "was there"}[e.Written])
	case Debug:
		p.debug("%s", prefixed(e.Registry, e.Text))
	case Finished:
		p.close()
	}
}

// say prints a line in the group of phase, or, if that has not begun, keeps it for
// when it does: a registry may be tagged while others are still being copied to. An
// empty phase means the group that is open.
func (p *Printer) say(phase Phase, format string, args ...any) {
	line := Line{Kind: Text, Text: fmt.Sprintf(format, args...)}
	if phase != "" && order(phase) > order(p.group) {
		p.later[phase] = append(p.later[phase], line)
		return
	}
	p.sink(line)
}

func (p *Printer) debug(format string, args ...any) {
	p.sink(Line{Kind: DebugLine, Text: fmt.Sprintf(format, args...)})
}

// phases in their order; a phase's group shows what belongs to it and to those before.
var phases = [...]Phase{Plan, Login, Copy, Tag, Verify}

func order(phase Phase) int { return slices.Index(phases[:], phase) }

// headings of the groups.
func heading(phase Phase) string {
	switch phase {
	case Plan:
		return "Plan: what goes where"
	case Login:
		return "Login: credentials and push permission"
	case Copy:
		return "Copy: blobs and manifests"
	case Tag:
		return "Tag"
	case Verify:
		return "Verify: every registry serves the same digest"
	}
	return string(phase)
}

// advance opens the groups that it is time for. Registries go their own ways from copy
// on, but a log has one group at a time: that of the copy stays open until the last
// registry has its copy, and so on.
func (p *Printer) advance() {
	for _, phase := range phases {
		if order(phase) <= order(p.group) || order(phase) > order(p.wanted) {
			continue
		}
		if order(phase) > order(Copy) && p.record.busyBefore(phase) {
			return
		}
		if order(phase) <= order(Copy) && phase != p.wanted {
			continue
		}
		p.open(phase)
	}
}

// open ends the group that is open and begins the next, with what was kept for it.
func (p *Printer) open(phase Phase) {
	p.end()
	p.group = phase
	p.sink(Line{Kind: GroupStart, Text: heading(phase)})
	for _, earlier := range phases[:order(phase)+1] {
		for _, line := range p.later[earlier] {
			p.sink(line)
		}
		delete(p.later, earlier)
	}
}

func (p *Printer) end() {
	if p.group != "" {
		p.sink(Line{Kind: GroupEnd})
	}
}

func (p *Printer) planned(e RegistryPlanned) {
	if e.Skip != "" {
		p.say(Plan, "%s  skipped: %s", e.Registry, e.Skip)
		return
	}
	text := e.Registry + "  " + listed(tags(e.References), 8)
	switch {
	case len(e.Accounts) == 1 && e.Accounts[0] == "anonymous":
		text += ", without login"
	case len(e.Accounts) > 0:
		text += ", with " + strings.Join(e.Accounts, " and ")
	}
	if e.Optional {
		text += ", not required"
	}
	p.say(Plan, "%s", text)
}

func (p *Printer) phase(e RegistryPhase) {
	if !e.Done {
		return
	}
	defer p.advance()
	took, text, failed := p.record.phaseSummary(e)
	if failed || e.Failed {
		return
	}
	if e.Phase == Verify && order(p.group) < order(Tag) { // others are still being copied to
		p.say("", "%s  done: tagged and verified", e.Registry)
	}
	switch e.Phase {
	case Login:
		p.say(Login, "%s  %s (%s)", e.Registry, text, duration(took))
	case Copy:
		if text != "" {
			p.say(Copy, "%s  %s", e.Registry, text)
		}
	case Verify:
		p.say(Verify, "%s  %s", e.Registry, text)
	}
}

func (p *Printer) tag(e TagDone) {
	switch e.Status {
	case Pushed:
		switch {
		case e.Before == "":
			p.say(Tag, "%s  tagged", e.Reference)
		default:
			p.say(Tag, "%s  moved here from %s", e.Reference, short(e.Before))
		}
	case Unchanged:
		p.say(Tag, "%s  was there already", e.Reference)
	case Planned:
		switch {
		case e.Before == "":
			p.say(Tag, "%s  would be tagged", e.Reference)
		default:
			p.say(Tag, "%s  would move here from %s", e.Reference, short(e.Before))
		}
	case Skipped:
		p.say(Tag, "%s  left out: %s", e.Reference, e.Reason)
	case Failed:
		if p.record.said(e.Registry, e.Reason) {
			return
		}
		text := e.Reference + "  not tagged"
		if e.Reason != "" {
			text += ": " + e.Reason
		}
		if e.Now != "" {
			text += "; it serves " + short(e.Now)
		}
		p.say("", "%s", text)
	}
}

func (p *Printer) problem(registry string, err error) {
	text := prefixed(registry, "failed: "+err.Error())
	if p.failures[text] {
		return
	}
	p.failures[text] = true
	p.sink(Line{Text: text, Style: Bad})
	if advice := usererror.Advice(err); advice != "" {
		p.sink(Line{Text: "  " + advice, Style: Bad})
	}
}

func (p *Printer) dryRun(e DryRunPlan) {
	text := e.Registry + "  holds every blob"
	if e.MissingBlobs > 0 {
		text = fmt.Sprintf("%s  lacks %s, %s", e.Registry, count(e.MissingBlobs, "blob"), amount(e.MissingBytes))
	}
	if e.Note != "" && e.MissingBlobs > 0 {
		text += " (" + e.Note + ")"
	}
	p.say("", "%s", text)
}

func (p *Printer) notice(e Notice) {
	phase := p.group
	if phase == "" {
		phase = Plan // what comes up before it stands in its group, too
	}
	p.say(phase, "%s", prefixed(e.Registry, e.Text))
	if e.Warning && !slices.ContainsFunc(p.warnings, func(n Notice) bool { return n.Registry == e.Registry && n.Text == e.Text }) {
		p.warnings = append(p.warnings, e)
	}
}

// Tick prints a line for each copy under way, or one for a source that takes its time
// before there is anything to copy, if the last ones are some seconds old:
// five at first, more later, so that the log of a long run stays readable. Call it
// about once a second.
func (p *Printer) Tick(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	under := p.record.Progress(now)
	since, reading := p.record.reading(now)
	if p.closed || len(under) == 0 && !reading || len(under) > 0 && !p.o.Progress {
		return
	}
	if p.nextTick.IsZero() {
		p.nextTick = now.Add(interval(0))
		return
	}
	if now.Before(p.nextTick) {
		return
	}
	p.nextTick = now.Add(interval(now.Sub(p.started)))
	for _, progress := range under {
		p.sink(Line{Kind: Text, Text: progress.String()})
	}
	if len(under) == 0 {
		p.sink(Line{Kind: Text, Text: fmt.Sprintf("reading the image, %s so far", duration(since))})
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

// close ends the log: what was kept back, the table, the annotations.
func (p *Printer) close() {
	if p.closed {
		return
	}
	p.closed = true
	for _, phase := range phases {
		if len(p.later[phase]) > 0 {
			p.open(phase)
		}
	}
	p.end()
	if p.o.Fold && len(p.unsaid) > mostAnnotations { // one of them will be short of words
		for _, err := range p.unsaid {
			p.problem("", err)
		}
	}
	for _, line := range append(p.record.tableLines(p.o.Width), p.annotations()...) {
		p.sink(line)
	}
}

func lineSkipped(e LineSkipped) string {
	return fmt.Sprintf("%s, line %d: %q skipped: %s", e.Input, e.Number, bounded(e.Line, 200), e.Reason)
}

func sourceLine(e SourceKnown) string {
	text := e.Reference
	if text != "" {
		text += ": "
	}
	text += e.Digest
	if len(e.Platforms) > 0 {
		text += ", " + listed(e.Platforms, 8)
	}
	return text + ", " + amount(e.SizeBytes)
}

// prefixed puts the registry before a text, unless it begins with it.
func prefixed(registry, text string) string {
	if registry == "" || strings.HasPrefix(text, registry) {
		return text
	}
	return registry + "  " + text
}

// listed joins at most limit texts, and counts the rest.
func listed(texts []string, limit int) string {
	if len(texts) <= limit {
		return strings.Join(texts, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(texts[:limit], ", "), len(texts)-limit)
}

// tags returns references without their registry, which stands before them.
func tags(references []string) []string {
	var out []string
	for _, ref := range references {
		_, rest, ok := strings.Cut(ref, "/")
		if !ok {
			rest = ref
		}
		out = append(out, rest)
	}
	return out
}

// Advised returns an error's text with, in a line of its own, what to do about it.
func Advised(err error) string {
	if err == nil {
		return ""
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok && !isProblem(err) {
		var texts []string
		for _, e := range joined.Unwrap() {
			texts = append(texts, Advised(e))
		}
		return strings.Join(texts, "\n")
	}
	text := err.Error()
	if advice := usererror.Advice(err); advice != "" {
		text += "\n" + advice
	}
	return text
}

func isProblem(err error) bool {
	_, ok := errors.AsType[*usererror.Problem](err)
	return ok
}
