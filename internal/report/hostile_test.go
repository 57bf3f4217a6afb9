package report

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/publish"
	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// hostile is text that tries to be more than text. It holds no line break: structure never
// does, and text of several lines is told apart below.
const hostile = "x|`</code></details><script>alert(1)</script>@everyone #1 https://evil.example www.evil.example a@b.example " +
	"[x](https://y.example) ![i](https://z.example/p.png) GH-26 :tada: $x^2$ <img src=x onerror=y> ::error::x ##[group]y ```mermaid \x1b[31m\u202e"

// severalLines is a remedy that tries to leave its block.
const severalLines = "- item\n\n## heading\n  ```\n  </pre>\n  ````\n::error::x\n\n  " + hostile

// fill puts hostile text into every string below v, each with its number, and as many
// elements into every list as it takes to show each of them. It returns how many strings
// there are.
func fill(v reflect.Value, n *int) {
	switch v.Kind() {
	case reflect.String:
		*n++
		text := fmt.Sprintf("c4n4ry%d %s", *n, hostile)
		switch v.Type() {
		case reflect.TypeFor[publish.Status](), reflect.TypeFor[publish.Phase](), reflect.TypeFor[publish.SkipKind](), reflect.TypeFor[usererror.Code]():
			return // words of our own
		}
		v.SetString(text)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(epoch.Add(time.Duration(*n) * time.Second)))
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), n)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	}
}

// hostileResults are results of every status whose every string is hostile.
func hostileResults() map[string]publish.Result {
	all := map[string]publish.Result{}
	for _, status := range []publish.Status{Pushed, Unchanged, Planned, Skipped, HeldBack, Failed} {
		var r publish.Result
		n := 0
		fill(reflect.ValueOf(&r).Elem(), &n)
		r.Start, r.End = at(0), at(90_000)
		r.DryRun, r.Cancelled, r.Untrusted = status == Planned, false, false
		for i := range r.Notes {
			r.Notes[i].Warning = true
		}
		for i := range r.Registries {
			g := &r.Registries[i]
			g.Start, g.End, g.Wrote, g.Referrers.Failed = at(0), at(80_000), false, 0
			g.Spans = []publish.Span{span(publish.Login, 0, 1000), span(publish.Copy, 1000, 2000)}
			if status != Skipped {
				g.Skip = ""
			}
			if status != Failed {
				g.Failures = nil
				r.Failures, r.Images[0].Failure, r.Images[1].Failure = nil, nil, nil
			} else {
				g.Failures[0].Remedy = severalLines
			}
			if status != Planned {
				g.Blobs.Missing, g.ToCreate = 0, nil
			}
			for j := range g.References {
				g.References[j].Status, g.References[j].Image, g.References[j].Unseen = status, j, false
			}
		}
		all[string(status)] = r
	}
	return all
}

// TestEveryStringIsShownAsText fills every string of a result, by reflection, so that a
// field that is new is looked at, too.
func TestEveryStringIsShownAsText(t *testing.T) {
	for name, r := range hostileResults() {
		if g := r.Registries[0]; string(g.Status()) != name {
			t.Fatalf("%s became %s", name, g.Status())
		}
		text := Markdown(r, MaxSummary)
		if name == "failed" {
			golden(t, "hostile.summary.md", text) // test/docs has GitHub's parser read it
		}
		isMarkdown(t, name, text)
		isOneLine(t, name, JSON(r, 0), Headline(r))
		for key, value := range Outputs(r) {
			if key == "results" || key == "digests" {
				isOneLine(t, name, value)
			}
		}
		for _, line := range replay(r, LogOptions{Workflow: true, Progress: true}) {
			// The writer escapes each line of a text; only annotations and the table's
			// blocks, which are lines of their own, are of several.
			several := line.Kind == ErrorLine || line.Kind == WarningLine || line.Kind == NoticeLine
			if !several && strings.Contains(line.Text, "\n") || strings.Contains(line.Title, "\n") {
				t.Errorf("%s: several lines in %q", name, line.Text)
			}
		}
	}
}

func isOneLine(t *testing.T, name string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.ContainsAny(text, "\n\r") {
			t.Errorf("%s: several lines: %q", name, text)
		}
		var parsed any
		if strings.HasPrefix(text, "{") && json.Unmarshal([]byte(text), &parsed) != nil {
			t.Errorf("%s: no JSON: %q", name, text)
		}
	}
}

// isMarkdown looks at what is outside of blocks of code, where text is text whatever it
// says.
func isMarkdown(t *testing.T, name, text string) {
	t.Helper()
	var outside strings.Builder
	fence := ""
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		ticks := trimmed[:len(trimmed)-len(strings.TrimLeft(trimmed, "`"))]
		switch {
		case fence == "" && len(ticks) >= 3:
			fence = ticks
		case fence != "" && trimmed == fence:
			fence = ""
		case fence == "":
			outside.WriteString(line)
		}
	}
	if fence != "" {
		t.Errorf("%s: a fence that does not end:\n%s", name, text)
	}
	for _, bad := range []string{"<script", "<img", "@everyone", " #1", "\n## heading", "|`", "\n::", "##[", "\x1b", "\u202e", "https://evil", "www.evil", "[x]("} {
		if strings.Contains(outside.String(), bad) {
			t.Errorf("%s: %q got through:\n%s", name, bad, text)
		}
	}
	words := regexp.MustCompile("<code>[^<]*(<span>[^<]*</span>[^<]*)*</code>").ReplaceAllString(outside.String(), "")
	for _, bad := range []string{"GH-26", ":tada:", "$x"} { // which are nothing in code
		if strings.Contains(words, bad) {
			t.Errorf("%s: %q got through:\n%s", name, bad, text)
		}
	}
}

// TestFreeTextIsRedacted: what is no structure is of the type that only a redactor makes.
func TestFreeTextIsRedacted(t *testing.T) {
	structure := strings.Fields("Input Text Host Reason Name Reference Parts Digest MediaType Platforms Code Phase Status SkipKind Before Now Created ToCreate")
	var look func(of reflect.Type, field string)
	seen := map[reflect.Type]bool{}
	look = func(of reflect.Type, field string) {
		switch of.Kind() {
		case reflect.Slice, reflect.Pointer:
			look(of.Elem(), field)
		case reflect.Struct:
			if seen[of] || of == reflect.TypeFor[time.Time]() {
				return
			}
			seen[of] = true
			for i := range of.NumField() {
				look(of.Field(i).Type, of.Field(i).Name)
			}
		case reflect.String:
			if of != reflect.TypeFor[redact.Redacted]() && !strings.Contains(" "+strings.Join(structure, " ")+" ", " "+field+" ") {
				t.Errorf("%s is free text that nothing redacts", field)
			}
		}
	}
	look(reflect.TypeFor[publish.Result](), "")
}
