package config

import (
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
)

func repositories(t *testing.T, texts ...string) (all []imageref.Repository) {
	t.Helper()
	for _, text := range texts {
		ref, err := imageref.ParseDestination(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, ref.Repository)
	}
	return all
}

// TestUnusedItems: an item that nobody uses is found, and a typo is told from a leftover.
func TestUnusedItems(t *testing.T) {
	for name, c := range map[string]struct {
		items         string
		used, without []string
		says          string // of the one that is unused; empty: none is
		warning       bool
	}{
		"used":                 {"- registry: quay.io", []string{"quay.io/a/b"}, nil, "", false},
		"used by its path":     {"- registry: quay.io/a", []string{"quay.io/a/b"}, nil, "", false},
		"used without a login": {"- registry: quay.io", []string{"quay.io/a/b"}, []string{"quay.io/a/b"}, "", false},
		"empty":                {"- registry: ''", []string{"quay.io/a/b"}, nil, "", false},
		"left over":            {"- registry: quay.io", []string{"ghcr.io/a/b"}, []string{"ghcr.io/a/b"}, "registry-auth, line 1: no tag and no source uses the item for quay.io", false},
		"typo in the item":     {"- registry: quey.io", []string{"quay.io/a/b"}, []string{"quay.io/a/b"}, "tags name quay.io, which has no credentials", true},
		"typo in tags":         {"- registry: quay.io", []string{"quey.io/a/b"}, []string{"quey.io/a/b"}, "tags name quey.io", true},
		"letters swapped":      {"- registry: ghrc.io", []string{"ghcr.io/a/b", "quay.io/a/b"}, []string{"quay.io/a/b", "ghcr.io/a/b"}, "tags name ghcr.io", true},
		"has credentials":      {"- registry: quey.io", []string{"quay.io/a/b"}, nil, "the item for quey.io", false},
		"typo in the path":     {"- registry: quay.io/acme", []string{"quay.io/acmee/b"}, []string{"quay.io/acmee/b"}, "the item for quay.io/acme; quay.io/acmee/b has no credentials", true},
		"short and different":  {"- registry: a.io", []string{"b.de/a"}, []string{"b.de/a"}, "the item for a.io", false},
	} {
		s, bad := read(t, nil, []string{"GITHUB_ACTIONS=true", "INPUT_REGISTRY-AUTH=" + c.items}, "")
		if len(bad) > 0 {
			t.Fatal(bad)
		}
		unused := UnusedItems(s.Items, repositories(t, c.used...), repositories(t, c.without...))
		switch {
		case c.says == "" && len(unused) == 0:
		case c.says == "" || len(unused) != 1:
			t.Errorf("%s: %v", name, unused)
		case !strings.Contains(unused[0].String(), c.says) || unused[0].Warning() != c.warning:
			t.Errorf("%s: %s, warning %v", name, unused[0], unused[0].Warning())
		}
	}
}
