package source

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// platformEngine is an engine with containerd's store that holds some platforms of an image,
// perhaps not its own, and knows the API's version that it says.
type platformEngine struct {
	version string
	own     bool // it holds its own platform, linux/amd64
	export  []byte
	partial map[string][]byte // by the query's platforms

	mu    sync.Mutex
	asked []url.Values
}

func (e *platformEngine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := func(v any) { _ = json.NewEncoder(w).Encode(v) }
	id := strings.Repeat("a", 64)
	switch path := r.URL.Path; {
	case path == "/version":
		answer(map[string]string{"ApiVersion": e.version})
	case path == "/info":
		answer(map[string]any{"DriverStatus": [][]string{{"driver-type", "io.containerd.snapshotter.v1"}}})
	case path == "/images/json":
		answer([]any{map[string]any{"Id": "sha256:" + id, "RepoTags": []string{"app:1"}}})
	case strings.HasSuffix(path, "/json") && e.own && (path == "/images/app:1/json" || path == "/images/"+id+"/json"):
		answer(map[string]any{"Id": "sha256:" + id, "Os": "linux", "Architecture": "amd64"})
	case path == "/images/app:1/get", path == "/images/"+id+"/get":
		e.mu.Lock()
		e.asked = append(e.asked, r.URL.Query())
		e.mu.Unlock()
		if export := e.partial[strings.Join(r.URL.Query()["platform"], " ")]; export != nil {
			_, _ = w.Write(export)
			return
		}
		_, _ = w.Write(e.export)
	default:
		w.WriteHeader(http.StatusNotFound)
		answer(map[string]string{"message": "image was found but does not provide the specified platform"})
	}
}

func (e *platformEngine) open(t *testing.T, source string, platforms ...string) (*Image, error) {
	s := httptest.NewServer(e)
	t.Cleanup(s.Close)
	return open(t, source, Options{Docker: Docker{Host: "tcp://" + s.Listener.Addr().String()}, Platforms: platforms})
}

func TestEngineIsAskedForPlatforms(t *testing.T) {
	b := newBuilder(t)
	amd, arm, s390x := b.image("linux/amd64", b.layer("amd")), b.image("linux/arm64", b.layer("arm")), b.image("linux/s390x", b.layer("s390x"))
	root := b.index(amd, arm, s390x)
	all := append(b.files(named(root, imageName, "docker.io/library/app:1")), member{name: "manifest.json", data: []byte("[]")})
	holding := func(ds ...v1.Descriptor) []byte {
		members := all
		for _, d := range []v1.Descriptor{amd, arm, s390x} {
			if !slices.ContainsFunc(ds, func(o v1.Descriptor) bool { return o.Digest == d.Digest }) {
				members = without(members, blobName(d.Digest))
			}
		}
		return tarOf(t, members...)
	}
	const armQuery = `{"os":"linux","architecture":"arm64"}`
	for _, c := range []struct {
		name, version string
		own           bool
		platforms     []string
		want          []string // queries
		published     []v1.Descriptor
	}{
		{"an engine that understands it", "1.48", true, []string{"linux/arm64/v8"}, []string{armQuery}, []v1.Descriptor{arm}},
		{"its own platform is not there", "1.51", false, []string{"linux/arm64"}, []string{armQuery}, []v1.Descriptor{arm}},
		{"an older one", "1.47", true, []string{"linux/arm64"}, nil, []v1.Descriptor{arm}},
		{"one that does not tell", "", true, []string{"linux/arm64"}, nil, []v1.Descriptor{arm}},
		{"several", "1.52", true, []string{"linux/arm64", "linux/s390x"}, []string{armQuery, `{"os":"linux","architecture":"s390x"}`}, []v1.Descriptor{arm, s390x}},
		{"several, of one that takes one", "1.48", true, []string{"linux/arm64", "linux/s390x"}, nil, []v1.Descriptor{arm, s390x}},
		{"all", "1.52", true, nil, nil, []v1.Descriptor{amd, arm, s390x}},
	} {
		e := &platformEngine{version: c.version, own: c.own, export: holding(amd, arm, s390x)}
		i, err := e.open(t, "docker-daemon:app:1", c.platforms...)
		must(t, err)
		got, err := i.Root(t.Context())
		must(t, err)
		var want []string
		for _, d := range c.published {
			want = append(want, d.Digest.String())
		}
		if !slices.Equal(children(got), want) || len(e.asked) != 1 || !slices.Equal(e.asked[0]["platform"], c.want) {
			t.Errorf("%s: %v, asked for %v", c.name, children(got), e.asked)
		}
	}
	t.Run("a manifest alone", func(t *testing.T) { // some engines answer with that
		single := tarOf(t, append(b.files(named(arm, imageName, "docker.io/library/app:1")), member{name: "manifest.json", data: []byte("[]")})...)
		i, err := (&platformEngine{version: "1.48", partial: map[string][]byte{armQuery: single}}).open(t, "docker-daemon:app:1", "linux/arm64")
		must(t, err)
		got, err := i.Root(t.Context())
		must(t, err)
		if got.Descriptor.Digest != arm.Digest {
			t.Errorf("%s", got.Descriptor.Digest)
		}
	})
	t.Run("an id", func(t *testing.T) {
		for _, own := range []bool{true, false} {
			i, err := (&platformEngine{version: "1.48", own: own, export: holding(arm)}).open(t, "docker-daemon:"+strings.Repeat("a", 64), "linux/arm64")
			must(t, err)
			got, err := i.Root(t.Context())
			must(t, err)
			if !slices.Equal(children(got), []string{arm.Digest.String()}) {
				t.Errorf("%v", children(got))
			}
		}
	})
	t.Run("a part of it", func(t *testing.T) {
		e := &platformEngine{version: "1.48", own: true, export: holding(amd)}
		i, err := e.open(t, "docker-daemon:app:1")
		must(t, err)
		absent, err := i.Absent(t.Context())
		must(t, err)
		if fmt.Sprint(absent) != "[linux/arm64 linux/s390x]" {
			t.Errorf("%v", absent)
		}
		i, err = e.open(t, "docker-daemon:app:1", "linux/arm64")
		must(t, err)
		_, err = i.Root(t.Context())
		wantProblem(t, err, usererror.PlatformNotFound, "has no linux/arm64", "it has linux/amd64", "also names linux/arm64, linux/s390x")
	})
	t.Run("a blob is not there", func(t *testing.T) {
		var m v1.Manifest
		must(t, json.Unmarshal(b.blobs[arm.Digest], &m))
		layer := m.Layers[0].Digest
		i, err := (&platformEngine{version: "1.48", own: true, export: tarOf(t, without(all, blobName(layer))...)}).open(t, "docker-daemon:app:1")
		must(t, err)
		_, err = i.Root(t.Context())
		wantProblem(t, err, usererror.SourceBroken, "Docker engine's export lacks "+layer.String(), "in the engine again")
		if strings.Contains(err.Error(), "Build the image again") {
			t.Error(err)
		}
	})
	_, err := (&platformEngine{version: "1.48"}).open(t, "docker-daemon:app:1")
	wantProblem(t, err, usererror.SourceBroken, "not all of it")
	_, err = (&platformEngine{version: "1.48"}).open(t, "docker-daemon:other:1", "linux/arm64")
	wantProblem(t, err, usererror.SourceNotFound, "no image other:1")
}
