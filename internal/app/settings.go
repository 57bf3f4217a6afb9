package app

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/publish"
	"github.com/multi-registry-push/multi-registry-push/internal/redact"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// mostConcurrency is where more blobs in flight to one registry stop being of use.
const mostConcurrency = 64

// settings are the inputs, understood. The source is not: without an enabled registry
// nobody looks at it.
type settings struct {
	Source       string
	Destinations []publish.Destination
	Unconfigured []publish.Unconfigured
	TagsEmpty    bool
	Items        []credentials.Item
	Undecided    bool // tags or registry-auth is wrong: which registries are enabled is unknown
	GitHubToken  redact.Text

	FailOnMissing    bool
	Atomic           bool
	ImmutableTags    *regexp.Regexp
	CreateImmutable  bool
	Platforms        []string
	Referrers        bool
	CreateRepository bool
	Concurrency      int
	DryRun           bool
	Summary          bool
}

// parseSettings understands the inputs and reports all that is wrong with them. Secrets
// are given to learn first.
func parseSettings(in *inputs, learn func(user string, s redact.Text), actor string, bad *problems) *settings {
	s := &settings{Source: strings.TrimSpace(in.get("source"))}
	if token := strings.TrimSpace(in.get("github-token")); token != "" {
		s.GitHubToken = redact.New(token)
		learn(actor, s.GitHubToken)
	}
	before := len(*bad)
	s.Items = parseItems(in.where("registry-auth"), in.get("registry-auth"), learn, bad)
	for i := range s.Items {
		if item := &s.Items[i]; item.Skip != "" {
			s.Unconfigured = append(s.Unconfigured, publish.Unconfigured{Input: "registry-auth", Line: item.Line, Text: "registry:", Reason: item.Skip})
		}
	}
	destinations, empty := parseTags(in.where("tags"), in.get("tags"), bad)
	s.Destinations = destinations
	s.Unconfigured = append(s.Unconfigured, empty...)
	s.Undecided = len(*bad) > before || in.unread["registry-auth"]
	s.TagsEmpty = strings.Trim(in.get("tags"), ", \t\r\n") == ""

	if value, ok := in.choice("missing-credentials", []string{"skip", "fail"}, bad); ok {
		s.FailOnMissing = value == "fail"
	}
	if expression := strings.TrimSpace(in.get("immutable-tags")); expression != "" {
		r, err := anchored(expression)
		if err != nil {
			bad.add(usererror.InvalidInput, fmt.Sprintf("%s: %v", in.where("immutable-tags"), err), `Write a regular expression as RE2 takes it, such as v?\d+\.\d+\.\d+; it must match the whole tag.`)
		}
		s.ImmutableTags = r
		s.CreateImmutable = expression == ".*"
	}
	s.Platforms = in.platforms(bad)
	s.Concurrency = in.number("concurrency", 1, mostConcurrency, bad)
	for _, b := range []struct {
		name string
		to   *bool
	}{{"atomic", &s.Atomic}, {"referrers", &s.Referrers}, {"create-repository", &s.CreateRepository}, {"dry-run", &s.DryRun}, {"summary", &s.Summary}} {
		if value, ok := in.choice(b.name, []string{"true", "false"}, bad); ok {
			*b.to = value == "true"
		}
	}
	return s
}

// choice reads an input that is one of a few words, in any case.
func (in *inputs) choice(name string, words []string, bad *problems) (string, bool) {
	value := strings.ToLower(strings.TrimSpace(in.get(name)))
	if slices.Contains(words, value) {
		return value, true
	}
	bad.add(usererror.InvalidInput, fmt.Sprintf("%s: %q is not %s", in.where(name), short(in.get(name)), strings.Join(words, " or ")),
		"Write "+strings.Join(words, " or ")+".")
	return "", false
}

func (in *inputs) number(name string, least, most int, bad *problems) int {
	n, err := strconv.Atoi(strings.TrimSpace(in.get(name)))
	if err != nil || n < least || n > most {
		bad.add(usererror.InvalidInput, fmt.Sprintf("%s: %q is not a number from %d to %d", in.where(name), short(in.get(name)), least, most),
			fmt.Sprintf("Write a number from %d to %d.", least, most))
		return least
	}
	return n
}

// platform is OS/ARCHITECTURE[/VARIANT] as the OCI image spec spells them.
var platform = regexp.MustCompile(`^[a-z0-9]+/[a-z0-9_]+(?:/[a-z0-9.]+)?$`)

// platforms reads a list, one a line or comma-separated. The word all is what an empty
// input means.
func (in *inputs) platforms(bad *problems) []string {
	var out []string
	line := 0
	for written := range strings.Lines(in.get("platforms")) {
		line++
		for entry := range strings.SplitSeq(written, ",") {
			entry = strings.TrimSpace(entry)
			switch {
			case entry == "" || slices.Contains(out, entry):
			case !platform.MatchString(entry) && entry != "all":
				bad.add(usererror.InvalidInput, fmt.Sprintf("%s, line %d: %q is not a platform", in.where("platforms"), line, short(entry)),
					"Write OS/ARCHITECTURE, such as linux/amd64 or linux/arm/v7.")
			default:
				out = append(out, entry)
			}
		}
	}
	if slices.Contains(out, "all") {
		if len(out) > 1 {
			bad.add(usererror.InvalidInput, in.where("platforms")+": all and single platforms exclude each other", "Write one or the other.")
		}
		return nil
	}
	return out
}
