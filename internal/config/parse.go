package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
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
	s.Items = in.parseItems(from.Learn)
	for i := range s.Items {
		if item := &s.Items[i]; item.Skip != "" {
			s.Skipped = append(s.Skipped,
				Skip{Input: "registry-auth", Line: item.Line, Text: "registry:", Reason: item.Skip})
		}
	}
	in.destinations(s)
	s.Undecided = len(in.bad) > before || in.unread["registry-auth"]
	in.options(s)
	for i := range s.Images {
		image := &s.Images[i]
		if image.Platforms == nil {
			image.Platforms = s.Platforms
		}
		if len(image.Platforms) == 0 {
			image.Platforms = nil // all, as written
		}
	}
	in.checkAnnotations(s)
	in.exclusions(s)
	return s
}

// destinations reads images, or source and tags.
func (in *inputs) destinations(s *Settings) {
	single := []string{}
	for _, name := range []string{"source", "tags"} {
		if strings.TrimSpace(in.get(name)) != "" {
			single = append(single, in.where(name))
		}
	}
	if in.parseImages(s) {
		if len(single) > 0 {
			in.bad.add(usererror.InvalidInput,
				fmt.Sprintf("%s and %s exclude each other", in.where("images"), strings.Join(single, " and ")),
				"Write source and tags as keys of an item of images.")
		}
	} else {
		p := tagParser{bad: &in.bad, workflow: in.workflow,
			place: func(line int) string { return fmt.Sprintf("%s, line %d", in.where("tags"), line) }}
		tags := p.parse(in.get("tags"))
		s.Images = []Image{{Source: sourceText([]string{in.get("source")}), Destinations: tags.destinations}}
		s.Skipped = append(s.Skipped, tags.skipped...)
		s.byComma = tags.byComma
		s.TagsEmpty = strings.Trim(in.get("tags"), ", \t\r\n") == ""
	}
	s.Warnings = append(s.Warnings, s.commaWarnings()...)
}

// commaWarnings says which registries are destinations only because of a comma.
func (s *Settings) commaWarnings() (warnings []string) {
	for _, host := range s.byComma {
		named := slices.ContainsFunc(s.Items, func(item credentials.Item) bool { return item.Registry == host })
		if !named {
			warnings = append(warnings, fmt.Sprintf("%s is a destination only because of a comma in %s: "+
				"no item of registry-auth names it. A branch name can hold a comma; write each reference in a line "+
				"of its own",
				host, s.Name("tags")))
		}
	}
	return warnings
}

// exclusions refuses inputs that do not go together.
func (in *inputs) exclusions(s *Settings) {
	immutable := strings.TrimSpace(in.get("immutable-tags")) != ""
	if s.PushByDigest {
		for _, other := range []struct {
			name string
			set  bool
		}{{"immutable-tags", immutable}, {"skip-existing", s.SkipExisting}} {
			if other.set {
				in.bad.add(usererror.InvalidInput,
					fmt.Sprintf("%s and %s exclude each other", in.where("push-by-digest"), in.where(other.name)),
					"No tag is written by digest, so that none can be immutable or be there already: leave one of "+
						"them.")
			}
		}
		return
	}
	if s.SkipExisting && !immutable {
		in.bad.add(usererror.InvalidInput, fmt.Sprintf("%s needs immutable-tags", in.where("skip-existing")),
			`Say in immutable-tags which tags never move, such as v?\d+\.\d+\.\d+.`)
	}
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
	s.Annotations = in.annotations()
	if !strings.EqualFold(strings.TrimSpace(in.get("concurrency")), "auto") {
		s.Concurrency = in.number("concurrency", 1, mostConcurrency)
	}
	for _, b := range []struct {
		name string
		to   *bool
	}{
		{"atomic", &s.Atomic}, {"skip-existing", &s.SkipExisting}, {"push-by-digest", &s.PushByDigest},
		{"referrers", &s.Referrers}, {"create-repository", &s.CreateRepository}, {"thorough", &s.Thorough},
		{"dry-run", &s.DryRun}, {"summary", &s.Summary},
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
	in.bad.add(usererror.InvalidInput,
		fmt.Sprintf("%s: %q is not %s", in.where(name), short(in.get(name)), strings.Join(words, " or ")),
		"Write "+strings.Join(words, " or ")+".")
	return "", false
}

// number reads an input that is a number or auto.
func (in *inputs) number(name string, least, most int) int {
	n, err := strconv.Atoi(strings.TrimSpace(in.get(name)))
	if err != nil || n < least || n > most {
		in.bad.add(usererror.InvalidInput,
			fmt.Sprintf("%s: %q is neither auto nor a number from %d to %d", in.where(name), short(in.get(name)), least,
				most),
			fmt.Sprintf("Write auto, or a number from %d to %d.", least, most))
		return least
	}
	return n
}

// platform is OS/ARCHITECTURE[/VARIANT] in any of the spellings that image.ParsePlatform takes.
var platform = regexp.MustCompile(`^[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+){1,2}$`)

func (in *inputs) platforms() []string {
	list, wrong := parsePlatforms(in.get("platforms"))
	for _, w := range wrong {
		at := in.where("platforms")
		if w.line > 0 {
			at += fmt.Sprintf(", line %d", w.line)
		}
		in.bad.add(usererror.InvalidInput, at+": "+w.what, w.remedy)
	}
	return list
}

// wrongPlatform is what is wrong with a list of platforms.
type wrongPlatform struct {
	line         int // from 1; 0 for the list as a whole
	what, remedy string
}

// parsePlatforms reads a list, one a line or comma-separated. The word all is what an empty
// input means; written, it gives an empty list that is not nil.
func parsePlatforms(text string) (list []string, wrong []wrongPlatform) {
	line := 0
	for written := range strings.Lines(text) {
		line++
		for entry := range strings.SplitSeq(written, ",") {
			entry = strings.TrimSpace(entry)
			switch {
			case entry == "" || slices.Contains(list, entry):
			case !platform.MatchString(entry) && entry != "all":
				wrong = append(wrong, wrongPlatform{line: line, what: fmt.Sprintf("%q is not a platform", short(entry)),
					remedy: "Write OS/ARCHITECTURE, such as linux/amd64 or linux/arm/v7."})
			default:
				list = append(list, entry)
			}
		}
	}
	if slices.Contains(list, "all") {
		if len(list) > 1 {
			wrong = append(wrong, wrongPlatform{what: "all and single platforms exclude each other",
				remedy: "Write one or the other."})
		}
		return []string{}, wrong // not nil: an image's own, in place of the input
	}
	return list, wrong
}

// anchored compiles an expression that must match the whole of a text.
func anchored(expression string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(expression); err != nil {
		return nil, err // says what is wrong with the expression as it was written
	}
	return regexp.Compile(`\A(?:` + expression + `)\z`)
}
