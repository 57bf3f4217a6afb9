package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/multi-registry-push/multi-registry-push/internal/publish"
	"github.com/multi-registry-push/multi-registry-push/internal/retry"
)

// errorsPage explains every code.
const errorsPage = "https://github.com/multi-registry-push/multi-registry-push/blob/main/docs/errors.md"

// mostHosts is how many registries a reason that they share names.
const mostHosts = 8

// Markdown returns the job summary in at most limit bytes: what failed and why first.
func Markdown(r publish.Result, limit int) string {
	s := &summary{limit: limit}
	s.add("## " + prose(Headline(r)) + "\n\n")
	s.addAll("### What went wrong\n\n", wrongs(r), "\n", limit/4)
	s.addAll("", sublines(r), "\n", limit/16)
	head, rows := markdownTable(r)
	s.addAll(head, rows, "\n", limit/4)
	s.addAll("### Held back\n\n", sharedLines(together(having(r, HeldBack), explanations)), "\n", limit/16)
	s.addAll("### Left out\n\n", leftOuts(r), "\n", limit/8)
	s.addAll("### Not proved\n\n", sharedLines(together(having(r, Planned), explanations)), "\n", limit/16)
	s.addAll("### Warnings\n\n", warningLines(r), "\n", limit/16)
	s.addAll("### Also\n\n", besidesLines(r), "\n", limit/16)
	addPulls(s, r)
	s.addAll("", limits(r), "\n", limit/16)
	if picture := timeline(r); picture != "" {
		s.add("### Timeline\n\n" + picture + "\n")
	}
	addEveryTag(s, r)
	return s.String()
}

// wrongs lists the failures with what to do about each, once for all that share it.
func wrongs(r publish.Result) []string {
	var lines []string
	for _, f := range r.Failures {
		lines = append(lines, "- "+explained("", explain("", f)))
	}
	for i, image := range r.Images {
		if image.Failure == nil {
			continue
		}
		who := ""
		if len(r.Images) > 1 {
			who = code(bounded(imageName(r, i), 200))
		}
		lines = append(lines, "- "+explained(who, explain("", *image.Failure)))
	}
	failed := only(failedFirst(r), func(g publish.RegistryResult) bool {
		return g.Status() == Failed && (len(runFailures(r)) == 0 || !follows(g))
	})
	return append(lines, sharedLines(together(failed, explanations))...)
}

// sharedLines writes reasons, each behind the registries that share it.
func sharedLines(all []shared) []string {
	var lines []string
	for _, s := range all {
		who := hostNames(s.hosts)
		if s.optional {
			who += " (not required)"
		}
		lines = append(lines, "- "+explained(who, s.explanation))
	}
	return lines
}

func hostNames(hosts []string) string {
	var names []string
	for _, host := range hosts {
		names = append(names, code(bounded(host, 300)))
	}
	return listed(names, mostHosts)
}

// explained writes a reason, what to do, and where to read on. who is Markdown.
func explained(who string, e explanation) string {
	var b strings.Builder
	if who != "" {
		b.WriteString(who + ": ")
	}
	b.WriteString(prose(e.text))
	if e.code != "" {
		fmt.Fprintf(&b, " ([%s](%s#%s))", label(string(e.code)), errorsPage, label(string(e.code)))
	}
	head := "<br>**What to do:** "
	for _, p := range paragraphs(e.remedy) {
		if p.text != "" {
			b.WriteString(head + ticked(bounded(p.text, longestReason)))
			head = "<br>"
			continue
		}
		b.WriteString("\n\n")
		for line := range strings.Lines(fenced("text", p.lines...)) {
			b.WriteString("  " + line) // in the item of the list
		}
		head = "\n  "
	}
	return strings.TrimSuffix(b.String(), "\n") + "\n"
}

// sublines say what was published.
func sublines(r publish.Result) []string {
	if len(r.Images) > 1 {
		return imageRows(r)
	}
	if len(r.Images) == 0 || r.Images[0].Digest == "" {
		return nil
	}
	image := r.Images[0]
	parts := []string{}
	if len(image.Platforms) > 0 {
		parts = append(parts, prose(listed(image.Platforms, 8)))
	}
	if image.SizeBytes > 0 {
		parts = append(parts, amount(image.SizeBytes))
	}
	if from := origin(image); from != "" {
		parts = append(parts, "from "+from)
	}
	return []string{code(image.Digest) + "<br>\n" + strings.Join(append(parts, took(r)), " · ") + "\n"}
}

// took says how long the run took and what it read.
func took(r publish.Result) string {
	text := "took " + retry.Text(r.End.Sub(r.Start))
	if r.Source.BytesRead > 0 {
		text = amount(r.Source.BytesRead) + " read · " + text
	}
	return text
}

// origin says where an image comes from, with the first characters of digests alone.
func origin(image publish.ImageResult) string {
	from := image.Parts
	if len(from) == 0 && image.Reference != "" {
		from = []string{image.Reference}
	}
	var parts []string
	for _, part := range from {
		if i := strings.LastIndex(part, "@sha256:"); i >= 0 {
			part = part[:i+1] + short(part[i+1:])
		}
		parts = append(parts, code(bounded(part, 300)))
	}
	return listed(parts, 4)
}

// imageRows is the table of several images.
func imageRows(r publish.Result) []string {
	lines := []string{took(r) + "\n\n| Image | Digest | Platforms | Size | From |\n| --- | --- | --- | ---: | --- |\n"}
	for i, image := range r.Images {
		digest, size := digestCell(image.Digest), ""
		if image.Failure != nil {
			digest = statusMark(Failed) + "&nbsp;not read"
		} else if image.SizeBytes > 0 {
			size = strings.ReplaceAll(amount(image.SizeBytes), " ", "&nbsp;")
		}
		lines = append(lines, fmt.Sprintf("| %s | %s | %s | %s | %s |\n",
			code(bounded(imageName(r, i), 200)), digest, prose(listed(image.Platforms, 8)), size, origin(image)))
	}
	return lines
}

// leftOuts says why something was skipped.
func leftOuts(r publish.Result) []string {
	lines := sharedLines(together(having(r, Skipped), explanations))
	lines = append(lines, sharedLines(together(r.Registries, leftOutOf))...)
	for _, l := range unnamed(r) {
		text, why := code(bounded(l.Text, 200)), prose(bounded(l.Reason, longestReason))
		lines = append(lines, fmt.Sprintf("- %s, line %d, %s: %s\n", code(l.Input), l.Line, text, why))
	}
	if r.Untrusted && len(lines) > 0 {
		lines = append(lines, "- "+prose(ofForks)+"\n")
	}
	return lines
}

// ofForks says why so much is empty on a pull request.
const ofForks = "A pull request from a fork, or by Dependabot, gets none of the secrets for Actions."

// warningLines list what did not fail, but should not go unseen.
func warningLines(r publish.Result) []string {
	var lines []string
	for _, n := range r.Notes {
		line := "- " + ticked(bounded(oneLine(prefixed(n.Host, string(n.Text))), longestReason)) + "\n"
		if n.Warning && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// besidesLines say what else became of the registries.
func besidesLines(r publish.Result) []string {
	return sharedLines(together(r.Registries, func(g publish.RegistryResult) []explanation {
		var all []explanation
		for _, text := range besides(g) {
			all = append(all, explanation{text: text})
		}
		return all
	}))
}

// limits says how many pulls a registry still allows.
func limits(r publish.Result) []string {
	var lines []string
	for _, g := range r.Registries {
		if g.RateLimit == nil {
			continue
		}
		name := code(bounded(g.Host, 300))
		if g.Host == "docker.io" {
			name = "Docker Hub"
		}
		limit := fmt.Sprint(g.RateLimit.Limit)
		if g.RateLimit.Window > 0 {
			limit += " in " + period(g.RateLimit.Window)
		}
		lines = append(lines, fmt.Sprintf("%s: %d pulls left of %s.<br>\n", name, g.RateLimit.Remaining, limit))
	}
	return lines
}

// period writes a window of time: 6 hours.
func period(d time.Duration) string {
	if d >= time.Hour && d%time.Hour == 0 {
		return count(int(d/time.Hour), "hour")
	}
	if d >= time.Minute && d%time.Minute == 0 {
		return count(int(d/time.Minute), "minute")
	}
	return retry.Text(d)
}
