package source

import (
	"cmp"
	"slices"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/suggest"
)

// nearest returns at most n of names, those most like name first.
func nearest(name string, names []string, n int) []string {
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	distance := map[string]int{}
	for _, other := range names {
		distance[other] = distanceOf(strings.TrimSuffix(name, ":latest"), strings.TrimSuffix(other, ":latest"))
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(distance[a], distance[b]) })
	return names[:min(n, len(names))]
}

// distanceOf counts the edits between two names; other tags of the same repository are
// nearer than other repositories.
func distanceOf(a, b string) int {
	repository, _, _ := imageref.CutTag(a)
	other, _, _ := imageref.CutTag(b)
	if repository == other {
		return 0
	}
	return suggest.Distance(a, b) + 1
}
