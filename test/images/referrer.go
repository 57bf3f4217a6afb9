package images

import (
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Layer is a layer of an artifact.
type Layer struct {
	MediaType   types.MediaType
	Content     []byte
	Annotations map[string]string
}

// Artifact builds an artifact of these layers. With a subject it refers to that (OCI image
// spec 1.1), without one it is a plain manifest, as cosign stores them under a tag.
func Artifact(subject *v1.Descriptor, artifactType string, layers ...Layer) *Image {
	b := &builder{image: &Image{}, have: map[v1.Hash]bool{}}
	m := struct {
		SchemaVersion int             `json:"schemaVersion"`
		MediaType     types.MediaType `json:"mediaType"`
		ArtifactType  string          `json:"artifactType,omitempty"`
		Config        v1.Descriptor   `json:"config"`
		Layers        []v1.Descriptor `json:"layers"`
		Subject       *v1.Descriptor  `json:"subject,omitempty"`
	}{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: artifactType}
	if subject != nil {
		m.Subject = &v1.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}
		m.Config = b.blob("application/vnd.oci.empty.v1+json", []byte("{}"), nil)
	} else {
		m.Config = b.blob(types.OCIConfigJSON, []byte(`{"architecture":"","os":"","config":{},"rootfs":{"type":"layers","diff_ids":[]}}`), nil)
	}
	for _, l := range layers {
		m.Layers = append(m.Layers, b.blob(l.MediaType, l.Content, l.Annotations))
	}
	b.image.Root = b.manifest(types.OCIManifestSchema1, m)
	return b.image
}
