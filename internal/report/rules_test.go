package report

import (
	"encoding/json"
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

func TestExitStatus(t *testing.T) {
	tagsMatching := publish.Result{Registries: []publish.RegistryResult{{Host: "r", Skip: "none matches", SkipKind: publish.SkipTagsMatching}}}
	for name, c := range map[string]struct {
		result                publish.Result
		workflow, commandLine int
	}{
		"well":          {well(), 0, 0},
		"mixed":         {mixed(), 1, 1},
		"optional":      {optional(), 0, 0},
		"dry":           {dry(), 1, 1},
		"stopped":       {stopped(), 130, 130},
		"broken":        {broken(), 1, 1},
		"held back":     {heldBack(), 1, 1},
		"several":       {several(), 1, 1},
		"all skipped":   {nothing(), 0, 1},
		"no tag":        {tagsMatching, 0, 0},
		"one line":      {publish.Result{Skipped: []config.Skip{{Input: "tags", Line: 1}}}, 0, 1},
		"input":         {publish.Result{Failures: []publish.Failure{failure(0, usererror.InvalidTag, "x", "")}}, 1, 1},
		"nothing to do": {publish.Result{}, 0, 1},
	} {
		if got := ExitStatus(c.result, false); got != c.workflow {
			t.Errorf("%s: %d in a workflow, want %d", name, got, c.workflow)
		}
		if got := ExitStatus(c.result, true); got != c.commandLine {
			t.Errorf("%s: %d on a command line, want %d", name, got, c.commandLine)
		}
	}
}

// TestHeadline: those that failed are named, those held back and skipped are counted, and
// a dry run counts what is planned.
func TestHeadline(t *testing.T) {
	planned := dry()
	planned.Registries = planned.Registries[:2]
	upToDate := planned
	upToDate.Registries = planned.Registries[1:]
	there := publish.Result{Registries: []publish.RegistryResult{{Host: "r", References: []publish.ReferenceResult{unchanged("r/a:1")}}}}
	for want, r := range map[string]publish.Result{
		"✅ Published to 3 registries": well(),
		"❌ Published to 3 of 5 registries: quay.io and mirror.example.com:5000 failed, 1 skipped":  mixed(),
		"❌ Published to 10 of 16 registries: 6 failed":                                             many(),
		"⚠️ Published to 2 of 3 registries: quay.io failed":                                        optional(),
		"❌ Nothing was published: quay.io failed, 2 held back":                                     heldBack(),
		"❌ Published in part: docker.io and quay.io failed, 1 held back":                           rolledBack(),
		"❌ Published 2 of 3 images: docs failed":                                                   several(),
		"❌ Dry run: docker.io failed, 1 registry would change, 1 up to date":                       dry(),
		"📝 Dry run: 1 registry would change, 1 up to date":                                         planned,
		"☑️ Dry run: 1 registry up to date":                                                        upToDate,
		"☑️ 1 registry up to date, nothing to do":                                                  there,
		"❌ Cancelled: 1 registry done, 1 not":                                                      stopped(),
		"❌ Nothing was published":                                                                  broken(),
		"⏭️ Nothing was published: every registry was skipped":                                     nothing(),
		"⏭️ Nothing was published: there is nothing to do":                                         {},
		"❌ Published to 2 of 3 registries: 123456789012.dkr.ecr.eu-central-1.amazonaws.com failed": distrusted(),
	} {
		if got := Headline(r); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// TestResultsShape holds the JSON to the contract's fields, in a run that knows nothing
// and in one that knows everything: programs index into it without asking.
func TestResultsShape(t *testing.T) {
	empty := JSON(publish.Result{}, MaxResults)
	if want := `{"digest":"","mediaType":"","platforms":[],"sizeBytes":0,"images":[],"source":{"reference":"","bytesRead":0,"requests":0},"durationMs":0,"registries":[]}`; empty != want {
		t.Errorf("got %s", empty)
	}
	for name, r := range scenarios() {
		text := JSON(r, 0)
		if strings.Contains(text, "\n") {
			t.Errorf("%s: more than one line", name)
		}
		var parsed map[string]any
		if err := json.Unmarshal([]byte(text), &parsed); err != nil {
			t.Fatal(err)
		}
		has(t, name, parsed, "digest", "mediaType", "platforms", "sizeBytes", "images", "source", "durationMs", "registries")
		for _, i := range parsed["images"].([]any) {
			has(t, name, i.(map[string]any), "name", "reference", "digest", "mediaType", "platforms", "sizeBytes", "error")
		}
		for _, g := range parsed["registries"].([]any) {
			g := g.(map[string]any)
			has(t, name, g, "registry", "status", "reason", "durationMs", "images", "references", "blobs", "bytesUploaded", "bytesMissing",
				"repositoriesToCreate", "referrers", "repaired", "requests", "retries", "rateLimit")
			for _, ref := range g["references"].([]any) {
				has(t, name, ref.(map[string]any), "reference", "image", "digest", "status", "before", "now", "reason")
			}
			if g["images"] == nil || g["references"] == nil || g["repositoriesToCreate"] == nil {
				t.Errorf("%s: %v has null where a list belongs", name, g["registry"])
			}
		}
	}
}

func has(t *testing.T, name string, object map[string]any, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if _, ok := object[key]; !ok {
			t.Errorf("%s: no %s in %v", name, key, object)
		}
	}
}

func TestOutputs(t *testing.T) {
	for name, c := range map[string]struct {
		result publish.Result
		want   map[string]string
	}{
		"mixed": {mixed(), map[string]string{
			"digest":    digest,
			"digests":   `{"app":"` + digest + `"}`,
			"pushed":    "ghcr.io/acme/app:1.2.0\nghcr.io/acme/app:latest\ndocker.io/acme/app:1.2.0\ndocker.io/acme/app:latest\nregistry.gitlab.com/acme/app:1.2.0",
			"skipped":   ecr,
			"failed":    "quay.io\nmirror.example.com:5000",
			"held-back": "",
		}},
		"several":     {several(), map[string]string{"digest": "", "digests": `{"api":"` + digest + `","web":"` + other + `"}`}},
		"dry":         {dry(), map[string]string{"pushed": "", "failed": "docker.io"}},
		"held back":   {heldBack(), map[string]string{"failed": "quay.io", "held-back": "ghcr.io\ndocker.io", "pushed": ""}},
		"rolled back": {rolledBack(), map[string]string{"failed": "docker.io\nquay.io", "held-back": "ghcr.io", "pushed": "quay.io/acme/app:1.2.0"}},
		"by digest":   {byDigest(), map[string]string{"pushed": "ghcr.io/acme/app@" + digest + "\ndocker.io/acme/app@" + digest + "\nquay.io/acme/app@" + digest}},
		"nothing":     {nothing(), map[string]string{"skipped": "docker.io\nregistry.example.com\nquay.io", "digest": "", "digests": "{}"}},
	} {
		out := Outputs(c.result)
		for key, want := range c.want {
			if out[key] != want {
				t.Errorf("%s: %s is %q, want %q", name, key, out[key], want)
			}
		}
	}
}

// TestResultsAreTruncated: the runner takes 1 MB of outputs a job, in UTF-16.
func TestResultsAreTruncated(t *testing.T) {
	large := func(tags int, status publish.Status) publish.Result {
		r := many()
		for i := range r.Registries {
			g := &r.Registries[i]
			g.References = nil
			for tag := range tags {
				ref := pushed(fmt.Sprintf("%s/acme/app:%d", g.Host, tag), older)
				if tag%2 == 0 {
					ref.Status = status
				}
				g.References = append(g.References, ref)
			}
		}
		return r
	}
	count := func(text string) (references, before int) {
		return strings.Count(text, `"reference":"registry-`), strings.Count(text, `"before":`)
	}
	for name, c := range map[string]struct {
		result             publish.Result
		references, before int
	}{
		"small":       {large(10, Unchanged), 160, 160},
		"unchanged":   {large(50, Unchanged), 400, 400},
		"and before":  {large(32, Pushed), 512, 0},
		"all of them": {large(300, Pushed), 0, 0},
	} {
		text := JSON(c.result, MaxResults)
		cut := strings.Contains(text, `"truncated":true`)
		if references, before := count(text); references != c.references || before != c.before || cut != (name != "small") {
			t.Errorf("%s: %d references, %d of them with before, truncated %v", name, references, before, cut)
		}
		if n := utf16Bytes(text); n > MaxResults && name != "all of them" {
			t.Errorf("%s: %d bytes", name, n)
		}
		if all := JSON(c.result, 0); strings.Contains(all, `"truncated"`) {
			t.Errorf("%s: truncated without a limit", name)
		}
		if Outputs(c.result)["results"] != text {
			t.Errorf("%s: the output is not what is bounded", name)
		}
	}
	if n := utf16Bytes("aé😀"); n != 8 {
		t.Errorf("%d bytes of UTF-16", n)
	}
}

func titles(lines []Line, kind Kind) []string {
	var out []string
	for _, l := range lines {
		if l.Kind == kind {
			out = append(out, l.Title)
		}
	}
	return out
}

// TestAnnotations: errors and warnings name their registry; who was held back, what the
// user configured and what a fork may not do is no annotation.
func TestAnnotations(t *testing.T) {
	elsewhere := publish.Result{Registries: []publish.RegistryResult{
		{Host: "a", References: with(Failed, "", "a/x:1"), Failures: []publish.Failure{failure(0, usererror.MissingCredentials, "a has no credentials", "")}},
		{Host: "b", Skip: publish.ReasonElsewhere, SkipKind: publish.SkipElsewhere},
	}}
	existing := well()
	existing.Registries[0].References = with(Skipped, "ghcr.io/acme/app:1.2.0 is there already", "ghcr.io/acme/app:1.2.0")
	existing.Registries[0].References[0].SkipKind = publish.SkipExisting
	configured := publish.Result{Registries: []publish.RegistryResult{{Host: "a", Skip: "no tag matches", SkipKind: publish.SkipTagsMatching}}}
	for name, c := range map[string]struct {
		result                  publish.Result
		errors, warned, noticed string
	}{
		"well":       {well(), "", "", ""},
		"mixed":      {mixed(), "quay.io failed", "mirror.example.com:5000 failed", ecr + " skipped,Destination not configured"},
		"held back":  {heldBack(), "quay.io failed", "", ""},
		"optional":   {optional(), "", "quay.io failed", ""},
		"nothing":    {nothing(), "", "Nothing was published", "docker.io skipped,registry.example.com skipped,quay.io skipped"},
		"fork":       {fork(), "", "", ""},
		"configured": {configured, "", "Nothing was published", ""},
		"elsewhere":  {elsewhere, "a failed", "", ""},
		"existing":   {existing, "", "", "ghcr.io skipped"},
		"broken":     {broken(), "Nothing was published", "", ""},
		"several":    {several(), "docs was not published", "", ""},
		"stopped":    {stopped(), "", "", ""},
	} {
		lines := annotationLines(c.result)
		for kind, want := range map[Kind]string{ErrorLine: c.errors, WarningLine: c.warned, NoticeLine: c.noticed} {
			if got := strings.Join(titles(lines, kind), ","); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
	}
}

// TestBrokenSourceIsTitledByWhatWasPublished: a source may break when some registry has
// the image already.
func TestBrokenSourceIsTitledByWhatWasPublished(t *testing.T) {
	lost := failure(0, usererror.SourceBroken, "a blob is cut off", "")
	r := publish.Result{Images: []publish.ImageResult{{Digest: digest, Failure: &lost}}, Registries: []publish.RegistryResult{
		{Host: "r", References: []publish.ReferenceResult{pushed("r/a:1", "")}},
		{Host: "s", References: with(Failed, "publishing to s/a: reading the source: a blob is cut off", "s/a:1"), Failures: []publish.Failure{failure(0, usererror.SourceBroken, "publishing to s/a: reading the source: a blob is cut off", "")}},
	}}
	if got := titles(annotationLines(r), ErrorLine); !slices.Equal(got, []string{"The source could not be read"}) {
		t.Errorf("got %q", got)
	}
	if text := Markdown(r, MaxSummary); strings.Count(text, "a blob is cut off") != 1 {
		t.Errorf("not once in\n%s", text)
	}
	r.Registries = r.Registries[1:]
	if got := titles(annotationLines(r), ErrorLine); !slices.Equal(got, []string{"Nothing was published"}) {
		t.Errorf("got %q", got)
	}
}

// TestWarningsAreSeen: a warning is an annotation and stands in the summary, once; a
// notice is in the log alone.
func TestWarningsAreSeen(t *testing.T) {
	r := well()
	warning := publish.Note{At: at(5), Warning: true, Host: "docker.io", Text: "docker.io: 9 of 100 pulls left"}
	r.Notes = []publish.Note{warning, warning, {At: at(6), Text: "just so"}}
	if text := Markdown(r, MaxSummary); strings.Count(text, "9 of 100 pulls left") != 1 || strings.Contains(text, "just so") {
		t.Errorf("the summary:\n%s", text)
	}
	log := written(replay(r, LogOptions{Workflow: true}))
	if strings.Count(log, "WARNING[docker.io] docker.io: 9 of 100 pulls left") != 1 || !strings.Contains(log, "just so") {
		t.Errorf("the log:\n%s", log)
	}
	terminal := written(replay(r, LogOptions{}))
	if strings.Count(terminal, "9 of 100 pulls left") != 1 {
		t.Errorf("the log on a terminal:\n%s", terminal)
	}
}

// TestAnnotationsFold: GitHub drops what comes after the tenth of a kind.
func TestAnnotationsFold(t *testing.T) {
	r := publish.Result{Start: at(0), End: at(1)}
	for i := range 25 {
		host := fmt.Sprintf("r%d.example.com", i)
		r.Registries = append(r.Registries, publish.RegistryResult{Host: host, Skip: redact.Redacted(fmt.Sprintf("PASSWORD_%d is empty", i)), SkipKind: publish.SkipCredentials, References: with(Skipped, "", host+"/a:1")})
	}
	n, last := 0, Line{}
	for _, l := range replay(r, LogOptions{Workflow: true}) {
		if l.Kind == NoticeLine {
			n++
			last = l
		}
	}
	if n != 10 || last.Title != "and 16 more" || !strings.Contains(last.Text, "r24.example.com skipped: PASSWORD_24 is empty") {
		t.Errorf("%d notices, the last is %+v", n, last)
	}
}

// TestAnnotationsOfOneReason: a registry has an annotation of its own, unless there are more than GitHub
// shows: what many share is then one that names them all, with a title that GitHub takes.
func TestAnnotationsOfOneReason(t *testing.T) {
	var own []string
	for _, i := range []string{"02", "05", "08", "11", "14", "10"} {
		own = append(own, "registry-"+i+".example.com failed")
	}
	if got := titles(annotationLines(many()), ErrorLine); !slices.Equal(got, own) {
		t.Errorf("got %q", got)
	}
	var r publish.Result
	for i := range 30 {
		host := fmt.Sprintf("r%d.example.com", i)
		r.Registries = append(r.Registries, publish.RegistryResult{Host: host, References: with(Failed, "", host+"/a:1"),
			Failures: []publish.Failure{failure(0, usererror.Unreachable, redact.Redacted("connecting to "+host+": connection refused"), "Start it.")}})
	}
	lines := annotationLines(r)
	if len(lines) != 1 || lines[0].Title != "30 registries failed" {
		t.Fatalf("got %q", titles(lines, ErrorLine))
	}
	for _, g := range r.Registries {
		if strings.Count(lines[0].Text, g.Host) != 1 {
			t.Errorf("%s is not named once in %s", g.Host, lines[0].Text)
		}
	}
	if !strings.HasSuffix(lines[0].Text, ": connecting: connection refused [registry-unreachable]\nStart it.") {
		t.Errorf("got %s", lines[0].Text)
	}
}

// TestNoErrorOfTheRunIsLost: annotations that are put together are cut, and elsewhere than
// on GitHub nothing has to be put together.
func TestNoErrorOfTheRunIsLost(t *testing.T) {
	r := publish.Result{Start: at(0), End: at(1)}
	for i := range 200 {
		r.Failures = append(r.Failures, failure(0, usererror.InvalidTag, redact.Redacted(fmt.Sprintf("tags, line %d, is wrong", i)), ""))
	}
	for _, workflow := range []bool{true, false} {
		var lines []Line
		NewLog(func(l Line) { lines = append(lines, l) }, LogOptions{Workflow: workflow}).Result(r)
		errors, told := 0, 0
		for _, l := range lines {
			if l.Kind == ErrorLine {
				errors++
			}
			if workflow == (l.Kind == Text) && strings.HasPrefix(strings.TrimPrefix(l.Text, "failed: "), fmt.Sprintf("tags, line %d, is wrong", told)) {
				told++
			}
		}
		if want := map[bool]int{true: 10, false: 200}[workflow]; errors != want || told != 200 {
			t.Errorf("workflow %v: %d errors, %d of 200 told in full", workflow, errors, told)
		}
	}
}

// TestSummaryStartsWithWhatFailed: what failed and why stands above everything, reasons
// that registries share are told once, and so are tags.
func TestSummaryStartsWithWhatFailed(t *testing.T) {
	text := Markdown(many(), MaxSummary)
	order := []string{"## ❌", "### What went wrong", "registry-14.example.com", "<code>" + digest, "20 tags for each registry", "| <code>registry-02", "| <code>registry-10", "| <code>registry-01", "### Pull"}
	at := -1
	for _, part := range order {
		i := strings.Index(text, part)
		if i <= at {
			t.Errorf("%q is not where it belongs", part)
		}
		at = i
	}
	head, _, _ := strings.Cut(text, "### Pull")
	for _, once := range []string{"connection refused", "<code>1.2.1</code>"} {
		if n := strings.Count(head, once); n != 1 {
			t.Errorf("%q is told %d times", once, n)
		}
	}
	if strings.Contains(head, "docker.io/acme") || strings.Contains(head, "to registry-") {
		t.Errorf("a registry is named behind itself:\n%s", head)
	}
}

// TestMarkdownStaysBelow: a thousand tags and a thousand registries are cut, and the
// cut is said.
func TestMarkdownStaysBelow(t *testing.T) {
	r := publish.Result{Start: at(0), End: at(2000), Images: image()}
	for i := range 1000 {
		host := fmt.Sprintf("registry-%d.%s.example.com", i, strings.Repeat("very-long-", 20))
		g := publish.RegistryResult{Host: host, Start: at(0), End: at(1000), Spans: []publish.Span{span(publish.Copy, 0, 1000)}}
		for j := range 10 {
			g.References = append(g.References, pushed(fmt.Sprintf("%s/a:%d", host, j), older))
		}
		g.Failures = []publish.Failure{failure(500, usererror.RegistryRefused, redact.Redacted(fmt.Sprint(i)+strings.Repeat("| `<img>` ", 100)), "")}
		r.Registries = append(r.Registries, g)
	}
	text := Markdown(r, MaxSummary)
	if len(text) > MaxSummary {
		t.Errorf("%d bytes", len(text))
	}
	if !strings.Contains(text, "_Shortened:") {
		t.Error("the cut is not stated")
	}
	if small := Markdown(mixed(), MaxSummary); strings.Contains(small, "_Shortened:") {
		t.Error("a small summary claims to be cut")
	}
	for limit := 200; limit < 3000; limit += 100 {
		if got := len(Markdown(mixed(), limit)); got > limit {
			t.Errorf("%d bytes where %d are allowed", got, limit)
		}
	}
}

// TestTimeline: overlapping phases each have their bar, in their time; a login that was
// broken off because of others is not drawn as failed.
func TestTimeline(t *testing.T) {
	r := well()
	r.Registries = r.Registries[:1]
	r.Registries[0].Spans = []publish.Span{
		span(publish.Copy, 200, 2500), span(publish.Login, 100, 900), span(publish.Tag, 2000, 2400), span(publish.Verify, 2430, 2600), span(publish.Copy, 2600, 2700),
	}
	for _, want := range []string{
		"login 0.8 s :done, 00:00:00.100, 00:00:00.900\n  copy 2.3 s :00:00:00.200, 00:00:02.500\n  tag 0.6 s :done, 00:00:02.000, 00:00:02.600\n  copy 0.1 s :00:00:02.600, 00:00:02.700\n",
	} {
		if got := timeline(r); !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if got := timeline(heldBack()); strings.Count(got, ":crit") != 1 {
		t.Errorf("not one red bar in\n%s", got)
	}
	short, planned := well(), dry()
	short.End = at(999)
	planned.End = at(60_000)
	if timeline(short) != "" || timeline(planned) != "" {
		t.Error("a run of less than a second, or a dry run, has a timeline")
	}
}

// TestTicks: an axis has two to five marks, for which a phone has room, with a unit.
func TestTicks(t *testing.T) {
	for end, want := range map[time.Duration]string{
		time.Second: "200millisecond %-S.%L s", 3500 * time.Millisecond: "1second %-S s", 17 * time.Second: "5second %-S s", 90 * time.Second: "30second %-M:%S min",
		5 * time.Minute: "1minute %-M min", 100 * time.Minute: "30minute %-H:%M h", 7 * time.Hour: "3hour %-H h",
	} {
		if every, axis := ticks(end); every+" "+axis != want {
			t.Errorf("%v: %s %s, want %s", end, every, axis, want)
		}
	}
	unchanged := mixed().Registries[4]
	if got := stepsOf(unchanged, time.Millisecond); len(got) != 2 || got[1].Phase != publish.Verify {
		t.Errorf("of a registry where nothing was tagged: %v", got)
	}
}

// TestSpeed: what is small or quick says nothing of a link.
func TestSpeed(t *testing.T) {
	for _, c := range []struct {
		bytes int64
		took  time.Duration
		want  string
	}{{999_999, time.Minute, ""}, {mb, 499 * time.Millisecond, ""}, {mb, 500 * time.Millisecond, "2.0 MB/s"}, {-mb, time.Second, ""}} {
		if got := rate(c.bytes, c.took); got != c.want {
			t.Errorf("%d bytes in %v: %q, want %q", c.bytes, c.took, got, c.want)
		}
	}
}

func TestTableKeepsItsWidth(t *testing.T) {
	for name, r := range scenarios() {
		for width := 40; width <= 130; width += 10 {
			for _, line := range Table(r, width) {
				text := strings.TrimSpace(line.Text)
				block := name == "distrusted" && strings.HasPrefix(line.Text, "    ")
				if n := len([]rune(line.Text)); n > width && strings.Contains(text, " ") && !block {
					t.Errorf("%s at %d: %d columns in %q", name, width, n, text)
				}
			}
		}
	}
}

// TestDeadRegistriesShareAReason: addresses and tries differ, what is wrong does not, and the
// remedy stands once, below the last reason that has it.
func TestDeadRegistriesShareAReason(t *testing.T) {
	var r publish.Result
	for i, why := range []string{
		"logging in: given up after 5 tries in 5s: dial tcp 10.0.0.1:443: connect: connection refused",
		"logging in: given up after 6 tries in 10s: dial tcp 10.0.0.2:443: connect: connection refused",
		"logging in: given up after 6 tries in 9s: dial tcp [::1]:443: connect: connection refused",
	} {
		host := fmt.Sprintf("r%d.example.com", i)
		lost := failure(0, usererror.Unreachable, redact.Redacted(why), "Check the host.")
		lost.Gist = "logging in: given up: connection refused"
		r.Registries = append(r.Registries, publish.RegistryResult{Host: host, Failures: []publish.Failure{lost, lost}})
	}
	var table strings.Builder
	for _, line := range Table(r, 120) {
		table.WriteString(line.Text + "\n")
	}
	const want = "  all 3: logging in: given up: connection refused [registry-unreachable]\n  Check the host.\n"
	if got := table.String(); !strings.HasSuffix(got, want) || strings.Count(got, "Check") != 1 {
		t.Errorf("the table:\n%s", got)
	}
	if got := Markdown(r, MaxSummary); strings.Count(got, "logging in: given up: connection refused") != 1 {
		t.Errorf("the summary:\n%s", got)
	}
	two := r.Registries[0]
	two.Failures = append(two.Failures, failure(0, usererror.Unreachable, "another: broke", "Check the host."))
	if got := advised(explanations(two)); !strings.HasSuffix(got, "broke [registry-unreachable]\nCheck the host.") {
		t.Errorf("the annotation:\n%s", got)
	}
}

func TestWithoutHost(t *testing.T) {
	for text, want := range map[string]string{
		"logging in to quay.io: 401":                            "logging in: 401",
		"quay.io: 401":                                          "401",
		"quay.io/acme/app: 403 DENIED":                          "acme/app: 403 DENIED",
		"quay.io was not tagged":                                "was not tagged",
		"uploading a blob to quay.io/acme/app: reset":           "uploading a blob to acme/app: reset",
		`the tag "quay.io/acme/app:1" is there`:                 `the tag "acme/app:1" is there`,
		"GET https://quay.io/v2/: 500":                          "GET https://quay.io/v2/: 500",
		"quay.io":                                               "quay.io",
		"lookup quay.io: no such host":                          "lookup quay.io: no such host",
		"assuming a role for quay.io: AccessDenied (quay.io/x)": "assuming a role: AccessDenied (x)",
	} {
		if got := withoutHost("quay.io", text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// A name server's answer does not repeat the name that the reader has before his eyes.
func TestWithoutLookup(t *testing.T) {
	const on = "lookup quay.io on 10.0.0.2:53: no such host"
	for _, test := range []struct{ host, text, want string }{
		{"quay.io", "dial tcp: " + on, "dial tcp: lookup on 10.0.0.2:53: no such host"},
		{"quay.io:5000", "lookup quay.io: no such host", "lookup: no such host"},
		{"", "quay.io/acme/app: reading: dial tcp: " + on, "quay.io/acme/app: reading: dial tcp: lookup on 10.0.0.2:53: no such host"},
		{"", on, on},
		{"ghcr.io", "the token service: " + on, "the token service: " + on},
		{"quay.io", "lookup quay.io", "lookup quay.io"},
	} {
		if got := withoutLookup(test.host, test.text); got != test.want {
			t.Errorf("%s beside %q: %q, want %q", test.text, test.host, got, test.want)
		}
	}
}

// TestInOneRow: what the table says in full fills one row of a terminal before; a log that
// nobody looks on at keeps it whole.
func TestInOneRow(t *testing.T) {
	text, code := "quay.io  failed: "+strings.Repeat("a long story ", 9), " [registry-unreachable]"
	narrow := func() int { return 40 }
	for name, o := range map[string]LogOptions{"workflow": {Workflow: true, Width: narrow}, "lines": {Progress: true, Width: narrow},
		"no width": {}, "width of 0": {Width: func() int { return 0 }}} {
		if got := (&Log{o: o}).inOneRow(text, code); got != text+code {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := (&Log{o: LogOptions{Width: narrow}}).inOneRow(text, code); len([]rune(got)) != 40 || !strings.HasSuffix(got, "…"+code) {
		t.Errorf("%q", got)
	}
}

func TestParagraphs(t *testing.T) {
	got := paragraphs("First,\nsecond:\n\n  a:\n    b\n\n  c\nThen\n```yaml\nx:\n  y\n```\nlast\n")
	want := []paragraph{{text: "First,"}, {text: "second:"}, {lines: []string{"a:", "  b", "", "c"}}, {text: "Then"}, {lines: []string{"x:", "  y"}}, {text: "last"}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q", got)
	}
}

func TestPeriod(t *testing.T) {
	for d, want := range map[time.Duration]string{6 * time.Hour: "6 hours", time.Hour: "1 hour", 90 * time.Minute: "90 minutes", 30 * time.Minute: "30 minutes", 10 * time.Second: "10.0 s"} {
		if got := period(d); got != want {
			t.Errorf("%v: %q", d, got)
		}
	}
}

// TestDigestAndTime: they share a line where there is room, and else have one each: at 80
// columns the unit of the time would stand alone.
func TestDigestAndTime(t *testing.T) {
	for width, want := range map[int]int{120: 1, 80: 2, 40: 2} {
		lines, at := Table(well(), width), 0
		for i, l := range lines {
			if strings.HasPrefix(l.Text, "sha256:") {
				at = i
			}
		}
		if got := len(lines) - at; got != want || !strings.HasPrefix(lines[len(lines)-1].Text, [...]string{1: "sha256:", 2: "in "}[want]) {
			t.Errorf("at %d columns: %d lines:\n%s", width, got, written(lines[at:]))
		}
	}
}
