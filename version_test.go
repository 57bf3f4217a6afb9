package main

import "testing"

func TestFromArchive(t *testing.T) {
	for _, c := range []struct{ name, text, version, commit string }{
		{"as it is in the repository", archived, "", ""},
		{"of a release", "v1.2.3\n0123abcd\n", "v1.2.3", "0123abcd"},
		{"some commits later", "v1.2.3-4-g0123abcd\r\n0123abcd\r\n", "v1.2.3-4-g0123abcd", "0123abcd"},
		{"before the first tag", "\n0123abcd\n", "", "0123abcd"},
		{"by a git that knows no describe", "%(describe:tags=true,match=v[0-9]*)\n0123abcd\n", "", "0123abcd"},
		{"emptied", "", "", ""},
	} {
		if v, commit := fromArchive(c.text); v != c.version || commit != c.commit {
			t.Errorf("%s: %q and %q, want %q and %q", c.name, v, commit, c.version, c.commit)
		}
	}
}

func TestBuildVersion(t *testing.T) {
	defer func(v, c string) { version, commit = v, c }(version, commit)
	version, commit = "v9.9.9", "ffff"
	if v, c := buildVersion(); v != "v9.9.9" || c != "ffff" {
		t.Errorf("what the linker set is not taken: %q, %q", v, c)
	}
}
