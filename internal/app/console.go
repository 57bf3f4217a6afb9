package app

import (
	"io"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/multi-registry-push/multi-registry-push/internal/actions"
	"github.com/multi-registry-push/multi-registry-push/internal/config"
	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/report"
)

// longestText bounds what one line of the log may hold, in bytes: whatever a registry
// sends, the log stays readable.
const longestText = 32 << 10

// console is the one way to standard output and standard error. Whatever it is given
// comes out as text: secrets as ***, control characters spelled out, and nothing that the
// runner would take for a command except the commands that console itself writes. It is
// safe for concurrent use.
type console struct {
	redactor *redact.Redactor
	runner   *actions.Runner
	workflow bool // a runner reads along and understands commands
	debug    bool // the job was asked for its debug log, or --verbose
	quiet    bool // --quiet: errors and warnings only
	colours  bool // standard output is a terminal that understands them

	mu     sync.Mutex
	out    io.Writer // standard output, or live bars above which lines are written
	errors io.Writer
	json   io.Writer // standard output, where results alone go there
}

// newConsole returns the console of a process. mapPath turns a path of the runner's host
// into the one that is seen here.
func newConsole(out, errors io.Writer, environ []string, mapPath func(string) string) *console {
	c := &console{out: out, errors: errors}
	c.redactor = redact.NewRedactor(func(form string) { _ = c.runner.AddMask(form) })
	c.runner = actions.New(actions.Options{Environ: environ, Writer: commandWriter{c}, Clean: c.clean,
		Line: c.line, Learn: c.redactor.Learn, MapPath: mapPath})
	c.workflow, c.debug = c.runner.Workflow(), c.runner.Debug()
	return c
}

// level takes what a command line says of the output. With --output json everything goes to
// standard error, and standard output is left to results.
func (c *console) level(args config.Arguments) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.debug, c.quiet = c.debug || args.Verbose, args.Quiet
	if args.JSON {
		c.json, c.out = c.out, c.errors
	}
}

// waiting tells whoever sits at the terminal that standard input is read.
func (c *console) waiting(what string) {
	c.text(failures, what+": type or paste it here, then press Ctrl-D in a line of its own")
}

// results writes the results of --output json, or says why they are missing.
func (c *console) results(text string) error {
	c.mu.Lock()
	_, err := io.WriteString(c.json, text+"\n")
	c.mu.Unlock()
	if err != nil {
		c.print(report.Line{Kind: report.ErrorLine, Title: "Results are missing",
			Text: string(c.clean("writing the results to standard output: " + err.Error()))})
	}
	return err
}

// commandWriter writes to where standard output goes at the moment.
type commandWriter struct{ c *console }

func (w commandWriter) Write(b []byte) (int, error) {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	return w.c.out.Write(b)
}

// redirect sends what follows to other writers and returns those before.
func (c *console) redirect(out, errors io.Writer) (outBefore, errorsBefore io.Writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	outBefore, errorsBefore = c.out, c.errors
	c.out, c.errors = out, errors
	return outBefore, errorsBefore
}

// stream is where a text goes.
type stream int

const (
	standard stream = iota
	failures
)

// print shows one line of the report. In a workflow its kind becomes a command;
// elsewhere errors and warnings go to standard error.
func (c *console) print(l report.Line) {
	if l.Kind == report.DebugLine && !c.debug || c.quiet && l.Kind != report.ErrorLine && l.Kind != report.WarningLine {
		return
	}
	if c.workflow {
		c.printCommand(l)
		return
	}
	switch l.Kind {
	case report.GroupStart:
		c.lines(standard, report.Strong, "== "+l.Text)
	case report.GroupEnd, report.NoticeLine:
		// What a notice says stands in the log already; a runner shows it elsewhere, too.
	case report.ErrorLine:
		c.lines(failures, report.Plain, "error: "+titled(l))
	case report.WarningLine:
		c.lines(failures, report.Plain, "warning: "+titled(l))
	case report.DebugLine:
		c.lines(failures, report.Plain, "debug: "+l.Text)
	default:
		c.lines(standard, l.Style, l.Text)
	}
}

// titled returns the text with the title before it: of an annotation, the runner's log shows the
// text alone (actions/runner, ExecutionContext.AddIssue).
func titled(l report.Line) string {
	if strings.HasPrefix(l.Text, l.Title) {
		return l.Text
	}
	return l.Title + ": " + l.Text
}

// printCommand shows a line to the runner. There is nowhere left to say that the log
// cannot be written.
func (c *console) printCommand(l report.Line) {
	switch l.Kind {
	case report.GroupStart:
		_ = c.runner.Group(l.Text)
	case report.GroupEnd:
		_ = c.runner.EndGroup()
	case report.ErrorLine:
		_ = c.runner.Annotate(actions.Error, l.Title, titled(l))
	case report.WarningLine:
		_ = c.runner.Annotate(actions.Warning, l.Title, titled(l))
	case report.NoticeLine:
		_ = c.runner.Annotate(actions.Notice, l.Title, titled(l))
	case report.DebugLine:
		_ = c.runner.Annotate(actions.Debug, "", l.Text)
	default:
		c.lines(standard, report.Plain, l.Text)
	}
}

// text writes free text, which may hold line breaks, as lines that are not commands.
func (c *console) text(to stream, text string) { c.write(to, c.styled(report.Plain, c.clean(text))) }

// lines writes what a report made: its free text has been redacted.
func (c *console) lines(to stream, style report.Style, text string) {
	c.write(to, c.styled(style, c.line(text)))
}

// styled returns text that is safe as lines that are not commands, in a style where colours
// are understood.
func (c *console) styled(style report.Style, text string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		if line = actions.Defuse(line); c.colours {
			line = style.Paint(line)
		}
		b.WriteString(line)
		b.WriteByte('\n')
	}
	return b.String()
}

func (c *console) write(to stream, s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.out
	if to == failures {
		w = c.errors
	}
	_, _ = io.WriteString(w, s) // there is nowhere left to say that the log cannot be written
}

// clean takes secrets and everything but printable characters and line feeds out of a
// text. Secrets are looked for again in what was spelled out, and the text is cut only then:
// half a secret matches none of its forms.
func (c *console) clean(text string) string { return safe(text, c.redactor.Redact) }

// line is clean for a line of a report: what is public in it stays.
func (c *console) line(text string) string { return safe(text, c.redactor.RedactLine) }

func safe(text string, hide func(string) string) string {
	text = hide(printable(hide(text)))
	if len(text) > longestText {
		text = strings.ToValidUTF8(text[:longestText], "") + "…"
	}
	return text
}

// printable spells out what a terminal or a browser would act on rather than show:
// control characters (line feeds aside), invisible ones and those that turn the direction
// of writing, and bytes that are no character at all.
func printable(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError:
			_, size := utf8.DecodeRuneInString(s[i:])
			if size == 1 {
				b.WriteString(`\x` + strconv.FormatUint(uint64(s[i]>>4), 16) + strconv.FormatUint(uint64(s[i]&15), 16))
			} else {
				b.WriteRune(r)
			}
		case r == '\n' || unicode.IsPrint(r):
			b.WriteRune(r)
		case r == '\t':
			b.WriteString("  ")
		default:
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		}
	}
	return b.String()
}
