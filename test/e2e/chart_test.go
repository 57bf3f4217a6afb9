package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
	"github.com/multi-registry-push/multi-registry-push/test/servers/distribution"
)

// A Helm chart in a layout, with the media types of helm.sh/docs/topics/registries, is
// published to two registries with its digest, and its bytes are what was packed.
func TestHelmChart(t *testing.T) {
	chart, err := os.ReadFile("../../testdata/helm-app-1.2.0.tgz")
	if err != nil {
		t.Fatal(err)
	}
	layout := t.TempDir()
	write := func(name string, content []byte) {
		path := filepath.Join(layout, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	add := func(mediaType types.MediaType, content []byte) v1.Descriptor {
		d := images.Describe(mediaType, content)
		write("blobs/sha256/"+d.Digest.Hex, content)
		return d
	}
	config := add("application/vnd.cncf.helm.config.v1+json", []byte(`{"name":"app","version":"1.2.0","apiVersion":"v2"}`))
	layer := add("application/vnd.cncf.helm.chart.content.v1.tar+gzip", chart)
	describe := func(d v1.Descriptor) string {
		return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, d.MediaType, d.Digest, d.Size)
	}
	root := add(types.OCIManifestSchema1, fmt.Appendf(nil, `{"schemaVersion":2,"config":%s,"layers":[%s]}`, describe(config), describe(layer)))
	write("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	write("index.json", fmt.Appendf(nil, `{"schemaVersion":2,"manifests":[%s]}`, describe(root)))

	one, two := distribution.Start(t, servers.Options{Auth: servers.Token}), servers.Olareg(t, servers.Options{Auth: servers.None})
	o := job{source: "oci:" + layout, tags: []string{one.Reference("charts/app", "1.2.0"), two.Reference("charts/app", "1.2.0")},
		auth: one.Item(0) + two.Item(0)}.run(t).exits(0)
	if o.outputs["digest"] != root.Digest.String() {
		t.Errorf("digest is %s, not %s", o.outputs["digest"], root.Digest)
	}
	for _, s := range []*servers.Server{one, two} {
		if got := images.Digest(t, s.Reference("charts/app", "1.2.0"), s.Inspect()...); got != root.Digest.String() {
			t.Errorf("%s serves %s, not %s", s.Host, got, root.Digest)
		}
	}
}
