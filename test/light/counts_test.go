package light_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"go.uber.org/goleak"

	"github.com/multi-registry-push/multi-registry-push/internal/app"
	"github.com/multi-registry-push/multi-registry-push/test/light"
)

// What the goals of docs/performance.md say in counts, for every run of the tests. Times
// and memory are the benchmark's.

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// place is a registry and what it was asked.
type place struct {
	*light.Registry
	*light.Counter
	host string
}

func start(t testing.TB) *place {
	t.Helper()
	r := light.New()
	p := &place{Registry: r, Counter: light.NewCounter(r)}
	s := httptest.NewServer(p.Counter)
	t.Cleanup(s.Close)
	p.host = strings.TrimPrefix(s.URL, "http://")
	return p
}

func several(t testing.TB, n int) (all []*place) {
	t.Helper()
	for range n {
		all = append(all, start(t))
	}
	return all
}

// image gives p an image: layers of size bytes and more, which all manifests share, and a config
// for each manifest. It returns the bytes of all blobs.
func (p *place) image(t testing.TB, layers, manifests int, size int64) (total int64) {
	t.Helper()
	return p.imageAs(t, "1", layers, manifests, size)
}

// imageAs is image, under another tag.
func (p *place) imageAs(t testing.TB, as string, layers, manifests int, size int64) (total int64) {
	t.Helper()
	blob := func(seed byte, size int64, mediaType types.MediaType) v1.Descriptor {
		hash, err := v1.NewHash(p.Make(light.Made{Seed: seed, Size: size}))
		if err != nil {
			t.Fatal(err)
		}
		total += size
		return v1.Descriptor{MediaType: mediaType, Size: size, Digest: hash}
	}
	var all []v1.Descriptor
	for i := range layers {
		all = append(all, blob(0, size+int64(i), types.OCILayer))
	}
	put := func(tag string, mediaType types.MediaType, v any) v1.Descriptor {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		hash, err := v1.NewHash(p.Put("app", tag, string(mediaType), raw))
		if err != nil {
			t.Fatal(err)
		}
		return v1.Descriptor{MediaType: mediaType, Size: int64(len(raw)), Digest: hash}
	}
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	for i := range manifests {
		d := put("", types.OCIManifestSchema1, v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1,
			Config: blob(1, 300+int64(i), types.OCIConfigJSON), Layers: all})
		d.Platform = &v1.Platform{OS: "linux", Architecture: fmt.Sprint("test", i)}
		index.Manifests = append(index.Manifests, d)
	}
	put(as, types.OCIImageIndex, index)
	return total
}

// publish runs the whole program.
func publish(t testing.TB, source *place, to []*place, tags ...string) {
	t.Helper()
	definition, err := os.ReadFile("../../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	var auth strings.Builder
	var names []string
	for _, p := range append([]*place{source}, to...) {
		fmt.Fprintf(&auth, "- registry: %s\n  anonymous: true\n", p.host)
	}
	if len(tags) == 0 {
		tags = []string{"1"}
	}
	for _, p := range to {
		for _, tag := range tags {
			names = append(names, p.host+"/app:"+tag)
		}
	}
	var out bytes.Buffer
	status := app.Main(t.Context(), app.Env{
		Args: []string{"--source", "docker://" + source.host + "/app:1", "--tags", strings.Join(names, "\n"), "--registry-auth", "-", "--summary", "false"},
		// A folder of its own, so that the spool's limit does not depend on the machine's.
		Environ: []string{"HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir()},
		Stdin:   strings.NewReader(auth.String()), Stdout: &out, Stderr: &out,
		Definition: definition,
	})
	if status != 0 {
		t.Fatalf("exit status %d\n%s", status, out.String())
	}
}

func TestSourceIsReadOnce(t *testing.T) {
	for _, registries := range []int{1, 4, 16} {
		t.Run(fmt.Sprint(registries, " registries"), func(t *testing.T) {
			source, to := start(t), several(t, registries)
			total := source.image(t, 5, 2, 1_500_000)
			publish(t, source, to)
			c := source.Snapshot()
			if c.BlobBytes != total {
				t.Errorf("the source sent %d bytes of blobs, the image has %d", c.BlobBytes, total)
			}
			for digest, n := range c.Blobs {
				if n != 1 {
					t.Errorf("%s was asked for %d times", digest, n)
				}
			}
			if len(c.Blobs) != 7 {
				t.Errorf("%d blobs were read, not 7", len(c.Blobs))
			}
			for _, p := range to {
				if got := p.Snapshot().Received; got < total {
					t.Errorf("%s got %d bytes of %d", p.host, got, total)
				}
			}
		})
	}
}

func TestOnlyWhatIsLackingIsRead(t *testing.T) {
	source, to := start(t), several(t, 3)
	source.image(t, 4, 1, 1_500_000)
	publish(t, source, to)
	source.Forget()
	total := source.image(t, 5, 1, 1_500_000) // one layer more, and so another manifest
	publish(t, source, to)
	if got, want := source.Snapshot().BlobBytes, int64(1_500_004); got != want {
		t.Errorf("the source sent %d bytes, %d of %d were lacking", got, want, total)
	}
	// A registry more: it alone gets everything, and the source is read for it.
	source.Forget()
	for _, p := range to {
		p.Forget()
	}
	publish(t, source, append(to, start(t)))
	if got := source.Snapshot().BlobBytes; got != total {
		t.Errorf("the source sent %d bytes of %d", got, total)
	}
	for _, p := range to {
		if n := p.Snapshot().BlobRequests(); n != 0 {
			t.Errorf("%d requests for blobs to a registry that has them", n)
		}
	}
}

func TestNothingToDo(t *testing.T) {
	const manifests, tags = 4, 3
	source, to := start(t), several(t, 4)
	source.image(t, 5, manifests, 100_000)
	publish(t, source, to, "a", "b", "c")
	source.Forget()
	for _, p := range to {
		p.Forget()
	}
	publish(t, source, to, "a", "b", "c")
	if c := source.Snapshot(); c.BlobRequests() != 0 {
		t.Errorf("requests to the source: %v", c.By)
	}
	for _, p := range to {
		c := p.Snapshot()
		if n := c.BlobRequests(); n != 0 {
			t.Errorf("%d requests for blobs: %v", n, c.By)
		}
		if n := c.Requests - c.Login(); n > 3+manifests+2*tags {
			t.Errorf("%d requests: %v", n, c.By)
		}
	}
}

func TestRequestsGrowWithTheSum(t *testing.T) {
	requests := func(tags, layers, manifests int) int64 {
		source, to := start(t), several(t, 1)
		source.image(t, layers, manifests, 1000)
		var names []string
		for i := range tags {
			names = append(names, fmt.Sprint("t", i))
		}
		publish(t, source, to, names...)
		return source.Snapshot().Requests + to[0].Snapshot().Requests
	}
	one := requests(1, 1, 1)
	sum := one
	for _, n := range [][3]int{{1000, 1, 1}, {1, 100, 1}, {1, 1, 64}} {
		sum += requests(n[0], n[1], n[2]) - one
	}
	if all := requests(1000, 100, 64); all > sum+sum/20 {
		t.Errorf("%d requests for 1000 tags, 100 layers and 64 manifests; apart they take %d", all, sum)
	}
	if one > 22 {
		t.Errorf("%d requests for one tag, layer and manifest", one)
	}
}
