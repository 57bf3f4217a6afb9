package source

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// layout is a store in an OCI image layout (image-spec 1.1, image-layout.md).
type layout struct{ files fileSet }

func blobName(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }

func (l layout) find(d v1.Descriptor) (file, error) {
	f, err := l.files.lookup(blobName(d.Digest))
	if errors.Is(err, fs.ErrNotExist) {
		return file{}, broken(missingError{d.Digest}, "a blob is not there")
	}
	if err != nil {
		return file{}, err
	}
	if f.size != d.Size {
		return file{}, broken(nil, "%s has %d bytes, but its descriptor says %d", d.Digest, f.size, d.Size)
	}
	return f, nil
}

func (l layout) manifest(_ context.Context, d v1.Descriptor) ([]byte, error) {
	f, err := l.find(d)
	if err != nil {
		return nil, err
	}
	raw, err := readAll(f, "manifest "+d.Digest.String(), maxManifest)
	if err != nil {
		return nil, err
	}
	return raw, verify("manifest "+d.Digest.String(), d.Digest, raw)
}

func (l layout) blob(d v1.Descriptor) (Blob, error) {
	f, err := l.find(d)
	if err != nil {
		return nil, err
	}
	d.Data = nil
	return newLocalBlob(d, f)
}

// has reports whether what d names is there.
func (l layout) has(d v1.Descriptor) bool {
	_, err := l.files.lookup(blobName(d.Digest))
	return err == nil
}

// walk visits the manifests that open names, and those that visit returns of each, as far as they
// are there, each once.
func (l layout) walk(ctx context.Context, g *graph, open []v1.Descriptor,
	visit func(document) []v1.Descriptor) error {
	walked := map[v1.Hash]bool{}
	for len(open) > 0 {
		d := open[0]
		open = open[1:]
		if walked[d.Digest] || !isManifest(d) || !l.has(d) {
			continue
		}
		walked[d.Digest] = true
		_, doc, err := g.one(ctx, d)
		if err != nil {
			return err
		}
		open = append(open, visit(doc)...)
	}
	return nil
}

// openIndex reads index.json and checks that this is a layout of a version we know.
func openIndex(t fileSet) (document, error) {
	var doc document
	raw, err := readOnly(t, "index.json",
		wrong(NoIndexJSON, "there is no index.json, so this is no OCI image layout"))
	if err != nil {
		return doc, err
	}
	if err := decode(raw, &doc, "index.json"); err != nil {
		return doc, err
	}
	if doc.SchemaVersion != 2 || doc.Config != nil || doc.MediaType != "" && doc.MediaType != types.OCIImageIndex {
		return doc, broken(nil, "index.json is not the index of an OCI image layout")
	}
	return doc, checkVersion(t)
}

// checkVersion reads oci-layout. One that is missing is forgiven: index.json tells
// enough.
func checkVersion(t fileSet) error {
	f, err := t.lookup("oci-layout")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	raw, err := readAll(f, "oci-layout", maxManifest)
	if err != nil {
		return err
	}
	var v struct {
		Version string `json:"imageLayoutVersion"`
	}
	if err := decode(raw, &v, "oci-layout"); err != nil {
		return err
	}
	if !strings.HasPrefix(v.Version, "1.") {
		return wrong(Unsupported, "the OCI image layout is of version %q, and only 1.x is known", short(v.Version))
	}
	return nil
}
