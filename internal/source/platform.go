package source

import (
	"context"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// platform is an operating system on an architecture, in the one spelling that
// containerd gives it (platforms.Normalize): linux/arm64/v8 is linux/arm64, linux/arm is
// linux/arm/v7, linux/x86_64 is linux/amd64.
type platform struct{ os, arch, variant string }

func (p platform) String() string {
	s := p.os + "/" + p.arch
	if p.variant != "" {
		s += "/" + p.variant
	}
	return s
}

// parsePlatform reads os/arch[/variant]. Unlike containerd it takes no part for
// granted: what is published must not depend on the machine that publishes it.
func parsePlatform(s string) (platform, error) {
	parts := strings.Split(strings.TrimSpace(s), "/")
	bad := len(parts) < 2 || len(parts) > 3
	for _, part := range parts {
		bad = bad || part == "" || strings.ContainsFunc(part, func(r rune) bool {
			return r > 0x7e || !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", r)
		})
	}
	if bad {
		return platform{}, usererror.New(usererror.InvalidInput, "", fmt.Sprintf("platforms: %q is not OS/ARCHITECTURE[/VARIANT]", short(s)), "Write platforms as in linux/amd64,linux/arm64.", nil)
	}
	parts = append(parts, "")
	return normalize(parts[0], parts[1], parts[2]), nil
}

// CheckPlatforms reports what is wrong with a list of platforms, so that an input can
// be refused before anything is opened.
func CheckPlatforms(list []string) error {
	for _, s := range list {
		if _, err := parsePlatform(s); err != nil {
			return err
		}
	}
	return nil
}

func normalize(os, arch, variant string) platform {
	p := platform{strings.ToLower(os), strings.ToLower(arch), strings.ToLower(variant)}
	if p.os == "macos" {
		p.os = "darwin"
	}
	switch p.arch {
	case "i386":
		p.arch, p.variant = "386", ""
	case "x86_64", "x86-64", "amd64":
		p.arch = "amd64"
		if p.variant == "v1" {
			p.variant = ""
		}
	case "aarch64", "arm64":
		p.arch = "arm64"
		if p.variant == "8" || p.variant == "v8" {
			p.variant = ""
		}
	case "armhf":
		p.arch, p.variant = "arm", "v7"
	case "armel":
		p.arch, p.variant = "arm", "v6"
	case "arm":
		switch p.variant {
		case "", "7":
			p.variant = "v7"
		case "5", "6", "8":
			p.variant = "v" + p.variant
		}
	}
	return p
}

// platformOf returns the platform that a descriptor in an index states; ok is false
// where it states none, or only unknown/unknown, as BuildKit's attestations do.
func platformOf(d v1.Descriptor) (platform, bool) {
	if d.Platform == nil || d.Platform.OS == "" || d.Platform.OS == "unknown" {
		return platform{}, false
	}
	return normalize(d.Platform.OS, d.Platform.Architecture, d.Platform.Variant), true
}

// platformsOf returns the platforms below a manifest, attestations aside. As written in
// the index, which is what people read elsewhere too. Of a remote image no config is
// fetched for that.
func (g *graph) platformsOf(ctx context.Context, root *Manifest, local bool) ([]string, error) {
	var all []string
	seen := map[*Manifest]bool{}
	var walk func(*Manifest) error
	walk = func(m *Manifest) error {
		if seen[m] {
			return nil
		}
		seen[m] = true
		doc := g.documents[m.Descriptor.Digest]
		if !m.Descriptor.MediaType.IsIndex() {
			if !local && (doc.Config == nil || g.configs[doc.Config.Digest] == nil) {
				return nil
			}
			p, ok, err := g.configPlatform(ctx, doc)
			if ok {
				all = append(all, p.String())
			}
			return err
		}
		stated := map[v1.Hash]bool{}
		for _, d := range doc.Manifests {
			if p := d.Platform; p != nil && p.OS != "" && !d.MediaType.IsIndex() {
				stated[d.Digest] = true
				if p.OS != "unknown" {
					all = append(all, strings.TrimSuffix(strings.Join([]string{p.OS, p.Architecture, p.Variant}, "/"), "/"))
				}
			}
			if d.Annotations[attestationType] != "" {
				stated[d.Digest] = true
			}
		}
		for _, child := range m.Manifests {
			if !stated[child.Descriptor.Digest] {
				if err := walk(child); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := walk(root); err != nil {
		return nil, err
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// notThere lists the platforms that are.
func notThere(missing []platform, there []string) error {
	names := make([]string, len(missing))
	for i, p := range missing {
		names[i] = p.String()
	}
	has := "it states no platform"
	if len(there) > 0 {
		slices.Sort(there)
		has = "it has " + strings.Join(slices.Compact(there), ", ")
	}
	return usererror.New(usererror.PlatformNotFound, "", fmt.Sprintf("the image has no %s; %s", strings.Join(names, ", "), has), "", nil)
}
