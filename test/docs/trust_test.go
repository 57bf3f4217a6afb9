package docs

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/test/standins"
)

// keylessKeys finds a key of registry-auth with which a job's OIDC token is exchanged.
var keylessKeys = regexp.MustCompile(`(?m)^[ -]*(` + strings.Join(standins.KeylessKeys(), "|") + `): `)

// subject is a trust rule's subject of a branch, old or new form.
var subject = regexp.MustCompile(`repo:[^\s:"',\]]+:[^\s"'` + "`" + `,\]]+`)

// TestTrustRules: every page and recipe with a keyless login shows the rule in both forms of
// the subject, as exact values: a wildcard in owner or repository lets strangers in.
// READMEs point to the pages; our own workflows are no examples.
func TestTrustRules(t *testing.T) {
	paths := pages(t)
	for _, w := range workflows(t) {
		paths = append(paths, w.name)
	}
	checked := 0
	for _, path := range paths {
		if !strings.Contains(path, "docs/re") || strings.HasSuffix(path, "README.md") || strings.Contains(path, ".md:") {
			continue
		}
		text := string(read(t, path))
		old, with := 0, 0
		for _, s := range subject.FindAllString(text, -1) {
			repository := strings.Split(s, ":")[1]
			switch {
			case strings.ContainsAny(repository, "*?"):
				t.Errorf("%s: the rule %s has a wildcard in owner or repository", path, s)
			case strings.Count(repository, "@") == 2:
				with++
			default:
				old++
			}
		}
		// On other servers there are no ids in subjects.
		if keylessKeys.MatchString(text) && !strings.Contains(path, "gitea") && !strings.Contains(path, "forgejo") {
			checked++
			if old == 0 || with == 0 {
				t.Errorf("%s has a keyless login; it shows %d rules in the old form of the subject and %d in that with ids",
					path, old, with)
			}
		}
		if old != with {
			t.Errorf("%s shows %d rules in the old form of the subject and %d in that with ids", path, old, with)
		}
	}
	if checked < 8 {
		t.Errorf("only %d pages and recipes with a keyless login found", checked)
	}
	if !slices.Contains(subject.FindAllString(`"repo:acme/*:ref:x",`, -1), "repo:acme/*:ref:x") {
		t.Error("a wildcard would not be seen")
	}
}
