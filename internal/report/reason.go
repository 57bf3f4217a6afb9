package report

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/config"
	"github.com/multi-registry-push/multi-registry-push/internal/publish"
	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// longestReason bounds what one failure adds to a reason, in bytes.
const longestReason = 1000

// explanation is why something is as it is, and what to do about it.
type explanation struct {
	text     string // one line
	alike    string // see publish.Failure.Gist; empty if it is text
	code     usererror.Code
	remedy   redact.Redacted
	optional bool
}

// coded returns the text with the code behind it.
func (e explanation) coded() string {
	if e.code == "" {
		return e.text
	}
	return e.text + " [" + string(e.code) + "]"
}

// gist returns the text without what differs where registries fail alike.
func (e explanation) gist() string { return cmp.Or(e.alike, e.text) }

// like reports whether two reasons are the same to whoever has to do something about them.
func (e explanation) like(o explanation) bool {
	if e.code != o.code || e.remedy != o.remedy || e.optional != o.optional {
		return false
	}
	return e.text == o.text || e.gist() == o.gist()
}

// common returns the reasons that all rows share, without what differs.
func common(rows [][]explanation) []explanation {
	all := slices.Clone(rows[0])
	for _, row := range rows[1:] {
		for i, e := range row {
			if e != all[i] {
				all[i].text = e.gist()
			}
		}
	}
	return all
}

// following returns what a registry is said to have failed of, where that follows from
// something that is told once, for all: the run was cancelled, a source broke.
func following(code usererror.Code) redact.Redacted {
	switch code {
	case usererror.Cancelled:
		return publish.ReasonCancelled
	case usererror.SourceBroken:
		return publish.ReasonSource
	}
	return ""
}

// follows reports whether a registry failed of nothing of its own.
func follows(g publish.RegistryResult) bool {
	return !slices.ContainsFunc(g.Failures, func(f publish.Failure) bool { return following(f.Code) == "" })
}

// explain returns a failure without the name of the registry that it is shown beside.
func explain(host string, f publish.Failure) explanation {
	shown := func(text redact.Redacted) string {
		line := withoutLookup(host, strings.TrimSuffix(oneLine(string(text)), " ["+string(f.Code)+"]"))
		return withoutHost(host, bounded(line, longestReason))
	}
	return explanation{shown(f.Message), shown(f.Gist), f.Code, f.Remedy, f.Optional}
}

// explanations says why a registry has its status, each reason once.
func explanations(g publish.RegistryResult) []explanation {
	var all []explanation
	add := func(e explanation) {
		if e.text != "" && !slices.Contains(all, e) {
			all = append(all, e)
		}
	}
	status := g.Status()
	switch status {
	case Failed:
		for _, f := range g.Failures {
			e := explain(g.Host, f)
			if reason := following(f.Code); reason != "" {
				e = explanation{text: string(reason)}
			}
			e.optional = f.Optional || g.Optional
			add(e)
		}
		if len(all) > 0 {
			return all
		}
	case Skipped:
		add(explanation{text: oneLine(string(g.Skip))})
		if len(all) > 0 {
			return all
		}
	case Planned:
		add(explanation{text: oneLine(string(g.Unproven))})
		return all
	case Pushed, Unchanged:
		return nil
	case HeldBack:
	}
	for _, ref := range g.References {
		if ref.Status == status || ref.Status == "" && status == Failed {
			text := cmp.Or(bounded(oneLine(string(ref.Reason)), longestReason), unsaid(status))
			e := explanation{optional: status == Failed && g.Optional}
			if short, ok := strings.CutSuffix(text, " ["+string(usererror.AtomicHeldBack)+"]"); ok {
				text, e.code = short, usererror.AtomicHeldBack
			}
			e.text = withoutHost(g.Host, text)
			add(e)
		}
	}
	return all
}

// unsaid is the reason where nobody gave one.
func unsaid(status publish.Status) string {
	if status == Failed {
		return "not published"
	}
	return ""
}

// reason is why a registry has its status, in one line, with all names: `results` is read
// by programs.
func reason(g publish.RegistryResult) string {
	var texts []string
	add := func(text string) {
		if text = oneLine(text); text != "" && !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	status := g.Status()
	if status == Failed && len(g.Failures) > 0 {
		for _, f := range g.Failures {
			add(cmp.Or(string(following(f.Code)), explain("", f).coded()))
		}
		return strings.Join(texts, "; ")
	}
	for _, e := range explanations(g) {
		return e.coded()
	}
	return ""
}

// leftOutOf says which references of a registry were left out though it was not.
func leftOutOf(g publish.RegistryResult) []explanation {
	if g.Status() == Skipped {
		return nil
	}
	return leftOutBy(g, func(publish.SkipKind) bool { return true })
}

// leftOutBy is leftOutOf for some kinds of reasons.
func leftOutBy(g publish.RegistryResult, wanted func(publish.SkipKind) bool) []explanation {
	var reasons []string
	names := map[string][]string{}
	for _, ref := range g.References {
		if ref.Status == Skipped && wanted(ref.SkipKind) {
			why := withoutHost(g.Host, oneLine(string(ref.Reason)))
			if names[why] == nil {
				reasons = append(reasons, why)
			}
			names[why] = append(names[why], ref.Reference)
		}
	}
	var all []explanation
	for _, why := range reasons {
		all = append(all, explanation{text: oneLine(listed(tags(names[why]), 8) + " (" + why + ")")})
	}
	return all
}

// shared is what several registries have in common.
type shared struct {
	explanation
	hosts []string
}

// together returns what of says of the registries with this status, each reason once with
// all that share it, in the order in which they come up.
func together(registries []publish.RegistryResult, of func(publish.RegistryResult) []explanation) []shared {
	var all []shared
	for _, g := range registries {
		for _, e := range of(g) {
			i := slices.IndexFunc(all, func(s shared) bool { return s.like(e) })
			if i < 0 {
				i, all = len(all), append(all, shared{explanation: e})
			} else if all[i].explanation != e {
				all[i].text = e.gist()
			}
			all[i].hosts = append(all[i].hosts, g.Host)
		}
	}
	return all
}

// having returns the registries with this status.
func having(r publish.Result, status publish.Status) []publish.RegistryResult {
	return only(r.Registries, func(g publish.RegistryResult) bool { return g.Status() == status })
}

// only returns the elements of list that keep holds for.
func only[T any](list []T, keep func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(list), func(e T) bool { return !keep(e) })
}

// withoutHost takes the registry's name out of a text that is shown beside it, where the
// sentence stays one: "logging in to quay.io: 401" becomes "logging in: 401", and
// quay.io/acme/app becomes acme/app.
func withoutHost(host, text string) string {
	if host == "" {
		return text
	}
	short := text
	for _, prefix := range []string{host + ": ", host + "/", host + " "} {
		if rest, ok := strings.CutPrefix(short, prefix); ok {
			short = strings.TrimLeft(rest, " ")
			break
		}
	}
	for _, word := range []string{"to", "from", "at", "of", "on", "for"} {
		short = strings.ReplaceAll(short, " "+word+" "+host+":", ":")
	}
	for _, before := range []string{" ", `"`, "(", "`"} {
		short = strings.ReplaceAll(short, before+host+"/", before)
	}
	if strings.TrimSpace(short) == "" {
		return text
	}
	return short
}

// lookup is how package net begins what a name server answered: with the name, and from where.
var lookup = regexp.MustCompile(`\blookup (\S+?)( on \S+)?: `)

// withoutLookup takes a name out of what a name server says of it, where the text has told it
// already or is shown beside it.
func withoutLookup(host, text string) string {
	at := lookup.FindStringSubmatchIndex(text)
	if at == nil {
		return text
	}
	name, server := text[at[2]:at[3]], ""
	if at[4] >= 0 {
		server = text[at[4]:at[5]]
	}
	if !strings.Contains(host+" "+text[:at[0]], name) {
		return text
	}
	return text[:at[0]] + "lookup" + server + ": " + text[at[1]:]
}

// lineSkipped says which line names no destination.
func lineSkipped(input string, number int, line string, why string) string {
	return fmt.Sprintf("%s, line %d: %q skipped: %s", input, number, bounded(line, 200), why)
}

// prefixed puts the registry before a text, unless it begins with it.
func prefixed(registry, text string) string {
	if rest, ok := strings.CutPrefix(text, registry+": "); ok && registry != "" {
		return registry + "  " + rest
	}
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

// unnamed returns the lines that were skipped and whose registry does not tell of them
// itself.
func unnamed(r publish.Result) []config.Skip {
	return only(r.Skipped, func(l config.Skip) bool {
		return !slices.ContainsFunc(r.Registries, func(g publish.RegistryResult) bool {
			return l.Host != "" && g.Host == l.Host && g.SkipKind == publish.SkipUnconfigured
		})
	})
}
