package source

import (
	"fmt"
	"slices"
	"strings"

	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
)

// Kind is where an image is.
type Kind string

// The kinds are the prefixes of containers-transports(5); BarePath has none, there
// the contents decide.
const (
	Registry      Kind = "docker"
	Layout        Kind = "oci"
	LayoutArchive Kind = "oci-archive"
	DockerArchive Kind = "docker-archive"
	DockerDaemon  Kind = "docker-daemon"
	BarePath      Kind = "path"
)

// Spec says where an image is.
type Spec struct {
	Kind Kind
	Text string // as written
	Line int    // in the input, from 1, where that has several lines; else 0

	// Reference is set for Registry.
	Reference imageref.Reference
	// Path is set for files and folders: PATH or PATH:NAME, mapped to what this
	// process sees. Only the file system tells where a path with colons ends, so
	// Open takes it apart.
	Path string
	// Name is set for DockerDaemon: a reference or an id.
	Name string
}

// Key is equal for specs that name the same source, wherever that is written.
func (s Spec) Key() string {
	switch s.Kind {
	case Registry:
		return string(s.Kind) + "\x00" + s.Reference.String()
	case DockerDaemon:
		return string(s.Kind) + "\x00" + s.Name
	}
	return string(s.Kind) + "\x00" + s.Path
}

// Repository returns the repository of a remote image, nil for local ones.
func (s Spec) Repository() *imageref.Repository {
	if s.Kind != Registry {
		return nil
	}
	r := s.Reference.Repository
	return &r
}

// Parse reads the source input. It sends nothing; of the file system it asks only
// whether a bare value is a file, which must not be taken for a reference. The
// error is an *Error or an *imageref.Error.
func Parse(value string, paths Paths) (Spec, error) {
	text := strings.TrimSpace(value)
	spec := Spec{Text: text}
	if text == "" {
		return spec, wrong(Invalid, "source is empty")
	}
	if strings.ContainsAny(text, "\n\r\x00") {
		return spec, wrong(SeveralLines, "source %q is more than one line", short(text))
	}
	kind, rest, prefixed := cutPrefix(text)
	untagged, _, _ := imageref.CutTag(text)
	path := isPath(text) || isPath(untagged)
	if !prefixed && !path || kind == Registry || kind == DockerDaemon {
		// Before anything quotes it.
		if imageref.HoldsCredentials(rest) {
			return spec, wrong(WithCredentials, "source: credentials stand in front of the host")
		}
	}
	if prefixed {
		return parsePrefixed(spec, kind, rest, paths)
	}
	if err := otherForm(text); err != nil {
		return spec, err
	}
	if scheme, rest, ok := cutScheme(text); ok {
		return spec, &Error{Kind: UnknownScheme, Named: short(rest),
			What: fmt.Sprintf("source %q begins with %s, which names no kind of image", short(text), short(scheme))}
	}
	switch {
	case path:
		spec.Kind, spec.Path = BarePath, paths.Map(text)
		return spec, nil
	case paths.exists(text), paths.exists(untagged):
		return spec, &Error{Kind: FileOrReference, Named: short(text),
			What: fmt.Sprintf("source %q is a file here, and could be a reference", short(text))}
	case imageref.BeginsWithHost(text):
		return parseReference(spec, text)
	}
	return spec, &Error{Kind: NeitherHostNorPath, Named: short(text),
		What: fmt.Sprintf("source %q names neither a registry host nor a path", short(text))}
}

func parsePrefixed(spec Spec, kind Kind, rest string, paths Paths) (Spec, error) {
	spec.Kind = kind
	switch kind {
	case Registry:
		return parseReference(spec, rest)
	case DockerDaemon:
		if err := complete(rest, spec.Text); err != nil {
			return spec, err
		}
		if err := imageref.CheckEngineName(rest); err != nil {
			return spec, wrong(InvalidEngineName, "source %q: %s", short(spec.Text), short(err.Error()))
		}
		spec.Name = rest
		return spec, nil
	}
	if rest == "" || rest[0] == ':' {
		return spec, wrong(NoPath, "source %q has no path", short(spec.Text))
	}
	spec.Path = paths.Map(rest)
	return spec, nil
}

func parseReference(spec Spec, text string) (Spec, error) {
	spec.Kind = Registry
	if err := complete(text, spec.Text); err != nil {
		return spec, err
	}
	if strings.HasPrefix(text, "/") {
		return spec, wrong(HostUnset, "source %q has an empty registry host", short(spec.Text))
	}
	var err error
	spec.Reference, err = imageref.ParseSource(text)
	return spec, err
}

// complete refuses what is left of a reference when the variable at its end was
// empty: NAME@ and NAME:.
func complete(rest, text string) error {
	switch {
	case rest == "":
		return wrong(NoReference, "source %q has no reference", short(text))
	case strings.HasSuffix(rest, "@"), strings.HasSuffix(rest, "@sha256:"):
		return wrong(DigestUnset, "source %q ends in @: the digest is empty", short(text))
	case strings.HasSuffix(rest, ":"):
		return wrong(TagUnset, "source %q ends in a colon: the tag is empty", short(text))
	}
	return nil
}

func cutPrefix(text string) (Kind, string, bool) {
	if rest, ok := strings.CutPrefix(text, "docker://"); ok {
		return Registry, rest, true
	}
	for _, kind := range []Kind{Layout, LayoutArchive, DockerArchive, DockerDaemon} {
		if rest, ok := strings.CutPrefix(text, string(kind)+":"); ok {
			return kind, rest, true
		}
	}
	return "", text, false
}

// otherForm refuses forms that other tools know, with what to write instead.
func otherForm(text string) error {
	if rest, ok := strings.CutPrefix(text, "file:"); ok && strings.HasPrefix(rest, "/") {
		rest = strings.TrimPrefix(rest, "//")
		return &Error{Kind: FileScheme, Named: short(rest),
			What: fmt.Sprintf("source %q begins with %s, but paths are written as they are", short(text),
				strings.TrimSuffix(text, rest))}
	}
	if rest, ok := strings.CutPrefix(text, "dir:"); ok {
		return &Error{Kind: DirForm, Named: short(rest), What: fmt.Sprintf("source %q is a folder in the form of "+
			"Skopeo and Podman, which keeps no names and is no OCI image layout", short(text))}
	}
	return nil
}

// cutScheme finds schemes that we do not know, and docker: without its slashes.
func cutScheme(text string) (scheme, rest string, ok bool) {
	if rest, ok = strings.CutPrefix(text, "docker:"); ok {
		return "docker:", strings.TrimLeft(rest, "/"), true
	}
	scheme, rest, ok = strings.Cut(text, "://")
	return scheme + "://", rest, ok
}

func isPath(s string) bool {
	return isArchive(s) || s == "." || s == ".." ||
		slices.ContainsFunc([]string{"/", "./", "../"}, func(p string) bool { return strings.HasPrefix(s, p) })
}

// isArchive reports whether the name of file ends as that of an archive.
func isArchive(file string) bool {
	return endsIn(file, ".tar", ".tar.gz", ".tgz", ".tar.zst")
}

func endsIn(name string, suffixes ...string) bool {
	return slices.ContainsFunc(suffixes, func(suffix string) bool { return strings.HasSuffix(name, suffix) })
}

// short bounds outside text in messages. Far above what is ever shown: that is cut when the
// message was redacted, since half a secret is not found.
func short(s string) string {
	const most = 64 << 10
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
