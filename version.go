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
// this order. Either may be empty.
func buildVersion() (v, c string) {
	v, c = fromArchive(archived)
	v, c = cmp.Or(version, v), cmp.Or(commit, c)
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
	return v, c
}

// fromArchive returns the two lines of version.txt. The first is empty where the archive
// is of a commit before the first tag.
func fromArchive(text string) (v, c string) {
	first, second, _ := strings.Cut(text, "\n")
	return placed(first), placed(second)
}

// placed returns s unless git has put nothing in its place.
func placed(s string) string {
	if s = strings.TrimSpace(s); strings.Contains(s, "$Format") || strings.Contains(s, "%(") {
		return ""
	}
	return s
}
