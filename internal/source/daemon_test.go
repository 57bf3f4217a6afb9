package source

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multi-registry-push/multi-registry-push/internal/usererror"
)

// fakeEngine answers like a Docker engine that has one image.
type fakeEngine struct {
	name       string
	image      dockerImage
	export     []byte
	containerd bool
	truncate   int // bytes of the export that arrive; 0 is all
	refuse     bool
	gate       chan struct{} // if not nil, what is behind the first layer waits for it
	hold       chan struct{} // if not nil, it is closed when the export is asked for, which then hangs

	mu   sync.Mutex
	asks []string
}

func (f *fakeEngine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.asks = append(f.asks, r.URL.Path)
	f.mu.Unlock()
	id := digestOf(f.image.config).String()
	answer := func(v any) { _ = json.NewEncoder(w).Encode(v) }
	switch path := r.URL.Path; {
	case path == "/images/json":
		answer([]any{map[string]any{"RepoTags": []string{"app:1", "application:2"}}, map[string]any{"RepoTags": []string{"<none>:<none>"}}, map[string]any{"RepoTags": nil}, map[string]any{"RepoTags": []string{"zzz/unlike:1"}}})
	case path == "/info" && f.containerd:
		answer(map[string]any{"DriverStatus": [][]string{{"driver-type", "io.containerd.snapshotter.v1"}}})
	case path == "/info":
		answer(map[string]any{"DriverStatus": [][]string{{"Backing Filesystem", "extfs"}}})
	case path == "/images/"+f.name+"/json":
		var diffIDs []string
		for _, l := range f.image.plain {
			diffIDs = append(diffIDs, digestOf(l).String())
		}
		answer(map[string]any{"Id": id, "Os": "linux", "Architecture": "amd64", "RootFS": map[string]any{"Layers": diffIDs}})
	case path == "/images/"+f.name+"/get" || path == "/images/"+id+"/get":
		if f.refuse {
			w.WriteHeader(http.StatusInternalServerError)
			answer(map[string]string{"message": "disk on fire"})
			return
		}
		if f.hold != nil {
			close(f.hold)
			<-r.Context().Done()
			return
		}
		if f.gate != nil {
			end := bytes.Index(f.export, f.image.plain[0]) + len(f.image.plain[0])
			_, _ = w.Write(f.export[:end])
			w.(http.Flusher).Flush()
			<-f.gate
			_, _ = w.Write(f.export[end:])
			return
		}
		if f.truncate > 0 {
			w.Header().Set("Content-Length", fmt.Sprint(len(f.export)))
			_, _ = w.Write(f.export[:f.truncate])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(f.export)
	default:
		w.WriteHeader(http.StatusNotFound)
		answer(map[string]string{"message": "No such image: " + path})
	}
}

func (f *fakeEngine) count(part string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, path := range f.asks {
		if strings.Contains(path, part) {
			n++
		}
	}
	return n
}

// serve starts the engine on a socket of its own.
func (f *fakeEngine) serve(t *testing.T) Docker {
	dir, err := os.MkdirTemp("", "engine") // t.TempDir can be too long for a socket
	must(t, err)
	socket := filepath.Join(dir, "docker.sock")
	l, err := net.Listen("unix", socket)
	must(t, err)
	s := httptest.NewUnstartedServer(f)
	_ = s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(func() { s.Close(); must(t, os.RemoveAll(dir)) })
	return Docker{Host: "unix://" + socket}
}

func newFakeEngine(t *testing.T, form savedForm) *fakeEngine {
	image := newDockerImage(t, "linux/amd64", []string{"app:1"}, threeLayers(t)...)
	return &fakeEngine{name: "app:1", image: image, export: tarOf(t, save(t, form, image)...)}
}

func TestEngine(t *testing.T) {
	var digests []v1.Hash
	for _, form := range []savedForm{classic, podman, modern} {
		t.Run(string(form), func(t *testing.T) {
			f := newFakeEngine(t, form)
			i, err := open(t, "docker-daemon:app:1", Options{Docker: f.serve(t)})
			must(t, err)
			if f.count("/get") != 0 {
				t.Error("exported before it was needed")
			}
			if len(i.PendingBlobs()) != 3 {
				t.Errorf("%d layers ahead", len(i.PendingBlobs()))
			}
			for _, b := range i.PendingBlobs() {
				_, err := b.Descriptor(t.Context())
				must(t, err)
			}
			root, err := i.Root(t.Context())
			must(t, err)
			wantDocker(t, root, f.image)
			digests = append(digests, root.Descriptor.Digest)
			_, err = i.Root(t.Context())
			must(t, err)
			if n := f.count("/get"); n != 1 {
				t.Errorf("%d exports", n)
			}
		})
	}
	if len(slices.Compact(digests)) != 1 {
		t.Errorf("one image has the digests %v", digests)
	}
	// An archive of it gets the same.
	image := newDockerImage(t, "linux/amd64", []string{"app:1"}, threeLayers(t)...)
	_, root := mustOpen(t, writeFile(t, "image.tar", tarOf(t, save(t, classic, image)...)), Options{})
	if root.Descriptor.Digest != digests[0] {
		t.Error("an archive of the same image gets another digest")
	}
}

// A layer that an image has twice may be two files instead of one and a link.
func TestEngineSendsALayerTwice(t *testing.T) {
	f := newFakeEngine(t, classic)
	members := save(t, classic, f.image)
	for n, m := range members {
		if m.link != "" {
			members[n] = member{name: m.name, data: f.image.plain[0]}
		}
	}
	f.export = tarOf(t, members...)
	_, root := mustOpen(t, "docker-daemon:app:1", Options{Docker: f.serve(t)})
	wantDocker(t, root, f.image)
}

// What is no layer is held in memory, and so bounded.
func TestEngineThatDescribesWithoutEnd(t *testing.T) {
	withoutRace(t)
	f := newFakeEngine(t, classic)
	var members []member
	for n := range 1 + maxSmall/maxManifest {
		members = append(members, member{name: fmt.Sprintf("%d/json", n), data: make([]byte, maxManifest)})
	}
	f.export = tarOf(t, members...)
	i, err := open(t, "docker-daemon:app:1", Options{Docker: f.serve(t)})
	must(t, err)
	_, err = i.Root(t.Context())
	wantProblem(t, err, usererror.SourceBroken, "64 MiB")
}

func TestEngineWithContainerdStore(t *testing.T) {
	b := newBuilder(t)
	amd, arm := b.image("linux/amd64", b.layer("amd")), b.image("linux/arm64", b.layer("arm"))
	root := b.index(amd, arm, b.attestation(amd))
	files := b.files(named(root, imageName, "docker.io/library/app:1"))
	f := &fakeEngine{name: "app:1", containerd: true, image: newDockerImage(t, "linux/amd64", nil), export: tarOf(t, append(files, member{name: "manifest.json", data: []byte("[]")})...)}
	i, got := mustOpen(t, "docker-daemon:app:1", Options{Docker: f.serve(t)})
	if got.Descriptor.Digest != root.Digest || len(i.PendingBlobs()) != 0 {
		t.Errorf("root is %s, want %s", got.Descriptor.Digest, root.Digest)
	}
	sameContent(t, everything(t, got), b.blobs)

	t.Run("a platform that is not there", func(t *testing.T) {
		f := &fakeEngine{name: "app:1", containerd: true, image: f.image, export: tarOf(t, without(files, blobName(arm.Digest))...)}
		i, got := mustOpen(t, "docker-daemon:app:1", Options{Docker: f.serve(t)})
		if len(got.Manifests) != 2 {
			t.Errorf("%d manifests", len(got.Manifests))
		}
		platforms, err := i.Platforms(t.Context())
		must(t, err)
		if fmt.Sprint(platforms) != "[linux/amd64]" {
			t.Errorf("platforms are %v", platforms)
		}
	})
	t.Run("breaks off", func(t *testing.T) {
		f := &fakeEngine{name: "app:1", containerd: true, image: f.image, export: f.export, truncate: 3000}
		i, err := open(t, "docker-daemon:app:1", Options{Docker: f.serve(t)})
		must(t, err)
		_, err = i.Root(t.Context())
		wantProblem(t, err, usererror.SourceBroken, "docker-daemon:app:1")
	})
}

func TestEngineTrouble(t *testing.T) {
	f := newFakeEngine(t, classic)
	docker := f.serve(t)

	_, err := open(t, "docker-daemon:app:2", Options{Docker: docker})
	wantProblem(t, err, usererror.SourceNotFound, "no image app:2", "app:1, application:2", "load: true")

	_, err = open(t, "docker-daemon:application:2", Options{Docker: docker}) // listed, but not to be had
	wantProblem(t, err, usererror.SourceBroken, "not all of it")

	_, err = open(t, "docker-daemon:app:1", Options{Docker: docker, Platforms: []string{"linux/arm64"}})
	wantProblem(t, err, usererror.PlatformNotFound, "linux/amd64")

	_, err = open(t, "docker-daemon:app:1", Options{Docker: Docker{Host: "unix:///nowhere/docker.sock"}})
	wantProblem(t, err, usererror.EngineUnreachable, "unix:///nowhere/docker.sock", "-v /var/run/docker.sock:/var/run/docker.sock")

	// A port that the system gives out is another test's once it is free.
	_, err = open(t, "docker-daemon:app:1", Options{Docker: Docker{Host: "tcp://127.0.0.1:1"}})
	wantProblem(t, err, usererror.EngineUnreachable, "localhost is the container itself", "refused")

	_, err = open(t, "docker-daemon:app:1", Options{Docker: Docker{Host: "ssh://me@host"}})
	wantProblem(t, err, usererror.EngineUnreachable, "ssh://me@host", "unix:///PATH")
	_, err = open(t, "docker-daemon:app:1", Options{Docker: Docker{Host: "somewhere"}})
	wantProblem(t, err, usererror.EngineUnreachable, "DOCKER_HOST")
	_, err = open(t, "docker-daemon:app:1", Options{Docker: Docker{Host: "tcp://localhost", TLSVerify: true, CertPath: t.TempDir()}})
	wantProblem(t, err, usererror.EngineUnreachable, "DOCKER_CERT_PATH")

	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }))
	defer other.Close()
	_, err = open(t, "docker-daemon:app:1", Options{Docker: Docker{Host: "tcp://" + other.Listener.Addr().String()}})
	wantProblem(t, err, usererror.EngineUnreachable, "not a Docker engine")

	for name, broken := range map[string]*fakeEngine{
		"breaks off in a layer":  {truncate: len(f.export) / 2},
		"breaks off in a header": {truncate: 700},
		"refuses":                {refuse: true},
		"sends no tar":           {export: []byte(strings.Repeat("no tar", 1000))},
		"sends another image":    {export: tarOf(t, save(t, classic, newDockerImage(t, "linux/amd64", nil, layerTar(t, "other", 10)))...)},
		"sends too little":       {export: tarOf(t, without(save(t, classic, f.image), "manifest.json")...)},
		"leads out":              {export: tarOf(t, append([]member{{name: "../x"}}, save(t, classic, f.image)...)...)},
	} {
		t.Run(name, func(t *testing.T) {
			broken.name, broken.image = f.name, f.image
			if broken.export == nil {
				broken.export = f.export
			}
			i, err := open(t, "docker-daemon:app:1", Options{Docker: broken.serve(t)})
			must(t, err)
			_, err = i.Root(t.Context())
			wantProblem(t, err, usererror.SourceBroken, "docker-daemon:app:1")
			for _, b := range i.PendingBlobs() {
				if _, err := b.Descriptor(t.Context()); err == nil && name == "refuses" {
					t.Error("a layer is known all the same")
				}
			}
		})
	}
}

// The first layer can be sent while the engine has not even given the second.
func TestLayersAreReadyOneByOne(t *testing.T) {
	f := newFakeEngine(t, classic)
	f.gate = make(chan struct{})
	i, err := open(t, "docker-daemon:app:1", Options{Docker: f.serve(t)})
	must(t, err)
	d, err := i.PendingBlobs()[0].Descriptor(t.Context())
	must(t, err)
	raw, err := read(t.Context(), i.PendingBlobs()[0], 0)
	must(t, err)
	if digestOf(raw) != d.Digest {
		t.Error("the first layer has another digest")
	}
	part, err := read(t.Context(), i.PendingBlobs()[0], d.Size-10)
	if err != nil || !bytes.Equal(part, raw[d.Size-10:]) {
		t.Errorf("its end is %x, %v", part, err)
	}
	close(f.gate)
	root, err := i.Root(t.Context())
	must(t, err)
	wantDocker(t, root, f.image)
}

func TestClosingStopsTheExport(t *testing.T) {
	f := newFakeEngine(t, classic)
	f.hold = make(chan struct{})
	docker := f.serve(t)
	spec, err := Parse("docker-daemon:app:1", Paths{})
	must(t, err)
	i, err := Open(t.Context(), spec, Options{Docker: docker, TempDir: t.TempDir()})
	must(t, err)
	failed := make(chan error)
	go func() {
		_, err := i.Root(t.Context())
		failed <- err
	}()
	<-f.hold
	must(t, i.Close())
	if err := <-failed; err == nil {
		t.Error("the root of a closed image is known")
	}
}

func TestEngineOverTLS(t *testing.T) {
	f := newFakeEngine(t, classic)
	s := httptest.NewUnstartedServer(f)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600))
	host := "tcp://" + s.Listener.Addr().String()
	_, root := mustOpen(t, "docker-daemon:app:1", Options{Docker: Docker{Host: host, TLSVerify: true, CertPath: dir}})
	wantDocker(t, root, f.image)

	_, err := open(t, "docker-daemon:app:1", Options{Docker: Docker{Host: host, TLSVerify: true}})
	wantProblem(t, err, usererror.EngineUnreachable, "certificate")
	_, err = open(t, "docker-daemon:app:1", Options{Docker: Docker{Host: host}})
	wantProblem(t, err, usererror.EngineUnreachable, "DOCKER_TLS_VERIFY")
}

func TestDockerFromEnvironment(t *testing.T) {
	env := map[string]string{"DOCKER_HOST": "tcp://engine:2376", "DOCKER_TLS_VERIFY": "1", "HOME": "/home/me"}
	got := NewDocker(func(k string) string { return env[k] }, Paths{})
	if got != (Docker{Host: "tcp://engine:2376", TLSVerify: true, CertPath: "/home/me/.docker"}) {
		t.Errorf("%+v", got)
	}
	paths := Paths{Folders: map[string]string{"/home/runner": "/github/x"}, Exists: func(string) bool { return false }}
	env = map[string]string{"DOCKER_HOST": "unix:///home/runner/docker.sock", "DOCKER_CERT_PATH": "/home/runner/certs"}
	got = NewDocker(func(k string) string { return env[k] }, paths)
	if got != (Docker{Host: "unix:///github/x/docker.sock", CertPath: "/github/x/certs"}) {
		t.Errorf("%+v", got)
	}
}

func TestNearest(t *testing.T) {
	got := nearest("ghcr.io/me/ap:1", []string{"zzz:1", "ghcr.io/me/app:1", "ghcr.io/me/ap:2", "ghcr.io/you/app:1", "zzz:1"}, 3)
	if fmt.Sprint(got) != "[ghcr.io/me/ap:2 ghcr.io/me/app:1 ghcr.io/you/app:1]" {
		t.Errorf("%v", got)
	}
}
