package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/multi-registry-push/multi-registry-push/internal/report"
	"github.com/multi-registry-push/multi-registry-push/test/images"
	"github.com/multi-registry-push/multi-registry-push/test/servers"
	"github.com/multi-registry-push/multi-registry-push/test/servers/distribution"
)

// Signatures and SBOMs in every format arrive with the image, in registries with and without the
// referrers API, and verify there; what others attached stays.
func TestReferrers(t *testing.T) {
	for kind, source := range map[string]*servers.Server{
		"from the referrers API": servers.Olareg(t, servers.Options{Auth: servers.Token}),
		"from fallback tags":     distribution.Start(t, servers.Options{Auth: servers.Token}),
	} {
		t.Run(kind, func(t *testing.T) {
			s := signed(t, source)
			to := kinds(t, servers.Options{})
			to["olareg without the API"] = servers.Olareg(t, servers.Options{NoReferrersAPI: true})
			j := job{source: source.Reference("acme/built", "1"), auth: source.Item(0), inputs: map[string]string{"referrers": "true"}}
			others := images.Artifact(&s.image.Root, "application/vnd.others", images.Layer{MediaType: "text/plain", Content: []byte("others")})
			for _, d := range to {
				j.tags = append(j.tags, d.Reference("acme/app", "1"))
				j.auth += d.Item(0)
				s.image.Push(t, d.Host+"/acme/app@"+s.image.Digest(), d.Inspect()...)
				others.Push(t, d.Host+"/acme/app@"+others.Digest(), d.Inspect()...)
			}
			j.run(t).exits(0)
			for at, d := range to {
				t.Run(at, func(t *testing.T) {
					s.image.Compare(t, d.Reference("acme/app", "1"), d.Inspect()...)
					s.check(t, d, "acme/app")
					if !listed(t, d, "acme/app", s.image.Root)[others.Root.Digest] {
						t.Error("what others attached is gone")
					}
				})
				d.Log.Reset()
			}
			o := j.run(t).exits(0)
			for at, d := range to {
				if r := o.registry(d.Host); r.Status != report.Unchanged {
					t.Errorf("%s: the second run is %s", at, r.Status)
				}
				for _, q := range d.Log.Writes() {
					if !isLogin(q) {
						t.Errorf("%s: the second run writes %s", at, q)
					}
				}
			}
		})
	}
}

// Another job attaches something while ours does, where there is no referrers API: the list names both,
// if the registry honours conditions also when theirs comes between our look and our write.
func TestReferrersOfTwoJobs(t *testing.T) {
	source := servers.Olareg(t, servers.Options{})
	s := signed(t, source)
	for name, c := range map[string]struct {
		server *servers.Server
		match  func(*http.Request) bool
	}{
		"before our write": {distribution.Start(t, servers.Options{}), servers.Matching("HEAD", "/manifests/sha256-"+s.image.Root.Digest.Hex+"$")},
		"while we write":   {servers.Olareg(t, servers.Options{NoReferrersAPI: true, Preconditions: true}), servers.Matching("PUT", "/manifests/sha256-"+s.image.Root.Digest.Hex+"$")},
	} {
		t.Run(name, func(t *testing.T) {
			d := c.server
			others := images.Artifact(&s.image.Root, "application/vnd.others", images.Layer{MediaType: "text/plain", Content: []byte("others")})
			s.image.Push(t, d.Host+"/acme/app@"+s.image.Digest(), d.Inspect()...)
			met := d.Faults.Add(servers.Fault{Match: c.match, Pass: true, Reached: func(*http.Request) {
				others.Push(t, d.Host+"/acme/app@"+others.Digest(), d.Inspect()...)
			}})
			j := job{source: source.Reference("acme/built", "1"), auth: source.Item(0) + d.Item(0), tags: []string{d.Reference("acme/app", "1")}, inputs: map[string]string{"referrers": "true"}}
			j.run(t).exits(0)
			if met.Hits() != 1 {
				t.Errorf("the other job came %d times", met.Hits())
			}
			s.check(t, d, "acme/app")
			if !listed(t, d, "acme/app", s.image.Root)[others.Root.Digest] {
				t.Error("what others attached is gone")
			}
		})
	}
}

// A tag that the list of referrers would take, and that serves somebody's image, stays what it is; a
// source with one has no referrers.
func TestForeignTagInPlaceOfReferrers(t *testing.T) {
	source := servers.Olareg(t, servers.Options{})
	s := signed(t, source)
	d := distribution.Start(t, servers.Options{})
	theirs := images.Build(images.Options{Single: true, Seed: 5})
	foreign := d.Reference("acme/app", "sha256-"+s.image.Root.Digest.Hex)
	theirs.Push(t, foreign, d.Inspect()...)
	j := job{source: source.Reference("acme/built", "1"), auth: source.Item(0) + d.Item(0), tags: []string{d.Reference("acme/app", "1")}, inputs: map[string]string{"referrers": "true"}}
	for _, dry := range []string{"true", "false"} {
		j.inputs["dry-run"] = dry
		j.run(t).exits(1).says("it serves no list of referrers", "another tag")
	}
	if got := images.Digest(t, foreign, d.Inspect()...); got != theirs.Digest() {
		t.Errorf("it serves %s now", got)
	}

	s.image.Push(t, d.Reference("acme/app", "src"), d.Inspect()...)
	job{source: d.Reference("acme/app", "src"), auth: d.Item(0), tags: []string{d.Reference("acme/copy", "1")}, inputs: map[string]string{"referrers": "true"}}.run(t).exits(0)
	s.image.Compare(t, d.Reference("acme/copy", "1"), d.Inspect()...)
}

// A dry run says of what refers to an image what the run then does, by tag and by digest, whatever
// of it is there: none, all, all but the lists that name it.
func TestDryRunOfReferrers(t *testing.T) {
	source := servers.Olareg(t, servers.Options{})
	s := signed(t, source)
	to := kinds(t, servers.Options{})
	to["olareg without the API"] = servers.Olareg(t, servers.Options{NoReferrersAPI: true})
	other := images.Build(images.Options{Single: true, Seed: 5})
	for at, d := range to {
		other.Push(t, d.Reference("acme/app", "0"), d.Inspect()...)
		unlist := func(t *testing.T) {
			for subject := range s.attached {
				list, err := name.ParseReference(d.Reference("acme/app", "sha256-"+subject.Hex), name.Insecure)
				if err != nil {
					t.Fatal(err)
				}
				if err := remote.WriteIndex(list, empty.Index, d.Inspect()...); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, c := range []struct {
			state, byDigest string
			before          func(*testing.T)
		}{{"another image", "true", nil}, {"the image", "false", nil}, {"all", "false", nil}, {"all but the lists", "false", unlist}} {
			t.Run(at+", there is "+c.state, func(t *testing.T) {
				if c.before != nil {
					c.before(t)
				}
				j := job{source: source.Reference("acme/built", "1"), auth: source.Item(0) + d.Item(0), tags: []string{d.Reference("acme/app", "1")},
					inputs: map[string]string{"referrers": "true", "push-by-digest": c.byDigest, "dry-run": "true"}, clock: newClock()}
				dry := j.run(t).exits(0)
				planned := dry.registry(d.Host)
				if planned.Status == report.Planned && len(planned.Images) > 0 {
					dry.says("the tag stays")
				}
				j.inputs["dry-run"] = "false"
				done := j.run(t).exits(0).registry(d.Host)
				if (planned.Status == report.Planned) != (done.Status == report.Pushed) || planned.Referrers != done.Referrers {
					t.Errorf("a dry run says %s, %+v; the run %s, %+v", planned.Status, planned.Referrers, done.Status, done.Referrers)
				}
			})
		}
	}
}

// Without referrers: true nothing of it comes along.
func TestWithoutReferrers(t *testing.T) {
	source := servers.Olareg(t, servers.Options{})
	s := signed(t, source)
	to := servers.Olareg(t, servers.Options{})
	job{source: source.Reference("acme/built", "1"), auth: source.Item(0) + to.Item(0), tags: []string{to.Reference("acme/app", "1")}}.run(t).exits(0)
	if l := listed(t, to, "acme/app", s.image.Root); len(l) > 0 {
		t.Errorf("%d referrers came along", len(l))
	}
	if n := source.Log.Count("GET", "/referrers/"); n > 0 {
		t.Errorf("%d questions for referrers", n)
	}
}

// signedImage is an image in a registry with all that can be attached to one.
type signedImage struct {
	keys     keys
	image    *images.Image
	tags     map[string]*images.Image    // cosign's tags
	attached map[v1.Hash][]*images.Image // referrers by subject
	signs    map[v1.Hash]v1.Descriptor   // what each signature is of
	sbom     v1.Descriptor               // what oras attached to the index
}

func signed(t *testing.T, source *servers.Server) signedImage {
	t.Helper()
	k := newKeys(t)
	s := signedImage{keys: k, image: images.Build(images.Options{LayerBytes: 1 << 10}), tags: map[string]*images.Image{},
		attached: map[v1.Hash][]*images.Image{}, signs: map[v1.Hash]v1.Descriptor{}}
	repository := source.Host + "/acme/built"
	s.image.Push(t, repository+":1", source.Inspect()...)
	index, platform := s.image.Root, s.image.Manifests[0].Descriptor

	tag := func(of v1.Descriptor, suffix string, layer images.Layer) {
		a := images.Artifact(nil, "", layer)
		name := "sha256-" + of.Digest.Hex + "." + suffix
		a.Push(t, repository+":"+name, source.Inspect()...)
		s.tags[name], s.signs[a.Root.Digest] = a, of
	}
	tag(index, "sig", k.signature(t, index))
	tag(platform, "sig", k.signature(t, platform))
	tag(platform, "att", images.Layer{MediaType: dsseEnvelope, Content: k.attestation(t, platform)})

	refer := func(to v1.Descriptor, kind string, layer images.Layer) {
		a := images.Artifact(&to, kind, layer)
		a.Push(t, repository+"@"+a.Digest(), source.Inspect()...)
		s.attached[to.Digest] = append(s.attached[to.Digest], a)
		s.signs[a.Root.Digest] = to
	}
	refer(index, signatureType, k.signature(t, index))
	refer(index, sigstoreBundle, k.bundle(t, index))
	refer(platform, sigstoreBundle, k.bundle(t, platform))

	s.sbom = oras(t, source, repository+"@"+index.Digest.String())
	refer(s.sbom, signatureType, k.signature(t, s.sbom)) // a signature of the SBOM
	return s
}

// check looks for everything in another registry and verifies the signatures there.
func (s signedImage) check(t *testing.T, at *servers.Server, repository string) {
	t.Helper()
	for name, want := range s.tags {
		got, err := images.Fetch(at.Reference(repository, name), at.Inspect()...)
		if err != nil {
			t.Errorf("tag %s: %v", name, err)
			continue
		}
		if got.Digest() != want.Digest() {
			t.Errorf("tag %s serves %s, want %s", name, got.Digest(), want.Digest())
		}
		s.keys.verify(t, got, s.signs[want.Root.Digest])
	}
	for subject, artifacts := range s.attached {
		there := listed(t, at, repository, v1.Descriptor{Digest: subject})
		for _, want := range artifacts {
			if !there[want.Root.Digest] {
				t.Errorf("%s does not list %s", subject, want.Digest())
			}
			got, err := images.Fetch(at.Host+"/"+repository+"@"+want.Digest(), at.Inspect()...)
			if err != nil {
				t.Errorf("referrer of %s: %v", subject, err)
				continue
			}
			s.keys.verify(t, got, s.signs[want.Root.Digest])
		}
	}
	if !listed(t, at, repository, s.image.Root)[s.sbom.Digest] {
		t.Error("the SBOM is not listed")
	}
	sbom, err := images.Fetch(at.Host+"/"+repository+"@"+s.sbom.Digest.String(), at.Inspect()...)
	if err != nil || len(sbom.Blobs) != 2 {
		t.Errorf("SBOM: %v", err)
	}
}

// listed asks a registry, by another client, what refers to a manifest.
func listed(t *testing.T, at *servers.Server, repository string, to v1.Descriptor) map[v1.Hash]bool {
	t.Helper()
	d, err := name.NewDigest(at.Host+"/"+repository+"@"+to.Digest.String(), name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Referrers(d, at.Inspect()...)
	if err != nil {
		t.Fatal(err)
	}
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	out := map[v1.Hash]bool{}
	for _, d := range m.Manifests {
		out[d.Digest] = true
	}
	return out
}

// oras attaches an SBOM with the real program.
func oras(t *testing.T, s *servers.Server, to string) v1.Descriptor {
	t.Helper()
	dir := t.TempDir()
	sbom := filepath.Join(dir, "sbom.spdx.json")
	if err := os.WriteFile(sbom, []byte(`{"spdxVersion":"SPDX-2.3","name":"app"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	said := runORAS(t, s, "attach", "--plain-http", "--username", s.Users[0].Name, "--password-stdin",
		"--disable-path-validation", "--artifact-type", spdx, "--format", "json", to, sbom+":"+spdx)
	return v1.Descriptor{MediaType: "application/vnd.oci.image.manifest.v1+json", Digest: said.Digest, Size: said.Size}
}
