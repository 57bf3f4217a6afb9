package imageref

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/go-containerregistry/pkg/name"
)

// The grammar of the OCI distribution spec, "Pulling manifests": go-containerregistry's
// is wider, and what only it takes a registry refuses in mid-run.
var (
	component = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$`)
	tagName   = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]*$`)
	hostName  = regexp.MustCompile(`^(?:\[[0-9a-fA-F:.]+\]|(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)` +
		`(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*)(?::[0-9]{1,5})?$`)
)

// longestPath is the limit for host and path together that registries share
// (distribution spec: "many clients impose a limit of 255").
const longestPath = 255

// longestTag is how long a tag may be (distribution spec, "Pulling manifests").
const longestTag = 128

// NotConfigured is the error of a destination, or a registry, with an empty component,
// which is what an unset variable leaves of a line: it is skipped, not wrong.
type NotConfigured struct {
	Reason string // "the registry or owner in front of the first / is empty"
	Host   string // canonical, of a destination that still names its registry; else empty
}

func (e *NotConfigured) Error() string { return e.Reason }

// ParseDestination reads [REGISTRY/]REPOSITORY[:TAG]. Without a registry it is Docker
// Hub's, without a tag latest. The error is a *NotConfigured for a line with an empty
// component, else it holds an *Error for each fault.
func ParseDestination(text string) (Reference, error) {
	text = strings.TrimSpace(text)
	if HoldsCredentials(text) {
		return Reference{}, &Error{InvalidTag, credentialsInFront, CredentialsInFront, ""}
	}
	if scheme, rest, ok := strings.Cut(text, "://"); ok {
		if rest == "" || rest[0] == '/' || rest[0] == ':' {
			return Reference{}, &NotConfigured{Reason: "the registry behind :// is empty"}
		}
		return Reference{}, invalidTag(text, SchemeInFront,
			fmt.Sprintf("a destination has no %s:// in front", short(scheme)), short(rest))
	}
	if strings.HasPrefix(text, "#") {
		return Reference{}, invalidTag(text, Comment, "a list of destinations holds no comments", "")
	}
	if before, _, ok := strings.Cut(text, "@"); ok {
		if _, _, tagged := CutTag(before); !tagged {
			before += ":TAG"
		}
		return Reference{}, invalidTag(text, DigestForTag, "a destination is a tag, not a digest", short(before))
	}
	path, tag, tagged := CutTag(text)
	if reason := emptyComponent(path); reason != "" {
		return Reference{}, &NotConfigured{Reason: reason, Host: hostOf(path)}
	}
	if !tagged && !strings.Contains(path, "/") {
		return Reference{}, invalidTag(text, BareWord, "one bare word is neither a repository nor a tag of one", "")
	}
	if !tagged {
		tag = "latest"
	}
	var wrong []error
	repo, err := parseRepository(path)
	if err != nil {
		wrong = append(wrong, invalidTag(text, err.rule, err.Error(), err.allowed))
	}
	if err := checkTag(tag); err != nil {
		wrong = append(wrong, invalidTag(text, err.rule, err.Error(), err.allowed))
	}
	if len(wrong) > 0 {
		return Reference{}, errors.Join(wrong...)
	}
	return Reference{Repository: repo, Tag: tag}, nil
}

// ParseSource reads [REGISTRY/]REPOSITORY[:TAG][@DIGEST]; with a digest, the tag is only
// for people. The error is an *Error.
func ParseSource(text string) (Reference, error) {
	text = strings.TrimSpace(text)
	invalid := func(e *badName) (Reference, error) { return Reference{}, invalidSource(text, e) }
	named, sum, digested := strings.Cut(text, "@")
	if digested && !IsDigest(sum) {
		if sum == "" || sum == "sha256:" {
			return invalid(&badName{DigestEmpty, "the digest behind the @ is empty", ""})
		}
		return invalid(&badName{DigestInvalid, "what follows the @ is not a digest", ""})
	}
	path, tag, tagged := CutTag(named)
	if reason := emptyComponent(path); reason != "" {
		return invalid(&badName{ComponentEmpty, reason, ""})
	}
	repo, err := parseRepository(path)
	if err != nil {
		return invalid(err)
	}
	if tagged {
		if err := checkTag(tag); err != nil {
			return invalid(err)
		}
	}
	switch {
	case digested:
		return Reference{Repository: repo, Digest: sum}, nil
	case tagged:
		return Reference{Repository: repo, Tag: tag}, nil
	}
	return Reference{Repository: repo, Tag: "latest"}, nil
}

// ParseScope reads what an item of registry-auth names: HOST or HOST/PATH, with a
// scheme in front and a slash behind allowed. The error is a *NotConfigured for an empty
// host, which is what an unset variable leaves; it has no remedy of its own.
func ParseScope(text string) (host, path string, err error) {
	text = strings.TrimSpace(text)
	// All names of Docker Hub, some of which have a path of the API's behind them.
	if CanonicalHost(text) == DockerHub {
		return DockerHub, "", nil
	}
	if HoldsCredentials(text + "/") {
		return "", "", errors.New(credentialsInFront)
	}
	if before, rest, ok := strings.Cut(text, "://"); ok {
		if !strings.EqualFold(before, "https") && !strings.EqualFold(before, "http") {
			return "", "", fmt.Errorf("%q is not a registry host: the scheme is not https", short(text))
		}
		text = rest
	}
	host, path, _ = strings.Cut(strings.TrimRight(text, "/"), "/")
	if host == "" || host[0] == ':' {
		return "", "", &NotConfigured{Reason: "the host in registry is empty"}
	}
	if e := checkHost(host); e != nil {
		return "", "", fmt.Errorf("%q is not a registry host, or host and path: %w", short(text), e)
	}
	host = CanonicalHost(host)
	if path == "" {
		return host, "", nil
	}
	if e := checkPath(path); e != nil {
		return "", "", fmt.Errorf("%q is not a registry host, or host and path: %w", short(text), e)
	}
	return host, path, nil
}

// credentialsInFront is all that is said of a reference with credentials: any other
// message would repeat them.
const credentialsInFront = "credentials stand in front of the host"

// HoldsCredentials reports whether text is a reference with USER:PASSWORD@ or TOKEN@ in
// front of its host, as addresses of repositories have it that were copied from elsewhere.
// What may stand behind an @ is a digest, which holds no slash.
func HoldsCredentials(text string) bool {
	before, behind, ok := strings.Cut(text, "@")
	switch {
	case !ok, strings.HasPrefix(behind, "sha256:"), strings.HasPrefix(behind, "sha512:"):
		return false
	case strings.Contains(behind, "/"):
		return true
	}
	_, user, schemed := strings.Cut(before, "://")
	if !schemed {
		user = before
	}
	return !strings.Contains(user, "/") && namesHost(behind) && hostName.MatchString(behind)
}

func parseRepository(text string) (Repository, *badName) {
	host, path := DockerHub, text
	if BeginsWithHost(text) {
		host, path, _ = strings.Cut(text, "/")
	}
	if err := checkHost(host); err != nil {
		return Repository{}, err
	}
	if err := checkPath(path); err != nil {
		return Repository{}, err
	}
	host = CanonicalHost(host)
	if host == DockerHub && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	return Repository{Host: host, Path: path}, nil
}

// BeginsWithHost reports whether a reference begins with a registry host.
func BeginsWithHost(text string) bool {
	host, _, ok := strings.Cut(text, "/")
	return ok && namesHost(host)
}

// CheckEngineName returns an error for what a Docker engine cannot call an image: it takes
// references, ids and digests.
func CheckEngineName(text string) error {
	if hex, ok := strings.CutPrefix(text, "sha256:"); ok {
		if !IsHex(hex) {
			return errors.New("the id is not hexadecimal")
		}
		return nil
	}
	if IsHex(text) {
		return nil
	}
	_, err := name.ParseReference(text)
	return err
}

// IsDigest reports whether s is a digest of one of the registered algorithms (image spec,
// "Digests").
func IsDigest(s string) bool {
	algorithm, hex, _ := strings.Cut(s, ":")
	return IsHex(hex) && (algorithm == "sha256" && len(hex) == 64 || algorithm == "sha512" && len(hex) == 128)
}

// IsHex reports whether s is made of hexadecimal digits, in small letters.
func IsHex(s string) bool { return s != "" && strings.Trim(s, "0123456789abcdef") == "" }

// namesHost is the rule that all of Docker's tools share: the first component is a host
// if it has a dot or a colon, or is localhost.
func namesHost(component string) bool {
	return strings.ContainsAny(component, ".:") || strings.EqualFold(component, "localhost")
}

// hostOf returns the registry that a path with an empty component still names, "" if it
// names none.
func hostOf(path string) string {
	host, _, _ := strings.Cut(path, "/")
	if !BeginsWithHost(path) || checkHost(host) != nil {
		return ""
	}
	return CanonicalHost(host)
}

func checkHost(host string) *badName {
	if !hostName.MatchString(host) {
		return &badName{HostInvalid, fmt.Sprintf("%q is not a host", short(host)), ""}
	}
	if _, err := name.NewRegistry(host); err != nil {
		return &badName{HostInvalid, fmt.Sprintf("%q is not a host", short(host)), ""}
	}
	if _, port, ok := CutTag(host); ok && !strings.HasSuffix(host, "]") {
		if n := strings.TrimLeft(port, "0"); n == "" || len(n) > 5 || len(n) == 5 && n > "65535" {
			return &badName{PortInvalid, fmt.Sprintf("%q is not a port", short(port)), ""}
		}
	}
	return nil
}

func checkPath(path string) *badName {
	if len(path) > longestPath {
		return &badName{PathTooLong, fmt.Sprintf("the repository is %d characters long", utf8.RuneCountInString(path)),
			strconv.Itoa(longestPath)}
	}
	if lower := strings.ToLower(path); lower != path {
		return &badName{PathInUpperCase, fmt.Sprintf("repository %q is not in lower case", short(path)),
			strconv.Quote(short(lower))}
	}
	for c := range strings.SplitSeq(path, "/") {
		if c == "" {
			return &badName{ComponentEmpty, "a component of the path is empty", ""}
		}
		if !component.MatchString(c) {
			return &badName{PathInvalid, fmt.Sprintf("%q cannot be part of a repository's name", short(c)), ""}
		}
	}
	return nil
}

func checkTag(tag string) *badName {
	if tag == "" {
		return &badName{TagEmpty, "the tag behind the colon is empty", ""}
	}
	if len(tag) > longestTag || !tagName.MatchString(tag) {
		return &badName{TagInvalid, fmt.Sprintf("%q is not a tag", short(tag)), ""}
	}
	return nil
}

// Tagged reports whether a destination, as it is written, has a :TAG.
func Tagged(text string) bool {
	text, _, _ = strings.Cut(text, "@")
	_, _, ok := CutTag(strings.TrimSpace(text))
	return ok
}

// CutTag takes the tag off the end. A colon in front of a slash belongs to a port.
func CutTag(text string) (path, tag string, ok bool) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 || strings.Contains(text[i:], "/") {
		return text, "", false
	}
	return text[:i], text[i+1:], true
}

// emptyComponent says which component of a path is empty, or "".
func emptyComponent(path string) string {
	switch {
	case path == "":
		return "the repository is empty"
	case strings.HasPrefix(path, "/"):
		return "the registry or owner in front of the first / is empty"
	case strings.HasPrefix(path, ":") && strings.Contains(path, "/"):
		return "the registry in front of the port is empty"
	case strings.HasSuffix(path, "/"):
		return "the repository behind the last / is empty"
	case strings.Contains(path, "//"):
		return "a component between two / is empty"
	}
	return ""
}

// short bounds outside text in messages.
func short(s string) string {
	const most = 300
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
