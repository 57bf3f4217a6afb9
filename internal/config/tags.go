package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// parseTags reads the destinations: references, one a line or comma-separated, as
// docker/metadata-action puts them out. Blank ones are skipped, duplicates merged. where
// is how the person wrote the input.
func parseTags(where, text string, bad *problems) (destinations []Destination, empty []Skip) {
	line := 0
	for written := range strings.Lines(text) {
		line++
		for entry := range strings.SplitSeq(written, ",") {
			if entry = strings.TrimSpace(entry); entry == "" {
				continue
			}
			ref, err := imageref.ParseDestination(entry)
			var unset *imageref.NotConfigured
			var wrong *usererror.Problem
			switch {
			case errors.As(err, &unset):
				empty = append(empty, Skip{Input: "tags", Line: line, Text: short(entry), Reason: unset.Reason})
			case errors.As(err, &wrong):
				*bad = append(*bad, usererror.New(wrong.Code, "", fmt.Sprintf("%s, line %d, %s", where, line, wrong.What), wrong.Remedy, nil))
			case !slices.ContainsFunc(destinations, func(d Destination) bool { return d.Reference == ref }):
				destinations = append(destinations, Destination{Reference: ref, Line: line})
			}
		}
	}
	return destinations, empty
}
