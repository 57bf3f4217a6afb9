package image

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func manifest(name string, subject *Manifest, children ...*Manifest) *Manifest {
	m := &Manifest{Raw: []byte(name), Manifests: children}
	m.Descriptor = v1.Descriptor{Digest: Digest(m.Raw), Size: int64(len(m.Raw))}
	if subject != nil {
		m.Subject = &v1.Descriptor{Digest: subject.Descriptor.Digest}
	}
	return m
}

func names(all []*Manifest) string {
	var out []string
	for _, m := range all {
		out = append(out, string(m.Raw))
	}
	return strings.Join(out, " ")
}

// A subject comes first wherever it stands: behind what refers to it in an index, or at
// another depth.
func TestLevelsPutSubjectsFirst(t *testing.T) {
	image := manifest("image", nil)
	attestation := manifest("attestation", image)
	signature := manifest("signature", attestation)
	index := manifest("index", nil, signature, attestation, image)
	sbom := manifest("sbom", index)
	elsewhere := manifest("elsewhere", manifest("gone", nil))
	var got []string
	for _, level := range Levels(sbom, index, elsewhere) {
		got = append(got, names(level))
	}
	want := []string{"image elsewhere", "attestation", "signature", "index", "sbom"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestLevelsEndACircle(t *testing.T) {
	a := manifest("a", nil)
	b := manifest("b", a)
	a.Subject = &v1.Descriptor{Digest: b.Descriptor.Digest}
	n := 0
	for _, level := range Levels(a, b, a) {
		n += len(level)
	}
	if n != 2 {
		t.Errorf("%d manifests", n)
	}
}

func TestChildrenFirst(t *testing.T) {
	shared := manifest("shared", nil)
	inner := manifest("inner", nil, shared)
	root := manifest("root", nil, inner, shared)
	if got := names(ChildrenFirst(root, inner)); got != "shared inner root" {
		t.Error(got)
	}
	size, err := TotalSize(t.Context(), root, inner)
	if err != nil || size != int64(len("sharedinnerroot")) {
		t.Errorf("%d, %v", size, err)
	}
}

func TestFallbackTag(t *testing.T) {
	for digest, want := range map[string]string{
		"sha256:" + strings.Repeat("a", 64):              "sha256-" + strings.Repeat("a", 64),
		"sha512:" + strings.Repeat("b", 128):             "sha512-" + strings.Repeat("b", 64),
		strings.Repeat("x", 40) + ":" + "cc":             strings.Repeat("x", 32) + "-cc",
		"test+algorithm+using+algorithm+separators:beef": "test+algorithm+using+algorithm+s-beef",
	} {
		algorithm, hex, _ := strings.Cut(digest, ":")
		if got := FallbackTag(v1.Hash{Algorithm: algorithm, Hex: hex}); got != want {
			t.Errorf("%s: %s, want %s", digest, got, want)
		}
	}
}

func TestPlatform(t *testing.T) {
	for text, want := range map[string]string{
		"linux/x86-64": "linux/amd64", "Linux/amd64": "linux/amd64", "linux/amd64/v1": "linux/amd64", "linux/AMD64/V3": "linux/amd64/v3",
		"linux/arm64/v8.0": "linux/arm64", "linux/aarch64": "linux/arm64", "linux/arm64/9": "linux/arm64/v9", "linux/arm64/v9.0": "linux/arm64/v9", "linux/arm64/v9": "linux/arm64/v9",
		"linux/arm": "linux/arm/v7", "linux/armhf": "linux/arm/v7", "linux/armel": "linux/arm/v6", "linux/arm/5": "linux/arm/v5",
		"linux/i386": "linux/386", "macOS/arm64": "darwin/arm64", " windows/amd64 ": "windows/amd64", "wasi/wasm": "wasi/wasm",
	} {
		p, err := ParsePlatform(text)
		if err != nil || p.String() != want {
			t.Errorf("%s is %s, %v; want %s", text, p, err, want)
		}
	}
	for _, text := range []string{"linux", "amd64", "", "/", "linux/", "/amd64", "linux/arm/v7/x", "linux/am d64", "linux/*", "linux/ａｍｄ64", "windows(10.0.1)/amd64"} {
		if p, err := ParsePlatform(text); err == nil {
			t.Errorf("%q is %s", text, p)
		}
	}
	if p := NormalizePlatform("", "", ""); fmt.Sprint(p) != "/" {
		t.Errorf("nothing is %s: this machine's platform must not enter", p)
	}
}
