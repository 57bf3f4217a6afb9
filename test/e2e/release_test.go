package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
)

// several is a job that publishes two images under one tag each to every server.
func several(api, web string, to map[string]*servers.Server) job {
	text := func(v any) string {
		raw, err := json.Marshal(v)
		if err != nil { // strings always marshal
			panic(err)
		}
		return string(raw)
	}
	j := job{clock: newClock(), inputs: map[string]string{}}
	var tags [2][]string
	for _, s := range to {
		tags[0] = append(tags[0], s.Reference("acme/api", "1"))
		tags[1] = append(tags[1], s.Reference("acme/web", "1"))
		j.auth += s.Item(0)
	}
	j.inputs["images"] = fmt.Sprintf("- {name: api, source: %s, tags: %s}\n- {name: web, source: %s, tags: %s}\n",
		text(api), text(tags[0]), text(web), text(tags[1]))
	return j
}

// Several images go to every registry with one login, and a blob that they share is sent
// once to a host that can mount it. A dry run writes nothing.
func TestSeveralImages(t *testing.T) {
	api := images.Build(images.Options{Single: true, Seed: 1, SharedSeed: 5})
	web := images.Build(images.Options{Single: true, Seed: 2, SharedSeed: 5})
	to := kinds(t, servers.Options{Auth: servers.Token})
	j := several(api.Archive(t), web.Archive(t), to)
	j.inputs["dry-run"] = "true"
	o := j.run(t).exits(0)
	for at, s := range to {
		if r := o.registry(s.Host); r.Status != report.Planned || r.Blobs.Missing == 0 {
			t.Errorf("%s: a dry run says %s, %+v", at, r.Status, r.Blobs)
		}
		if n := len(s.Log.Writes()); n > 0 {
			t.Errorf("%s: a dry run writes\n%s", at, s.Log)
		}
	}
	j.inputs["dry-run"] = "false"
	o = j.run(t).exits(0)
	want := fmt.Sprintf(`{"api":%q,"web":%q}`, api.Digest(), web.Digest())
	if o.outputs["digests"] != want || o.outputs["digest"] != "" || len(o.results.Images) != 2 {
		t.Errorf("digests %s, digest %q, %d images", o.outputs["digests"], o.outputs["digest"], len(o.results.Images))
	}
	for at, s := range to {
		api.Compare(t, s.Reference("acme/api", "1"), s.Inspect()...)
		web.Compare(t, s.Reference("acme/web", "1"), s.Inspect()...)
		mounts := at != "go-containerregistry"
		if r := o.registry(s.Host); mounts && r.BytesUploaded >= api.BlobBytes()+web.BlobBytes() {
			t.Errorf("%s: %d bytes sent, %+v", at, r.BytesUploaded, r.Blobs)
		}
	}
}

// A broken source fails its image alone; with atomic no tag of any image is written.
func TestSeveralImagesOneBroken(t *testing.T) {
	web := images.Build(images.Options{Single: true})
	other := images.Build(images.Options{Single: true, Seed: 1})
	none := filepath.Join(t.TempDir(), "none.tar")
	for name, broken := range map[string]string{
		"a path that is not there": none, "a path with * that matches nothing": filepath.Dir(none) + "/*.tar",
		"a part that is not there": web.Archive(t) + "\n" + none, "a platform twice": web.Archive(t) + "\n" + other.Archive(t),
	} {
		for _, atomic := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, atomic=%t", name, atomic), func(t *testing.T) { oneBroken(t, broken, web, atomic) })
		}
	}
}

// oneBroken publishes a broken source and an image.
func oneBroken(t *testing.T, broken string, web *images.Image, atomic bool) {
	t.Helper()
	to := kinds(t, servers.Options{Auth: servers.Token})
	j := several(broken, web.Archive(t), to)
	j.inputs["atomic"] = fmt.Sprint(atomic)
	o := j.run(t).exits(1)
	if len(o.results.Images) != 2 || o.results.Images[0].Error == "" || o.results.Images[1].Error != "" {
		t.Errorf("%+v", o.results.Images)
	}
	for at, s := range to {
		got := images.Digest(t, s.Reference("acme/web", "1"), s.Inspect()...)
		if served := got == web.Digest(); served == atomic {
			t.Errorf("%s: web serves %q", at, got)
		}
	}
}

// A tag of one image that is refused at the end puts the tags of all images back.
func TestSeveralImagesRollBack(t *testing.T) {
	api, web := images.Build(images.Options{Single: true, Seed: 1}), images.Build(images.Options{Single: true, Seed: 2})
	before := images.Build(images.Options{Single: true, Seed: 9})
	to := kinds(t, servers.Options{Auth: servers.Token, Delete: true})
	for _, s := range to {
		before.Push(t, s.Reference("acme/api", "1"), s.Inspect()...)
		before.Push(t, s.Reference("acme/web", "1"), s.Inspect()...)
	}
	ill := to["olareg"]
	ill.Faults.Add(servers.Fault{Match: servers.Matching("PUT", "/acme/web/manifests/1$"), Status: 400, Body: "no", Count: servers.Forever})
	j := several(api.Archive(t), web.Archive(t), to)
	j.inputs["atomic"] = "true"
	o := j.run(t).exits(1)
	for at, s := range to {
		for _, repository := range []string{"acme/api", "acme/web"} {
			if got := images.Digest(t, s.Reference(repository, "1"), s.Inspect()...); got != before.Digest() {
				t.Errorf("%s: %s serves %s, not what it served before", at, repository, got)
			}
		}
		want := report.HeldBack
		if s == ill {
			want = report.Failed
		}
		if r := o.registry(s.Host); r.Status != want {
			t.Errorf("%s is %s, want %s", at, r.Status, want)
		}
	}
}

// What was published by digest and signed then gets its tags, its signatures before them.
func TestSignedBeforeTagged(t *testing.T) {
	image := images.Build(images.Options{LayerBytes: 1 << 10})
	signature := images.Artifact(&image.Root, "application/vnd.test.signature", images.Layer{MediaType: "text/plain", Content: []byte("signed")})
	to := kinds(t, servers.Options{Auth: servers.Token})
	j := job{source: image.Archive(t), clock: newClock(), inputs: map[string]string{"push-by-digest": "true"}}
	for _, s := range to {
		j.tags, j.auth = append(j.tags, s.Reference("acme/app", "1")), j.auth+s.Item(0)
	}
	o := j.run(t).exits(0)
	for at, s := range to {
		if !strings.Contains(o.outputs["pushed"], s.Host+"/acme/app@"+image.Digest()) {
			t.Errorf("%s: pushed %q", at, o.outputs["pushed"])
		}
		if n := s.Log.Count("PUT", "/manifests/[^:]+$"); n > 0 {
			t.Errorf("%s: %d tags are written", at, n)
		}
		image.Compare(t, s.Host+"/acme/app@"+image.Digest(), s.Inspect()...)
	}
	from := to["olareg"]
	signature.Push(t, from.Host+"/acme/app@"+signature.Digest(), from.Inspect()...)
	for _, s := range to {
		s.Log.Reset()
	}
	j.source, j.inputs = from.Host+"/acme/app@"+image.Digest(), map[string]string{"referrers": "true"}
	j.run(t).exits(0)
	for at, s := range to {
		image.Compare(t, s.Reference("acme/app", "1"), s.Inspect()...)
		if !listed(t, s, "acme/app", image.Root)[signature.Root.Digest] {
			t.Errorf("%s: the signature is not there", at)
		}
		signed, tagged := 0, 0
		for _, q := range s.Log.Writes() {
			switch {
			case q.Method != http.MethodPut:
			case strings.HasSuffix(q.Path, "/manifests/1"):
				tagged = q.N
			case strings.Contains(q.Path, "/manifests/"):
				signed = q.N
			}
		}
		if tagged == 0 || signed > tagged {
			t.Errorf("%s: tagged before it was signed:\n%s", at, s.Log)
		}
	}
}

// An immutable tag that serves another digest is found before a byte is sent, and fails its
// registry; with skip-existing it leaves the registry out.
func TestImmutableTagsAtEveryKind(t *testing.T) {
	image, before := images.Build(images.Options{}), images.Build(images.Options{Single: true, Seed: 9})
	for skip, want := range map[bool]report.Status{false: report.Failed, true: report.Skipped} {
		t.Run(fmt.Sprintf("skip-existing=%t", skip), func(t *testing.T) {
			to := kinds(t, servers.Options{Auth: servers.Token})
			j := job{source: image.Archive(t), clock: newClock(), inputs: map[string]string{
				"immutable-tags": `\d+\.\d+\.\d+`, "skip-existing": fmt.Sprint(skip),
			}}
			for _, s := range to {
				before.Push(t, s.Reference("acme/app", "1.2.0"), s.Inspect()...)
				j.tags = append(j.tags, s.Reference("acme/app", "1.2.0"), s.Reference("acme/app", "latest"))
				j.auth += s.Item(0)
			}
			o := j.run(t)
			if (o.status == 0) != skip {
				t.Errorf("exit status %d\n%s", o.status, o.text())
			}
			for at, s := range to {
				if r := o.registry(s.Host); r.Status != want || r.BytesUploaded != 0 {
					t.Errorf("%s is %s, %d bytes sent", at, r.Status, r.BytesUploaded)
				}
				if got := images.Digest(t, s.Reference("acme/app", "latest"), s.Inspect()...); got != "" {
					t.Errorf("%s: latest serves %s", at, got)
				}
			}
			if o.outputs["digest"] != image.Digest() {
				t.Errorf("digest %q", o.outputs["digest"])
			}
		})
	}
}

// A layer that was lost behind a manifest that stays is sent again, with thorough; the
// repair is counted.
func TestThoroughRepairs(t *testing.T) {
	image := images.Build(images.Options{Single: true, LayerBytes: 1 << 10})
	to := kinds(t, servers.Options{Auth: servers.Token, Delete: true})
	delete(to, "olareg") // deletes no blobs
	j := job{source: image.Archive(t), clock: newClock(), inputs: map[string]string{}}
	for _, s := range to {
		ref := s.Reference("acme/app", "1")
		j.tags, j.auth = append(j.tags, ref), j.auth+s.Item(0)
		image.Push(t, ref, s.Inspect()...)
		layer := image.Blobs[0].Descriptor.Digest.String()
		s.Remove(t, "acme/app", layer)
		if _, err := images.Fetch(ref, s.Inspect()...); err == nil {
			t.Fatal("the layer is still there")
		}
	}
	j.inputs["thorough"], j.inputs["dry-run"] = "true", "true"
	o := j.run(t).exits(0)
	for at, s := range to {
		want := report.BlobCounts{Existing: len(image.Blobs) - 1, Missing: 1}
		if r := o.registry(s.Host); r.Status != report.Planned || r.Blobs != want || r.BytesMissing != image.Blobs[0].Descriptor.Size {
			t.Errorf("%s in a dry run is %s: %+v, %d bytes", at, r.Status, r.Blobs, r.BytesMissing)
		}
	}
	delete(j.inputs, "dry-run")
	o = j.run(t).exits(0)
	for at, s := range to {
		image.Compare(t, s.Reference("acme/app", "1"), s.Inspect()...)
		if r := o.registry(s.Host); r.Repaired != 1 || r.Status != report.Pushed {
			t.Errorf("%s is %s, %d repaired", at, r.Status, r.Repaired)
		}
	}
}

// A layer that was lost behind a manifest that stays: without thorough nobody asks for it, but
// a registry that then refuses another tag is asked for all blobs and gets what is missing,
// once. Only what was lost is sent, from a registry through the cache: it goes on where a
// connection broke. (Of an index registries look at the manifests alone, and refuse nothing.)
func TestRefusedForALostBlobRepairs(t *testing.T) {
	image := images.Build(images.Options{Single: true, LayerBytes: 1 << 10})
	all := kinds(t, servers.Options{Auth: servers.Token, Delete: true})
	lost := image.Blobs[0]
	breaks := servers.Olareg(t, servers.Options{})
	image.Push(t, breaks.Reference("acme/built", "1"), breaks.Inspect()...)
	for _, kind := range []string{"distribution 3", "docker-registry 2.8"} {
		s := all[kind]
		if s == nil { // not installed: said by kinds
			continue
		}
		t.Run(kind, func(t *testing.T) {
			for _, atomic := range []string{"false", "true"} {
				for from, source := range map[string]string{"archive": image.Archive(t), "registry": breaks.Reference("acme/built", "1")} {
					repository := "acme/atomic-" + atomic + "-" + from
					breaks.Faults.Clear()
					breaks.Faults.Add(servers.Fault{Match: servers.Matching("GET", "/blobs/"+lost.Descriptor.Digest.String()), CutAnswer: 100})
					image.Push(t, s.Reference(repository, "1"), s.Inspect()...)
					s.Remove(t, repository, lost.Descriptor.Digest.String())
					s.Log.Reset()
					j := job{source: source, clock: newClock(), auth: breaks.Item(0) + s.Item(0), tags: []string{s.Reference(repository, "1"), s.Reference(repository, "2")},
						inputs: map[string]string{"atomic": atomic}}
					o := j.run(t).exits(0)
					r := o.registry(s.Host)
					if r.Repaired != 1 || r.Status != report.Pushed || r.Blobs.Uploaded != 1 {
						t.Errorf("%s, %d repaired, %+v\n%s", r.Status, r.Repaired, r.Blobs, o.text())
					}
					if n := s.Log.Count(http.MethodPut, "/blobs/uploads/"); n != 1 {
						t.Errorf("%d blobs are sent\n%s", n, s.Log)
					}
					image.Compare(t, s.Reference(repository, "1"), s.Inspect()...)
					image.Compare(t, s.Reference(repository, "2"), s.Inspect()...)
				}
			}
		})
	}
}
