package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// TestStatus holds the contract's rules for the status of a registry and the exit
// status of the run.
func TestStatus(t *testing.T) {
	at := At{epoch}
	planned := RegistryPlanned{At: at, Registry: "r", References: []string{"r/a:1", "r/a:2"}}
	optional := planned
	optional.Optional = true
	done := func(tag string, s Status) Event {
		now := digest
		if s == Failed {
			now = ""
		}
		return TagDone{At: at, Registry: "r", Reference: "r/a:" + tag, Status: s, Now: now, Reason: map[bool]string{true: "refused"}[s == Failed]}
	}
	failed := RegistryFailed{At: at, Registry: "r", Err: errors.New("broken")}
	cases := []struct {
		name   string
		events []Event
		status Status
		reason string
		images string
		exit   int
	}{
		{"written", []Event{planned, done("1", Pushed), done("2", Pushed)}, Pushed, "", "r/a:1 r/a:2", 0},
		{"one written", []Event{planned, done("1", Pushed), done("2", Unchanged)}, Pushed, "", "r/a:1 r/a:2", 0},
		{"all there", []Event{planned, done("1", Unchanged), done("2", Unchanged)}, Unchanged, "", "r/a:1 r/a:2", 0},
		{"only a child was missing", []Event{planned, ManifestDone{at, "r", "a", digest, true}, done("1", Unchanged), done("2", Unchanged)}, Pushed, "", "r/a:1 r/a:2", 0},
		{"nothing written at all", []Event{planned, ManifestDone{at, "r", "a", digest, false}, done("1", Unchanged), done("2", Unchanged)}, Unchanged, "", "r/a:1 r/a:2", 0},
		{"in part", []Event{planned, done("1", Pushed), done("2", Failed)}, Failed, "refused", "r/a:1", 1},
		{"put back", []Event{planned, done("1", Pushed), done("2", Pushed), TagDone{at, "r", "r/a:1", Failed, older, older, "put back"}, TagDone{at, "r", "r/a:2", Failed, "", "", "put back"}}, Failed, "put back", "", 1},
		{"an error", []Event{planned, failed}, Failed, "broken", "", 1},
		{"the same error twice", []Event{planned, failed, failed}, Failed, "broken", "", 1},
		{"an error, but not required", []Event{optional, failed}, Failed, "broken", "", 0},
		{"an error of an optional account", []Event{planned, RegistryFailed{at, "r", true, errors.New("broken")}}, Failed, "broken", "", 0},
		{"one optional, one not", []Event{planned, RegistryFailed{at, "r", true, errors.New("x")}, failed}, Failed, "x; broken", "", 1},
		{"skipped", []Event{RegistryPlanned{At: at, Registry: "r", References: []string{"r/a:1"}, Skip: "username is empty"}}, Skipped, "username is empty", "", 0},
		{"skipped late", []Event{planned, RegistrySkipped{at, "r", "a fork"}}, Skipped, "a fork", "", 0},
		{"no tag matches", []Event{RegistryPlanned{At: at, Registry: "r"}, TagsSkipped{at, "r", []string{"r/a:1"}, "none matches"}}, Skipped, "none matches", "", 0},
		{"one tag matches", []Event{RegistryPlanned{At: at, Registry: "r", References: []string{"r/a:1"}}, TagsSkipped{at, "r", []string{"r/a:2"}, "none matches"}, done("1", Pushed)}, Pushed, "", "r/a:1", 0},
		{"dry run", []Event{Started{at, true}, planned, done("1", Planned), done("2", Unchanged)}, Planned, "", "r/a:2", 0},
		{"dry run, up to date", []Event{Started{at, true}, planned, done("1", Unchanged), done("2", Unchanged)}, Unchanged, "", "r/a:1 r/a:2", 0},
		{"dry run, only blobs are missing", []Event{planned, DryRunPlan{at, "r", 2, 10, "unproven"}, done("1", Unchanged), done("2", Unchanged)}, Planned, "unproven", "r/a:1 r/a:2", 0},
		{"cancelled before", []Event{planned, Cancelled{at}}, Failed, "cancelled before it was published", "", 130},
		{"cancelled after", []Event{planned, done("1", Pushed), done("2", Pushed), Cancelled{at}}, Pushed, "", "r/a:1 r/a:2", 130},
		{"the source failed", []Event{planned, RunFailed{at, errors.New("no such file")}}, Failed, "not published: no such file", "", 1},
		{"nobody said anything", []Event{planned}, Failed, "not published", "", 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := NewRecord(nil)
			for _, e := range append(c.events, Finished{at}) {
				r.Apply(e)
			}
			got := r.Results().Registries[0]
			if got.Status != c.status || got.Reason != c.reason || strings.Join(got.Images, " ") != c.images {
				t.Errorf("got %s, %q, images %v", got.Status, got.Reason, got.Images)
			}
			if exit := r.ExitStatus(); exit != c.exit {
				t.Errorf("exit status %d, want %d", exit, c.exit)
			}
		})
	}
}

// TestResultsShape holds the JSON to the contract's fields, in a run that knows nothing
// and in one that knows everything: programs index into it without asking.
func TestResultsShape(t *testing.T) {
	empty := NewRecord(func() time.Time { return epoch }).Results().JSON()
	if want := `{"digest":"","mediaType":"","platforms":[],"sizeBytes":0,"source":{"reference":"","bytesRead":0,"requests":0},"durationMs":0,"registries":[]}`; empty != want {
		t.Errorf("got %s", empty)
	}
	full := mixed().record.Outputs()["results"]
	if strings.Contains(full, "\n") {
		t.Error("more than one line")
	}
	var parsed map[string]any
	if err := json.Unmarshal([]byte(full), &parsed); err != nil {
		t.Fatal(err)
	}
	for _, g := range parsed["registries"].([]any) {
		g := g.(map[string]any)
		for _, key := range []string{"registry", "status", "reason", "durationMs", "images", "references", "blobs", "bytesUploaded", "requests", "retries", "rateLimit"} {
			if _, ok := g[key]; !ok {
				t.Errorf("%v has no %s", g["registry"], key)
			}
		}
		if g["images"] == nil || g["references"] == nil {
			t.Errorf("%v has null where a list belongs", g["registry"])
		}
	}
}

func TestOutputs(t *testing.T) {
	out := mixed().record.Outputs()
	for key, want := range map[string]string{
		"digest":  digest,
		"pushed":  "ghcr.io/acme/app:1.2.0\nghcr.io/acme/app:latest\ndocker.io/acme/app:1.2.0\ndocker.io/acme/app:latest\nregistry.gitlab.com/acme/app:1.2.0",
		"skipped": "123456789012.dkr.ecr.eu-central-1.amazonaws.com",
		"failed":  "quay.io\nmirror.example.com:5000",
	} {
		if out[key] != want {
			t.Errorf("%s is %q, want %q", key, out[key], want)
		}
	}
	if out := dry().record.Outputs(); out["pushed"] != "" {
		t.Errorf("a dry run says pushed %q", out["pushed"])
	}
}

// TestWarningsAreSeen: a warning is an annotation and stands in the summary, once; a
// notice is in the log alone.
func TestWarningsAreSeen(t *testing.T) {
	p := newPlay()
	warning := Notice{At: p.now(), Warning: true, Registry: "docker.io", Text: "9 of 100 pulls left"}
	p.tell(warning, warning, Notice{At: p.now(), Text: "just so"}, Finished{p.now()})
	if text := p.record.Markdown(MaxSummary); strings.Count(text, "9 of 100 pulls left") != 1 || strings.Contains(text, "just so") {
		t.Errorf("the summary:\n%s", text)
	}
	if log := p.log.String(); strings.Count(log, "WARNING[docker.io] 9 of 100 pulls left") != 1 || !strings.Contains(log, "just so") {
		t.Errorf("the log:\n%s", log)
	}
}

// TestAnnotationsFold: GitHub drops what comes after the tenth of a kind.
func TestAnnotationsFold(t *testing.T) {
	p := newPlay()
	for i := range 25 {
		host := fmt.Sprintf("r%d.example.com", i)
		p.tell(RegistryPlanned{At: p.now(), Registry: host, References: []string{host + "/a:1"}, Skip: "password is empty"})
	}
	p.tell(Finished{p.now()})
	n, last := 0, Line{}
	for _, l := range p.lines {
		if l.Kind == NoticeLine {
			n++
			last = l
		}
	}
	if n != 10 || last.Title != "and 16 more" || !strings.Contains(last.Text, "r24.example.com skipped: password is empty") {
		t.Errorf("%d notices, the last is %+v", n, last)
	}
}

// TestCulpritsComeFirst: what held the others back is the first that a person reads.
func TestCulpritsComeFirst(t *testing.T) {
	p := newPlay()
	held := usererror.New(usererror.AtomicHeldBack, "a.example", "a.example was not tagged", "", nil)
	for _, host := range []string{"a.example", "b.example"} {
		p.tell(RegistryPlanned{At: p.now(), Registry: host, References: []string{host + "/app:1"}})
	}
	p.tell(RegistryFailed{p.now(), "b.example", false, errors.New("refused")}, RegistryFailed{p.now(), "a.example", false, held}, Finished{p.now()})
	var titles []string
	for _, l := range p.lines {
		if l.Kind == ErrorLine {
			titles = append(titles, l.Title)
		}
	}
	if want := []string{"b.example failed", "a.example failed"}; !slices.Equal(titles, want) {
		t.Errorf("got %q, want %q", titles, want)
	}
	if text := p.record.Markdown(MaxSummary); strings.Index(text, "refused") > strings.Index(text, "was not tagged") {
		t.Errorf("the summary:\n%s", text)
	}
}

// TestNoErrorOfTheRunIsLost: annotations that are put together are cut, and elsewhere than
// on GitHub nothing has to be put together.
func TestNoErrorOfTheRunIsLost(t *testing.T) {
	for _, fold := range []bool{true, false} {
		p := newPlay()
		p.printer.o.Fold = fold
		p.tell(Started{At: p.now()})
		for i := range 200 {
			p.tell(RunFailed{At: p.now(), Err: usererror.New(usererror.InvalidTag, "", fmt.Sprintf("tags, line %d, is wrong", i), "", nil)})
		}
		p.tell(Finished{p.now()})
		errors, told := 0, 0
		for _, l := range p.lines {
			if l.Kind == ErrorLine {
				errors++
			}
			if fold == (l.Kind == Text) && strings.HasPrefix(strings.TrimPrefix(l.Text, "failed: "), fmt.Sprintf("tags, line %d, is wrong", told)) {
				told++
			}
		}
		if want := map[bool]int{true: 10, false: 200}[fold]; errors != want || told != 200 {
			t.Errorf("fold %v: %d errors, %d of 200 told in full", fold, errors, told)
		}
	}
}

// TestNoticesBeforeThePlan: what comes up before the first group stands in it.
func TestNoticesBeforeThePlan(t *testing.T) {
	p := newPlay()
	p.tell(Started{At: p.now()}, Notice{At: p.now(), Warning: true, Text: "SSL_CERT_FILE is left aside"}, PhaseStarted{p.now(), Plan}, Finished{p.now()})
	if log := p.log.String(); !strings.HasPrefix(log, "GROUP "+heading(Plan)+"\nSSL_CERT_FILE is left aside\nEND") {
		t.Errorf("the log:\n%s", log)
	}
}

// TestBrokenSourceIsTitledByWhatWasPublished: a source may break when some registry has
// the image already.
func TestBrokenSourceIsTitledByWhatWasPublished(t *testing.T) {
	for title, done := range map[string][]Event{
		"Nothing was published":        nil,
		"The source could not be read": {TagDone{Registry: "r", Reference: "r/a:1", Status: Pushed, Now: digest}},
	} {
		p := newPlay()
		p.tell(RegistryPlanned{At: p.now(), Registry: "r", References: []string{"r/a:1"}}, RegistryPlanned{At: p.now(), Registry: "s", References: []string{"s/a:1"}})
		p.tell(done...)
		p.tell(RunFailed{p.now(), errors.New("a blob is cut off")}, Finished{p.now()})
		var got []string
		for _, l := range p.lines {
			if l.Kind == ErrorLine {
				got = append(got, l.Title)
			}
		}
		if len(got) != 1 || got[0] != title {
			t.Errorf("got %q, want %q", got, title)
		}
	}
}

// TestMarkdownStaysBelow: a thousand tags and a thousand registries are cut, and the
// cut is said.
func TestMarkdownStaysBelow(t *testing.T) {
	p := newPlay()
	p.tell(SourceKnown{p.now(), "x", digest, "", nil, 1})
	for i := range 1000 {
		host := fmt.Sprintf("registry-%d.%s.example.com", i, strings.Repeat("very-long-", 20))
		p.tell(RegistryPlanned{At: p.now(), Registry: host}, RegistryPhase{p.now(), host, Copy, false, false})
		for j := range 10 {
			p.tell(TagDone{p.now(), host, fmt.Sprintf("%s/a:%d", host, j), Pushed, older, digest, ""})
		}
		p.tell(RegistryFailed{At: p.now(), Registry: host, Err: errors.New(strings.Repeat("| `<img>` ", 100))}, RegistryPhase{p.after(time.Second), host, Copy, true, false})
	}
	p.tell(Finished{p.now()})
	text := p.record.Markdown(MaxSummary)
	if len(text) > MaxSummary {
		t.Errorf("%d bytes", len(text))
	}
	if !strings.Contains(text, "_Shortened:") {
		t.Error("the cut is not stated")
	}
	if small := mixed().record.Markdown(MaxSummary); strings.Contains(small, "_Shortened:") {
		t.Error("a small summary claims to be cut")
	}
	for limit := 200; limit < 3000; limit += 100 {
		if got := len(mixed().record.Markdown(limit)); got > limit {
			t.Errorf("%d bytes where %d are allowed", got, limit)
		}
	}
}

func TestTableKeepsItsWidth(t *testing.T) {
	for name, run := range plays {
		for width := 40; width <= 130; width += 10 {
			var b bytes.Buffer
			if err := run().record.Table(&b, width); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(b.String()) {
				line = strings.TrimSpace(line)
				if n := len([]rune(line)); n > width && strings.Contains(line, " ") {
					t.Errorf("%s at %d: %d columns in %q", name, width, n, line)
				}
			}
		}
	}
}

// TestProgressFollowsTheClock: lines come every five seconds of the injected clock and
// show the rate of the last seconds, not of the whole run.
func TestProgressFollowsTheClock(t *testing.T) {
	p := newPlay()
	p.tell(PhaseStarted{p.now(), Copy}, SourceKnown{At: p.now(), Digest: "sha256:1"}, RegistryPhase{p.now(), "r", Copy, false, false}, Expected{p.now(), "r", 1000 * mb})
	lines := func() (n int) {
		for _, l := range p.lines {
			if strings.Contains(l.Text, " %, ") {
				n++
			}
		}
		return n
	}
	for range 20 {
		p.tell(Sent{p.after(time.Second), "r", 20 * mb})
		p.tick()
	}
	if n := lines(); n != 3 {
		t.Errorf("%d lines in 20 s, want 3 (after 6, 11 and 16 s)", n)
	}
	for range 20 {
		p.tell(Sent{p.after(time.Second), "r", 2 * mb})
	}
	got := p.record.Progress(epoch.Add(p.at))[0]
	if got.PerSecond > 3*mb || got.Done != 440*mb || got.Percent() != 44 {
		t.Errorf("got %+v, %s", got, got)
	}
	p.tell(Sent{p.now(), "r", -40 * mb})
	if got := p.record.Progress(epoch.Add(p.at))[0]; got.Done != 400*mb {
		t.Errorf("bytes lost on the way still count: %+v", got)
	}
}

// TestProgressOfASourceThatIsCompressed: no silence while the first layer is compressed,
// and no percentage of a total that still grows.
func TestProgressOfASourceThatIsCompressed(t *testing.T) {
	p := newPlay()
	var beside []string // what live bars do not show
	terminal := NewPrinter(p.record, func(l Line) { beside = append(beside, l.Text) }, PrinterOptions{})
	p.tell(PhaseStarted{p.now(), Login})
	wait := func() (last string) {
		for range 12 {
			p.tell(SourceRead{At: p.after(time.Second)})
			p.tick()
			terminal.Tick(epoch.Add(p.at))
		}
		return p.lines[len(p.lines)-1].Text
	}
	if got := wait(); !strings.HasPrefix(got, "Login") {
		t.Errorf("before the copy: %q", got)
	}
	p.tell(PhaseStarted{p.now(), Copy})
	if got := wait(); got != "reading the image, 11.0 s so far" {
		t.Errorf("with nothing to copy yet: %q", got)
	}
	p.tell(RegistryPhase{p.now(), "r", Copy, false, false}, Expected{p.now(), "r", 60 * mb}, Sent{p.now(), "r", 60 * mb})
	if got := wait(); got != "r  60.0 MB sent, more to come" {
		t.Errorf("while layers are compressed: %q", got)
	}
	p.tell(SourceKnown{At: p.now(), Digest: "sha256:1"}, Expected{p.now(), "r", 60 * mb})
	if got := wait(); !strings.HasPrefix(got, "r  50 %, 60.0 of 120.0 MB") {
		t.Errorf("when all is known: %q", got)
	}
	if want := []string{"reading the image, 6.0 s so far"}; !slices.Equal(beside, want) {
		t.Errorf("beside live bars: %q, want %q", beside, want)
	}
}

func TestLiveBars(t *testing.T) {
	p := newPlay()
	var out bytes.Buffer
	live := NewLive(&out, p.record, 100)
	p.tell(PhaseStarted{p.now(), Copy}, SourceKnown{At: p.now(), Digest: "sha256:1"}, RegistryPhase{p.now(), "ghcr.io", Copy, false, false}, Expected{p.now(), "ghcr.io", 100 * mb},
		Sent{p.after(2 * time.Second), "ghcr.io", 50 * mb})
	live.Tick(epoch.Add(p.at))
	if _, err := live.Write([]byte("a line above\n")); err != nil {
		t.Fatal(err)
	}
	p.tell(RegistryPhase{p.after(time.Second), "ghcr.io", Copy, true, false})
	live.Tick(epoch.Add(p.at))
	live.Close()
	live.Close()
	text := out.String()
	for _, want := range []string{"ghcr.io", "50.0 of 100.0 MB, 25.0 MB/s, 2 s left", "a line above\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %q", want, text)
		}
	}
}

func TestPeriod(t *testing.T) {
	for d, want := range map[time.Duration]string{6 * time.Hour: "6 hours", time.Hour: "1 hour", 90 * time.Minute: "90 minutes", 30 * time.Minute: "30 minutes", 10 * time.Second: "10.0 s"} {
		if got := Period(d); got != want {
			t.Errorf("%v: %q", d, got)
		}
	}
}
