package imageref

import (
	"net"
	"strings"
)

// DockerHub is how Docker Hub's host is written everywhere a person or a
// program reads it.
const DockerHub = "docker.io"

// Repository is a repository on a registry host.
type Repository struct {
	Host string // canonical, see CanonicalHost: "docker.io", "localhost:5000"
	Path string // "library/nginx", "me/app"
}

// String returns host/path.
func (r Repository) String() string { return r.Host + "/" + r.Path }

// Reference is a tag or a digest in a repository. One of Tag and Digest is set.
type Reference struct {
	Repository
	Tag    string
	Digest string // "sha256:…"
}

// Identifier returns what stands behind the repository: the tag or the digest.
func (r Reference) Identifier() string {
	if r.Digest != "" {
		return r.Digest
	}
	return r.Tag
}

// String returns host/path:tag or host/path@digest.
func (r Reference) String() string {
	if r.Digest != "" {
		return r.Repository.String() + "@" + r.Digest
	}
	return r.Repository.String() + ":" + r.Tag
}

// CanonicalHost drops a leading http(s):// and a trailing slash, lower-cases the
// host and gives all names of Docker Hub (docker.io, index.docker.io,
// registry-1.docker.io, https://index.docker.io/v1/) the one that people read.
func CanonicalHost(s string) string {
	s = strings.TrimSpace(s)
	for _, scheme := range []string{"https://", "http://"} {
		if len(s) >= len(scheme) && strings.EqualFold(s[:len(scheme)], scheme) {
			s = s[len(scheme):]
			break
		}
	}
	s = lowerASCII(strings.TrimRight(s, "/"))
	switch s {
	case "docker.io", "index.docker.io", "registry-1.docker.io", "index.docker.io/v1", "registry-1.docker.io/v2",
		"index.docker.io/v2":
		return DockerHub
	}
	return s
}

// lowerASCII lower-cases letters of ASCII only. Full Unicode lower-casing turns other
// letters into ASCII ones (U+0130 into i, U+212A into k): two hosts would be one name.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// APIHost returns the host that answers the registry API.
func APIHost(host string) string {
	if host == DockerHub {
		return "index.docker.io"
	}
	return host
}

// Loopback reports whether host (with or without a port) is the machine itself:
// localhost, 127.0.0.0/8 or ::1. Only there, and where a user asked for it, is
// plain HTTP allowed.
func Loopback(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.Trim(name, "[]")
	if strings.EqualFold(name, "localhost") {
		return true
	}
	ip := net.ParseIP(name)
	return ip != nil && ip.IsLoopback()
}
