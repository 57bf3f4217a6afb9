package source

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
)

// maxParts bounds how many sources one index is merged from.
const maxParts = 1000

// ParseAll reads the source input where it may name several parts of one image: several
// lines, or paths with *. merge is false where it names one image, which stays what it is.
// Like Parse it sends nothing; it looks for the files that * stands for. Every wrong line
// has its error, joined, each with its line in front.
func ParseAll(text string, paths Paths) (specs []Spec, merge bool, err error) {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if strings.TrimSpace(text) == "" {
		spec, err := Parse("", paths)
		return []Spec{spec}, false, err
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) == 1 && !strings.Contains(text, "*") {
		spec, err := Parse(text, paths)
		return []Spec{spec}, false, err
	}
	var errs []error
	for n, line := range lines {
		found, err := parsePart(line, paths)
		if err != nil {
			errs = append(errs, withSource(fmt.Sprintf("source, line %d", n+1), err))
			continue
		}
		for i := range found {
			found[i].Line = n + 1
		}
		specs = append(specs, found...)
	}
	if len(errs) == 0 && len(specs) > maxParts {
		errs = append(errs, wrong(Invalid, "source names %d parts, more than %d", len(specs), maxParts))
	}
	return specs, true, errors.Join(errs...)
}

// parsePart reads one of several lines.
func parsePart(line string, paths Paths) ([]Spec, error) {
	line = strings.TrimSpace(line)
	if line == "" {
		return nil, wrong(LineUnset, "the line is empty, while others are not")
	}
	if !strings.Contains(line, "*") {
		spec, err := Parse(line, paths)
		return []Spec{spec}, err
	}
	return expand(line, paths)
}

// expand returns a source for each path that a line with * matches, sorted.
func expand(line string, paths Paths) ([]Spec, error) {
	kind, rest, prefixed := cutPrefix(line)
	untagged, _, _ := imageref.CutTag(line)
	switch {
	case kind == Registry, kind == DockerDaemon:
		return nil, wrong(StarInReference, "%q: only paths may hold *", short(line))
	case !prefixed && !isPath(line) && !isPath(untagged):
		return nil, &Error{Kind: StarInBareName, Named: short(line),
			What: fmt.Sprintf("%q: only paths may hold *", short(line))}
	case !prefixed:
		kind = BarePath
	}
	prefix := strings.TrimSuffix(line, rest)
	pattern, pick := rest, ""
	matches, err := glob(paths.Map(pattern))
	if err != nil {
		return nil, err
	}
	if before, tag, ok := imageref.CutTag(rest); ok && len(matches) == 0 && tag != "" {
		pattern, pick = before, ":"+tag
		if matches, err = glob(paths.Map(pattern)); err != nil {
			return nil, err
		}
	}
	if len(matches) == 0 { // nothing is called so either: whoever opens it tells, and what fails for it
		matches, pick = []string{rest}, ""
	}
	specs := make([]Spec, len(matches))
	for i, path := range matches {
		specs[i] = Spec{Kind: kind, Text: prefix + path + pick, Path: path + pick}
	}
	return specs, nil
}

// glob returns the paths that pattern matches, sorted. Only * is special.
func glob(pattern string) ([]string, error) {
	matches, err := filepath.Glob(strings.NewReplacer(`\`, `\\`, `[`, `\[`, `?`, `\?`).Replace(pattern))
	if err != nil {
		return nil, &Error{Kind: Invalid, What: fmt.Sprintf("%q cannot be matched", short(pattern)), Err: err}
	}
	slices.Sort(matches)
	return matches, nil
}
