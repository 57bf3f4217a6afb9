package source

import (
	"encoding/json"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// A manifest that is written here is OCI, since some registries take nothing else; its digest
// must never change by accident.
func TestWhatIsMadeHereIsOCI(t *testing.T) {
	for value, want := range map[string]string{
		"docker-archive:../../testdata/docker20.tar":      "sha256:7f68790f7308035ada35c500e0fdc678794d6f3898fab18532216908709c70ea",
		"docker-archive:../../testdata/skopeo-docker.tar": "sha256:7f68790f7308035ada35c500e0fdc678794d6f3898fab18532216908709c70ea",
	} {
		_, root := mustOpen(t, value, Options{})
		var m v1.Manifest
		must(t, json.Unmarshal(root.Raw, &m))
		if root.Descriptor.MediaType != types.OCIManifestSchema1 || m.MediaType != types.OCIManifestSchema1 || m.Config.MediaType != types.OCIConfigJSON {
			t.Errorf("%s: %s", value, root.Raw)
		}
		for _, l := range m.Layers {
			if l.MediaType != types.OCILayer {
				t.Errorf("%s: %s", value, l.MediaType)
			}
		}
		if got := root.Descriptor.Digest.String(); got != want {
			t.Errorf("%s has the digest %s, not %s", value, got, want)
		}
	}
	plain := layerTar(t, "x", 3000)
	for name, c := range map[string]struct {
		layer []byte
		want  types.MediaType
	}{"gzip": {gzipOf(t, plain), types.OCILayer}, "zstd": {zstdOf(t, plain), types.OCILayerZStd}, "plain": {plain, types.OCILayer}} {
		image := newDockerImage(t, "linux/amd64", nil, plain)
		_, root := mustOpen(t, writeFile(t, "saved.tar", tarOf(t, member{name: "manifest.json", data: []byte(`[{"Config":"c","Layers":["l"]}]`)}, member{name: "c", data: image.config}, member{name: "l", data: c.layer})), Options{})
		var m v1.Manifest
		must(t, json.Unmarshal(root.Raw, &m))
		if m.Layers[0].MediaType != c.want || m.Config.Digest != digestOf(image.config) {
			t.Errorf("%s: %s", name, root.Raw)
		}
	}
}
