//go:build race

package registry

const underRace = true // which takes memory of its own
