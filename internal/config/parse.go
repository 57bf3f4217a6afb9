package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// mostConcurrency is where more blobs in flight to one registry stop being of use.
const mostConcurrency = 64

// settings understands the inputs and adds what is wrong with them to in.bad. Secrets are
// given to from.Learn first.
func (in *inputs) settings(from Sources) *Settings {
	s := &Settings{names: in.flags}
	if token := strings.TrimSpace(in.get("github-token")); token != "" {
		s.GitHubToken = redact.New(token)
		from.Learn(from.Actor, s.GitHubToken)
	}
	before := len(in.bad)
	s.Items = parseItems(in.where("registry-auth"), in.get("registry-auth"), from.Learn, &in.bad)
	for i := range s.Items {
		if item := &s.Items[i]; item.Skip != "" {
			s.Skipped = append(s.Skipped, Skip{Input: "registry-auth", Line: item.Line, Text: "registry:", Reason: item.Skip})
		}
	}
	destinations, empty := parseTags(in.where("tags"), in.get("tags"), &in.bad)
	s.Images = []Image{{Source: strings.TrimSpace(in.get("source")), Destinations: destinations}}
	s.Skipped = append(s.Skipped, empty...)
	s.Undecided = len(in.bad) > before || in.unread["registry-auth"]
	s.TagsEmpty = strings.Trim(in.get("tags"), ", \t\r\n") == ""
	in.options(s)
	return s
}

// options reads the inputs that hold for all images and registries.
func (in *inputs) options(s *Settings) {
	if value, ok := in.choice("missing-credentials", []string{"skip", "fail"}); ok {
		s.FailOnMissing = value == "fail"
	}
	if expression := strings.TrimSpace(in.get("immutable-tags")); expression != "" {
		r, err := anchored(expression)
		if err != nil {
			in.bad.add(usererror.InvalidInput, fmt.Sprintf("%s: %v", in.where("immutable-tags"), err), writeRE2)
		}
		s.ImmutableTags = r
		s.CreateImmutable = expression == ".*"
	}
	s.Platforms = in.platforms()
	s.Concurrency = in.number("concurrency", 1, mostConcurrency)
	for _, b := range []struct {
		name string
		to   *bool
	}{
		{"atomic", &s.Atomic}, {"referrers", &s.Referrers}, {"create-repository", &s.CreateRepository}, {"dry-run", &s.DryRun}, {"summary", &s.Summary},
	} {
		if value, ok := in.choice(b.name, []string{"true", "false"}); ok {
			*b.to = value == "true"
		}
	}
}

// writeRE2 is the remedy for a regular expression that cannot be read.
const writeRE2 = `Write a regular expression as RE2 takes it, such as v?\d+\.\d+\.\d+; it must match the whole tag.`

// choice reads an input that is one of a few words, in any case.
func (in *inputs) choice(name string, words []string) (string, bool) {
	value := strings.ToLower(strings.TrimSpace(in.get(name)))
	if slices.Contains(words, value) {
		return value, true
	}
	in.bad.add(usererror.InvalidInput, fmt.Sprintf("%s: %q is not %s", in.where(name), short(in.get(name)), strings.Join(words, " or ")),
		"Write "+strings.Join(words, " or ")+".")
	return "", false
}

func (in *inputs) number(name string, least, most int) int {
	n, err := strconv.Atoi(strings.TrimSpace(in.get(name)))
	if err != nil || n < least || n > most {
		in.bad.add(usererror.InvalidInput, fmt.Sprintf("%s: %q is not a number from %d to %d", in.where(name), short(in.get(name)), least, most),
			fmt.Sprintf("Write a number from %d to %d.", least, most))
		return least
	}
	return n
}

// platform is OS/ARCHITECTURE[/VARIANT] as the OCI image spec spells them.
var platform = regexp.MustCompile(`^[a-z0-9]+/[a-z0-9_]+(?:/[a-z0-9.]+)?$`)

// platforms reads a list, one a line or comma-separated. The word all is what an empty
// input means.
func (in *inputs) platforms() []string {
	var out []string
	line := 0
	for written := range strings.Lines(in.get("platforms")) {
		line++
		for entry := range strings.SplitSeq(written, ",") {
			entry = strings.TrimSpace(entry)
			switch {
			case entry == "" || slices.Contains(out, entry):
			case !platform.MatchString(entry) && entry != "all":
				in.bad.add(usererror.InvalidInput, fmt.Sprintf("%s, line %d: %q is not a platform", in.where("platforms"), line, short(entry)),
					"Write OS/ARCHITECTURE, such as linux/amd64 or linux/arm/v7.")
			default:
				out = append(out, entry)
			}
		}
	}
	if slices.Contains(out, "all") {
		if len(out) > 1 {
			in.bad.add(usererror.InvalidInput, in.where("platforms")+": all and single platforms exclude each other", "Write one or the other.")
		}
		return nil
	}
	return out
}
