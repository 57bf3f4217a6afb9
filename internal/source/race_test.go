//go:build race

package source

// underRace says that the race detector, which takes memory of its own and keeps pools from
// keeping anything, makes measures of memory meaningless. make test takes them without it.
const underRace = true
