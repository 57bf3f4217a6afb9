package config

import (
	"fmt"
	"regexp"

	"github.com/multi-registry-push/multi-registry-push/internal/credentials"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/redact"
)

// Settings are the inputs, understood. Sources are not: without an enabled registry nobody
// looks at them, so that Image.Source is what was written.
type Settings struct {
	Images  []Image // one, unless the input images was used
	Several bool    // the input images was used, even if it names one image
	Skipped []Skip  // lines and items that name no destination

	TagsEmpty bool // there is nothing to do: a warning
	Undecided bool // which registries are enabled is unknown: tags, images or registry-auth is wrong

	Warnings []string // what is not wrong but should be looked at

	Items       []credentials.Item
	GitHubToken redact.Text

	Platforms   []string     // the input; what holds for an image is Image.Platforms
	Annotations []Annotation // of merged indexes

	Policy
	Summary bool

	names   map[string]bool // inputs that came from a flag
	byComma []string        // hosts that only a comma makes destinations
}

// Policy is what the inputs say of every image.
type Policy struct {
	Atomic           bool
	DryRun           bool
	PushByDigest     bool
	ImmutableTags    *regexp.Regexp // anchored; nil for none
	SkipExisting     bool
	Referrers        bool
	Thorough         bool
	FailOnMissing    bool // missing-credentials: fail
	CreateRepository bool
	CreateImmutable  bool // immutable-tags is .*
	Concurrency      int  // blobs in flight to one registry; 0 is auto
}

// Name returns how a person wrote an input: "tags" or "--tags".
func (s *Settings) Name(input string) string {
	if s.names[input] {
		return "--" + input
	}
	return input
}

// Image is one image that was asked for.
type Image struct {
	Name         string // empty unless Several
	Line         int    // in images, from 1
	Source       string // as written, line ends included: one source, or several lines that are merged; empty if blank
	Destinations []Destination
	Platforms    []string // those to publish; empty is all
}

// Destination is one line of tags. With push-by-digest its tag only decides whether
// tags-matching lets it through.
type Destination struct {
	Reference imageref.Reference
	Line      int // in its input, from 1
}

// Skip is a line of tags, an item of images or one of registry-auth that names no
// configured destination: an empty variable most likely.
type Skip struct {
	Input  string // "tags", "images" or "registry-auth"
	Line   int    // from 1
	Text   string // the line as written; of registry-auth never more than the registry
	Host   string // the registry that the line still names, empty if it names none
	Reason string // "has an empty part; …", to be read behind Text; of registry-auth "registry is empty"
}

// String returns what people read of it: "tags, line 3, quay.io//app:main has an empty part;
// a variable in it is probably unset".
func (s Skip) String() string {
	if s.Input == "registry-auth" {
		return fmt.Sprintf("registry-auth, line %d: %s; a variable in it is probably unset", s.Line, s.Reason)
	}
	return fmt.Sprintf("%s, line %d, %s %s", s.Input, s.Line, s.Text, s.Reason)
}

// Annotation is one line of annotations: a key and a value of a merged index.
type Annotation struct{ Key, Value string }
