// Package images builds test images that look like those of BuildKit (an index, a manifest
// for each platform, attestations), writes them as layouts and archives, pushes them to
// registries, and compares what a registry serves with them byte for byte.
//
// Everything is deterministic: the same options give the same digests.
package images

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Options says what image to build. The zero value is linux/amd64 and linux/arm64, three
// layers of 32 KiB each of which one is shared, with attestations: some 200 KB.
type Options struct {
	Platforms      []string // os/architecture[/variant]; one, with Single, gives an image without an index
	Single         bool     // no index: a manifest of the first platform alone
	Layers         int      // of each platform, the shared ones included; 0 means 3
	Shared         int      // layers that all platforms have; 0 means 1, negative none
	LayerBytes     int      // of each layer, about; 0 means 32 KiB
	LayerSizes     []int    // of each of Layers, in place of LayerBytes
	NoAttestations bool
	Subjects       bool   // attestations have their manifest as subject, as BuildKit writes OCI artifacts
	Reversed       bool   // the index lists attestations first, and the last platform before the first
	Seed           uint64 // another seed, other content
	SharedSeed     uint64 // seed of the shared layers, for images that have them in common
	Docker         bool   // Docker's media types, in place of OCI's
}

// kind is the media type that Docker gave what OCI calls so, where Docker's are wanted.
func (o Options) kind(oci types.MediaType) types.MediaType {
	if !o.Docker {
		return oci
	}
	return map[types.MediaType]types.MediaType{
		types.OCIImageIndex: types.DockerManifestList, types.OCIManifestSchema1: types.DockerManifestSchema2,
		types.OCIConfigJSON: types.DockerConfigJSON, types.OCILayer: types.DockerLayer,
	}[oci]
}

// Image is a whole image in memory.
type Image struct {
	Root      v1.Descriptor
	Manifests []Content // what others point at first, the root last
	Blobs     []Content // each digest once
}

// Content is a manifest or a blob.
type Content struct {
	Descriptor v1.Descriptor
	Bytes      []byte
}

// Digest returns the digest of the root.
func (i *Image) Digest() string { return i.Root.Digest.String() }

// Holds reports whether content is one of the blobs.
func (i *Image) Holds(content []byte) bool {
	return slices.ContainsFunc(i.Blobs, func(c Content) bool { return bytes.Equal(c.Bytes, content) })
}

// Size returns the bytes of all manifests and blobs.
func (i *Image) Size() int64 {
	var n int64
	for _, c := range i.Manifests {
		n += c.Descriptor.Size
	}
	return n + i.BlobBytes()
}

// BlobBytes returns the bytes of all blobs.
func (i *Image) BlobBytes() int64 {
	var n int64
	for _, c := range i.Blobs {
		n += c.Descriptor.Size
	}
	return n
}

// created is when all test images were built.
func created() time.Time { return time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC) }

// Build builds an image.
func Build(o Options) *Image {
	if len(o.Platforms) == 0 {
		o.Platforms = []string{"linux/amd64", "linux/arm64"}
	}
	if o.Layers == 0 {
		o.Layers = 3
	}
	if o.Shared == 0 {
		o.Shared = 1
	}
	if o.LayerBytes == 0 {
		o.LayerBytes = 32 << 10
	}
	if o.Single {
		o.Platforms = o.Platforms[:1]
	}
	b := &builder{image: &Image{}, have: map[v1.Hash]bool{}}
	var platforms, attestations []v1.Descriptor
	for p, name := range o.Platforms {
		platform, err := v1.ParsePlatform(name)
		if err != nil {
			panic(err)
		}
		manifest := b.platform(o, p, *platform)
		if o.Single {
			b.image.Root = manifest
			return b.image
		}
		if !o.NoAttestations {
			attestations = append(attestations, b.attestation(manifest, name, o.Subjects))
		}
		manifest.Platform = platform
		platforms = append(platforms, manifest)
	}
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: o.kind(types.OCIImageIndex), Manifests: append(platforms, attestations...)}
	if o.Reversed {
		slices.Reverse(index.Manifests)
	}
	b.image.Root = b.manifest(index.MediaType, index)
	return b.image
}

type builder struct {
	image *Image
	have  map[v1.Hash]bool
}

func (b *builder) platform(o Options, p int, platform v1.Platform) v1.Descriptor {
	config := v1.ConfigFile{
		Architecture: platform.Architecture, OS: platform.OS, Variant: platform.Variant,
		Created: v1.Time{Time: created()}, Config: v1.Config{Entrypoint: []string{"/app"}, Env: []string{"PATH=/bin"}},
		RootFS: v1.RootFS{Type: "layers"},
	}
	m := v1.Manifest{SchemaVersion: 2, MediaType: o.kind(types.OCIManifestSchema1)}
	for l := range o.Layers {
		seed := [3]uint64{o.Seed, uint64(p + 1), uint64(l)}
		if l < o.Shared {
			seed = [3]uint64{o.SharedSeed, 0, uint64(l)}
		}
		size := o.LayerBytes
		if l < len(o.LayerSizes) {
			size = o.LayerSizes[l]
		}
		diff, packed := layer(seed, size)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, diff)
		config.History = append(config.History, v1.History{Created: v1.Time{Time: created()}, CreatedBy: fmt.Sprintf("COPY file%d /", l)})
		m.Layers = append(m.Layers, b.blob(o.kind(types.OCILayer), packed, nil))
	}
	m.Config = b.blob(o.kind(types.OCIConfigJSON), mustJSON(config), nil)
	return b.manifest(m.MediaType, m)
}

// attestation is a manifest as BuildKit writes for provenance and SBOM.
func (b *builder) attestation(subject v1.Descriptor, platform string, refers bool) v1.Descriptor {
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1}
	if refers {
		m.Subject = &v1.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}
	}
	config := v1.ConfigFile{Architecture: "unknown", OS: "unknown", RootFS: v1.RootFS{Type: "layers"}}
	for _, predicate := range []string{"https://spdx.dev/Document", "https://slsa.dev/provenance/v1"} {
		statement := mustJSON(map[string]any{
			"_type": "https://in-toto.io/Statement/v0.1", "predicateType": predicate,
			"subject":   []any{map[string]any{"name": "pkg:docker/app?platform=" + platform, "digest": map[string]string{subject.Digest.Algorithm: subject.Digest.Hex}}},
			"predicate": map[string]any{"builder": map[string]string{"id": "test"}},
		})
		d := b.blob("application/vnd.in-toto+json", statement, map[string]string{"in-toto.io/predicate-type": predicate})
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, d.Digest)
		m.Layers = append(m.Layers, d)
	}
	m.Config = b.blob(types.OCIConfigJSON, mustJSON(config), nil)
	d := b.manifest(types.OCIManifestSchema1, m)
	d.Platform = &v1.Platform{OS: "unknown", Architecture: "unknown"}
	d.Annotations = map[string]string{"vnd.docker.reference.digest": subject.Digest.String(), "vnd.docker.reference.type": "attestation-manifest"}
	return d
}

func (b *builder) blob(mediaType types.MediaType, content []byte, annotations map[string]string) v1.Descriptor {
	d := Describe(mediaType, content)
	if !b.have[d.Digest] {
		b.have[d.Digest] = true
		b.image.Blobs = append(b.image.Blobs, Content{Descriptor: d, Bytes: content})
	}
	d.Annotations = annotations
	return d
}

func (b *builder) manifest(mediaType types.MediaType, m any) v1.Descriptor {
	// Written with spaces, as BuildKit does: who writes it anew changes the digest.
	raw, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		panic(err)
	}
	d := Describe(mediaType, raw)
	b.image.Manifests = append(b.image.Manifests, Content{Descriptor: d, Bytes: raw})
	return d
}

// Describe returns the descriptor of content.
func Describe(mediaType types.MediaType, content []byte) v1.Descriptor {
	return v1.Descriptor{MediaType: mediaType, Size: int64(len(content)), Digest: digest(content)}
}

func digest(content []byte) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%x", sha256.Sum256(content))}
}

// layer is a tar with one file that does not compress, and its gzip.
func layer(seed [3]uint64, size int) (diff v1.Hash, packed []byte) {
	var key [32]byte
	for i, n := range seed {
		binary.LittleEndian.PutUint64(key[i*8:], n)
	}
	file := make([]byte, size)
	_, _ = io.ReadFull(rand.NewChaCha8(key), file)
	var plain bytes.Buffer
	w := tar.NewWriter(&plain)
	must(w.WriteHeader(&tar.Header{Name: fmt.Sprintf("file%d", seed[2]), Mode: 0o644, Size: int64(size), ModTime: created()}))
	_, err := w.Write(file)
	must(err)
	must(w.Close())

	var out bytes.Buffer
	// Stored, not compressed: the bytes must not depend on the version of the library.
	z, err := gzip.NewWriterLevel(&out, gzip.NoCompression)
	must(err)
	_, err = z.Write(plain.Bytes())
	must(err)
	must(z.Close())
	return digest(plain.Bytes()), out.Bytes()
}

func mustJSON(v any) []byte {
	raw, err := json.Marshal(v)
	must(err)
	return raw
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
