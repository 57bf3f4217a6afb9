package suggest

import "strings"

// longest bounds what is compared, in bytes: the time goes with its square.
const longest = 200

// Nearest returns the name that was most likely meant by a word that is none of them, or
// "" if none is near.
func Nearest(word string, names []string) string {
	word = strings.ReplaceAll(strings.ToLower(word), "_", "-")
	best, least := "", 1+max(2, len(word)/3)
	for _, name := range names {
		if d := Distance(word, name); d < least {
			best, least = name, d
		}
	}
	return best
}

// DidYouMean returns the remedy for an unknown name: the nearest of names, each written
// behind prefix, or all of them.
func DidYouMean(word, prefix string, names []string) string {
	if name := Nearest(word, names); name != "" {
		return "Did you mean " + prefix + name + "?"
	}
	return "Known are " + prefix + strings.Join(names, ", "+prefix) + "."
}

// Distance counts the letters to insert, drop, replace or swap with their neighbour to
// get from a to b (optimal string alignment). Only the first 200 bytes of each count.
func Distance(a, b string) int {
	a, b = a[:min(len(a), longest)], b[:min(len(b), longest)]
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}
