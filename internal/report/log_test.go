package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/config"
	"github.com/multi-registry-push/multi-registry-push/internal/publish"
	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// stage is a log on a clock of its own.
type stage struct {
	*Log
	now   time.Time
	lines []Line
}

func newStage(images int, o LogOptions) *stage {
	s := &stage{now: epoch}
	o.Now = func() time.Time { return s.now }
	s.Log = NewLog(func(l Line) { s.lines = append(s.lines, l) }, o)
	s.Plan(publish.Plan{Images: make([]publish.Image, images)})
	return s
}

func (s *stage) after(d time.Duration) { s.now = s.now.Add(d) }

func (s *stage) copying(host string, expected int64) {
	s.Phase(host, publish.Copy, s.now, publish.PhaseBegan)
	s.Bytes(host, expected, 0, 0)
}

func (s *stage) last() string { return s.lines[len(s.lines)-1].Text }

// TestFailuresOnce: 16 dead hosts give a line a host, and how it ended.
func TestFailuresOnce(t *testing.T) {
	s := newStage(1, LogOptions{})
	for i := range 16 {
		host := fmt.Sprintf("registry-%02d.example.com", i)
		s.Phase(host, publish.Login, s.now, publish.PhaseBegan)
		for try := range 4 {
			s.Note(publish.Note{Host: host, Retry: true, Text: redact.Redacted(fmt.Sprintf("%s: connection refused; trying again in %d s", host, try+1))})
		}
		lost := failure(0, usererror.Unreachable, redact.Redacted("connecting to "+host+": connection refused"), "Check the host and port.")
		lost.Phase, lost.Images = publish.Login, []int{0} // as a run says it of its images
		s.Failure(host, lost)
		s.Failure(host, lost)
		for tag := range 20 {
			s.Reference(host, publish.ReferenceResult{Reference: fmt.Sprintf("%s/app:%d", host, tag), Status: Failed, Reason: lost.Message + " [registry-unreachable]"})
		}
		s.Phase(host, publish.Login, s.now, publish.PhaseFailed)
	}
	again, failed, rest := 0, 0, 0
	for _, l := range s.lines {
		switch {
		case l.Kind != Text:
		case strings.Contains(l.Text, "trying again"):
			again++
		case strings.Contains(l.Text, "failed: "):
			failed++
		default:
			rest++
		}
	}
	if again != 16 || failed != 16 || rest != 0 {
		t.Errorf("%d lines of trying again, %d failures, %d others", again, failed, rest)
	}
}

// TestFailuresOnATerminal: in one line where they happen, with the remedy below the table,
// and not a third time.
func TestFailuresOnATerminal(t *testing.T) {
	lines := replay(mixed(), LogOptions{})
	said, advised := 0, 0
	for _, l := range lines {
		said += strings.Count(l.Text, "could not find robot")
		advised += strings.Count(l.Text, "Check the user name")
	}
	if said != 2 || advised != 1 || len(titles(lines, ErrorLine)) > 0 {
		t.Errorf("said %d times, with advice %d times:\n%s", said, advised, written(lines))
	}
}

// TestQuiet: only what is wrong, with what to do.
func TestQuiet(t *testing.T) {
	for name, want := range map[string]string{
		"well":    "",
		"mixed":   "ERROR[quay.io failed] logging in: 401 UNAUTHORIZED: could not find robot [wrong-credentials]\n      | Check the user name, and whether the token has expired.\nWARNING[mirror.example.com:5000 failed] uploading a blob to app: connection reset by peer [registry-gave-up]\n      | Run it again: what has arrived is not sent again.\n",
		"nothing": "WARNING[Nothing was published] every registry was skipped; the log says why\n",
		"dry":     "ERROR[docker.io failed] acme/app:6 is there already as " + older + ", and immutable-tags matches it [immutable-tag]\n      | Use a new version; an immutable tag is never moved.\n",
	} {
		if got := written(replay(scenarios()[name], LogOptions{Quiet: true})); got != want {
			t.Errorf("%s: got\n%s", name, got)
		}
	}
}

// TestVerbose: what is shown to somebody who looks for it is text.
func TestVerbose(t *testing.T) {
	s := newStage(1, LogOptions{Verbose: true})
	s.Note(publish.Note{Host: "r", Debug: true, Text: "a token was renewed"})
	s.Request("GET r/v2/: 200", 1500*time.Millisecond, 40*time.Millisecond)
	if s.lines[len(s.lines)-2].Text != "r  a token was renewed" || s.last() != "    1.500 s  GET r/v2/: 200, 40 ms" || s.lines[len(s.lines)-1].Kind != Text {
		t.Errorf("got %v", s.lines)
	}
	s = newStage(1, LogOptions{})
	s.Request("GET r/v2/: 200", 1500*time.Millisecond, 40*time.Millisecond)
	if got := s.lines[len(s.lines)-1].Kind; got != DebugLine {
		t.Errorf("kind %d", got)
	}
}

// TestGroups: one for the plan, one for what goes on however phases overlap, one for the
// result; the table stands below, where GitHub does not fold it.
func TestGroups(t *testing.T) {
	for name, r := range scenarios() {
		open, groups, table := "", []string{}, ""
		for _, l := range replay(r, LogOptions{Workflow: true}) {
			switch {
			case l.Kind == GroupStart:
				if open != "" {
					t.Errorf("%s: %q begins within %q", name, l.Text, open)
				}
				open, groups = l.Text, append(groups, l.Text)
			case l.Kind == GroupEnd:
				open = ""
			case strings.HasPrefix(l.Text, "REGISTRY "):
				table = "in " + open
			}
		}
		if open != "" || table != "in " || !slices.IsSortedFunc(groups, func(a, b string) int { return rank(a) - rank(b) }) {
			t.Errorf("%s: groups %q, the table %q, open %q", name, groups, table, open)
		}
	}
}

func rank(group string) int {
	return slices.Index([]string{planGroup, publishingGroup, resultGroup}, group)
}

// TestProgressFollowsTheClock: lines come every five seconds of the injected clock and
// show the rate of the last seconds, not of the whole run.
func TestProgressFollowsTheClock(t *testing.T) {
	s := newStage(1, LogOptions{Progress: true})
	s.Image(0, publish.ImageResult{Digest: digest})
	s.copying("r", 1000*mb)
	lines := func() (n int) {
		for _, l := range s.lines {
			if strings.Contains(l.Text, " %, ") {
				n++
			}
		}
		return n
	}
	for range 20 {
		s.after(time.Second)
		s.Bytes("r", 0, 20*mb, 0)
		s.Tick(s.now)
	}
	if n := lines(); n != 3 {
		t.Errorf("%d lines in 20 s, want 3 (after 6, 11 and 16 s)", n)
	}
	for range 20 {
		s.after(time.Second)
		s.Bytes("r", 0, 2*mb, 0)
	}
	got := s.Progress(s.now)[0]
	if got.PerSecond > 3*mb || got.Done != 440*mb || got.Percent() != 44 {
		t.Errorf("got %+v, %s", got, got)
	}
	s.Bytes("r", 0, -40*mb, 0)
	if got := s.Progress(s.now)[0]; got.Done != 400*mb {
		t.Errorf("bytes lost on the way still count: %+v", got)
	}
}

// TestProgressOfASourceThatIsCompressed: no silence while the first layer is compressed,
// and no percentage of a total that still grows.
func TestProgressOfASourceThatIsCompressed(t *testing.T) {
	s, terminal := newStage(1, LogOptions{Progress: true}), newStage(1, LogOptions{})
	both := func(f func(s *stage)) { f(s); f(terminal) }
	wait := func() string {
		for range 12 {
			both(func(s *stage) { s.after(time.Second); s.Tick(s.now) })
		}
		return s.last()
	}
	if got := wait(); got != planGroup {
		t.Errorf("before the run: %q", got)
	}
	both(func(s *stage) { s.Phase("r", publish.Login, s.now, publish.PhaseBegan) })
	if got := wait(); got != "logging in, 11.0 s so far" {
		t.Errorf("while nobody is logged in: %q", got)
	}
	both(func(s *stage) { s.Phase("r", publish.Login, s.now, publish.PhaseDone) })
	if got := wait(); got != "reading the image, 21.0 s so far" {
		t.Errorf("with nothing to copy yet: %q", got)
	}
	both(func(s *stage) { s.copying("r", 60*mb); s.Bytes("r", 0, 60*mb, 0) })
	if got := wait(); got != "r  60.0 MB sent, more to come" {
		t.Errorf("while layers are compressed: %q", got)
	}
	both(func(s *stage) { s.Image(0, publish.ImageResult{Digest: digest}); s.Bytes("r", 60*mb, 0, 0) })
	if got := wait(); !strings.HasPrefix(got, "r  50 %, 60.0 of 120.0 MB") {
		t.Errorf("when all is known: %q", got)
	}
	both(func(s *stage) { s.Phase("r", publish.Copy, s.now, publish.PhaseDone) })
	lines := len(s.lines)
	if wait(); len(s.lines) != lines {
		t.Errorf("after the copy: %q", s.last())
	}
	var beside []string // what live bars do not show
	for _, l := range terminal.lines {
		if strings.Contains(l.Text, "so far") || strings.Contains(l.Text, " %, ") {
			beside = append(beside, l.Text)
		}
	}
	want := []string{
		"logging in, 6.0 s so far", "logging in, 11.0 s so far", "reading the image, 16.0 s so far", "reading the image, 21.0 s so far",
	}
	if !slices.Equal(beside, want) {
		t.Errorf("beside live bars: %q, want %q", beside, want)
	}
}

// Where nothing is sent because nothing may be, nobody is told that all is there.
func TestNothingSentIsNotAllThere(t *testing.T) {
	for name, policy := range map[string]publish.Policy{
		"a dry run": {Policy: config.Policy{DryRun: true}}, "held back": {Policy: config.Policy{Atomic: true}}, "unchanged": {},
		"left out": {Policy: config.Policy{SkipExisting: true}},
	} {
		s := newStage(1, LogOptions{})
		s.Plan(publish.Plan{Images: make([]publish.Image, 1), Policy: policy})
		s.copying("registry.example.com", 0)
		if policy.SkipExisting {
			s.Reference("registry.example.com", publish.ReferenceResult{Reference: "registry.example.com/a:1", Status: Skipped, SkipKind: publish.SkipExisting})
		}
		s.Phase("registry.example.com", publish.Copy, s.now, publish.PhaseDone)
		told := false
		for _, l := range s.lines {
			told = told || strings.Contains(l.Text, "has every blob already")
		}
		if told != (name == "unchanged") {
			t.Errorf("%s: %v", name, told)
		}
	}
}

// TestLoginThatFailsIsNoLogin: whichever is told first, the end of the phase or the failure,
// nobody is said to be logged in right before the line that says the opposite.
func TestLoginThatFailsIsNoLogin(t *testing.T) {
	s := newStage(1, LogOptions{})
	s.Phase("quay.io", publish.Login, s.now, publish.PhaseBegan)
	s.Phase("quay.io", publish.Login, s.now, publish.PhaseFailed)
	s.Failure("quay.io", failure(0, usererror.WrongCredentials, "user \"robot\" was refused", "Check it."))
	for _, l := range s.lines {
		if strings.Contains(l.Text, "logged in") {
			t.Errorf("the log says %q", l.Text)
		}
	}
}

// TestTaggedIsNotTakenBack: what went wrong with a tag after it was written does not unwrite it.
func TestTaggedIsNotTakenBack(t *testing.T) {
	s := newStage(1, LogOptions{})
	r := publish.ReferenceResult{Reference: "quay.io/me/app:1", Status: Pushed, Now: "sha256:1"}
	s.Reference("quay.io", r)
	r.Status, r.Now, r.Reason = Failed, "", "asking for it after it was written: 403 DENIED"
	s.Reference("quay.io", r)
	if got := s.last(); got != "quay.io/me/app:1  failed: asking for it after it was written: 403 DENIED" {
		t.Errorf("got %q", got)
	}
}
