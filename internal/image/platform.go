package image

import (
	"fmt"
	"strings"

	"github.com/containerd/platforms"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	specs "github.com/opencontainers/image-spec/specs-go/v1"
)

// Platform is an operating system on an architecture, in the one spelling that
// containerd gives it: linux/arm64/v8 is linux/arm64, linux/arm is linux/arm/v7,
// Linux/x86-64 is linux/amd64.
type Platform struct{ OS, Architecture, Variant string }

// NormalizePlatform returns the platform that is meant by the three parts. Nothing that
// is missing is taken from this machine.
func NormalizePlatform(os, architecture, variant string) Platform {
	n := platforms.Normalize(specs.Platform{OS: os, Architecture: architecture, Variant: variant})
	p := Platform{n.OS, n.Architecture, n.Variant}
	if os == "" { // for which containerd takes the host's
		p.OS = ""
	}
	return p
}

// ParsePlatform reads OS/ARCHITECTURE[/VARIANT]. Unlike containerd it takes no part from
// this machine, so that one word is an error: what is published must not depend on the
// machine that publishes it.
func ParsePlatform(s string) (Platform, error) {
	parts := strings.Split(strings.TrimSpace(s), "/")
	if len(parts) < 2 || len(parts) > 3 {
		return Platform{}, fmt.Errorf("%q is not OS/ARCHITECTURE[/VARIANT]", s)
	}
	for _, part := range parts {
		if part == "" || strings.Trim(part, platformCharacters) != "" {
			return Platform{}, fmt.Errorf("%q is not OS/ARCHITECTURE[/VARIANT]", s)
		}
	}
	parts = append(parts, "")
	return NormalizePlatform(parts[0], parts[1], parts[2]), nil
}

// platformCharacters are those of containerd's platform specifiers.
const platformCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

// String returns OS/ARCHITECTURE[/VARIANT].
func (p Platform) String() string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// PlatformOf returns the platform that a descriptor states, as far as a user names
// platforms; ok is false where it states none, or only unknown/unknown, as BuildKit's
// attestations do.
func PlatformOf(d v1.Descriptor) (p Platform, ok bool) {
	if d.Platform == nil || d.Platform.OS == "" || d.Platform.OS == "unknown" {
		return Platform{}, false
	}
	return NormalizePlatform(d.Platform.OS, d.Platform.Architecture, d.Platform.Variant), true
}
