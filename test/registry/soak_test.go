package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/multi-registry-push/multi-registry-push/internal/app"
	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
)

// TestSoakMixes publishes from one registry to others, and every third time a second image that is
// merged from two archives, while all ways to them suffer random faults. Each image is whole
// everywhere in the end, or the failure is clear and what is tagged is whole. 20 runs with fixed seeds, 6 with -short; with SOAK set 500 of fresh ones.
func TestSoakMixes(t *testing.T) {
	runs, first := 20, uint64(1)
	if testing.Short() {
		runs = 6
	}
	if os.Getenv("SOAK") != "" {
		runs, first = 500, uint64(time.Now().UnixNano())
	}
	t.Logf("%d runs, the first seed is %d", runs, first)
	source := kinds[0].start(t)
	var destinations []*servers.Server
	for _, kind := range kinds {
		if kind.name == "Distribution 2.8" && os.Getenv("REQUIRE_ALL") == "" {
			if _, err := exec.LookPath("docker-registry"); err != nil {
				t.Log("without Distribution 2.8, which is not installed")
				continue
			}
		}
		destinations = append(destinations, kind.start(t))
	}
	failed := 0
	for i := range runs {
		if seed := first + uint64(i); !mix(t, seed, source, destinations) {
			failed++
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d of %d runs said that they failed", failed, runs)
}

// mix is one run. It reports whether the run succeeded.
func mix(t *testing.T, seed uint64, source *servers.Server, destinations []*servers.Server) bool {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 7))
	repository := fmt.Sprintf("soak/r%d", seed)
	image := images.Build(images.Options{Layers: 3, LayerBytes: 1 << 20, Seed: seed, SharedSeed: seed})
	image.Push(t, source.Reference(repository, "src"), source.Inspect()...)

	var all []*link
	from := newLink(t, source.Host, random.IntN(2) == 0)
	all = append(all, from)
	chaos := []*disorder{{from, source, rand.New(rand.NewPCG(seed, 0)), 3}}
	auth := item(source, from)
	var hosts []string
	for i, d := range destinations {
		l := newLink(t, d.Host, random.IntN(2) == 0)
		all = append(all, l)
		chaos = append(chaos, &disorder{l, d, rand.New(rand.NewPCG(seed, uint64(i+1))), 6})
		auth += item(d, l)
		hosts = append(hosts, l.host)
	}
	dir := t.TempDir()
	definition, err := os.ReadFile(filepath.Join("..", "..", "action.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	var saying sync.Mutex
	say := writerFunc(func(p []byte) (int, error) {
		saying.Lock()
		defer saying.Unlock()
		return out.Write(p)
	})
	clock := &quick{}
	env := app.Env{
		Definition: definition, Stdin: strings.NewReader(""), Stdout: say, Stderr: say, GoVersion: "go",
		Clock: clock, Stall: 500 * time.Millisecond,
		Environ: []string{
			"HOME=" + dir, "TMPDIR=" + dir, "PATH=" + os.Getenv("PATH"), "RUNNER_DEBUG=1",
			"INPUT_REGISTRY-AUTH=" + auth, fmt.Sprintf("INPUT_ATOMIC=%t", random.IntN(2) == 0),
		},
	}
	published := []mixed{{image: image, source: []string{"docker://" + from.host + "/" + repository + ":src"}, repository: repository}}
	if seed%3 == 0 {
		published = append(published, merged(t, seed, dir, repository))
	}
	env.Environ = append(env.Environ, inputs(published, hosts)...)
	ctx, stop := context.WithCancel(t.Context())
	var going sync.WaitGroup
	for _, c := range chaos {
		going.Go(func() { c.run(ctx) })
	}
	status := app.Main(t.Context(), env)
	stop()
	going.Wait()
	for i, l := range all {
		l.clear()
		l.proxy.Stop()
		chaos[i].server.Faults.Clear()
	}
	for _, d := range destinations {
		for _, one := range published {
			one.check(t, d, seed, status == 0)
		}
	}
	for _, one := range published[1:] {
		for _, archive := range one.source {
			if err := os.Remove(archive); err != nil {
				t.Error(err)
			}
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("seed %d: left in the temporary folder: %v, %v", seed, left, err)
	}
	if status != 0 && !strings.Contains(out.String(), "failed") {
		t.Errorf("seed %d: exit status %d without a word", seed, status)
	}
	if t.Failed() || status != 0 {
		t.Logf("seed %d: exit status %d\n%s", seed, status, out.String())
	}
	return status == 0
}

// soakTags are the tags that each image gets.
var soakTags = []string{"v1", "latest"}

// mixed is an image that is published, and what it has: image is nil where it is merged.
type mixed struct {
	image      *images.Image
	has        map[v1.Hash]bool // of a merged one, all but its root
	source     []string
	repository string
}

// merged returns an image of two archives in a folder.
func merged(t *testing.T, seed uint64, folder, repository string) mixed {
	m := mixed{repository: repository + "/merged", has: map[v1.Hash]bool{}}
	for i, platform := range []string{"linux/amd64", "linux/arm64"} {
		part := images.Build(images.Options{
			Layers: 2, LayerBytes: 1 << 20, Seed: seed + uint64(i) + 1, SharedSeed: seed, Platforms: []string{platform},
		})
		for _, c := range slices.Concat(part.Manifests[:len(part.Manifests)-1], part.Blobs) {
			m.has[c.Descriptor.Digest] = true
		}
		var archive bytes.Buffer
		if err := part.WriteArchive(&archive); err != nil {
			t.Fatal(err)
		}
		m.source = append(m.source, filepath.Join(folder, fmt.Sprintf("part%d.tar", i)))
		if err := os.WriteFile(m.source[i], archive.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// inputs returns the environment of a run that publishes to hosts.
func inputs(all []mixed, hosts []string) []string {
	tags := func(m mixed) (tags []string) {
		for _, host := range hosts {
			for _, tag := range soakTags {
				tags = append(tags, host+"/"+m.repository+":"+tag)
			}
		}
		return tags
	}
	if len(all) == 1 {
		return []string{"INPUT_SOURCE=" + all[0].source[0], "INPUT_TAGS=" + strings.Join(tags(all[0]), "\n")}
	}
	var list strings.Builder
	for i, m := range all {
		fmt.Fprintf(&list, "- name: image%d\n  source: %q\n  tags: %q\n", i, strings.Join(m.source, "\n"), strings.Join(tags(m), "\n"))
	}
	return []string{"INPUT_IMAGES=" + list.String()}
}

// check holds what a registry serves against what was published; all says that it must be there.
func (m mixed) check(t *testing.T, d *servers.Server, seed uint64, all bool) {
	t.Helper()
	for _, tag := range soakTags {
		reference := d.Reference(m.repository, tag)
		ref, err := name.ParseReference(reference)
		if err != nil {
			t.Fatal(err)
		}
		switch _, err := remote.Head(ref, d.Inspect()...); {
		case err != nil && all:
			t.Errorf("seed %d: success, but %s is not there: %v", seed, reference, err)
		case err != nil:
		case m.image != nil:
			m.image.Compare(t, reference, d.Inspect()...)
		default:
			got, err := images.Fetch(reference, d.Inspect()...)
			if err != nil {
				t.Errorf("seed %d: %s: %v", seed, reference, err)
				continue
			}
			has := map[v1.Hash]bool{}
			for _, c := range slices.Concat(got.Manifests[:len(got.Manifests)-1], got.Blobs) {
				has[c.Descriptor.Digest] = true
			}
			if !maps.Equal(has, m.has) {
				t.Errorf("seed %d: %s has %d parts of %d", seed, reference, len(has), len(m.has))
			}
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func item(s *servers.Server, l *link) string {
	password, err := json.Marshal(s.Users[0].Password)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("- registry: %s\n  username: %s\n  password: %s\n", l.host, s.Users[0].Name, password)
}

// disorder lets a number of faults happen on one link, at random times.
type disorder struct {
	link   *link
	server *servers.Server
	random *rand.Rand
	events int
}

func (d *disorder) run(ctx context.Context) {
	wait := func(most int) bool {
		timer := time.NewTimer(time.Duration(d.random.IntN(most)) * time.Millisecond)
		defer timer.Stop()
		select {
		case <-timer.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
	for range d.events {
		if !wait(150) {
			return
		}
		stream := []string{"upstream", "downstream"}[d.random.IntN(2)]
		switch d.random.IntN(10) {
		case 0, 1:
			d.link.add("reset_peer", stream, map[string]any{"timeout": 0})
		case 2, 3:
			d.link.add("limit_data", stream, map[string]any{"bytes": d.random.IntN(1 << 20)})
		case 4:
			d.link.add("timeout", stream, map[string]any{"timeout": 0})
		case 5:
			d.link.cut()
		case 6:
			d.link.add("slicer", stream, map[string]any{"average_size": 1 << 12, "size_variation": 1 << 11, "delay": 10})
		case 7:
			d.link.add("latency", stream, map[string]any{"latency": 30, "jitter": 20})
		case 8:
			d.server.Faults.Add(servers.Fault{Status: []int{429, 500, 502, 503, 504, 408}[d.random.IntN(6)], Nth: d.random.IntN(8), Count: 1 + d.random.IntN(3)})
		case 9:
			d.server.Faults.Add(servers.Fault{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"2"}}, Count: 1 + d.random.IntN(5)})
		}
		if !wait(150) {
			return
		}
		d.link.clear()
	}
}
