package source

import (
	"context"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/image"
)

// sameImages refuses an archive whose manifest.json names an image that its index.json does
// not: some programs read the one, some the other, and would publish different images.
func sameImages(ctx context.Context, t fileSet) error {
	saved, err := readSaved(t)
	if err != nil {
		return err
	}
	index, err := openIndex(t)
	if err != nil {
		return err
	}
	l, all := layout{t}, contents(index)
	g := newGraph(l, nil)
	listed, err := configsBelow(ctx, g, l, all)
	if err != nil {
		return err
	}
	for _, s := range saved {
		digest, ok, err := configDigest(t, s.Config)
		if err != nil {
			return err
		}
		if ok && !listed[digest] {
			named := &candidate{descriptor: v1.Descriptor{Digest: digest}, names: s.RepoTags}
			return wrong(NamesDisagree, "manifest.json names the image %s, which is not in index.json; that names %s",
				list([]*candidate{named}), list(all))
		}
	}
	return nil
}

// configDigest returns the digest of a config that manifest.json names: from its name, as
// nearly all tools write it, else from its bytes; ok is false where there are none.
func configDigest(t fileSet, config string) (digest v1.Hash, ok bool, err error) {
	name, err := cleanName(config)
	if err != nil {
		return v1.Hash{}, false, err
	}
	if hex := digestInName(name); hex != "" {
		return v1.Hash{Algorithm: "sha256", Hex: hex}, true, nil
	}
	f, err := t.lookup(name)
	if err != nil {
		return v1.Hash{}, false, nil // nobody can read that image
	}
	raw, err := readAll(f, "the config "+short(config), maxManifest)
	return image.Digest(raw), err == nil, err
}

// configsBelow returns the configs of all images that candidates reach and that are there.
func configsBelow(ctx context.Context, g *graph, l layout, all []*candidate) (map[v1.Hash]bool, error) {
	configs := map[v1.Hash]bool{}
	var open []v1.Descriptor
	for _, c := range all {
		open = append(open, c.descriptor)
	}
	return configs, l.walk(ctx, g, open, func(doc document) []v1.Descriptor {
		if doc.Config != nil {
			configs[doc.Config.Digest] = true
		}
		return doc.Manifests
	})
}
