package main

import (
	"cmp"
	_ "embed"
	"runtime/debug"
	"strings"
)

// Set by the linker, see Makefile and Dockerfile.
var version, commit string

// archived holds version and commit, one a line, in trees that git archive wrote.
// GitHub's downloads of an action are such archives and hold no .git; everywhere
// else the placeholders are still in it. See .gitattributes.
//
//go:embed version.txt
var archived string

// buildVersion returns the version and the commit of this binary: what the linker
// set, what the archive of the sources said, or what the go command recorded, in
// this order. Either may be "unknown".
func buildVersion() (v, c string) {
	v, c = version, commit
	first, second, _ := strings.Cut(strings.TrimSpace(archived), "\n")
	v, c = cmp.Or(v, placed(first)), cmp.Or(c, placed(second))
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "(devel)" {
			v = cmp.Or(v, info.Main.Version)
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				c = cmp.Or(c, s.Value)
			}
		}
	}
	return cmp.Or(v, "unknown"), cmp.Or(c, "unknown")
}

// placed returns s unless git has put nothing in its place.
func placed(s string) string {
	if s = strings.TrimSpace(s); strings.Contains(s, "$Format") || strings.Contains(s, "%(") {
		return ""
	}
	return s
}
