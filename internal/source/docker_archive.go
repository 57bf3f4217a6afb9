package source

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multi-registry-push/multi-registry-push/internal/image"
	"github.com/multi-registry-push/multi-registry-push/internal/imageref"
)

// savedImage is an entry of the manifest.json that docker save writes
// (moby/docker-image-spec, v1.2, "Combined Image JSON + Filesystem Changeset Format").
type savedImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// dockerConfig is what is needed of an image's config.
type dockerConfig struct {
	v1.Platform
	RootFS struct {
		DiffIDs []v1.Hash `json:"diff_ids"`
	} `json:"rootfs"`
}

// openDockerArchive opens what docker save, and those that write the same, have made.
// Docker 25 and later put an OCI layout beside manifest.json. Where its layers are
// compressed it is published as it is; the classic store writes them plain.
func openDockerArchive(ctx context.Context, t fileSet, pick string, o Options) (*Image, error) {
	if i, err := openSavedLayout(ctx, t, pick, o); i != nil || err != nil {
		return i, err
	}
	saved, err := readSaved(t)
	if err != nil {
		return nil, err
	}
	chosen, raw, err := chooseSaved(t, saved, pick)
	if err != nil {
		return nil, err
	}
	s, err := newSaved(raw, chosen, o)
	if err != nil {
		return nil, err
	}
	var m *layerJob
	m = newLayerJob(ctx, s.unique, func(ctx context.Context) (*Manifest, error) {
		return s.fromFiles(ctx, m, t, compressor{o.TempDir, o.Workers})
	})
	return s.image(m, t.close), nil
}

// openSavedLayout opens the OCI layout in a docker archive, if there is one and it need
// not be compressed. Platforms that the engine did not have are left out.
func openSavedLayout(ctx context.Context, t fileSet, pick string, o Options) (*Image, error) {
	if there, err := holds(t, "index.json"); err != nil || !there {
		return nil, err
	}
	p, err := pickFrom(ctx, t, pick, o)
	if err != nil {
		return nil, err
	}
	m, doc, err := p.graph.one(ctx, p.image)
	if err != nil {
		return nil, err
	}
	if !m.Descriptor.MediaType.IsIndex() && slices.ContainsFunc(doc.Layers, isPlain) {
		return nil, nil
	}
	return p.open(ctx, o, true)
}

func isPlain(d v1.Descriptor) bool {
	return d.MediaType == types.OCIUncompressedLayer || d.MediaType == types.DockerUncompressedLayer
}

func readSaved(t fileSet) ([]savedImage, error) {
	raw, err := readOnly(t, "manifest.json",
		wrong(NoManifestJSON, "there is no manifest.json, so this is not what `docker save` writes"))
	if err != nil {
		return nil, err
	}
	var saved []savedImage
	return saved, decode(raw, &saved, "manifest.json")
}

// chooseSaved returns the image that pick names, and its config.
func chooseSaved(t fileSet, saved []savedImage, pick string) (savedImage, []byte, error) {
	all, err := readConfigs(t, saved)
	if err != nil {
		return savedImage{}, nil, err
	}
	candidates := make([]*candidate, len(all))
	byDigest := map[v1.Hash]*savedConfig{}
	for n, c := range all {
		candidates[n] = &c.candidate
		byDigest[c.descriptor.Digest] = c
	}
	d, err := choose(candidates, pick)
	if err != nil {
		return savedImage{}, nil, err
	}
	chosen := byDigest[d.Digest]
	return chosen.image, chosen.raw, nil
}

// savedConfig is an image in manifest.json. Images are counted by the digest of their
// config, which names all of their layers.
type savedConfig struct {
	candidate
	image savedImage
	raw   []byte
}

// readConfigs reads the configs that manifest.json names, each once.
func readConfigs(t fileSet, saved []savedImage) ([]*savedConfig, error) {
	var all []*savedConfig
	byDigest := map[v1.Hash]*savedConfig{}
	read := int64(0)
	for _, s := range saved {
		name, err := cleanName(s.Config)
		if err != nil {
			return nil, err
		}
		f, err := t.lookup(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, broken(nil, "manifest.json names the config %q, which is not there", short(s.Config))
		}
		if err != nil {
			return nil, err
		}
		raw, err := readAll(f, "the config "+short(s.Config), maxManifest)
		if err != nil {
			return nil, err
		}
		if read += f.size; read > maxManifestBytes {
			return nil, broken(nil, "the configs that manifest.json names take more than %d MiB together",
				maxManifestBytes>>20)
		}
		d := v1.Descriptor{MediaType: types.DockerConfigJSON, Size: int64(len(raw)), Digest: image.Digest(raw)}
		if err := checkConfigName(name, d.Digest); err != nil {
			return nil, err
		}
		c := byDigest[d.Digest]
		if c == nil {
			c = &savedConfig{candidate: candidate{descriptor: d}, image: s, raw: raw}
			byDigest[d.Digest] = c
			all = append(all, c)
		}
		for _, tag := range s.RepoTags {
			if tag != "" {
				c.names = append(c.names, tag)
			}
		}
	}
	return all, nil
}

// checkConfigName refuses a config that is called by another digest than its own.
func checkConfigName(name string, digest v1.Hash) error {
	if hex := digestInName(name); hex != "" && hex != digest.Hex {
		return mismatch("the config "+name, "sha256:"+hex, digest.String())
	}
	return nil
}

// digestInName returns the SHA-256 digest by which a config is called, "" if it is not:
// HEX.json in the classic form, blobs/sha256/HEX since Docker 25, sha256:HEX from Kaniko.
func digestInName(name string) string {
	base := strings.TrimPrefix(strings.TrimSuffix(name[strings.LastIndexByte(name, '/')+1:], ".json"), "sha256:")
	if len(base) == 64 && imageref.IsHex(base) {
		return base
	}
	return ""
}

// saved is an image whose layers are still to be prepared.
type saved struct {
	config  []byte
	digest  v1.Hash
	layers  []string  // names of files, as the config's diff ids
	diffIDs []v1.Hash // from the bottom up
	unique  int       // how many of them differ
	is      v1.Platform
	on      image.Platform // the same, as users name platforms
}

// newSaved reads the config, and checks that the platform is one that is asked for.
func newSaved(config []byte, i savedImage, o Options) (*saved, error) {
	var c dockerConfig
	if err := decode(config, &c, "the image's config"); err != nil {
		return nil, err
	}
	s := &saved{config: config, digest: image.Digest(config), diffIDs: c.RootFS.DiffIDs, is: c.Platform,
		on: image.NormalizePlatform(c.OS, c.Architecture, c.Variant)}
	if len(i.Layers) != len(s.diffIDs) {
		return nil, broken(nil, "manifest.json names %d layers, but the image's config %d", len(i.Layers),
			len(s.diffIDs))
	}
	for _, name := range i.Layers {
		clean, err := cleanName(name)
		if err != nil {
			return nil, err
		}
		s.layers = append(s.layers, clean)
	}
	different := map[v1.Hash]bool{}
	for _, h := range s.diffIDs {
		different[h] = true
	}
	s.unique = len(different)
	return s, askedFor(s.on, o.Platforms)
}

// askedFor fails if a single image, which is on p, is not on every platform of list.
func askedFor(p image.Platform, list []string) error {
	var missing []image.Platform
	for _, text := range list {
		asked, err := parsePlatform(text)
		if err != nil {
			return err
		}
		if asked != p && !slices.Contains(missing, asked) {
			missing = append(missing, asked)
		}
	}
	if len(missing) > 0 {
		return notThere(PlatformNotFound, missing, []string{p.String()}, nil)
	}
	return nil
}

// image returns the image that m makes.
func (s *saved) image(m *layerJob, closeFiles func() error) *Image {
	return &Image{
		root:      m.wait,
		pending:   m.blobs(),
		platforms: func(context.Context) ([]string, error) { return []string{s.on.String()}, nil },
		close:     func() error { return errors.Join(m.close(), closeFiles()) },
		lazy:      true,
		imagePlatform: func(context.Context, *Manifest) (v1.Platform, bool, error) {
			return s.is, s.is.OS != "" && s.is.Architecture != "", nil
		},
	}
}

// fromFiles prepares the layers in an archive, one after the other and each on all cores,
// so that the first can be sent while the second is compressed.
func (s *saved) fromFiles(ctx context.Context, m *layerJob, t fileSet, p compressor) (*Manifest, error) {
	slots := map[v1.Hash]*pendingLayer{}
	for n, name := range s.layers {
		want := s.diffIDs[n]
		if slots[want] != nil {
			continue
		}
		f, err := t.lookup(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, broken(nil, "layer %q is not there", short(name))
		}
		if err != nil {
			return nil, err
		}
		l, err := p.fromFile(ctx, f)
		if err != nil {
			return nil, withSource("layer "+short(name), err)
		}
		if l.diffID != want {
			err = mismatch("layer "+short(name), want.String(), l.diffID.String())
		} else {
			slots[want], err = m.finished(l)
		}
		if err != nil {
			if l.release != nil {
				_ = l.release()
			}
			return nil, err
		}
	}
	return s.manifest(slots)
}

// manifest writes the manifest of an image that had none, or whose manifest named plain
// layers. It is OCI, which every registry takes; the config stays as it was.
func (s *saved) manifest(slots map[v1.Hash]*pendingLayer) (*Manifest, error) {
	d := v1.Descriptor{MediaType: types.OCIConfigJSON, Size: int64(len(s.config)), Digest: s.digest}
	config, err := newLocalBlob(d, inMemory(s.config))
	if err != nil {
		return nil, err
	}
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: d, Layers: []v1.Descriptor{}}
	blobs := []Blob{config}
	known := map[*pendingLayer]bool{}
	for _, diffID := range s.diffIDs {
		slot := slots[diffID]
		m.Layers = append(m.Layers, slot.layer.descriptor)
		if !known[slot] {
			known[slot] = true
			blobs = append(blobs, slot)
		}
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	if len(raw) > maxManifest {
		return nil, wrong(ManifestTooLarge, "the image's manifest would take %d bytes, more than 4 MiB", len(raw))
	}
	return &Manifest{
		Descriptor: v1.Descriptor{MediaType: m.MediaType, Size: int64(len(raw)), Digest: image.Digest(raw)},
		Raw:        raw, Blobs: blobs, ArtifactType: string(d.MediaType),
	}, nil
}
