package action

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/problem"
	"github.com/multi-registry-push/multi-registry-push/internal/reference"
	"github.com/multi-registry-push/multi-registry-push/internal/replicate"
)

// parseTags reads the destinations: references, one a line or comma-separated, as
// docker/metadata-action puts them out. Blank ones are skipped, duplicates merged. where
// is how the person wrote the input.
func parseTags(where, text string, bad *problems) (destinations []replicate.Destination, empty []replicate.Unconfigured) {
	line := 0
	for written := range strings.Lines(text) {
		line++
		for entry := range strings.SplitSeq(written, ",") {
			if entry = strings.TrimSpace(entry); entry == "" {
				continue
			}
			ref, err := reference.ParseDestination(entry)
			var unset *reference.NotConfigured
			var wrong *problem.Problem
			switch {
			case errors.As(err, &unset):
				empty = append(empty, replicate.Unconfigured{Input: "tags", Line: line, Text: short(entry), Reason: unset.Reason})
			case errors.As(err, &wrong):
				*bad = append(*bad, problem.New(wrong.Code, "", fmt.Sprintf("%s, line %d, %s", where, line, wrong.What), wrong.Remedy, nil))
			case !slices.ContainsFunc(destinations, func(d replicate.Destination) bool { return d.Reference == ref }):
				destinations = append(destinations, replicate.Destination{Reference: ref, Line: line})
			}
		}
	}
	return destinations, empty
}
