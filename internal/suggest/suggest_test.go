package suggest

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	names := []string{"source", "tags", "registry-auth", "username", "password", "dry-run"}
	for word, want := range map[string]string{
		"usrname": "username", "pasword": "password", "passwrod": "password", "DRY_RUN": "dry-run", "tag": "tags",
		"registryauth": "registry-auth", "xyzzy": "", "": "", strings.Repeat("x", 500): "",
	} {
		if got := Nearest(word, names); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}

func TestDidYouMean(t *testing.T) {
	names := []string{"source", "tags"}
	for word, want := range map[string]string{"sorce": "Did you mean --source?", "xyzzy": "Known are --source, --tags."} {
		if got := DidYouMean(word, "--", names); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"quay.io", "quay.io", 0}, {"quey.io", "quay.io", 1}, {"ghrc.io", "ghcr.io", 1}, {"gcr.io", "ghcr.io", 1},
		{"", "abc", 3}, {"abc", "", 3}, {strings.Repeat("x", 1000), strings.Repeat("x", 1000) + "y", 0},
	} {
		if got := Distance(c.a, c.b); got != c.want {
			t.Errorf("%.20q, %.20q: got %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
