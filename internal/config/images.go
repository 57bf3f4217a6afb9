package config

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
	"github.com/multi-registry-push/multi-registry-push/internal/suggest"
	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// imageKeys are the keys of an item of images, in the order of the documents.
var imageKeys = []string{"name", "source", "tags", "platforms"}

// longestName bounds an image's name, in bytes.
const longestName = 128

// imageList reads the input images.
type imageList struct {
	yamlText
	workflow bool
	images   []Image
	skipped  []Skip
	byComma  []string
}

// parseImages reads images. It returns false if the input is empty.
func (in *inputs) parseImages(s *Settings) bool {
	text := in.get("images")
	list := &imageList{yamlText: newYAMLText(in.where("images"), text, in.wholeText(), &in.bad), workflow: in.workflow}
	before := len(in.bad)
	items := list.list(usererror.InvalidInput, text, "- source: ./image.tar")
	if len(items) == 0 && len(in.bad) == before {
		return false
	}
	for _, n := range items {
		list.item(n)
	}
	list.names()
	list.references()
	s.Several, s.Images, s.byComma = true, list.images, list.byComma
	s.Skipped = append(s.Skipped, list.skipped...)
	return true
}

// wholeText is the remedy for whatever YAML makes of a text in images.
func (in *inputs) wholeText() string {
	if in.workflow {
		return "Write text that comes from elsewhere as tags: ${{ toJSON(steps.meta.outputs.tags) }}, " +
			"which carries any number of lines whole."
	}
	return "Write several lines as a list, tags: [REFERENCE, REFERENCE], and anything unusual in double quotes."
}

// item reads one image. One with empty tags or an empty source is skipped like an unset
// secret.
func (l *imageList) item(n *yaml.Node) {
	if !l.plain(usererror.InvalidInput, n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		l.wrong(usererror.InvalidInput, n, "this is not an image",
			"Write keys and values: - source: ./image.tar, and below it tags.")
		return
	}
	values := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		l.entry(n.Content[i], n.Content[i+1], values)
	}
	image := Image{Line: n.Line, Name: strings.TrimSpace(scalar(values["name"]))}
	if image.Name != "" && (len(image.Name) > longestName || strings.ContainsFunc(image.Name, unicode.IsControl)) {
		l.wrong(usererror.InvalidInput, values["name"],
			fmt.Sprintf("name is not one line of at most %d characters",
				longestName), "Write a short name, such as web.")
	}
	tags := l.tags(values["tags"])
	image.Source = sourceText(texts(values["source"]))
	image.Destinations = tags.destinations
	if p := values["platforms"]; p != nil {
		image.Platforms = l.platforms(p)
	}
	blankTags := strings.Trim(strings.Join(texts(values["tags"]), ""), ", \t\r\n") == ""
	switch {
	case blankTags:
		l.skip(n, image, "has empty tags")
	case image.Source == "":
		l.skip(n, image, "has an empty source")
	default:
		l.skipped = append(l.skipped, tags.skipped...)
		l.byComma = append(l.byComma, tags.byComma...)
		if len(image.Destinations) > 0 {
			l.images = append(l.images, image)
		}
	}
}

func (l *imageList) skip(n *yaml.Node, image Image, reason string) {
	text := "the image"
	if image.Name != "" {
		text = fmt.Sprintf("image %q", short(image.Name))
	}
	l.skipped = append(l.skipped, Skip{Input: "images", Line: n.Line, Text: text, Reason: reason})
}

// entry checks one key and its value and adds it.
func (l *imageList) entry(key, value *yaml.Node, values map[string]*yaml.Node) {
	name := key.Value
	if key.Kind != yaml.ScalarNode || !slices.Contains(imageKeys, name) {
		if near := suggest.Nearest(name, imageKeys); near != "" && key.Kind == yaml.ScalarNode {
			l.wrong(usererror.UnknownInput, key, fmt.Sprintf("there is no key %q", short(name)),
				"Did you mean "+near+"?")
		} else {
			l.wrong(usererror.UnknownInput, key, "there is no such key",
				"Known are "+strings.Join(imageKeys, ", ")+"; all other inputs hold for every image.")
		}
		return
	}
	if !l.plain(usererror.InvalidInput, key) || !l.plain(usererror.InvalidInput, value) {
		return
	}
	if values[name] != nil {
		l.wrong(usererror.InvalidInput, key, name+" is there already in this item", "Leave one of them.")
		return
	}
	switch {
	case value.Kind == yaml.ScalarNode:
	case name == "name":
		l.wrong(usererror.InvalidInput, value, "name is not text", "Write a short name, such as web.")
		return
	case !isTextList(value):
		l.wrong(usererror.InvalidInput, value, name+" is neither text nor a list of texts", l.whole)
		return
	}
	values[name] = value
}

// tags reads the destinations of one image: as text, like the input tags, or as a list.
func (l *imageList) tags(n *yaml.Node) tagList {
	var all tagList
	if n == nil {
		return all
	}
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = n.Content
	}
	for _, node := range nodes {
		p := tagParser{bad: l.bad, workflow: l.workflow, place: func(line int) string {
			return fmt.Sprintf("%s, line %d, tags", l.where, lineOf(node, line))
		}}
		got := p.parse(scalar(node))
		for _, d := range got.destinations {
			d.Line = lineOf(node, d.Line)
			if !slices.ContainsFunc(all.destinations,
				func(other Destination) bool { return other.Reference == d.Reference }) {
				all.destinations = append(all.destinations, d)
			}
		}
		for _, s := range got.skipped {
			s.Input, s.Line = "images", lineOf(node, s.Line)
			all.skipped = append(all.skipped, s)
		}
		all.byComma = append(all.byComma, got.byComma...)
	}
	return all
}

// lineOf returns the line of the input in which a line of a text stands. Text in quotes is
// one line, whatever it holds.
func lineOf(n *yaml.Node, line int) int {
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return n.Line + line
	}
	return n.Line
}

func (l *imageList) platforms(n *yaml.Node) []string {
	list, wrong := parsePlatforms(strings.Join(texts(n), "\n"))
	for _, w := range wrong {
		l.wrong(usererror.InvalidInput, n, "platforms: "+w.what, w.remedy)
	}
	return list
}

// names gives each image without a name that of its first repository, and refuses one that
// is there twice.
func (l *imageList) names() {
	lines := map[string]int{}
	for i := range l.images {
		image := &l.images[i]
		if image.Name == "" {
			image.Name = path.Base(image.Destinations[0].Reference.Path)
		}
		if first, there := lines[image.Name]; there {
			l.bad.add(usererror.InvalidInput,
				fmt.Sprintf("%s, line %d: the image in line %d is called %q, too", l.where, image.Line, first,
					short(image.Name)),
				"Give each a name of its own, such as name: web. Without one it is the last part of the first "+
					"repository.")
			continue
		}
		lines[image.Name] = image.Line
	}
}

// references refuses a tag that two images are to get.
func (l *imageList) references() {
	owner := map[imageref.Reference]*Image{}
	for i := range l.images {
		image := &l.images[i]
		for _, d := range image.Destinations {
			other := owner[d.Reference]
			if other == nil {
				owner[d.Reference] = image
				continue
			}
			l.bad.add(usererror.InvalidInput,
				fmt.Sprintf("%s, line %d: %s is a tag of the image in line %d already", l.where, d.Line, d.Reference,
					other.Line),
				"A tag is one image: give each its own repository or tag.")
		}
	}
}

// scalar returns the text of a scalar, "" for null and for what is not there.
func scalar(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode || isNull(n) {
		return ""
	}
	return n.Value
}

// texts returns a scalar's text, or those of a list.
func texts(n *yaml.Node) []string {
	if n == nil || n.Kind == yaml.ScalarNode {
		return []string{scalar(n)}
	}
	var all []string
	for _, item := range n.Content {
		all = append(all, scalar(item))
	}
	return all
}

// sourceText joins what names a source, line by line: an empty one among others stays, since
// it may be a platform that an unset variable lost. Each text may end in one line end.
func sourceText(lines []string) string {
	if strings.TrimSpace(strings.Join(lines, "")) == "" {
		return ""
	}
	if len(lines) == 1 {
		return lines[0]
	}
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r") + "\n")
	}
	return b.String()
}
