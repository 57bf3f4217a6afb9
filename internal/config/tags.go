package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// emptyPart is why a destination with an empty component is skipped.
const emptyPart = "has an empty part; a variable in it is probably unset"

// tagList is what a value of tags names.
type tagList struct {
	destinations []Destination
	skipped      []Skip
	// byComma are the registries that only a comma makes destinations: a branch name may
	// hold one, and what follows it is then somebody else's.
	byComma []string
}

// tagParser reads destinations as docker/metadata-action puts them out.
type tagParser struct {
	place    func(line int) string // how errors name a line
	workflow bool
	bad      *problems
	out      tagList
}

// parse reads references: one a line, or in a value of one line separated by commas. Blank
// ones are skipped, duplicates merged.
func (p *tagParser) parse(text string) tagList {
	if strings.ContainsAny(strings.TrimSpace(text), "\r\n") {
		line := 0
		for written := range strings.Lines(text) {
			line++
			p.line(line, written)
		}
		return p.out
	}
	line := 1 + strings.Count(text[:len(text)-len(strings.TrimLeft(text, " \t\r\n"))], "\n")
	if text = strings.TrimSpace(text); text != "" && !p.foreign(line, text) {
		p.parts(line, strings.Split(text, ","))
	}
	return p.out
}

// line reads one line of several: there a comma separates nothing.
func (p *tagParser) line(line int, text string) {
	if text = strings.TrimSpace(text); text == "" || p.foreign(line, text) {
		return
	}
	if strings.Contains(text, ",") {
		what := p.place(line) + fmt.Sprintf(", %q: in a value of several lines a comma separates nothing", short(text))
		remedy := "Write each reference in a line of its own. A tag cannot hold a comma: " +
			"docker/metadata-action makes a dash of it."
		if !p.workflow {
			remedy = "Write each reference in a line, or behind a --tags, of its own. A tag cannot hold a comma."
		}
		p.bad.add(usererror.InvalidTag, what, remedy)
		return
	}
	p.reference(line, text)
}

// parts reads a line that may be separated by commas. A branch name cannot hold a colon, so
// that one which holds a comma leaves a part without a tag beside one that has a tag.
func (p *tagParser) parts(line int, parts []string) {
	tagged, bare, first, before := "", "", "", len(*p.bad)
	for _, part := range parts {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		ref, ok := p.reference(line, part)
		if imageref.Tagged(part) {
			tagged = part
		} else {
			bare = part
		}
		switch {
		case !ok:
		case first == "":
			first = ref.Host
		case ref.Host != first && !imageref.Tagged(part) && !slices.Contains(p.out.byComma, ref.Host):
			p.out.byComma = append(p.out.byComma, ref.Host)
		}
	}
	if tagged != "" && bare != "" && len(*p.bad) == before {
		p.bad.add(usererror.InvalidTag,
			fmt.Sprintf("%s: %q has a tag and %q has none, in one line with commas", p.place(line), short(tagged),
				short(bare)),
			"Give each a tag, or write each in a line of its own. The name of a branch can hold a comma: "+
				"what follows it must not become a destination.")
	}
}

// reference reads one destination.
func (p *tagParser) reference(line int, text string) (ref imageref.Reference, ok bool) {
	ref, err := imageref.ParseDestination(text)
	var unset *imageref.NotConfigured
	switch {
	case errors.As(err, &unset):
		p.out.skipped = append(p.out.skipped,
			Skip{Input: "tags", Line: line, Text: short(text), Host: unset.Host, Reason: emptyPart})
		return ref, false
	case err != nil:
		for _, fault := range faults(err) {
			p.bad.add(usererror.InvalidTag, fmt.Sprintf("%s, %s", p.place(line), fault), p.advice(fault))
		}
		return ref, false
	case !slices.ContainsFunc(p.out.destinations, func(d Destination) bool { return d.Reference == ref }):
		p.out.destinations = append(p.out.destinations, Destination{Reference: ref, Line: line})
	}
	return ref, true
}

// faults returns the faults of one destination, one by one.
func faults(err error) []error {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		return all.Unwrap()
	}
	return []error{err}
}

// advice returns the remedy of a fault. No action puts anything out on a command line.
func (p *tagParser) advice(fault error) string {
	if e, ok := errors.AsType[*imageref.Error](fault); ok && e.Rule == imageref.BareWord && !p.workflow {
		return "Write REPOSITORY:TAG."
	}
	return usererror.Advice(fault)
}

// foreign reports what people write by habits of other languages: YAML's lists and quotes,
// variables of a shell, expressions of a workflow.
func (p *tagParser) foreign(line int, text string) bool {
	var what, remedy string
	quotes := "\"'`"
	switch {
	case strings.Contains(text, "${{") || strings.Contains(text, "}}"):
		what = "an expression stands here that nobody has evaluated"
		remedy = "Expressions work in workflow files only: write the value."
	case strings.Contains(text, "$"):
		what = "a variable of a shell stands here, and no shell reads this"
		remedy = "Write the value. A shell expands variables in double quotes, not in single ones."
		if p.workflow {
			remedy = "Write an expression, such as ${{ github.ref_name }}; " +
				"what only a shell can compute, an earlier step puts into an output."
		}
	case text == "-" || strings.HasPrefix(text, "- "):
		what = "a dash stands in front, and tags is text, not a list"
		remedy = "Leave the dash out: one reference a line, below tags: |"
	case strings.ContainsAny(text[:1], "[{") && !bracketedAddress(text):
		what = "this is a list in brackets, and tags is text"
		remedy = "Write one reference a line, without brackets and quotes."
	case strings.ContainsAny(text[:1], quotes) || strings.ContainsAny(text[len(text)-1:], quotes):
		what, remedy = "quotes stand around it", "Leave the quotes out."
	default:
		return false
	}
	p.bad.add(usererror.InvalidTag, fmt.Sprintf("%s, %q: %s", p.place(line), short(text), what), remedy)
	return true
}

// bracketedAddress reports whether text begins with an IPv6 address as URLs hold it: RFC 3986,
// section 3.2.2.
func bracketedAddress(text string) bool {
	inside, _, closed := strings.Cut(strings.TrimPrefix(text, "["), "]")
	_, err := netip.ParseAddr(inside)
	return closed && err == nil
}
