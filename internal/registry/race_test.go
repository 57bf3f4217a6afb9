//go:build race

package registry

const underRace = true
