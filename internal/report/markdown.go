package report

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// MaxSummary is what Markdown is asked to stay below: GitHub refuses a step's summary
// of more than 1 MiB.
const MaxSummary = 1_000_000

// errorsPage explains every code.
const errorsPage = "https://github.com/multi-registry-push/multi-registry-push/blob/main/docs/errors.md"

// Long lists fold: a cell shows the first tags, a section the first commands.
const (
	tagsInCell   = 4
	pullsInSight = 4
)

// summary collects blocks up to a limit; what does not fit is left out, and said to be.
type summary struct {
	b     strings.Builder
	limit int
	cut   bool
}

const cutNote = "\n_Shortened: GitHub shows at most 1 MiB. Everything is in the output `results`._\n"

// add appends a block if it fits.
func (s *summary) add(block string) bool {
	if s.b.Len()+len(block)+len(cutNote) > s.limit {
		s.cut = true
		return false
	}
	s.b.WriteString(block)
	return true
}

// addAll appends lines between head and tail, as many as fit into share bytes.
func (s *summary) addAll(head string, lines []string, tail string, share int) {
	if len(lines) == 0 {
		return
	}
	var b strings.Builder
	b.WriteString(head)
	for _, line := range lines {
		if b.Len()+len(line)+len(tail) > share {
			s.cut = true
			break
		}
		b.WriteString(line)
	}
	b.WriteString(tail)
	s.add(b.String())
}

// Markdown returns the job summary in at most limit bytes.
func (r *Record) Markdown(limit int) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &summary{limit: limit}
	s.add("## " + r.headline() + "\n\n")
	s.add(r.subline())
	s.addAll(tableHead, r.tableRows(), "\n", limit/4)
	s.addAll("### What went wrong\n\n", r.wrongs(), "\n", limit/4)
	s.addAll("### Left out\n\n", r.leftOuts(), "\n", limit/8)
	s.addAll("### Warnings\n\n", r.warnings(), "\n", limit/16)
	r.addPulls(s)
	s.addAll("", r.limits(), "\n", limit/16)
	if picture := r.timeline(); picture != "" {
		s.add("### Timeline\n\n" + picture + "\n")
	}
	if rows := r.tagRows(); len(rows) > 0 {
		s.addAll(fmt.Sprintf("<details><summary>Every tag (%d)</summary>\n\n| Tag | Status | Before | Now |\n| --- | --- | --- | --- |\n", len(rows)), rows, "\n</details>\n", limit/4)
	}
	if s.cut {
		s.b.WriteString(cutNote)
	}
	return s.b.String()
}

// statusMarks stand before a status, for those who skim.
func statusMark(status Status) string {
	switch status {
	case Pushed:
		return "✅"
	case Unchanged:
		return "☑️"
	case Planned:
		return "📝"
	case Skipped:
		return "⏭️"
	case Failed:
		return "❌"
	}
	return ""
}

// headline says in one line how it went.
func (r *Record) headline() string {
	n := map[Status]int{}
	for _, g := range r.registries {
		status, _ := r.status(g)
		n[status]++
	}
	enabled := len(r.registries) - n[Skipped]
	bad := "⚠️" // failures that are not required leave the step green
	if slices.ContainsFunc(r.registries, func(g *registry) bool {
		status, _ := r.status(g)
		return status == Failed && !g.tolerated()
	}) {
		bad = "❌"
	}
	text := ""
	switch {
	case r.cancelled:
		text = "❌ Cancelled"
		if served := n[Pushed] + n[Unchanged]; served > 0 {
			text += fmt.Sprintf(": %s done, %d not", registries(served), enabled-served)
		}
		return text
	case len(r.errs) > 0 && !r.partly():
		return "❌ Nothing was published"
	case len(r.registries)+len(r.lines) == 0:
		return "⏭️ Nothing was published: there is nothing to do"
	case enabled == 0:
		return "⏭️ Nothing was published: every registry was skipped"
	case n[Failed] > 0 && r.dryRun:
		text = fmt.Sprintf("%s Dry run: %s failed", bad, registries(n[Failed]))
	case n[Failed] == enabled && r.partly():
		text = fmt.Sprintf("%s Published in part: %s failed", bad, registries(enabled))
	case n[Failed] == enabled:
		text = fmt.Sprintf("%s Nothing was published: %s failed", bad, registries(enabled))
	case n[Failed] > 0:
		text = fmt.Sprintf("%s Published to %d of %s", bad, enabled-n[Failed], registries(enabled))
	case r.dryRun && n[Planned] > 0:
		text = "📝 Dry run: " + registries(n[Planned]) + " would change"
		if n[Unchanged] > 0 {
			text += fmt.Sprintf(", %d up to date", n[Unchanged])
		}
	case r.dryRun:
		text = "☑️ Dry run: " + registries(enabled) + " up to date"
	case n[Pushed] == 0:
		text = "☑️ " + registries(enabled) + " up to date, nothing to do"
	default:
		text = "✅ Published to " + registries(enabled)
	}
	if n[Skipped] > 0 {
		text += fmt.Sprintf(", %d skipped", n[Skipped])
	}
	return text
}

func registries(n int) string { return count(n, "registry") }

// partly reports whether some tag is served though its registry failed.
func (r *Record) partly() bool {
	return slices.ContainsFunc(r.registries, func(g *registry) bool { return slices.ContainsFunc(g.references, r.serves) })
}

// subline says what was published.
func (r *Record) subline() string {
	if r.source.Digest == "" {
		return ""
	}
	parts := []string{}
	if len(r.source.Platforms) > 0 {
		parts = append(parts, prose(listed(r.source.Platforms, 8)))
	}
	if r.source.SizeBytes > 0 {
		parts = append(parts, amount(r.source.SizeBytes))
	}
	parts = append(parts, duration(r.elapsed()))
	if r.source.Reference != "" {
		parts = append(parts, "from "+code(bounded(r.source.Reference, 300)))
	}
	if r.read.BytesRead > 0 {
		parts = append(parts, amount(r.read.BytesRead)+" read")
	}
	return code(r.source.Digest) + "<br>\n" + strings.Join(parts, " · ") + "\n\n"
}

const tableHead = "| Registry | Status | Tags | Sent | Reused | Time | Speed |\n| --- | --- | --- | ---: | ---: | ---: | ---: |\n"

func (r *Record) tableRows() []string {
	var rows []string
	for _, g := range r.registries {
		status, _ := r.status(g)
		cells := []string{code(bounded(g.host, 300)), statusMark(status) + " " + string(status), r.tagCell(g), "", "", "", ""}
		if !g.start.IsZero() && status != Skipped {
			sent := amount(g.blobBytesSent())
			if status == Planned {
				sent = amount(g.missingBytes) + " to send"
			}
			copy(cells[3:], []string{sent, g.reused(status), duration(g.duration()), rate(g.sent, g.copyTime())})
		}
		for i := range cells[3:] { // "12.5 s" must not break
			cells[3+i] = strings.ReplaceAll(cells[3+i], " ", "&nbsp;")
		}
		cells[1] = strings.ReplaceAll(cells[1], " ", "&nbsp;")
		rows = append(rows, "| "+strings.Join(cells, " | ")+" |\n")
	}
	return rows
}

// tagCell lists the first tags, with their repositories where there are several.
func (r *Record) tagCell(g *registry) string {
	var names []string
	for i, ref := range g.references {
		if i == tagsInCell && len(g.references) > tagsInCell+1 {
			names = append(names, fmt.Sprintf("and %d more", len(g.references)-tagsInCell))
			break
		}
		name := code(bounded(g.shortName(ref), 200))
		if ref.status == Skipped && g.skip == "" || ref.status == Failed && !r.serves(ref) && r.partial(g) {
			name = "<del>" + name + "</del>"
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// partial reports whether the registry serves some tags, but not all.
func (r *Record) partial(g *registry) bool { return slices.ContainsFunc(g.references, r.serves) }

// shortName is the tag, with its repository if the registry was asked for several.
func (g *registry) shortName(ref *reference) string {
	repository := repositoryOf(ref.name)
	if !slices.ContainsFunc(g.references, func(o *reference) bool { return repositoryOf(o.name) != repository }) {
		return tagOf(ref.name)
	}
	return tags([]string{ref.name})[0]
}

// wrongs lists the errors with what to do about each.
func (r *Record) wrongs() []string {
	var lines []string
	for _, err := range r.errs {
		lines = append(lines, "- "+explained("", err))
	}
	for _, g := range r.culpritsFirst() {
		status, reason := r.status(g)
		if status != Failed {
			continue
		}
		name := code(g.host)
		if g.tolerated() {
			name += " (not required)"
		}
		if len(g.errs) == 0 && len(r.errs) == 0 {
			lines = append(lines, "- "+name+": "+prose(bounded(reason, longestReason))+"\n")
		}
		var seen []string
		for _, err := range g.errs {
			if line := "- " + explained(name, err); !slices.Contains(seen, line) {
				seen = append(seen, line)
			}
		}
		lines = append(lines, seen...)
	}
	return lines
}

// explained writes an error, what to do, and where to read on. who is Markdown.
func explained(who string, err error) string {
	var b strings.Builder
	if who != "" {
		b.WriteString(who + ": ")
	}
	if p, ok := errors.AsType[*usererror.Problem](err); ok {
		text := strings.TrimSuffix(strings.TrimSpace(err.Error()), "["+string(p.Code)+"]")
		b.WriteString(prose(bounded(oneLine(text), longestReason)))
		fmt.Fprintf(&b, " ([%s](%s#%s))", label(string(p.Code)), errorsPage, label(string(p.Code)))
		if advice := p.Advice(); advice != "" {
			b.WriteString("<br>**What to do:** " + ticked(bounded(oneLine(advice), longestReason)))
		}
	} else {
		b.WriteString(prose(bounded(oneLine(err.Error()), longestReason)))
	}
	return b.String() + "\n"
}

// leftOuts says why something was skipped.
func (r *Record) leftOuts() []string {
	var lines []string
	for _, g := range r.registries {
		if status, reason := r.status(g); status == Skipped {
			lines = append(lines, "- "+code(g.host)+": "+prose(reason)+"\n")
			continue
		}
		for line := range strings.Lines(g.leftOut()) {
			lines = append(lines, "- "+code(g.host)+": "+prose(line)+"\n")
		}
	}
	for _, l := range r.lines {
		lines = append(lines, fmt.Sprintf("- %s, line %d, %s: %s\n", code(l.Input), l.Number, code(bounded(l.Line, 200)), prose(l.Reason)))
	}
	return lines
}

// warnings lists what did not fail, but should not go unseen.
func (r *Record) warnings() []string {
	var lines []string
	for _, n := range r.notices {
		if !n.Warning {
			continue
		}
		line := "- " + ticked(bounded(oneLine(prefixed(n.Registry, n.Text)), longestReason)) + "\n"
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// addPulls gives a command for each repository that serves the digest; by digest,
// because that is the one name that stays true.
func (r *Record) addPulls(s *summary) {
	if r.source.Digest == "" {
		return
	}
	var commands []string
	for _, g := range r.registries {
		for _, ref := range g.references {
			if command := "docker pull " + repositoryOf(ref.name) + "@" + r.source.Digest; r.serves(ref) && !slices.Contains(commands, command) {
				commands = append(commands, command)
			}
		}
	}
	if len(commands) == 0 {
		return
	}
	var blocks []string
	for _, c := range commands {
		blocks = append(blocks, fenced("sh", c)+"\n")
	}
	seen, folded := blocks[:min(len(blocks), pullsInSight)], blocks[min(len(blocks), pullsInSight):]
	s.addAll("### Pull by digest\n\n", seen, "", s.limit/8)
	s.addAll(fmt.Sprintf("<details><summary>%s more</summary>\n\n", fmt.Sprint(len(folded))), folded, "</details>\n\n", s.limit/8)
}

// limits says how many pulls a registry still allows.
func (r *Record) limits() []string {
	var lines []string
	for _, g := range r.registries {
		if g.rateLimit == nil {
			continue
		}
		name := code(g.host)
		if g.host == "docker.io" {
			name = "Docker Hub"
		}
		within := ""
		if g.rateLimit.Window > 0 {
			within = " in " + Period(g.rateLimit.Window)
		}
		lines = append(lines, fmt.Sprintf("%s: %d of %d pulls left%s.<br>\n", name, g.rateLimit.Remaining, g.rateLimit.Limit, within))
	}
	return lines
}

// Period writes a window of time: 6 hours.
func Period(d time.Duration) string {
	if d >= time.Hour && d%time.Hour == 0 {
		return count(int(d/time.Hour), "hour")
	}
	if d >= time.Minute && d%time.Minute == 0 {
		return count(int(d/time.Minute), "minute")
	}
	return duration(d)
}

// tagRows lists every tag where the table above could not, or where a tag moved.
func (r *Record) tagRows() []string {
	var rows []string
	worth := false
	for _, g := range r.registries {
		worth = worth || len(g.references) > tagsInCell+1
		for _, ref := range g.references {
			worth = worth || ref.before != "" && ref.before != ref.now
			status, now := ref.status, ref.now
			if status == "" {
				status, _ = r.status(g)
			}
			rows = append(rows, fmt.Sprintf("| %s | %s&nbsp;%s | %s | %s |\n", code(bounded(ref.name, 400)), statusMark(status), status, digestCell(ref.before), digestCell(now)))
		}
	}
	if !worth {
		return nil
	}
	return rows
}

func digestCell(digest string) string {
	if digest == "" {
		return ""
	}
	return code(short(digest))
}
