package config

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// indexLevel is how docker/metadata-action is told to put out annotations of an index; by
// default it puts out those of manifests.
const indexLevel = "An image that was built keeps its bytes; only a merged index takes annotations. " +
	"With docker/metadata-action set env: DOCKER_METADATA_ANNOTATIONS_LEVELS: index."

// annotations reads [index:]KEY=VALUE, one a line, as docker/metadata-action puts them out.
func (in *inputs) annotations() []Annotation {
	var all []Annotation
	line := 0
	wrong := func(what, remedy string) {
		in.bad.add(usererror.InvalidInput, fmt.Sprintf("%s, line %d: %s", in.where("annotations"), line, what), remedy)
	}
	for written := range strings.Lines(in.get("annotations")) {
		line++
		text := strings.TrimSpace(written)
		if text == "" {
			continue
		}
		key, value, ok := strings.Cut(text, "=")
		level, rest, leveled := strings.Cut(key, ":")
		if leveled {
			key = rest
		}
		key = strings.TrimSpace(key)
		at := slices.IndexFunc(all, func(a Annotation) bool { return a.Key == key })
		switch {
		case !ok:
			wrong(fmt.Sprintf("%q is not KEY=VALUE", short(text)), "Write KEY=VALUE or index:KEY=VALUE, one a line.")
		case leveled && level != "index":
			wrong(fmt.Sprintf("%q is an annotation of another level than index", short(text)), indexLevel)
		case key == "" || strings.ContainsFunc(key, unicode.IsSpace):
			wrong(fmt.Sprintf("%q is not the key of an annotation", short(key)),
				"Write a key without spaces, such as org.opencontainers.image.version.")
		case at >= 0 && all[at].Value != value:
			wrong(fmt.Sprintf("%s has another value in a line above", short(key)), "Leave one of them.")
		case at < 0:
			all = append(all, Annotation{Key: key, Value: value})
		}
	}
	return all
}

// checkAnnotations refuses annotations of an image that is not merged.
func (in *inputs) checkAnnotations(s *Settings) {
	if len(s.Annotations) == 0 {
		return
	}
	for _, image := range s.Images {
		if image.Source == "" || merged(image.Source) {
			continue
		}
		what := "the source is one image, built as it is"
		if s.Several {
			what = fmt.Sprintf("the source of image %q is one image, built as it is", short(image.Name))
		}
		in.bad.add(usererror.InvalidInput, in.where("annotations")+": "+what, indexLevel)
	}
}

// merged reports whether a source is merged from parts: several lines, or a path with *.
func merged(source string) bool {
	return strings.Contains(strings.TrimSuffix(source, "\n"), "\n") || strings.Contains(source, "*")
}
