package source

import (
	"cmp"
	"slices"
	"strings"
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

// distanceOf counts the edits between two strings (Levenshtein); other tags of the same
// repository are nearer than other repositories.
func distanceOf(a, b string) int {
	const most = 200
	a, b = a[:min(len(a), most)], b[:min(len(b), most)]
	repository, _, _ := cutTag(a)
	other, _, _ := cutTag(b)
	if repository == other {
		return 0
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)] + 1
}
